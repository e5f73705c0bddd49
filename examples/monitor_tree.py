"""A monitor tree with a flaky child: who is restarted when it fails, and how that ends.

    monitor (one_for_one)          the run fails only if this one gives up
    |- sensors (rest_for_one)      a new connection needs new readers, not the other way round
    |  |- connection
    |  '- reader                   fails over and over on its first two connections
    |- alarms
    '- operator                    significant: the monitor goes home with it

Run: `trouper run examples/monitor_tree.py`. The reader fails, and is started again at once; its
third failure is one too many for the group `sensors`, which stops its members backwards and gives
up. The group around it starts it again, with a new connection. The third connection works; the
operator hears one alarm, ends, and the monitor with it. The closing report tells that story.
`trouper check` and `trouper graph` show the groups.
"""

import trio

import trouper

AT_ONCE = trouper.Backoff(min=0, max=0)
READINGS = 5

wf = trouper.Workflow("monitor-tree")
monitor = wf.group("monitor", auto_shutdown="any_significant")
sensors = monitor.group("sensors", strategy="rest_for_one", max_restarts=2)


class Connection:
    """Stands for a line to a device; the third one works."""

    made = 0

    async def run(self, ctx: trouper.ActorContext[None, None, None, int]) -> None:
        Connection.made += 1
        for reading in range(READINGS):
            await ctx.send(reading)
            await trio.sleep(0.01)
        await ctx.stopping.wait()


sensors.add(Connection, name="connection")


@sensors.actor(depends_on="connection", backoff=AT_ONCE, max_attempts=None)
async def reader(ctx: trouper.ActorContext[None, None, int, int]) -> None:
    async for reading in ctx:
        if Connection.made < 3:
            raise OSError(f"garbage on line {Connection.made}")
        await ctx.send(reading)


@monitor.actor(depends_on="reader")
async def alarms(ctx: trouper.ActorContext[None, None, int, str]) -> None:
    async for reading in ctx:
        if reading == READINGS - 1:
            await ctx.send(f"reading {reading} is too high")


@monitor.actor(depends_on="alarms", significant=True)
async def operator(ctx: trouper.ActorContext[None, None, str, str]) -> None:
    """Hears one alarm, and ends the watch."""
    alarm = await ctx.receive()
    ctx.set_result("alarm", alarm)


if __name__ == "__main__":
    result = trouper.run(wf)
    for group in result.groups.values():
        print(group.name, group.state, *map(str, group.escalations), sep="\n  ")
    print(result.status, dict(result.results))
