"""Fan-out: what the hub's process spends to bring a room's events to its sockets.

Single frames: each event is published alone, as a pin or a stock figure is, and the next when it has been written to
all. Merged: chat of 200 lines a second, which the room's tick makes into a few frames.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from multiprocessing.connection import Connection

import uvloop

from chat.broker_memory import MemoryBroker
from chat.channel import Channel
from chat.hub import Hub, HubLimits, Member, RoomLimits, Tier
from gateway.bench.baseline_write import BACKLOG, SETTLE_S, write_passes
from gateway.bench.clock import system_clock
from gateway.bench.process import BenchError, Meter
from gateway.bench.report import Baseline, Figure, Goal, Report
from gateway.bench.scale import Scale
from gateway.bench.sink import HOST, UPGRADE, UPGRADE_DEFLATE, measure
from gateway.bench.waiting import close_all, until
from gateway.bench.ws_servers import beside, broadcast_rate

ROOM = "bench"
LINES_PER_S = 200
"""A room's cap on chat: nobody reads more (`RoomLimits.chat_per_s`)."""
TURN_S = 0.2
CHAT_TURNS = 2
MERGED_MS_MAX = 100
"""The longest merging that the goal allows: with a longer one there is no verdict."""
PACE_S = 0.02
"""Lines of so long are said at once: to wake up for each cost 75 µs, 7 % of what was taken for fan-out."""
WARM_S = 1.5
"""Of chat before anything is measured: so long a room takes to find out how much of it there is."""
TICKS_S = 0.3
"""Longer than a room at its cap gathers, and the pass after it."""

SINGLE_GOAL = Goal(0.75, of_ratio=True)
MERGED_GOAL = Goal(2_000_000)

EVENT = {
    "t": "chat",
    "from": {"person": "01JD3Z5V8Q0M4T7X2A9K", "name": "小雨", "role": "viewer"},
    "text": "这个颜色还有货吗？想要两件",
}
"""A line of chat as a viewer types it; with its offset about 160 bytes."""


def _lines(count: int) -> list[dict[str, object]]:
    """Lines of many people, who do not all say the same: what compresses is what a room has in common."""
    # The same lines in each run.
    draw = random.Random(1)  # noqa: S311
    names = ("小雨", "阿明", "林子", "茶客", "Sunny", "老王", "糖糖")
    words = (
        "这个颜色",
        "还有货吗",
        "想要两件",
        "多少钱",
        "主播",
        "好看",
        "已拍",
        "求链接",
        "有大码吗",
        "谢谢",
        "包邮吗",
    )
    return [
        {
            "t": "chat",
            "from": {"person": f"{draw.getrandbits(80):020x}", "name": draw.choice(names), "role": "viewer"},
            "text": "".join(draw.sample(words, 3)),
            "now": 1_767_225_600_000 + draw.getrandbits(26),
        }
        for _ in range(count)
    ]


LINES = _lines(500)

Measured = dict[str, float]


def run_fanout(scale: Scale) -> Report:
    """Measure; takes about seven times ``scale.seconds`` and some seconds to connect."""
    sockets, seconds = scale.sockets, scale.seconds
    single = measure(hub_single, sockets, UPGRADE, seconds)
    alone, raw_alone = _sends(single)
    about: dict[str, float | int | str] = {"sockets": sockets}
    library = beside(about, lambda start: broadcast_rate(start, sockets, round(single["frame bytes"]), seconds))
    baselines = (Baseline("os.write loop", raw_alone), *library)
    figures = [Figure("single frames", "sends / CPU s", alone, baselines, SINGLE_GOAL)]
    # Of more, a pass takes so long that the tick is longer than the goal's merging (decision 43).
    hot = sockets * 3 // 4
    merged, packed = (measure(hub_merged, hot, request, seconds) for request in (UPGRADE, UPGRADE_DEFLATE))
    merged_ms = merged["messages per send"] / LINES_PER_S * 1000
    goal = MERGED_GOAL if merged_ms <= MERGED_MS_MAX else None
    for name, found, reaches in (("merged", merged, goal), ("merged, deflate", packed, None)):
        sends, raw = _sends(found)
        each = found["messages per send"]
        baselines = (Baseline("os.write loop, same frames", raw * each), Baseline("os.write, one by one", raw_alone))
        figures.append(Figure(name, "messages / CPU s", sends * each, baselines, reaches))
    about |= {
        "of the hot room": hot,
        "frame bytes": single["frame bytes"],
        "merged for ms": merged_ms,
        "merged": merged["frame bytes"],
        "deflated": packed["frame bytes"],
    }
    return Report("fanout", about, tuple(figures))


def _sends(found: Measured) -> tuple[float, float]:
    """Sends per CPU second: the hub's and the raw loop's."""
    return found["sends"] / found["cpu_s"], found["raw sends"] / found["raw cpu_s"]


def hub_single(pipe: Connection, count: int, seconds: float) -> None:
    """A hub that publishes events one by one."""
    uvloop.run(_hub(pipe, count, lambda hub: _publish_alone(hub, seconds)))


def hub_merged(pipe: Connection, count: int, seconds: float) -> None:
    """A hub whose room chats at its cap."""
    uvloop.run(_hub(pipe, count, lambda hub: _publish_chat(hub, seconds)))


