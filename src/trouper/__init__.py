"""Actors, channels and the runtime that joins them."""

__version__ = "0.1.0"
