"""Which core who runs on: in what is measured the server has one and its clients another, so that neither starves."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from gateway.bench.process import cores

SERVERS, CLIENTS = cores()
"""Read before anything is pinned; the same where there is only one."""


@contextlib.contextmanager
def pinned(servers: Sequence[int]) -> Iterator[None]:
    """Keep processes, given by their numbers, and all their children on one core, and this one on another."""
    for number in servers:
        for each in family(number):
            _keep(each, SERVERS)
    before = os.sched_getaffinity(0)
    _keep(os.getpid(), CLIENTS)
    try:
        yield
    finally:
        _keep(os.getpid(), before)


def family(number: int) -> list[int]:
    """A process and all that come of it."""
    found = [number]
    for thread in _threads(number):
        with contextlib.suppress(FileNotFoundError):
            for child in Path(f"/proc/{number}/task/{thread}/children").read_text().split():
                found += family(int(child))
    return found


def _threads(number: int) -> list[int]:
    with contextlib.suppress(FileNotFoundError):
        return [int(each.name) for each in Path(f"/proc/{number}/task").iterdir()]
    return []


def _keep(number: int, cpus: set[int]) -> None:
    for thread in _threads(number):
        # It may have ended just now.
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(thread, cpus)
