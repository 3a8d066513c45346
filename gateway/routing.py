"""One route for each address, whatever its methods: Starlette's 405 names the methods of a single route only."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

Endpoint = Callable[[Request], Awaitable[Response]]


def route_of(path: str, methods: Mapping[str, Endpoint]) -> Route:
    """The route of an address with an endpoint for each method; RFC 9110 section 15.5.6 has a 405 name them all."""

    async def endpoint(request: Request) -> Response:
        return await methods["GET" if request.method == "HEAD" else request.method](request)

    return Route(path, endpoint, methods=list(methods))
