"""A run inside of an ASGI service. Needs `pip install 'trouper[asgi]'` for the router."""

from typing import TYPE_CHECKING, Any

from .runtime.asgi._service import Lifespan as Lifespan
from .runtime.asgi._service import lifespan as lifespan

if TYPE_CHECKING:
    from .runtime.asgi._router import router as router


def __getattr__(name: str) -> Any:
    if name != "router":
        raise AttributeError(f"module 'trouper.asgi' has no attribute {name!r}")
    try:
        from .runtime.asgi._router import router as found
    except ModuleNotFoundError as error:
        if error.name != "starlette":
            raise
        raise ModuleNotFoundError(
            "trouper.asgi.router needs Starlette; pip install 'trouper[asgi]'", name="starlette"
        ) from error
    return found
