"""Viewers of other people's servers: the same made-up stream, published over RTMP from the clients' core."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, MutableMapping

from gateway.bench.made_stream import BITS_PER_S, GOP_S, ROOM
from gateway.bench.outsiders import Outsider, OutsiderMissing, nginx_rtmp, node_media_server
from gateway.bench.process import WAIT_S, BenchError, Child, cores
from gateway.bench.report import Baseline
from gateway.bench.rtmp_wire import publish_hosts, to_play
from gateway.bench.sink import Received, sink

BEGUN_BYTES = 32 * 1024
"""More than any answer before the media."""
ENOUGH = 0.8
"""Of the stream's bytes: windows, key frames and the moment of joining fall to either side."""


About = MutableMapping[str, float | int | str]
"""What a report says of its measurement."""


def others(about: About, ways: Mapping[str, Callable[[], float]]) -> tuple[Baseline, ...]:
    """Measure each server that can be had, the fastest first; what is missing and why goes into `about`."""
    found: list[Baseline] = []
    for name, measure in ways.items():
        try:
            found.append(Baseline(name, measure()))
        except OutsiderMissing as missing:
            about[name] = f"not measured, as {missing}"
            print(f"siyu bench: {name} is not measured: {missing}", file=sys.stderr, flush=True)
    return tuple(sorted(found, key=lambda baseline: -baseline.value))


def node_viewers(count: int, request: bytes, seconds: float) -> float:
    """Viewers of HTTP-FLV whom node-media-server would serve with a core. Raises OutsiderMissing."""
    ours, _ = cores()
    with node_media_server(ours) as (server, http):
        return _viewers_a_core(server, http, count, request, seconds)


def nginx_players(count: int, seconds: float) -> float:
    """Players of RTMP whom nginx would serve with a core. Raises OutsiderMissing."""
    ours, _ = cores()
    with nginx_rtmp(ours) as server:
        return _viewers_a_core(server, server.port, count, to_play(ROOM), seconds)


def node_players(count: int, seconds: float) -> float:
    """Players of RTMP whom node-media-server would serve with a core. Raises OutsiderMissing."""
    ours, _ = cores()
    with node_media_server(ours) as (server, _http):
        return _viewers_a_core(server, server.port, count, to_play(ROOM), seconds)


def _viewers_a_core(server: Outsider, port: int, count: int, request: bytes, seconds: float) -> float:
    _, theirs = cores()
    with Child(publish_hosts, server.port, (ROOM,), WAIT_S, cpus=theirs) as host:
        host.receive()
        with Child(sink, port, count, request, BEGUN_BYTES, cpus=theirs) as clients:
            clients.receive()
            # The GOP that each of them got when it joined is sent by now.
            server.spend(GOP_S)
            spent = server.spend(seconds)
            host.end()
            server.stop()
            received: Received = clients.receive()
    if received.least * 8 < BITS_PER_S * seconds * ENOUGH:
        raise BenchError(f"a viewer of {port} got {received.least} bytes in {seconds} s, too few for 2 Mbit/s")
    return count * spent.wall_s / spent.cpu_s
