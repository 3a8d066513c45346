"""/healthz, /readyz and /metrics, alike on every kind of server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from gateway.errors import Problem, problem_response

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def probe_routes(ready: Callable[[], bool], metrics: Callable[[], Awaitable[bytes]]) -> list[BaseRoute]:
    """``ready`` says whether requests should come here; ``metrics`` gives the exposition text."""

    async def healthz(request: Request) -> Response:
        return Response(b'{"ok":true}', media_type="application/json")

    async def readyz(request: Request) -> Response:
        if not ready():
            return problem_response(Problem(503, "draining", "not ready: starting or stopping", retry_ms=1_000))
        return Response(b'{"ok":true}', media_type="application/json")

    async def exposition(request: Request) -> Response:
        return Response(await metrics(), media_type=METRICS_TYPE)

    return [Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", exposition)]


async def not_found(request: Request, error: Exception) -> Response:
    """Say so in our form."""
    return problem_response(Problem(404, "not_found", "there is nothing at this address"))


async def not_allowed(request: Request, error: Exception) -> Response:
    """Say which methods there are: RFC 9110 section 15.5.6; Starlette's own exception knows them."""
    allow = getattr(error, "headers", None)
    return problem_response(Problem(405, "method", "this address does not answer that method", headers=allow))


async def broken(request: Request, error: Exception) -> Response:
    """Say that it is our fault, and no more."""
    return problem_response(Problem(500, "internal", "something broke on our side; it is in the log"))
