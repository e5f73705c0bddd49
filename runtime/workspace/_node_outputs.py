"""What the batch tasks of a graph gave back: written down as they end, and taken up by `resume`.

Rule: a task is not done again if it has completed, and so have all tasks before it. What is
downstream of an actor begins again, for nobody has kept the stream.
"""

import logging
from collections.abc import Mapping
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import msgspec
from attrs import define

from ...actors._child import TaskChild, TaskSpec
from ...actors._profile_config import ProfileConfig
from ...actors._task_context import TaskContext
from .._node import Node
from ..store._errors import StoreError
from ._journal import Story
from ._kept_values import keep, restore

if TYPE_CHECKING:
    from .._execution import Execution
    from ._tracked import Tracked

log = logging.getLogger("trouper")

AnyContext = TaskContext[Any, Any, Any]


@define(eq=False)
class _Recorded:
    """A task whose output is written down."""

    spec: TaskSpec
    tracked: "Tracked"
    name: str
    task: str
    key: bytes

    def task_context(self) -> AnyContext:
        return self.spec.task_context()

    async def call(self, context: AnyContext) -> Any:
        value = await self.spec.call(context)
        self._note(keep(value))
        return value

    def _note(self, output: bytes | None) -> None:
        if output is None or self.tracked.failure is not None:
            return
        try:
            number = self.tracked.journal.begins(0, self.name, self.task, self.key)
            self.tracked.journal.ends(number, output)
        except StoreError as failure:
            self.tracked.fail(failure)


@define(eq=False)
class _Kept:
    """A task that has completed in an execution before."""

    spec: TaskSpec
    value: Any

    def task_context(self) -> AnyContext:
        return self.spec.task_context()

    async def call(self, context: AnyContext) -> Any:
        return self.value


def keep_outputs(execution: "Execution", tracked: "Tracked", prefix: str = "") -> list[str]:
    """Have the outputs of a graph's batch tasks written down; return which are not done again."""
    keys = _keys(execution)
    found = _outputs_in(tracked.story)
    kept: list[str] = []
    for name, key in keys.items():
        child = execution.cells[name].child
        assert isinstance(child, TaskChild)
        assert child.spec is not None
        node = execution.cells[name].node
        packed = found.get((f"@{prefix}{name}", key))
        before = all(each.node in kept for each in node.upstreams)
        if packed is not None and before:
            try:
                child.spec = _Kept(child.spec, restore(packed, _home(node)))
                kept.append(name)
                continue
            except Exception as error:  # its class is not there any more, say
                log.warning(
                    "what %r gave back before can't be read (%s: %s); it is done again",
                    name,
                    type(error).__name__,
                    error,
                )
        child.spec = _Recorded(child.spec, tracked, name, f"@{prefix}{name}", key)
    return kept


def _outputs_in(story: Story | None) -> Mapping[tuple[str, bytes | None], bytes]:
    if story is None:
        return {}
    return {
        (each.task, each.key): each.output
        for each in story.actions.values()
        if each.output is not None
    }


def _keys(execution: "Execution") -> Mapping[str, bytes]:
    """Return the batch tasks that depend on batch tasks only, upstream first, each with a hash of
    what it is and of all that it depends on."""
    nodes = {name: cell.node for name, cell in execution.cells.items() if cell.node.kind == "task"}
    keys: dict[str, bytes] = {}
    waiting = dict(nodes)
    while True:
        ready = [
            name
            for name, node in waiting.items()
            if all(each.node in keys for each in node.upstreams)
        ]
        if not ready:
            return keys
        for name in ready:
            keys[name] = _key(waiting.pop(name), keys, execution.settings.config)


def _key(node: Node, keys: Mapping[str, bytes], config: ProfileConfig) -> bytes:
    what = getattr(node.obj, "__qualname__", None) or type(node.obj).__qualname__
    upstreams = [[each.key, each.output, keys[each.node]] for each in node.upstreams]
    told = [node.name, _home(node), what, upstreams, config.content_hash()]
    return blake2b(msgspec.msgpack.encode(told), digest_size=16).digest()


def _home(node: Node) -> str:
    home = getattr(node.obj, "__module__", None)
    return home if isinstance(home, str) else type(node.obj).__module__
