"""What a worker answers the others on its Unix socket: rooms that it has, WebRTC sessions of its own, its figures.

Nobody but the workers can open the socket (its folder is the supervisor's, mode 700), so no token is asked. A room is
given only by the worker that has it and never from a pull of another worker: no ring can come about.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any, Final

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from gateway.client import Clients
from gateway.config import Settings
from gateway.errors import Problem, problem_response
from gateway.gate import Gate, Taken
from gateway.http_server import HttpServer
from gateway.probes import METRICS_TYPE, broken, not_allowed, not_found
from gateway.workers.cluster import Cluster
from stream.directory import Clock, Directory
from stream.fanout import ViewerLimits
from stream.ingest_pull import NODE_HEADER
from stream.output_flv import FlvOutput

logger = logging.getLogger("siyu.workers")

CONNECTIONS_MAX: Final = 20_000
"""Each other worker pulls each room once, and asks for figures and sessions."""
HEAD_S: Final = 10.0
FAREWELL_S: Final = 1.0


class Inner:
    """The server on one worker's Unix socket."""

    def __init__(
        self,
        settings: Settings,
        cluster: Cluster,
        directory: Directory,
        *,
        node: str,
        clock: Clock,
        own: Sequence[BaseRoute],
        metrics: Callable[[], bytes],
    ) -> None:
        self._cluster = cluster
        self._headers = ((NODE_HEADER.encode(), node.encode()),)
        # A worker that waits for a host is told at once: it hears of the host as soon as we do.
        self.output = FlvOutput(directory, clock, ViewerLimits(host_wait_ms=0, buffer_bytes_min=4 * 1024 * 1024))
        self._gate = Gate(
            Clients(settings),
            connections_max=CONNECTIONS_MAX,
            per_address_max=CONNECTIONS_MAX,
            header_timeout_s=HEAD_S,
            take=self._take,
        )

        async def figures(request: Request) -> Response:
            return Response(metrics(), media_type=METRICS_TYPE)

        async def live(request: Request) -> Response:
            return problem_response(Problem(404, "not_live", "this worker does not have the room", retry_ms=1_000))

        self._asgi = Starlette(
            routes=[Route("/metrics", figures), *own, Route("/live/{file}", live)],
            exception_handlers={404: not_found, 405: not_allowed, 500: broken},
        )
        self._http: HttpServer | None = None
        self._task: asyncio.Task[None] | None = None
        cluster.dismiss_peers = self.output.end_room

    async def start(self, path: str) -> None:
        """Listen on ``path``. Raises OSError."""
        config = uvicorn.Config(
            self._asgi,
            uds=path,
            http=self._gate.door(),
            ws="none",
            loop="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
        )
        self._http = HttpServer(config, self._gate, None)
        self._task = asyncio.create_task(self._http.serve(), name="inner http")
        await self._http.came_up(self._task)

    async def close(self) -> None:
        """End every connection."""
        http, task = self._http, self._task
        if http is None or task is None:
            return
        await self.output.drain(interval_ms=0)
        http.should_exit = True
        done, _ = await asyncio.wait([task], timeout=FAREWELL_S)
        if not done:
            http.force_exit = True
            for connection in list(http.server_state.connections):
                connection.transport.abort()
            await asyncio.wait([task], timeout=FAREWELL_S)

    def _take(self, scope: dict[str, Any], address: str, on_lost: Callable[[], None]) -> Taken | None:
        path: str = scope["path"]
        if scope["method"] != "GET" or not path.startswith("/live/") or not path.endswith(".flv"):
            return None
        room = path.removeprefix("/live/").removesuffix(".flv")
        if not self._cluster.serves(room):
            return None
        viewer = self.output.viewer(room, headers=self._headers, low_delay=True, on_lost=on_lost)
        return Taken(viewer, feed_head=False)
