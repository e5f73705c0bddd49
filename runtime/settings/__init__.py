"""Where settings come from: `trouper.init`, configuration files, the environment, and profiles.

Nothing here names code to import: a file is data, whoever wrote it.
"""
