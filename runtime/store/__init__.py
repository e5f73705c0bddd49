"""The one database of a workspace: run records, actions, results and the cache.

`open_store(root)` in `_store.py` is the way in. Nothing outside this folder speaks SQL.
"""
