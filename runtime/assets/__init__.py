"""What runs leave behind and find again: artifacts, logs, checkpoints, data; and who made them.

The manifests (`assets.jsonl`, one in each scope's folder) are the truth. The catalog in the one
database is an index of them, which can be made anew at any time.
"""
