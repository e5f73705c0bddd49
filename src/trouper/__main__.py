"""`python -m trouper` is the command `trouper`."""

if __name__ == "__main__":  # a worker process imports this too, and under another name
    import sys

    from .runtime.cli import main

    sys.exit(main())
