"""The processes of one measurement: a server on one core, its clients on another, and a pipe to each.

What is measured is the CPU time of the server's process (user and kernel, all threads). On loopback the kernel does
most of the receiver's work inside the sender's call, so the server pays for it; a baseline pays the same.
"""

from __future__ import annotations

import faulthandler
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any

from gateway.garbage import settle_collector

WAIT_S = 90.0
"""Longest wait for a child's next word: a measurement takes seconds."""
GOODBYE_S = 10.0
"""What a child that has said all gets to end."""
SHOW_S = 30.0
"""What a silent child gets to write down where it stands; it ends when it has."""

_SHOW = signal.SIGUSR1


class BenchError(RuntimeError):
    """A measurement that went wrong: a child ended early, or the clients did not get what was sent."""


def cores() -> tuple[set[int], set[int]]:
    """The server's core and the clients' (the same when there is only one)."""
    usable = sorted(os.sched_getaffinity(0))
    return {usable[0]}, set(usable[1:2] or usable)


@dataclass(frozen=True, slots=True)
class Spent:
    """Seconds of CPU and of the clock."""

    cpu_s: float
    wall_s: float


class Meter:
    """What this process spends from its making on."""

    def __init__(self) -> None:
        self._wall_s = time.perf_counter()
        self._cpu_s = time.process_time()

    def read(self) -> Spent:
        """Give what was spent so far; never nothing, so that it can be divided by."""
        cpu_s = time.process_time() - self._cpu_s
        return Spent(max(cpu_s, 1e-6), max(time.perf_counter() - self._wall_s, 1e-6))


class Child:
    """A process that runs ``target(pipe, *arguments)`` on the given cores; killed at the end if it still runs."""

    def __init__(self, target: Callable[..., None], *arguments: Any, cpus: set[int] | None = None) -> None:
        # Spawned, not forked: a server starts with nothing of the bench's own memory and file descriptors.
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._name = getattr(target, "__name__", "a child")
        self._process = context.Process(target=_run, args=(theirs, cpus, target, arguments), daemon=True)
        self._process.start()
        theirs.close()

    def __enter__(self) -> Child:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._process.join(GOODBYE_S)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._process.close()
        self._pipe.close()

    def end(self) -> None:
        """Kill it: nothing more is wanted of it."""
        self._process.kill()

    def tell(self) -> None:
        """Let it go on: it waits for that with `told`."""
        self._pipe.send(True)

    def waiting(self) -> bool:
        """Whether it has said something, or ended: `receive` would not wait."""
        return self._pipe.poll()

    def receive(self, wait_s: float = WAIT_S) -> Any:
        """Wait for the child's next word, at most so long. Raises BenchError when it ends or stays silent instead.

        Where the threads of a silent one stand is written to the standard error.
        """
        try:
            if self._pipe.poll(wait_s):
                return self._pipe.recv()
        except (EOFError, ConnectionResetError):
            raise BenchError(f"{self._name} ended early; its own words stand above") from None
        if self._process.pid is not None:
            os.kill(self._process.pid, _SHOW)
            self._process.join(SHOW_S)
        raise BenchError(f"{self._name} said nothing for {wait_s:g} s")


def told(pipe: Connection) -> bool:
    """Whether the parent has said that a child may go on; to be asked again and again. Never waits."""
    return pipe.poll() and bool(pipe.recv())


def _run(pipe: Connection, cpus: set[int] | None, target: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    faulthandler.register(_SHOW, all_threads=True, chain=True)
    if cpus:
        os.sched_setaffinity(0, cpus)
    # As a server does once it is up (`gateway.server.freeze_start_up`).
    settle_collector()
    target(pipe, *arguments)
