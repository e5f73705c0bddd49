"""Where the values of one run go: its data, what is only passed between its tasks, its copies."""

import os
import re
import secrets
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import cast

from attrs import define, evolve

from ...actors._current import ctx
from ...actors._run_context import RunContext
from ..store._records import DEFAULT_SCOPE
from ._errors import NoStorage
from ._local import LOCAL, make_folder
from ._location import Location, parse_location
from ._storage import storage_of

KEY = "io"
"""Of `RunContext.kept`."""
_LONGEST_LABEL = 80
_ASSETS = "assets-"
"""How the folder of a run's artifacts and checkpoints begins, below a `raw_data_path`."""


@define(eq=False)
class Places:
    """The places of one run, absolute: a task that changes the working directory moves nothing."""

    run_name: str
    raw: Location | None
    """Where offloaded values of all runs go; None: nothing said where."""
    base: Location | None
    """Where files go that are only passed between tasks; None: likewise."""
    scratch: Path | None = None
    """A folder of this machine that was made up for this run, and goes with it."""
    owner: str = ""
    """Tells its data from that of another run of this name, in another experiment or workspace;
    "": it is in no workspace."""
    is_given: bool = False
    """Whether somebody said where its data goes."""

    def new(self, name: str, action: str, *, keep: bool) -> Location:
        """Return a place of a name that nothing has: of a value of that name.

        Raises:
            NoStorage: nothing said where such values go.
        """
        label = re.sub(r"[^A-Za-z0-9_-]+", ".", action)[-_LONGEST_LABEL:].strip(".") or "value"
        folder = f"{label}-{self.owner if keep else ''}{secrets.token_hex(8)}"
        return self.root(keep=keep) / folder / name

    def assets(self) -> Location | None:
        """Return where the data of its artifacts and checkpoints goes; None: into its own folder.

        That is so unless somebody gave another place.
        """
        if not (self.is_given and self.owner):
            return None
        return self.root(keep=True) / f"{_ASSETS}{self.owner}"

    def root(self, *, keep: bool) -> Location:
        """Return the folder of this run for its values.

        Raises: as `new`.
        """
        if keep:
            if self.raw is None:
                raise NoStorage(_nowhere("raw_data_path"))
            return self.raw / self.run_name
        if self.base is not None:
            return self.base / self.run_name
        if self.scratch is not None:
            return Location("file", "", str(self.scratch))
        raise NoStorage(_nowhere("run_base_dir"))

    def local_folder(self) -> Path:
        """Return a new folder of this machine, for copies of what lies elsewhere.

        Raises: as `new`.
        """
        above = self.scratch
        if above is None:
            root = self.root(keep=False)
            if not root.is_local:
                raise NoStorage(
                    "this run has no folder on this machine; say where: download(to=...)"
                )
            above = root.local
        folder = above / f"copy-{secrets.token_hex(8)}"
        make_folder(folder)
        return folder

    def close(self) -> None:
        """End the run: what was made up for it goes."""
        if self.scratch is not None and self.scratch.exists():
            LOCAL.remove(Location("file", "", str(self.scratch)))


def owner_of(root: Path, raw: Path | None, project: str, experiment: str) -> str:
    """Return the mark of a run's data, by its workspace, project and experiment.

    What lies in the workspace keeps its mark when that is moved.

    Args:
        raw: the `raw_data_path`; None: it is in a bucket.
    """
    home = os.path.realpath(root)
    inside = raw is not None and os.path.join(os.path.realpath(raw), "").startswith(
        os.path.join(home, "")
    )
    words = ("" if inside else home, project, experiment)
    return blake2b("\0".join(words).encode("utf-8", "surrogateescape"), digest_size=4).hexdigest()


def data_of_run(raw: Path, run: str, owner: str) -> Iterator[Path]:
    """Yield the folders that hold the data of one run, below a `raw_data_path`."""
    try:
        names = os.listdir(raw / run)
    except OSError:  # nothing of it, or nothing that may be seen
        return
    yield from (raw / run / name for name in names if is_data_of(name, owner))


def is_data_of(folder: str, owner: str) -> bool:
    """Return whether a folder is called as one that holds data of a run."""
    return re.fullmatch(rf".*-{owner}(?:[0-9a-f]{{16}})?", folder, re.DOTALL) is not None


def _nowhere(parameter: str) -> str:
    return (
        f"this run has no {parameter}; give with_runcontext({parameter}=...) one, or a RunContext "
        "of its own to wf.execute(run_context=...)"
    )


def places_of(run: RunContext) -> Places:
    """Return the places of a run, as its parameters say."""
    found: Places | None = run.kept.get(KEY)
    if found is None:
        raw = parse_location(run.raw_data_path, "raw_data_path") if run.raw_data_path else None
        base = parse_location(run.run_base_dir, "run_base_dir") if run.run_base_dir else None
        return cast("Places", run.kept.setdefault(KEY, Places(run.run_name, raw, base)))
    return found


def settle_places(
    run: RunContext, root: Path | None, *, experiment: str = DEFAULT_SCOPE
) -> RunContext:
    """Return the context of a run that is about to begin, with every place known and checked.

    Args:
        root: the folder of the workspace; None: there is none, and no default for `raw_data_path`.
        experiment: that it belongs to, there.

    Raises:
        ValueError, TypeError: a place is none.
        MissingExtra, StorageError: it can't be used; see `check_places`.
    """
    label = f"{run.run_name[:_LONGEST_LABEL]}-{secrets.token_hex(4)}"
    if root is None:
        from tempfile import gettempdir  # slow, and few runs need it

        scratch = Path(gettempdir()) / f"trouper-{label}"
    else:
        scratch = root.absolute() / "base" / label
    raw = run.raw_data_path
    if not raw and root is not None:
        raw = str(root.absolute() / "raw")
    places = Places(
        run.run_name,
        parse_location(raw, "raw_data_path") if raw else None,
        parse_location(run.run_base_dir, "run_base_dir") if run.run_base_dir else None,
        scratch,
        is_given=bool(run.raw_data_path),
    )
    if root is not None and places.raw is not None:
        raw_folder = places.raw.local if places.raw.is_local else None
        places.owner = owner_of(root, raw_folder, run.project or DEFAULT_SCOPE, experiment)
    check_places(places)
    run.kept[KEY] = places
    return evolve(run, raw_data_path=raw, run_base_dir=run.run_base_dir or str(scratch))


def close_places(run: RunContext) -> None:
    """End a run: what was made up for it goes."""
    found: Places | None = run.kept.get(KEY)
    if found is not None:
        found.close()


def current_run() -> RunContext | None:
    """Return the run that the code that calls belongs to."""
    context = ctx()
    return None if context is None else context.run_context


def current_places(wanted: str) -> Places:
    """Return the places of the run that the code that calls belongs to.

    Raises:
        NoStorage: it belongs to none.
    """
    run = current_run()
    if run is None:
        raise NoStorage(
            f"{wanted} was called outside of any run, which would say where the data goes; call it "
            "in a task, or refer to what is there already with File.existing(path)"
        )
    return places_of(run)


def current_action() -> str:
    """Return the name of the action that calls; "" outside of any."""
    context = ctx()
    return "" if context is None else context.action.name


def check_places(places: Places) -> None:
    """Prove before anything runs that what was given can be used.

    Raises:
        MissingExtra: a place is in a bucket, and the library for those is not installed.
        StorageError: `run_base_dir` may not be written.
    """
    if places.raw is not None:
        storage_of(places.raw)
    if places.base is not None:
        storage_of(places.base).probe(places.root(keep=False))
