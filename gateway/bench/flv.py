"""HTTP-FLV: what the server's process spends on each viewer's second of a 2 Mbit/s stream.

The stream is made up (right configurations, random frames): it goes through the real directory, relay and FLV output
at its own pace, to viewers on loopback that only read. The baseline writes the windows that the output would have made.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection

import uvloop

from gateway.app import system_clock
from gateway.bench.baseline_write import BACKLOG, write_loop
from gateway.bench.process import BenchError, Meter
from gateway.bench.report import Baseline, Figure, Goal, Report
from gateway.bench.scale import Scale
from gateway.bench.sink import HOST, measure
from gateway.bench.waiting import close_all, until
from stream.directory import Directory, Publication
from stream.fanout import ViewerLimits
from stream.output_flv import FlvOutput
from stream.packet import Codec, Kind, Packet
from stream.tag_encoder import FlvEncoder
from stream.window import Windows

VIEWERS_GOAL = Goal(7_000)

ROOM = "bench"
REQUEST = b"GET /live/bench.flv HTTP/1.1\r\nHost: localhost\r\n\r\n"
BITS_PER_S = 2_000_000
AUDIO_BITS_PER_S = 128_000
FRAMES_PER_S = 25
GOP_FRAMES = 50
KEY_WEIGHT = 8
"""A key frame is as long as so many others."""
AUDIO_MS = 23
"""1,024 samples at 44.1 kHz."""
WARM_UP_S = 2.5
"""A GOP and a window: viewers have had their first burst and take what is live."""
SECONDS_FACTOR = 8 / 3
"""Windows are few: the stream is watched longer than other rates are measured."""

AVCC = bytes.fromhex("0164000dffe100186764000dacd94141fa1000000300100000030320f142996001000468ef8fcbfdf8f800")
ASC = bytes.fromhex("1210")
"""H.264 High and AAC-LC 44.1 kHz stereo."""


def run_flv(scale: Scale) -> Report:
    """Measure; takes about six times ``scale.seconds`` and some seconds to connect."""
    seconds = scale.seconds * SECONDS_FACTOR
    ours = measure(flv_viewers, scale.viewers, REQUEST, seconds)
    windows = _windows()
    interval_s = GOP_FRAMES / FRAMES_PER_S / len(windows)
    raw = measure(write_loop, scale.viewers, b"", windows, interval_s, seconds)
    figure = Figure(
        "FLV at 2 Mbit/s",
        "viewers / core",
        _viewers_a_core(ours, scale.viewers),
        (Baseline("os.write loop, same windows", _viewers_a_core(raw, scale.viewers)),),
        VIEWERS_GOAL,
    )
    about = {"viewers": scale.viewers, "seconds": seconds, "core in use": ours["cpu_s"] / ours["wall_s"]}
    return Report("flv", about, (figure,))


def _viewers_a_core(found: dict[str, float], viewers: int) -> float:
    """Viewers whom one CPU second would have served for a second."""
    return viewers * found["wall_s"] / found["cpu_s"]


def packets() -> Iterator[Packet]:
    """A stream without end: configurations, then frames in order of time, 2 Mbit/s in all."""
    yield Packet(Kind.VIDEO, Codec.H264, 0, 0, True, True, AVCC)
    yield Packet(Kind.AUDIO, Codec.AAC, 0, 0, True, True, ASC)
    noise = random.Random(1).randbytes(BITS_PER_S // 8)  # noqa: S311 - filling, guards nothing
    share = (BITS_PER_S - AUDIO_BITS_PER_S) // 8 * GOP_FRAMES // FRAMES_PER_S // (GOP_FRAMES - 1 + KEY_WEIGHT)
    sound = noise[: AUDIO_BITS_PER_S // 8 * AUDIO_MS // 1000]
    next_audio_ms = number = 0
    while True:
        dts_ms = number * 1000 // FRAMES_PER_S
        key = number % GOP_FRAMES == 0
        size = share * KEY_WEIGHT if key else share
        unit = bytes((0x65 if key else 0x41,)) + noise[: size - 5]
        yield Packet(Kind.VIDEO, Codec.H264, dts_ms, 0, key, False, len(unit).to_bytes(4, "big") + unit)
        number += 1
        while next_audio_ms < dts_ms + 1000 // FRAMES_PER_S:
            yield Packet(Kind.AUDIO, Codec.AAC, next_audio_ms, 0, True, False, sound)
            next_audio_ms += AUDIO_MS


class Host:
    """A publisher with nothing to close."""

    def close(self, reason: str) -> None:
        """Nobody takes the room over here."""
        raise BenchError(f"the host was closed: {reason}")


def _windows() -> list[bytes]:
    """The windows that the output makes of one GOP, key frame first."""
    directory = Directory(clock=lambda: 0)
    publication = directory.publish(ROOM, Host(), 0)
    stream = packets()
    first = [next(stream) for _ in range(4)]
    for packet in first:
        publication.push(packet, packet.dts_ms)
    windows = Windows(FlvEncoder(publication.relay), ViewerLimits().window_ms)
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
    feeding = asyncio.create_task(_feed(publication))
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


async def _feed(publication: Publication) -> None:
    """Publish at the stream's own pace."""
    start_s = time.monotonic()
    for packet in packets():
        early_s = packet.dts_ms / 1000 - (time.monotonic() - start_s)
        if early_s > 0:
            await asyncio.sleep(early_s)
        publication.push(packet, system_clock())
