"""WHEP: what the server's process spends on each viewer's second of a 2 Mbit/s stream, picture and sound.

Real aiortc viewers, spread over processes, beside readers that have connected as a browser does (ICE, DTLS) and from
then on count datagrams, send a report each second and a consent check every five. The baseline is aiortc as it comes:
a peer connection for each viewer, which relays the same encoded frames to the same kind of readers.
"""

from __future__ import annotations

import asyncio
import contextlib
from multiprocessing.connection import Connection

import uvloop

from gateway.bench.clock import system_clock
from gateway.bench.made_stream import BITS_PER_S, GOP_S, ROOM, Host, feed
from gateway.bench.process import BenchError, Child, Meter, cores
from gateway.bench.report import Baseline, Figure, Goal, Report
from gateway.bench.rtc_peer import signalling
from gateway.bench.rtc_viewers import Counted, aiortc_viewers, readers
from gateway.bench.scale import Scale
from gateway.bench.sink import HOST
from gateway.bench.waiting import until, until_told
from gateway.bench.whep_aiortc import aiortc_server
from stream.directory import Directory
from stream.output_whep import WhepOutput
from stream.webrtc_transport import TransportLimits, WebRtcTransport

VIEWERS_GOAL = Goal(700)
AHEAD_GOAL = Goal(7, of_ratio=True)
SECONDS_FACTOR = 2
LOSS_MAX = 0.01
"""Of the packets to the readers. More: the clients' core is too busy to show what the server does."""
PATIENCE_MS = 90_000
AIORTC_PROCESSES = 2
AIORTC_SERVED_MAX = 40
"""Viewers of the baseline: half of what a core of it carries."""


def run_whep(scale: Scale) -> Report:
    """Measure; takes about four times ``scale.seconds`` and some ten milliseconds for each viewer to connect."""
    seconds = scale.seconds * SECONDS_FACTOR
    real = _shares(scale.rtc_viewers, AIORTC_PROCESSES)
    count = scale.rtc_viewers + scale.rtc_readers
    ours, theirs = cores()
    with contextlib.ExitStack() as stack:
        serving = stack.enter_context(Child(whep_viewers, count, seconds, cpus=ours))
        port = serving.receive()
        viewers = [stack.enter_context(Child(aiortc_viewers, port, part, cpus=ours | theirs)) for part in real]
        counting = stack.enter_context(Child(readers, port, scale.rtc_readers, HOST, cpus=theirs))
        found = serving.receive()
        counted = _counted(serving, [*viewers, counting])
    _check(counted, found["seconds up"])
    served = min(AIORTC_SERVED_MAX, scale.rtc_readers)
    with contextlib.ExitStack() as stack:
        serving = stack.enter_context(Child(aiortc_server, served, seconds, cpus=ours))
        port, address = serving.receive()
        counting = stack.enter_context(Child(readers, port, served, address, cpus=theirs))
        theirs_found = serving.receive()
        _check(_counted(serving, [counting]), theirs_found["seconds up"])
    # By the media that was sent: a machine that stalls lets the clock run on without it.
    value = count * found["media_s"] / found["cpu_s"]
    library = served * theirs_found["media_s"] / theirs_found["cpu_s"]
    about: dict[str, float | int | str] = {
        "aiortc viewers": scale.rtc_viewers,
        "counting readers": scale.rtc_readers,
        "viewers of the baseline": served,
        "seconds": seconds,
        "core in use": found["cpu_s"] / found["wall_s"],
        "us per packet": 1e6 * found["cpu_s"] / found["packets"],
        "lost to readers": f"{counted[-1].lost} of {counted[-1].received + counted[-1].lost}",
        "lost to aiortc": f"{sum(c.lost for c in counted[:-1])} of {sum(c.received + c.lost for c in counted[:-1])}",
    }
    baseline = Baseline("aiortc as it comes", library)
    return Report(
        "whep",
        about,
        (
            Figure("WHEP at 2 Mbit/s", "viewers / core", value, (baseline,), VIEWERS_GOAL),
            Figure("WHEP, beside aiortc", "viewers / core", value, (baseline,), AHEAD_GOAL),
        ),
    )


def _counted(serving: Child, viewers: list[Child]) -> list[Counted]:
    """Let the viewers end and tell what they got, then the server."""
    found: list[Counted] = []
    for viewer in viewers:
        viewer.tell()
        found.append(viewer.receive())
    serving.tell()
    return found


def patient(count: int) -> TransportLimits:
    """Limits that no viewer runs into: on a busy machine hundreds take a while to connect."""
    return TransportLimits(sessions_max=count, setup_ms=PATIENCE_MS, consent_ms=PATIENCE_MS)


def _shares(count: int, parts: int) -> list[int]:
    """Viewers spread evenly; none of no viewers."""
    return [part for part in (count // parts + (index < count % parts) for index in range(parts)) if part]


def _check(counted: list[Counted], seconds: float) -> None:
    last = counted[-1]
    if last.lost > LOSS_MAX * (last.received + last.lost):
        raise BenchError(f"readers lost {last.lost} of {last.received + last.lost} packets: the machine is too busy")
    if last.least_bytes * 8 < BITS_PER_S * seconds * 0.8:
        raise BenchError(f"a reader got {last.least_bytes} bytes in {seconds:.1f} s, too few for 2 Mbit/s")
    if any(each.least_bytes == 0 for each in counted):
        raise BenchError("an aiortc viewer got nothing")


def whep_viewers(pipe: Connection, count: int, seconds: float) -> None:
    """Our server with a host and so many viewers."""
    uvloop.run(_whep_viewers(pipe, count, seconds))


async def _whep_viewers(pipe: Connection, count: int, seconds: float) -> None:
    directory = Directory(clock=system_clock)
    transport = WebRtcTransport(clock=system_clock, limits=patient(count))
    await transport.start(HOST, 0)
    output = WhepOutput(directory, transport, clock=system_clock)
    directory.start()
    publication = directory.publish(ROOM, Host(), system_clock())
    feeding = asyncio.create_task(feed(publication, opus=True))
    await until(lambda: publication.relay.playing)

    async def answer(offer: str) -> str:
        return output.join(ROOM, offer, client=HOST).sdp

    server = await signalling(answer)
    pipe.send(server.sockets[0].getsockname()[1])
    await until(lambda: transport.counts.connected == count)
    await asyncio.sleep(GOP_S)
    relay = publication.relay
    packets, media_ms, meter = output.totals.packets_out, relay.media_clock_ms, Meter()
    await asyncio.sleep(seconds)
    spent = meter.read()
    packets, media_ms = output.totals.packets_out - packets, relay.media_clock_ms - media_ms
    if output.viewers < count:
        raise BenchError(f"{count - output.viewers} viewers were lost")
    feeding.cancel()
    up_s = seconds + GOP_S
    found = {"cpu_s": spent.cpu_s, "wall_s": spent.wall_s, "media_s": media_ms / 1000}
    pipe.send({**found, "packets": packets, "seconds up": up_s})
    await until_told(pipe)
    await output.drain()
    await transport.close()
    server.close()
