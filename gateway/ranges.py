"""Refused ranges in our words: Starlette's file responses refuse them in plain text (RFC 9110 section 14)."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.errors import Problem, problem_response

WORDS = {400: "this is no Range of bytes", 416: "the Range lies behind the end; Content-Range says how long it is"}


class RangesInWords:
    """Answers with a problem document where a file response answers a Range with 400 or 416."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or all(name != b"range" for name, _ in scope["headers"]):
            await self._app(scope, receive, send)
            return
        refused = False

        async def told(message: Message) -> None:
            nonlocal refused
            if message["type"] == "http.response.start":
                headers = {name.lower(): value for name, value in message["headers"]}
                refused = message["status"] in WORDS and headers[b"content-type"].startswith(b"text/plain")
                if refused:
                    length = headers.get(b"content-range")
                    kept = {} if length is None else {"content-range": length.decode("latin-1")}
                    problem = Problem(message["status"], "range", WORDS[message["status"]], headers=kept)
                    await problem_response(problem)(scope, receive, send)
            if not refused:
                await send(message)

        await self._app(scope, receive, told)
