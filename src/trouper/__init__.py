"""Actors, channels and the runtime that joins them."""

from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from . import errors as errors
    from . import io as io
    from .runtime._face import *  # noqa: F403  # the list of names stands there
else:
    # `trouper --help` must not wait for trio and all the rest (PEP 562).

    def _load():
        from importlib import import_module

        from .runtime import _face

        public = {key: value for key, value in vars(_face).items() if not key.startswith("_")}
        # `from . import errors` would ask for the attribute first, and so come here again.
        public["errors"] = import_module(".errors", __name__)
        globals().update(public)
        return globals()

    def __getattr__(name):
        if name == "io":  # few need it, so it does not come with the rest
            from importlib import import_module

            return import_module(".io", __name__)
        is_special = name.startswith("__") and name != "__all__"
        if is_special or name not in _load():
            raise AttributeError(f"module 'trouper' has no attribute {name!r}")
        return globals()[name]

    def __dir__():
        return sorted({*_load(), "io"})
