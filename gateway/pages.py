"""Pages and their files: plain ES modules from ``gateway/web``, under a strict content security policy."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import NotModifiedResponse, StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.addresses import Addresses
from gateway.client import CORS_PREFLIGHT_HEADERS
from gateway.errors import Problem, problem_response
from gateway.miniprogram_archive import FOLDER, sample_archive
from gateway.rooms import Rooms

# No inline script and no foreign origin: a chat line or a product title can never run.
PAGE_HEADERS = {
    "content-security-policy": (
        "default-src 'self'; img-src 'self' data: https:; media-src 'self' blob:; connect-src 'self' ws: wss:; "
        "object-src 'none'; base-uri 'none'; frame-ancestors 'self'; form-action 'self'"
    ),
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "cache-control": "no-cache",
}


def web_folder() -> Path:
    """Where the pages' files lie, in a checkout and in an installed wheel alike."""
    return Path(str(resources.files("gateway") / "web"))


def page_routes(rooms: Rooms, addresses: Addresses) -> list[BaseRoute]:
    """The pages of rooms, hosts, merchants, draws and what is shared, ``/static`` and ``/miniprogram.zip``."""
    folder = web_folder()

    static = _Static(directory=folder)

    def page(name: str, request: Request) -> Response:
        """A page; a browser that has it as it is now gets none of it (RFC 9110 section 13.1.2)."""
        path, kind = folder / name, "text/html; charset=utf-8"
        found = FileResponse(path, media_type=kind, headers=PAGE_HEADERS, stat_result=path.stat())
        return NotModifiedResponse(found.headers) if static.is_not_modified(found.headers, request.headers) else found

    async def viewer(request: Request) -> Response:
        return page("viewer.html", request) if rooms.find(request.path_params["room"]) else missing(request)

    async def host(request: Request) -> Response:
        return page("host.html", request) if rooms.find(request.path_params["room"]) else missing(request)

    async def studio(request: Request) -> Response:
        return page("studio.html", request) if rooms.find(request.path_params["room"]) else missing(request)

    async def merchant(request: Request) -> Response:
        return page("merchant.html", request)

    async def miniprogram(request: Request) -> Response:
        room = request.query_params.get("room", "")
        if room and not rooms.find(room):
            return missing(request)
        headers = {"content-disposition": f'attachment; filename="{FOLDER}.zip"', "cache-control": "no-cache"}
        return Response(sample_archive(addresses.base, room), media_type="application/zip", headers=headers)

    async def draw(request: Request) -> Response:
        # Which draws there are the page asks the API, like any visitor.
        return page("draw.html", request)

    async def content(request: Request) -> Response:
        return page("content.html", request)

    async def group(request: Request) -> Response:
        return page("group.html", request)

    async def partner(request: Request) -> Response:
        return page("partner.html", request)

    async def helping(request: Request) -> Response:
        return page("help.html", request)

    async def root(request: Request) -> Response:
        return RedirectResponse("/merchant", 307)

    return [
        Route("/", root),
        Route("/r/{room}", viewer),
        Route("/host/{room}", host),
        Route("/studio/{room}", studio),
        Route("/merchant", merchant),
        Route("/miniprogram.zip", miniprogram),
        Route("/draw/{draw}", draw),
        Route("/c/{content}", content),
        Route("/g/{community}", group),
        Route("/help/{poster}", helping),
        Route("/partner", partner),
        Mount("/static", static, name="static"),
    ]


def missing(request: Request) -> Response:
    """The answer for a room that is not there: a page for a person's browser, problem details for a program.

    A browser's navigation names ``text/html`` in Accept; a program that takes anything (``*/*``) gets the JSON.
    """
    if "text/html" in request.headers.get("accept", "").lower():
        response: Response = FileResponse(
            web_folder() / "missing.html", 404, PAGE_HEADERS, media_type="text/html; charset=utf-8"
        )
    else:
        response = problem_response(Problem(404, "no_room", "there is no such room"))
    response.headers["vary"] = "accept"
    return response


class _Static(StaticFiles):
    """Static files with the pages' headers; a changed file is seen at the next load (ETag)."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers.update(PAGE_HEADERS)
        return response


class Preflight:
    """Answers CORS preflights (Fetch standard, "CORS-preflight request") before any route is asked."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # WHIP and WHEP say more in theirs (RFC 9725 section 4.2), with the same headers for a preflight.
        webrtc = scope["type"] == "http" and scope["path"].startswith(("/whip/", "/whep/"))
        if scope["type"] == "http" and scope["method"] == "OPTIONS" and not webrtc:
            start: Message = {"type": "http.response.start", "status": 204, "headers": list(CORS_PREFLIGHT_HEADERS)}
            await send(start)
            await send({"type": "http.response.body", "body": b""})
            return
        await self._app(scope, receive, send)