async def _hub(pipe: Connection, count: int, publish: Callable[[Hub], Awaitable[Measured]]) -> None:
    # Joins are not what is measured: let all in at once. The history is as it ships.
    limits = replace(HubLimits(), joins_per_s=count, joins_burst=2 * count, room=RoomLimits())
    hub = Hub(
        authenticate=lambda room, token: Member("viewer", "小雨", "viewer", None, 0),
        commands={},
        clock=system_clock,
        broker=MemoryBroker(),
        limits=limits,
        epoch="bench",
    )
    await hub.start()
    hub.open_room(ROOM, {"room": {"id": ROOM}})
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: hub.connection(HOST), HOST, 0, backlog=BACKLOG)
    pipe.send(server.sockets[0].getsockname()[1])
    channel = hub.channel(ROOM)
    await until(lambda: len(channel.sockets()) == count)
    # The count of viewers is published late, and is not to fall into the measurement.
    await asyncio.sleep(SETTLE_S + limits.viewers_ms / 1000)
    found = await publish(hub)
    totals = hub.totals()
    if totals.slow_skipped or any(totals.dropped_by_tier.values()):
        raise BenchError(f"sockets were too slow: {totals.dropped_by_tier}, {totals.slow_skipped} skipped")
    pipe.send(found)
    await close_all([connection.transport for connection in channel.sockets()])
    server.close()
    await hub.close()


async def _publish_alone(hub: Hub, seconds: float) -> Measured:
    """Publish and write raw in turns: whatever else this machine does then weighs on both alike."""
    audience = hub.channel(ROOM).audience
    tally = Tally(hub)
    while tally.wall_s < seconds:
        tally.begin()
        meter, passes = Meter(), 0
        while meter.read().wall_s < TURN_S:
            number = audience.number
            hub.publish(ROOM, EVENT, tier=Tier.P0)
            while audience.number == number or audience.walking:  # noqa: ASYNC110 - a pass has no event
                await asyncio.sleep(0)
            passes += 1
            # The clients read all sockets alike: when one is behind, all are, and the rest of it is not our work.
            while audience.connections[0].transport.get_write_buffer_size():  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.001)
        tally.end(passes)
        tally.write_raw(TURN_S, 0.0)
    return tally.found()


async def _publish_chat(hub: Hub, seconds: float) -> Measured:
    """Let the room chat at its cap, then write the same frames ready made, at the same pace."""
    channel = hub.channel(ROOM)
    tally = Tally(hub)
    for _ in range(CHAT_TURNS):
        await _chat(hub, WARM_S)
        batches = channel.stats().batches
        tally.begin()
        await _chat(hub, seconds / CHAT_TURNS)
        await _until_quiet(channel)
        tally.end(channel.stats().batches - batches)
        tally.write_raw(seconds / CHAT_TURNS, tally.wall_s / tally.passes)
    return tally.found()


async def _chat(hub: Hub, seconds: float) -> None:
    """Talk at the room's cap."""
    loop = asyncio.get_running_loop()
    start_s, at_once = loop.time(), round(PACE_S * LINES_PER_S)
    for line in range(round(seconds * LINES_PER_S)):
        hub.publish(ROOM, LINES[line % len(LINES)], tier=Tier.P2)
        if (line + 1) % at_once == 0:
            await asyncio.sleep(start_s + (line + 1) / LINES_PER_S - loop.time())


async def _until_quiet(channel: Channel) -> None:
    """Wait until what was said has gone out: the longest tick, and the pass after it."""
    await asyncio.sleep(TICKS_S)
    await until(lambda: not any(audience.walking for audience in channel.audiences))


class Tally:
    """What the hub has sent since now and spent for it, and the same for raw writes to the very same sockets."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._sockets = [
            connection.transport.get_extra_info("socket").fileno() for connection in hub.channel(ROOM).sockets()
        ]
        self._first = self._before = hub.totals()
        self._meter = Meter()
        self.passes = self.messages = self.bytes = 0
        self.cpu_s = 0.0
        self.wall_s = 0.0
        self.raw_passes = 0
        self.raw_cpu_s = 0.0
        self._raw_bytes = 0

    def begin(self) -> None:
        """From now on it counts."""
        self._before, self._meter = self._hub.totals(), Meter()

    def end(self, passes: int) -> None:
        """Add what was sent and spent since then, in so many passes."""
        spent, now = self._meter.read(), self._hub.totals()
        self.passes += passes
        self.cpu_s += spent.cpu_s
        self.wall_s += spent.wall_s
        self.messages += now.messages_out - self._before.messages_out
        self.bytes += now.bytes_out - self._before.bytes_out

    def write_raw(self, seconds: float, interval_s: float) -> None:
        """Write frames as long as the hub's, one after the other or each ``interval_s``."""
        payload = bytes(self.bytes // len(self._sockets) // self.passes)
        passes, spent = write_passes(self._sockets, (payload,), interval_s, seconds)
        self.raw_passes += passes
        self.raw_cpu_s += spent.cpu_s
        self._raw_bytes += passes * len(payload)

    def found(self) -> Measured:
        """All of it; ``bytes`` is what each socket must have got."""
        count = len(self._sockets)
        sent = (self._hub.totals().bytes_out - self._first.bytes_out) // count
        return {
            "messages per send": self.messages / count / self.passes,
            "sends": self.passes * count,
            "cpu_s": self.cpu_s,
            "raw sends": self.raw_passes * count,
            "raw cpu_s": self.raw_cpu_s,
            "frame bytes": self.bytes / count / self.passes,
            "bytes": sent + self._raw_bytes,
        }
