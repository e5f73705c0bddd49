"""The command line's larger parts: running tasks, and looking at what a workspace holds."""
