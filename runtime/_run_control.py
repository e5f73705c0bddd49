"""The part of a run's handle that asks something of its nodes."""

from typing import TYPE_CHECKING, Any, Unpack

from ._reconfigure import Changes, reconfigure

if TYPE_CHECKING:
    from ._control import ControlDesk


class RunControl:
    """Hold, end and change single nodes while the run goes on."""

    _desk: "ControlDesk"

    def pause(self, node: Any) -> None:
        """Hold a node before its next message; what it has in hand it finishes. Idempotent.

        A paused actor takes no message, and one without upstreams is held at its next `yield` or
        `send`. Ticks of `ctx.every` that it misses are left out; deadlines run on; notices and
        new settings reach it. A drain resumes every node.

        Raises:
            ValueError: there is no such node, or it is a batch task.
            NotRunning: it has ended, or the run drains.
        """
        self._desk.pause(node)

    def resume(self, node: Any) -> None:
        """Let a paused node go on; nothing was lost meanwhile. Idempotent.

        Raises:
            ValueError: there is no such node, or it is a batch task.
        """
        self._desk.resume(node)

    async def stop(self, node: Any) -> None:
        """End a node after the message in hand, as a normal end, and wait for that. Idempotent.

        Those that it has not handled become dead letters, reason `stopped`. A node without
        upstreams may send one message more. If this is cancelled, the node ends all the same.

        Raises:
            ValueError: there is no such node, it is a batch task, or it is the caller itself.
            NotRunning: the run drains, which stops every node by itself.
        """
        await self._desk.stop(node)

    def kill(self, node: Any) -> None:
        """Cancel a node now, for good. Idempotent.

        The message in hand becomes a dead letter, reason `killed`; it is no failed attempt.

        Raises:
            ValueError: there is no such node, or it is a batch task.
        """
        self._desk.kill(node)

    async def reconfigure(self, node: Any, **changes: Unpack[Changes]) -> None:
        """Change a node while it runs: all that is given, or nothing if one value is not legal.

        Edges, rate and restart options change at once. `config` and `max_attempts` change between
        two messages, so that each is handled under one configuration; this waits for that, unless
        the node itself calls it. `run.status().nodes[name].reconfigured` tells what has changed.

        Args:
            changes: options of the node as in `@wf.actor(...)`: `capacity`, `overflow`, `rate`,
                `max_restarts`, `period`, `backoff`, `max_attempts`, `timeout`, `concurrency` (where
                it was declared); `config`: the whole new `ctx.config`; `probation`: seconds in
                which a failure brings the former back.

        Raises:
            TypeError, ValueError: a change is not legal, or there is no such node; nothing has
                changed.
            NotRunning: the node has ended, before the change or while this waited.
        """
        await reconfigure(self._desk, node, changes)
