"""Idle viewers: the resident memory that each of them costs the whole server, with a browser's headers.

Viewers of one room, each with a token of their own, who have the room's snapshot and say nothing. The others are
servers of the same kind whose clients sent the same request and got a message as long.
"""

from __future__ import annotations

import time

from gateway.bench.herd import Joined, browser_request, herd
from gateway.bench.outsiders import Outsider
from gateway.bench.process import Child, cores
from gateway.bench.report import Figure, Goal, Report
from gateway.bench.scale import Scale
from gateway.bench.served import Served, served
from gateway.bench.ws_servers import Start, beside

IDLE_GOAL = Goal(most=8 * 1024)
QUIET_S = 2.0
"""After the last join: what the joins needed is given back, what they left is there."""
WARM = 20
JOINS_PER_S = 1_800
"""Under what the server allows, as this is not about joins."""


def run_rss(scale: Scale) -> Report:
    """Measure; takes 10 s for 15,000 connections to each server, and some to start them."""
    ours, _ = cores()
    about: dict[str, float | int | str] = {"idle": scale.idle}
    with served(ours) as server:
        requests = viewer_requests(server, scale.idle)
        about["request bytes"] = len(requests[0])
        value, joined = _bytes_each(server.process, server.http_port, requests)
    about["first message bytes"] = joined.first_bytes

    def other(start: Start) -> float:
        with start(ours, scale.idle, joined.first_bytes, 0, 0) as others:
            return _bytes_each(others, others.port, requests)[0]

    baselines = tuple(reversed(beside(about, other)))
    return Report("rss", about, (Figure("idle viewer", "bytes", value, baselines, IDLE_GOAL),))


def viewer_requests(server: Served, count: int) -> list[bytes]:
    """The requests of so many viewers of the server's room."""
    return [browser_request(f"/ws/{server.room}?token={token}") for token in server.viewers(count)]


def _bytes_each(server: Outsider, port: int, requests: list[bytes]) -> tuple[float, Joined]:
    _, theirs = cores()
    # A server's first clients make what is made once: they come and go before.
    with Child(herd, port, requests[:WARM], JOINS_PER_S, cpus=theirs) as clients:
        clients.receive()
        clients.tell()
    before = server.rss_bytes()
    with Child(herd, port, requests, JOINS_PER_S, cpus=theirs) as clients:
        joined: Joined = clients.receive()
        time.sleep(QUIET_S)
        value = (server.rss_bytes() - before) / len(requests)
        clients.tell()
    return value, joined
