"""The code of a run, as one archive: what is in it, which version that is, and how it is packed."""
