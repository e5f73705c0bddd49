"""What .gitignore leaves out: the files of that name in a folder, in those above it and below."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

NAME = ".gitignore"


@frozen
class Rules:
    """The rules that hold in one folder: the last one that speaks of a path decides."""

    specs: "Sequence[tuple[str, GitIgnoreSpec]]" = ()
    """The folder of each file, with a separator, and what it says; from the outermost."""

    def inside(self, folder: str) -> "Rules":
        """Return the rules that hold in a folder below.

        Raises:
            OSError: its file can't be read.
        """
        spec = _read(os.path.join(folder, NAME))
        if spec is None:
            return self
        return Rules((*self.specs, (os.path.join(folder, ""), spec)))

    def ignores(self, path: str, *, is_folder: bool) -> bool:
        for folder, spec in reversed(self.specs):
            name = path[len(folder) :].replace(os.sep, "/") + "/" * is_folder
            said = spec.check_file(name).include
            if said is not None:
                return said
        return False


def rules_above(root: str) -> Rules:
    """Return the rules that hold in a folder because of those above, up to that of the repository.

    Raises:
        OSError: a file can't be read.
    """
    chain = [root]
    while not os.path.exists(os.path.join(chain[-1], ".git")):
        above = os.path.dirname(chain[-1])
        if above == chain[-1]:
            return Rules()  # it lies in no repository
        chain.append(above)
    exclude = _read(os.path.join(chain[-1], ".git", "info", "exclude"))
    rules = Rules() if exclude is None else Rules(((os.path.join(chain[-1], ""), exclude),))
    for each in reversed(chain[1:]):
        rules = rules.inside(each)
    return rules


def _read(file: str) -> "GitIgnoreSpec | None":
    if not os.path.isfile(file):
        return None
    from pathspec import GitIgnoreSpec  # here, for most runs never need it

    with open(file, encoding="utf-8", errors="replace") as text:
        return GitIgnoreSpec.from_lines(text.read().splitlines())
