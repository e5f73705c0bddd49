"""Cached results of tasks: what a call is known by, and what of its result can be kept.

The tables are in `store`; the way of a call through them is `tasks/_served.py`.
"""
