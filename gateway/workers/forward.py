"""A request for a session of another worker, passed on over that worker's Unix socket."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from gateway.api import read_body
from gateway.errors import Problem
from stream.errors import ProtocolError
from stream.http_call import Peer, ask

FORWARD_S: Final = 5.0
ANSWER_BYTES_MAX: Final = 256 * 1024
PASSED_ON: Final = ("content-type", "if-match")
_OF_THE_CONNECTION: Final = frozenset({"connection", "content-length", "transfer-encoding", "date", "keep-alive"})


async def forward(peer: Peer, request: Request) -> Response:
    """What the other worker answers. Raises ``Problem`` when it cannot be asked: its sessions are over then."""
    headers = [(name, request.headers[name]) for name in PASSED_ON if name in request.headers]
    body = await read_body(request)
    try:
        answer = await ask(peer, request.method, request.url.path, headers=headers, body=body, timeout_s=FORWARD_S)
        try:
            content = await answer.read(FORWARD_S, ANSWER_BYTES_MAX)
        finally:
            answer.close()
    except (OSError, ProtocolError) as error:
        raise Problem(404, "no_session", "this session is over: the process that had it is gone") from error
    kept = {name: value for name, value in answer.headers.items() if name not in _OF_THE_CONNECTION}
    return Response(content, answer.status, kept)
