"""Why a batch task can't get its input."""


class EmptyStream(RuntimeError):
    """A batch task waited for a stream that ended without a value."""


class TooManyItems(RuntimeError):
    """A batch task collected more values than its `max_items`."""


class UpstreamStopped(RuntimeError):
    """A node waited for the result of a task that was stopped with its group."""


def too_many(node: str, upstream: str, most: int) -> TooManyItems:
    return TooManyItems(
        f"{node!r} collected more than max_items={most} values of {upstream!r}; raise max_items, "
        "or use collect='last'"
    )


def empty(node: str, upstream: str) -> EmptyStream:
    return EmptyStream(
        f"{node!r} waited for the stream {upstream!r}, which ended without a value; "
        "give the task default=..., or let the stream yield something"
    )


def stopped(node: str, task: str) -> UpstreamStopped:
    return UpstreamStopped(
        f"{node!r} waits for the result of {task!r}, which was stopped with its group and, being "
        "temporary, is not started again; give it restart='transient'"
    )


UpstreamStopped.__module__ = EmptyStream.__module__ = TooManyItems.__module__ = "trouper"
