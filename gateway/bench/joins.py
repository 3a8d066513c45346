"""Joins: what it costs the whole server to let a viewer in, from accept to the last byte of the room's snapshot.

All come at once, as many as the server's burst allows, each with a browser's headers and a token of their own. The
others do a handshake and send a message as long; they check no token and look up nothing.
"""

from __future__ import annotations

from gateway.bench.herd import Joined, herd
from gateway.bench.outsiders import CLOCK_TICKS_PER_S, Outsider
from gateway.bench.process import Child, cores
from gateway.bench.report import Figure, Goal, Report
from gateway.bench.rss import viewer_requests
from gateway.bench.scale import Scale
from gateway.bench.served import served
from gateway.bench.ws_servers import Start, beside

JOINS_GOAL = Goal(3_000)


def run_joins(scale: Scale) -> Report:
    """Measure; takes some seconds for each server."""
    ours, _ = cores()
    about: dict[str, float | int | str] = {"joins": scale.joins}
    with served(ours) as server:
        requests = viewer_requests(server, scale.joins)
        about["request bytes"] = len(requests[0])
        value, joined = _joins_per_cpu_s(server.process, server.http_port, requests)
    about |= {"first message bytes": joined.first_bytes, "joins a second": scale.joins / joined.wall_s}
    about["99 of 100 took ms"] = joined.p99_ms

    def other(start: Start) -> float:
        with start(ours, scale.joins, joined.first_bytes, 0, 0) as others:
            return _joins_per_cpu_s(others, others.port, requests)[0]

    return Report("joins", about, (Figure("joins", "joins / CPU s", value, beside(about, other), JOINS_GOAL),))


def _joins_per_cpu_s(server: Outsider, port: int, requests: list[bytes]) -> tuple[float, Joined]:
    _, theirs = cores()
    before_s = server.cpu_s()
    with Child(herd, port, requests, 0, cpus=theirs) as clients:
        joined: Joined = clients.receive()
        cpu_s = server.cpu_s() - before_s
        clients.tell()
    return len(requests) / max(cpu_s, 1 / CLOCK_TICKS_PER_S), joined
