"""What makes a server a worker: its cluster, its puller, its inner socket and the figures of all workers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from gateway.claiming import ClaimingDoors
from gateway.config import Settings
from gateway.doors import Doors
from gateway.errors import Problem
from gateway.metrics import Figures, render_metrics
from gateway.workers.cluster import Cluster, Elsewhere, Link, socket_path
from gateway.workers.exposition import merge
from gateway.workers.forward import forward
from gateway.workers.inner import Inner
from gateway.workers.messages import Welcome
from stream.directory import Clock, Directory
from stream.errors import ProtocolError
from stream.http_call import ask
from stream.ingest_pull import Puller, PullLimits, Upstreams

logger = logging.getLogger("siyu.workers")

SCRAPE_S: Final = 2.0
"""A worker that does not give its figures in this time is left out: a scrape must not wait for one that hangs."""


@dataclass(frozen=True, slots=True)
class Seat:
    """A worker's place at its supervisor's."""

    welcome: Welcome
    link: Link


@dataclass(frozen=True, slots=True)
class WorkerFigures:
    """What a worker knows of the others."""

    restarts: dict[str, int]


class WorkerPart:
    """Made before streaming, which gets `doors`, `puller` and `self`; then `attach` and `start`."""

    def __init__(
        self,
        seat: Seat,
        settings: Settings,
        directory: Directory,
        doors: Doors,
        *,
        clock: Clock,
        origin: Upstreams | None = None,
        nodes: Elsewhere | None = None,
    ) -> None:
        self.cluster = Cluster(seat.welcome, seat.link, directory, clock=clock, origin=origin, nodes=nodes)
        self.doors = ClaimingDoors(doors, self.cluster)
        self.puller = Puller(directory, self.cluster, clock=clock, limits=pull_limits(settings))
        self.number = self.cluster.worker
        self._seat = seat
        self._settings = settings
        self._directory = directory
        self._clock = clock
        self._figures: Callable[[], Figures] = tuple
        self._inner: Inner | None = None

    def attach(self, own: Sequence[BaseRoute], figures: Callable[[], Figures]) -> None:
        """Take the routes of what only this worker has (sessions, pictures), and what /metrics shows of it."""
        self._figures = figures
        self._inner = Inner(
            self._settings,
            self.cluster,
            self._directory,
            node=self.doors.node,
            clock=self._clock,
            own=own,
            metrics=self._own_metrics,
        )

    async def start(self) -> None:
        """Listen for the other workers and pull what is wanted. Raises OSError."""
        assert self._inner is not None
        await self._inner.start(socket_path(self._seat.welcome.folder, self.number))
        self.cluster.start(self.puller)
        self.puller.start()
        self._seat.link.listen(self.cluster.receive)

    async def close(self) -> None:
        """End what it began."""
        await self.puller.close()
        await self.cluster.close()
        if self._inner is not None:
            await self._inner.close()

    def is_elsewhere(self, room: str) -> bool:
        """Whether a room can be pulled."""
        return self.cluster.is_elsewhere(room)

    async def ask_owner(self, room: str, request: Request) -> Response | None:
        """What the worker with the room answers; None when that is nobody, or this one, or it cannot be asked."""
        owner = self.cluster.owners.get(room, self.number)
        if owner == self.number:
            return None
        try:
            return await self.forward(owner, request)
        except Problem as problem:
            logger.info("worker %d does not answer for room %s: %s", owner, room, problem.code)
            return None

    async def forward(self, worker: int, request: Request) -> Response:
        """Have another worker answer. Raises ``Problem``."""
        return await forward(self.cluster.peer(worker), request)

    def _own_metrics(self) -> bytes:
        return render_metrics(self._all_figures)

    def _all_figures(self) -> Figures:
        yield from self._figures()
        assert self._inner is not None
        yield "playback_worker", self._inner.output.stats()
        if self.number == 0:
            restarts = {str(worker): count for worker, count in enumerate(self.cluster.restarts)}
            yield "workers", WorkerFigures(restarts)

    async def metrics(self) -> bytes:
        """The figures of all workers that answer."""
        others = [worker for worker in range(self.cluster.workers) if worker != self.number]
        texts = await asyncio.gather(*(self._scrape(worker) for worker in others))
        found = {str(worker): text for worker, text in zip(others, texts, strict=True) if text is not None}
        found[str(self.number)] = self._own_metrics().decode()
        return merge(dict(sorted(found.items())))

    async def _scrape(self, worker: int) -> str | None:
        try:
            answer = await ask(self.cluster.peer(worker), "GET", "/metrics", timeout_s=SCRAPE_S)
            try:
                return (await answer.read(SCRAPE_S)).decode()
            finally:
                answer.close()
        except (OSError, ProtocolError) as error:
            logger.warning("worker %d gives no figures: %s", worker, error or type(error).__name__)
            return None


def pull_limits(settings: Settings) -> PullLimits:
    """The limits of pulls that can be set."""
    return PullLimits(linger_ms=int(settings.pull_linger_s * 1000))
