"""What processes that died could not write any more into the folders of their runs.

The journal of an execution lies in a folder of its own until that of the run tells how it ended.
So of what lies there, and belongs to nobody who lives, the run's folder does not tell all.
"""

import os
import time
from contextlib import suppress
from pathlib import Path

from ..store._errors import StoreError
from ..store._left import left_by_the_dead
from ..store._store import Store
from ._blank_journals import sweep_blanks
from ._journal import journal_at, journals_in, keep_journal
from ._names import key_of_run
from ._run_file import Over, told_in, write_told


def settle_left_behind(store: Store) -> None:
    """Have the folders of such runs tell what the database does. What can't be written now is
    tried again the next time."""
    root = store.path.parent
    for run, execution in journals_in(root):
        with suppress(StoreError, OSError):
            _settle(store, journal_at(root, run, execution), execution)
    sweep_blanks(root)


def _settle(store: Store, journal: Path, execution: int) -> None:
    with store.connections.reading() as db:
        if left_by_the_dead(db, execution, time.time()) is None:
            return
    # Written inside of the transaction: meanwhile nobody begins the run anew.
    with store.connections.writing() as db:
        left = left_by_the_dead(db, execution, time.time())
        if left is None:
            return
        folder = store.path.parent / key_of_run(left.key)
        write_told(folder, told_in(db, left.key, Over(execution, left.number)))
        if left.is_last and not left.has_completed:
            keep_journal(journal, folder)
        else:  # nothing of it is wanted any more
            os.unlink(journal)
