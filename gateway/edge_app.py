"""The server of an edge: the ways out of `Streaming`, a puller and the probes. No shop, no hub, no pages, no data."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.addresses import Addresses
from gateway.client import Clients
from gateway.config import Settings
from gateway.doors import node_id
from gateway.edge import EdgeAccess, parse_origin
from gateway.errors import Problem, problem_response
from gateway.gate import FILES_RESERVE, RTMP_SHARE, Gate, Taken
from gateway.metrics import Figures, render_metrics
from gateway.pages import Preflight
from gateway.probes import broken, not_allowed, probe_routes
from gateway.ranges import RangesInWords
from gateway.streaming import Streaming, open_directory, open_slate
from gateway.workers.part import Seat, WorkerPart, pull_limits
from stream.ingest_pull import Puller

logger = logging.getLogger("siyu.edge")

ELSEWHERE = "this server only plays streams; pages, hub and API are at its origin"


class EdgeApplication:
    """One edge's parts and their common life."""

    def __init__(
        self, settings: Settings, *, http_port: int, files: int, clock: Callable[[], int], seat: Seat | None = None
    ) -> None:
        assert settings.origin is not None
        origin, prefix = parse_origin(settings.origin)
        rtmp_connections = max(32, (files - FILES_RESERVE) // RTMP_SHARE)
        clients = Clients(settings)
        self.ready = False
        self.origin = settings.origin
        self.addresses = Addresses(settings, http_port=http_port, rtmp_port=settings.rtmp_port)
        self.directory = open_directory(settings, clock, open_slate(settings))
        self.access = EdgeAccess(origin, prefix, node=node_id(), clock=clock)
        self._worker: WorkerPart | None = None
        if seat is None:
            self.puller = Puller(self.directory, self.access, clock=clock, limits=pull_limits(settings))
        else:
            self._worker = WorkerPart(seat, settings, self.directory, self.access, clock=clock, origin=self.access)
            self.puller = self._worker.puller
        self.streaming = Streaming(
            settings,
            self.directory,
            self.access,
            clock=clock,
            addresses=self.addresses,
            clients=clients,
            rtmp_connections=rtmp_connections,
            puller=self.puller,
            fleet=self._worker,
        )
        if self._worker is not None:
            self._worker.attach(self.streaming.webrtc_routes.own_sessions(), self.figures)
        self.gate = Gate(
            clients,
            connections_max=max(64, files - FILES_RESERVE - rtmp_connections),
            per_address_max=settings.connections_per_address,
            header_timeout_s=settings.header_timeout_s,
            take=self._take,
        )
        probes = probe_routes(lambda: self.ready, self._metrics)
        self.asgi = Starlette(
            routes=[*probes, *self.streaming.routes(), Route("/{path:path}", _elsewhere, methods=None)],
            middleware=[Middleware(Preflight), Middleware(RangesInWords)],
            exception_handlers={405: not_allowed, 500: broken},
        )

    def _take(self, scope: dict[str, Any], address: str, on_lost: Callable[[], None]) -> Taken | None:
        return self.streaming.take(scope, address, on_lost) if scope["path"].startswith("/live/") else None

    async def _metrics(self) -> bytes:
        return render_metrics(self.figures) if self._worker is None else await self._worker.metrics()

    def figures(self) -> Figures:
        """What /metrics shows of each part."""
        yield "http", self.gate.counts
        yield from self.streaming.figures()

    def lines(self) -> list[str]:
        """What is said when it is up."""
        base = self.addresses.base
        return [
            f"Siyu Live is up at {base}: an edge of {self.origin}",
            f"  players            {base}/live/ROOM.flv  .mp4  /index.m3u8  {base}/whep/ROOM",
            "  hosts, pages, hub and API are at the origin",
        ]

    async def start(self) -> None:
        """Open the ports and pull what is wanted. Raises ``OSError`` when a port is taken."""
        self.directory.start()
        if self._worker is None:
            self.puller.start()
        else:
            await self._worker.start()
        await self.streaming.start()

    async def drain(self) -> None:
        """Tell viewers to go, in paced batches; returns when they have gone."""
        await self.streaming.drain()

    async def close(self) -> None:
        """End everything. What cannot be ended is logged and keeps nothing else from its end."""
        pulls = self.puller if self._worker is None else self._worker
        for shut in (pulls.close, *self.streaming.shutters(), self.access.close, self.directory.close):
            try:
                ended = shut()
                if ended is not None and asyncio.iscoroutine(ended):
                    await ended
            except Exception:
                logger.exception("a part did not end in order")


async def _elsewhere(request: Request) -> Response:
    return problem_response(Problem(404, "edge", ELSEWHERE))


async def open_edge(
    settings: Settings, *, http_port: int, files: int, clock: Callable[[], int], seat: Seat | None = None
) -> EdgeApplication:
    """Wire an edge and start it; ``seat``: of a worker among several. Raises ``OSError``."""
    application = EdgeApplication(settings, http_port=http_port, files=files, clock=clock, seat=seat)
    await application.start()
    return application
