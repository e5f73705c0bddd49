"""What a rebuild of the catalog has found and done."""

from attrs import frozen


@frozen(kw_only=True)
class Rebuilt:
    """What `catalog.rebuild()` has found, and done."""

    manifests: int
    """Of assets, that are there."""
    runs: int
    """That have a record in their folder."""
    taken_in: tuple[str, ...]
    """Runs, as PROJECT/EXPERIMENT/NAME, of which the database did not know all."""
    forgotten: tuple[str, ...]
    """Runs whose folder is not there any more."""


Rebuilt.__module__ = "trouper"
