"""RTMP: what the server's process spends on a host that publishes 2 Mbit/s, and on a player that watches it.

Hosts send what OBS sends: chunks of 4 KB, each in a write of its own, key frames every 2 s, into a room each. Players
only read. The same hosts and players meet nginx with its RTMP module and node-media-server.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import uvloop

from gateway.bench.baseline_read import read_loop
from gateway.bench.baseline_write import write_loop
from gateway.bench.clock import system_clock
from gateway.bench.flv import windows_of
from gateway.bench.made_stream import BITS_PER_S, GOP_S, ROOM, Host, feed
from gateway.bench.outside_play import ENOUGH, nginx_players, node_players, others
from gateway.bench.outsiders import Outsider, nginx_rtmp, node_media_server
from gateway.bench.process import WAIT_S, BenchError, Child, Meter, cores
from gateway.bench.report import Baseline, Figure, Goal, Report
from gateway.bench.rtmp_wire import READY, publish_hosts, to_play
from gateway.bench.scale import Scale
from gateway.bench.sink import HOST, measure
from gateway.bench.waiting import until
from stream.directory import Directory, DirectoryLimits
from stream.ingest_rtmp import RtmpIngest
from stream.output_rtmp import RtmpEncoder, RtmpOutput
from stream.rtmp_peers import PlayRequest, PublishRequest
from stream.rtmp_server import RtmpServer

HOSTS_GOAL = Goal(500)
SECONDS_FACTOR = 8 / 3
NODE_PART = 3
"""node-media-server gets this part of the hosts: a core of it carries fewer."""


def run_rtmp(scale: Scale) -> Report:
    """Measure; takes about ten times ``scale.seconds`` and some seconds to connect."""
    seconds = scale.seconds * SECONDS_FACTOR
    about: dict[str, float | int | str] = {"hosts": scale.hosts, "players": scale.viewers, "seconds": seconds}
    hosts, in_use = _our_hosts(rtmp_hosts, scale.hosts, seconds)
    about["core in use by hosts"] = in_use
    loop, _ = _our_hosts(read_loop, scale.hosts, READY, GOP_S, seconds)
    figures = [
        Figure(
            "RTMP publish at 2 Mbit/s", "hosts / core", hosts, (Baseline("recv loop, nothing read", loop),), HOSTS_GOAL
        )
    ]
    few = max(2, scale.hosts // NODE_PART)
    beside = others(
        about,
        {
            "nginx-rtmp": lambda: _nginx_hosts(scale.hosts, seconds),
            "node-media-server": lambda: _node_hosts(few, seconds),
        },
    )
    if beside:
        figures.append(Figure("RTMP publish, beside other servers", "hosts / core", hosts, beside))
    ours = measure(rtmp_players, scale.viewers, to_play(ROOM), seconds)
    beside = others(
        about,
        {
            "nginx-rtmp, RTMP play": lambda: nginx_players(max(2, scale.viewers // 2), seconds),
            "node-media-server, RTMP play": lambda: node_players(max(2, scale.viewers // 4), seconds),
        },
    )
    players = _per_core(ours, scale.viewers)
    windows = windows_of(RtmpEncoder)
    raw = measure(write_loop, scale.viewers, b"", windows, GOP_S / len(windows), seconds)
    raw_loop = Baseline("os.write loop, same windows", _per_core(raw, scale.viewers))
    figures.append(Figure("RTMP play at 2 Mbit/s", "viewers / core", players, (raw_loop, *beside)))
    return Report("rtmp", about, tuple(figures))


def rooms(count: int) -> tuple[str, ...]:
    """A room for each host."""
    return tuple(f"room{number}" for number in range(count))


# -- hosts ----------------------------------------------------------------------------------------------------------


def _our_hosts(server: Callable[..., None], count: int, *arguments: Any) -> tuple[float, float]:
    """Hosts a core, and the part of the core that was in use."""
    ours, theirs = cores()
    with Child(server, count, *arguments, cpus=ours) as serving:
        port = serving.receive()
        with Child(publish_hosts, port, rooms(count), WAIT_S, cpus=theirs) as hosts:
            hosts.receive()
            found = serving.receive()
            hosts.end()
    return _per_core(found, count), found["cpu_s"] / found["wall_s"]


def _per_core(found: dict[str, float], count: int) -> float:
    return count * found["wall_s"] / found["cpu_s"]


def _nginx_hosts(count: int, seconds: float) -> float:
    with nginx_rtmp(cores()[0]) as server:
        return _outside_hosts(server, count, seconds)


def _node_hosts(count: int, seconds: float) -> float:
    with node_media_server(cores()[0]) as (server, _http):
        return _outside_hosts(server, count, seconds)


def _outside_hosts(server: Outsider, count: int, seconds: float) -> float:
    with Child(publish_hosts, server.port, rooms(count), WAIT_S, cpus=cores()[1]) as hosts:
        hosts.receive()
        spent = server.spend(seconds)
        hosts.end()
    return count * spent.wall_s / spent.cpu_s


def rtmp_hosts(pipe: Connection, count: int, seconds: float) -> None:
    """Our server with rooms for so many hosts, which nobody watches."""
    uvloop.run(_rtmp_hosts(pipe, count, seconds))


async def _rtmp_hosts(pipe: Connection, count: int, seconds: float) -> None:
    directory = Directory(clock=system_clock, limits=DirectoryLimits(relays_max=count))
    directory.start()
    server = RtmpServer(RtmpIngest(directory, _anyone), clock=system_clock)
    pipe.send(await server.start(HOST, 0))
    await until(lambda: directory.stats().live == count)
    await asyncio.sleep(GOP_S)
    before, meter = directory.stats(), Meter()
    await asyncio.sleep(seconds)
    spent, after = meter.read(), directory.stats()
    if after.live < count or server.stats().failed:
        raise BenchError(f"hosts were lost: {server.stats()}")
    each = (after.bytes_in - before.bytes_in) / count
    if each * 8 < BITS_PER_S * seconds * ENOUGH:
        raise BenchError(f"each host sent {each:.0f} bytes in {seconds} s, too few for 2 Mbit/s")
    pipe.send({"cpu_s": spent.cpu_s, "wall_s": spent.wall_s})
    await until(lambda: not server.stats().connections)
    directory.close()
    await server.close()


async def _anyone(_request: PublishRequest | PlayRequest) -> None:
    """Keys and tokens are not what is measured."""


# -- players --------------------------------------------------------------------------------------------------------


def rtmp_players(pipe: Connection, count: int, seconds: float) -> None:
    """Our server with a host and so many players."""
    uvloop.run(_rtmp_players(pipe, count, seconds))


async def _rtmp_players(pipe: Connection, count: int, seconds: float) -> None:
    directory = Directory(clock=system_clock)
    output = RtmpOutput(directory, _anyone, clock=system_clock)
    directory.start()
    publication = directory.publish(ROOM, Host(), system_clock())
    feeding = asyncio.create_task(feed(publication))
    server = RtmpServer(RtmpIngest(directory, _anyone), output, clock=system_clock)
    pipe.send(await server.start(HOST, 0))
    await until(lambda: output.viewers == count and output.stats().waiting == 0)
    await asyncio.sleep(GOP_S)
    before, meter = output.stats(), Meter()
    await asyncio.sleep(seconds)
    spent, after = meter.read(), output.stats()
    feeding.cancel()
    if after.dropped_ms > before.dropped_ms or after.stalled or after.overruns or output.viewers < count:
        raise BenchError(f"players were too slow: {after}")
    each = (after.bytes_out - before.bytes_out) // count
    if each * 8 < BITS_PER_S * seconds * ENOUGH:
        raise BenchError(f"each player was given {each} bytes in {seconds} s, too few for 2 Mbit/s")
    pipe.send({"cpu_s": spent.cpu_s, "wall_s": spent.wall_s, "bytes": each})
    await server.close()
