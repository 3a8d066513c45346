"""Delay: from the last byte of a frame handed to the kernel by its host, to its last byte at a viewer.

A whole server on one core, host and viewers in one process on the other. Frames say which they are. The baseline is a
bare relay, which reads and writes and does nothing else, with the same bytes between the same processes: what it takes
is the machine's part. Then how long one who joins waits for the first picture, and to be as far as the others.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from multiprocessing.connection import Connection
from typing import Any

import uvloop

from gateway.bench.delay_hosts import due, rtmp_host, whip_host
from gateway.bench.delay_picture import picture_figures
from gateway.bench.delay_viewers import flv_viewer, hls_viewer, whep_viewer
from gateway.bench.marked_stream import Seen, Sent, unit
from gateway.bench.process import WAIT_S, BenchError, Child, cores
from gateway.bench.report import Baseline, Figure, Goal, Report
from gateway.bench.scale import Scale
from gateway.bench.served import Served, served
from gateway.bench.sink import HOST

SECONDS_FACTOR = 2
GOP_S = 2.0
LONG_GOP_S = 8.0
"""What OBS's x264 makes when it is not told otherwise."""
LATE_IN_GOP_S = 7.0
JOINS_PER_S = 3
"""Joins that are measured for each second of the scale, at different places of the GOP."""
SETTLE_S = 3.0
FEW = 3

Host = Callable[[Served, Sent, float], Awaitable[None]]
Viewer = Callable[[Served, Seen], Awaitable[None]]
Measured = dict[str, list[float]]


def run_delay(scale: Scale) -> Report:
    """Measure; takes about eight times ``scale.seconds`` and half a minute for starts and the long GOP."""
    ours, theirs = cores()
    seconds = scale.seconds * SECONDS_FACTOR
    with Child(bare_relay, cpus=ours) as relay, served(ours) as server:
        port = relay.receive()
        with Child(
            measure_delays, server, port, seconds, max(FEW, round(JOINS_PER_S * scale.seconds)), cpus=theirs
        ) as client:
            found: Measured = {}
            while part := client.receive():
                found |= part
        relay.end()
        about: dict[str, float | int | str] = {"frames a second": 25, "seconds": seconds}
        floor = Baseline("bare relay, 95 of 100", _high(found["bare relay"]))
        figures = [_figure(name, found[name], floor, goal) for name, goal in GOALS.items()]
        figures += picture_figures(server, seconds, about)
    for name, values in found.items():
        about[f"median {name}, ms"] = statistics.median(values)
    return Report("delay", about, tuple(figures))


GOALS = {
    "WHIP to WHEP": Goal(most=80),
    "RTMP to WHEP": Goal(most=150),
    "RTMP to FLV, low delay": Goal(most=400),
    "RTMP to FLV": None,
    "RTMP to LL-HLS": Goal(most=2_000),
    "first frame after joining, FLV": Goal(most=200),
    "first frame after joining, WHEP": Goal(most=200),
    "first frame after joining, LL-HLS": None,
    "8 s GOP, bytes caught up, FLV": None,
    "8 s GOP, bytes caught up, WHEP": None,
}


def _figure(name: str, values: Sequence[float], floor: Baseline, goal: Goal | None) -> Figure:
    return Figure(f"{name}, 95 of 100", "ms", _high(values), (floor,), goal)


