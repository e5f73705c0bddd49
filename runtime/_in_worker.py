"""Worker processes import the program's main file: what it runs must not run once more there."""

import sys


def refuse_in_a_worker(name: str) -> None:
    """Refuse a run that a main file without a guard starts while a worker imports it.

    Without this, each process would start another one, without end.

    Raises:
        RuntimeError: the text names the guard.
    """
    # While a worker process imports the program's main file, there is no main module.
    if "__main__" not in sys.modules:
        raise RuntimeError(
            f"{name!r} would run once more in a worker process, which imports this program: put "
            'what it does under `if __name__ == "__main__":`'
        )
