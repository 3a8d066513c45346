"""HTTP-FLV: what the server's process spends on each viewer's second of a 2 Mbit/s stream.

The stream is made up (right configurations, random frames): it goes through the real directory, relay and FLV output
at its own pace, to viewers on loopback that only read. Baselines: the windows that the output would have made, written
by a loop; node-media-server; nginx, which has no HTTP-FLV in Debian and plays the same stream over RTMP.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from multiprocessing.connection import Connection

import uvloop

from gateway.bench.baseline_write import BACKLOG, write_loop
from gateway.bench.clock import system_clock
from gateway.bench.made_stream import BITS_PER_S, FRAMES_PER_S, GOP_FRAMES, ROOM, Host, feed, packets
from gateway.bench.outside_play import nginx_players, node_viewers, others
from gateway.bench.process import BenchError, Meter
from gateway.bench.report import Baseline, Figure, Goal, Report
from gateway.bench.scale import Scale
from gateway.bench.sink import HOST, measure
from gateway.bench.waiting import close_all, until
from stream.directory import Directory
from stream.fanout import ViewerLimits
from stream.output_flv import FlvOutput
from stream.relay import Relay
from stream.tag_encoder import FlvEncoder
from stream.window import Encoder, Windows

VIEWERS_GOAL = Goal(7_000)
AHEAD_GOAL = Goal(5, of_ratio=True)
"""Of the faster one of the other servers."""

REQUEST = b"GET /live/bench.flv HTTP/1.1\r\nHost: localhost\r\n\r\n"
WARM_UP_S = 2.5
"""A GOP and a window: viewers have had their first burst and take what is live."""
SECONDS_FACTOR = 8 / 3
"""Windows are few: the stream is watched longer than other rates are measured."""


def run_flv(scale: Scale) -> Report:
    """Measure; takes about six times ``scale.seconds`` and some seconds to connect."""
    seconds = scale.seconds * SECONDS_FACTOR
    ours = measure(flv_viewers, scale.viewers, REQUEST, seconds)
    windows = windows_of(FlvEncoder)
    interval_s = GOP_FRAMES / FRAMES_PER_S / len(windows)
    raw = measure(write_loop, scale.viewers, b"", windows, interval_s, seconds)
    value = _viewers_a_core(ours, scale.viewers)
    about: dict[str, float | int | str] = {
        "viewers": scale.viewers,
        "seconds": seconds,
        "core in use": ours["cpu_s"] / ours["wall_s"],
    }
    raw_loop = Baseline("os.write loop, same windows", _viewers_a_core(raw, scale.viewers))
    figures = [Figure("FLV at 2 Mbit/s", "viewers / core", value, (raw_loop,), VIEWERS_GOAL)]
    servers = others(
        about,
        {
            "node-media-server, HTTP-FLV": lambda: node_viewers(_share(scale.viewers, 4), REQUEST, seconds),
            "nginx-rtmp, RTMP play": lambda: nginx_players(_share(scale.viewers, 2), seconds),
        },
    )
    if servers:
        figures.append(Figure("FLV, beside other servers", "viewers / core", value, servers, AHEAD_GOAL))
    return Report("flv", about, tuple(figures))


def _share(viewers: int, part: int) -> int:
    """So many viewers as a slower server can carry on one core."""
    return max(2, viewers // part)


def _viewers_a_core(found: dict[str, float], viewers: int) -> float:
    """Viewers whom one CPU second would have served for a second."""
    return viewers * found["wall_s"] / found["cpu_s"]


def windows_of(encoder: Callable[[Relay], Encoder]) -> list[bytes]:
    """The windows that an output makes of one GOP, key frame first."""
    directory = Directory(clock=lambda: 0)
    publication = directory.publish(ROOM, Host(), 0)
    stream = packets()
    first = [next(stream) for _ in range(4)]
    for packet in first:
        publication.push(packet, packet.dts_ms)
    windows = Windows(encoder(publication.relay), ViewerLimits().window_ms)
    done: list[bytes] = []
    for packet in [*first[2:], *(next(stream) for _ in range(4 * GOP_FRAMES))]:
        for window in windows.push(packet, packet.dts_ms):
            if window.key and done:
                return done
            done.append(window.data)
    raise BenchError("the stream has no second key frame")


class Door(asyncio.Protocol):
    """Reads the request and hands the socket to the output, as the gateway does."""

    def __init__(self, output: FlvOutput) -> None:
        self._output = output
        self._head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Wait for the request's end."""
        self._head += data
        if self._head.endswith(b"\r\n\r\n"):
            viewer = self._output.viewer(ROOM)
            self._transport.set_protocol(viewer)
            viewer.connection_made(self._transport)


def flv_viewers(pipe: Connection, count: int, seconds: float) -> None:
    """A relay with a host and so many viewers."""
    uvloop.run(_flv_viewers(pipe, count, seconds))


async def _flv_viewers(pipe: Connection, count: int, seconds: float) -> None:
    directory = Directory(clock=system_clock)
    output = FlvOutput(directory, clock=system_clock)
    directory.start()
    publication = directory.publish(ROOM, Host(), system_clock())
    feeding = asyncio.create_task(feed(publication))
    transports: list[asyncio.BaseTransport] = []

    class Counted(Door):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            transports.append(transport)

    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Counted(output), HOST, 0, backlog=BACKLOG)
    pipe.send(server.sockets[0].getsockname()[1])
    await until(lambda: output.viewers == count and output.stats().waiting == 0)
    await asyncio.sleep(WARM_UP_S)
    before, meter = output.stats(), Meter()
    await asyncio.sleep(seconds)
    spent, after = meter.read(), output.stats()
    feeding.cancel()
    if after.dropped_ms > before.dropped_ms or after.stalled or after.overruns:
        raise BenchError(f"viewers were too slow: {after}")
    each = (after.bytes_out - before.bytes_out) // count
    # A window more or less falls into the time that was watched.
    if each * 8 < BITS_PER_S * (seconds - 2 * output.limits.window_ms / 1000) * 0.8:
        raise BenchError(f"each viewer was given {each} bytes in {seconds} s, too few for 2 Mbit/s")
    pipe.send({"cpu_s": spent.cpu_s, "wall_s": spent.wall_s, "bytes": each})
    await close_all(transports)
    server.close()