def _high(values: Sequence[float]) -> float:
    """The value that 95 of 100 do not exceed."""
    return sorted(values)[min(len(values) - 1, len(values) * 95 // 100)]


# -- the clients' process -------------------------------------------------------------------------------------------


def measure_delays(pipe: Connection, server: Served, relay_port: int, seconds: float, joins: int) -> None:
    """All measurements, one after the other; gives milliseconds by name, piece by piece, and nothing at the end."""
    uvloop.run(_measure(pipe.send, server, relay_port, seconds, joins))
    pipe.send({})


async def _measure(
    tell: Callable[[Measured], None], server: Served, relay_port: int, seconds: float, joins: int
) -> None:
    tell({"bare relay": await _through_relay(relay_port, seconds)})
    async with _hosting(rtmp_host, server, GOP_S) as sent:
        viewers: dict[str, Viewer] = {
            "RTMP to WHEP": whep_viewer,
            "RTMP to FLV, low delay": low_delay,
            "RTMP to FLV": flv_viewer,
            "RTMP to LL-HLS": hls_viewer,
        }
        tell(await _watch(server, sent, viewers, seconds))
        for name, viewer in {"FLV": low_delay, "WHEP": whep_viewer, "LL-HLS": hls_viewer}.items():
            tell({f"first frame after joining, {name}": await _join(server, viewer, joins)})
    async with _hosting(whip_host, server, GOP_S) as sent:
        tell(await _watch(server, sent, {"WHIP to WHEP": whep_viewer}, seconds))
    async with _hosting(rtmp_host, server, LONG_GOP_S) as sent:
        for name, viewer in {"FLV": low_delay, "WHEP": whep_viewer}.items():
            tell({f"8 s GOP, bytes caught up, {name}": [await _catch_up(server, sent, viewer)]})


async def low_delay(server: Served, seen: Seen) -> None:
    """Watch HTTP-FLV, each frame at once."""
    await flv_viewer(server, seen, "?delay=low")


@contextlib.asynccontextmanager
async def _hosting(host: Host, server: Served, gop_s: float) -> AsyncIterator[Sent]:
    """A host on air."""
    sent = Sent()
    async with _running(host(server, sent, gop_s)) as task:
        await _until(lambda: sent.newest >= 1, task)
        # Tracks settle, first segments are made.
        await asyncio.sleep(SETTLE_S)
        yield sent
    # The room's host is given up before the next one comes.
    await asyncio.sleep(1)


async def _watch(server: Served, sent: Sent, viewers: dict[str, Viewer], seconds: float) -> Measured:
    """The delays of all frames to each viewer, who watch at the same time."""
    async with contextlib.AsyncExitStack() as stack:
        watched: dict[str, Seen] = {}
        for name, viewer in viewers.items():
            seen = watched[name] = Seen()
            task = await stack.enter_async_context(_running(viewer(server, seen)))
            await _until(lambda seen=seen: len(seen.at_s) >= FEW, task)  # type: ignore[misc]  # bound at once
        # What is measured was sent when all were up, and has had its time to arrive.
        await asyncio.sleep(SETTLE_S)
        from_s = time.monotonic()
        await asyncio.sleep(seconds + SETTLE_S)
        found = {name: seen.delays_ms(sent, from_s) for name, seen in watched.items()}
    for name, values in found.items():
        if not values:
            raise BenchError(f"{name}: no frame came through")
    return found


async def _join(server: Served, viewer: Viewer, joins: int) -> list[float]:
    """How long each of some viewers, one after the other, waits for its first whole frame."""
    found: list[float] = []
    for number in range(joins):
        # At different places of the GOP.
        await asyncio.sleep(0.1 + GOP_S * (number % 5) / 10)
        seen, start_s = Seen(), time.monotonic()
        async with _running(viewer(server, seen)) as task:
            await _until(lambda seen=seen: bool(seen.at_s), task)  # type: ignore[misc]  # bound at once
        found.append(1000 * (min(seen.at_s.values()) - start_s))
    return found


async def _catch_up(server: Served, sent: Sent, viewer: Viewer) -> float:
    """How long one who joins late in a GOP takes to have the frame that is the newest by then."""
    frames = round(LONG_GOP_S * 25)
    late = round(LATE_IN_GOP_S * 25)
    while not late <= sent.newest % frames < late + 5:  # noqa: ASYNC110 - a frame has no event
        await asyncio.sleep(0.02)
    seen, start_s, first = Seen(), time.monotonic(), sent.newest
    async with _running(viewer(server, seen)) as task:
        await _until(lambda: bool(seen.at_s) and max(seen.at_s) >= max(first, sent.newest - 1), task)
    return 1000 * (time.monotonic() - start_s)


@contextlib.asynccontextmanager
async def _running(work: Awaitable[None]) -> AsyncIterator[asyncio.Task[Any]]:
    """Something that runs until the end of the block."""
    task: asyncio.Task[Any] = asyncio.ensure_future(work)
    try:
        yield task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _until(condition: Callable[[], bool], *tasks: asyncio.Task[Any]) -> None:
    """Wait for a state. Raises what a task that ended raised, BenchError when it takes too long."""
    deadline_s = time.monotonic() + WAIT_S
    while not condition():
        for task in tasks:
            if task.done():
                task.result()
                raise BenchError("a host or viewer ended early")
        if time.monotonic() > deadline_s:
            raise BenchError(f"a viewer saw nothing for {WAIT_S:.0f} s")
        await asyncio.sleep(0.001)


# -- the bare relay -------------------------------------------------------------------------------------------------


async def _through_relay(port: int, seconds: float) -> list[float]:
    reader, writer = await asyncio.open_connection(HOST, port)
    sent, seen = Sent(), Seen()

    async def read() -> None:
        while data := await reader.read(65_536):
            seen.take(data)

    async def write() -> None:
        async for number, key in due(sent, GOP_S):
            data = unit(number, key=key)
            sent.note(number)
            writer.write(data)
            await writer.drain()

    async with _running(read()), _running(write()):
        await asyncio.sleep(seconds + 1)
    writer.close()
    return seen.delays_ms(sent, 0.0)


def bare_relay(pipe: Connection) -> None:
    """Send back what comes, without looking at it."""
    uvloop.run(_bare_relay(pipe))


async def _bare_relay(pipe: Connection) -> None:
    class Echo(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            self.transport.write(data)  # type: ignore[attr-defined]  # uvloop's

    server = await asyncio.get_running_loop().create_server(Echo, HOST, 0)
    pipe.send(server.sockets[0].getsockname()[1])
    await server.serve_forever()
