"""Errors as a client sees them: one table from our errors to HTTP status and problem details (RFC 9457)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from chat.errors import BadFrame, CommandRefused
from commerce.errors import Busy, CommerceError, Conflict, Invalid, NotFound, Refused
from gateway.auth import TokenError
from gateway.client import CORS_HEADERS
from gateway.encode import encode_json

PROBLEM_TYPE = "application/problem+json"


class Problem(Exception):
    """An answer other than success: status, code for programs, detail for people, and fields of its own."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        retry_ms: int | None = None,
        extra: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.retry_ms = retry_ms
        self.extra = dict(extra or {})
        self.headers = dict(headers or {})


TITLES = {
    400: "The request is not understood",
    401: "Sign in first",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    408: "Too slow",
    409: "In conflict with what is there",
    412: "Changed since",
    413: "Too long",
    415: "Unsupported media type",
    416: "No such range",
    422: "Refused by a rule",
    426: "WebSocket only",
    428: "Needs If-Match",
    429: "Too many requests",
    500: "Our fault",
    503: "Busy",
    508: "Loop detected",
}

# The first class that fits decides.
STATUS_OF: tuple[tuple[type[CommerceError], int], ...] = (
    (NotFound, 404),
    (Invalid, 400),
    (Conflict, 409),
    (Busy, 503),
    (Refused, 422),
    (CommerceError, 422),
)


# What the hub refuses; other codes are rules, with 422.
STATUS_OF_REFUSAL = {"invalid": 400, "forbidden": 403, "banned": 403, "not_found": 404, "rate": 429, "busy": 503}


def no_handshake() -> Problem:
    """For a request to a WebSocket's address that does not open one.

    RFC 9110 section 15.5.22: a 426 names the protocol; RFC 6455 section 4.4: and its version.
    """
    return Problem(
        426,
        "upgrade",
        "this address wants an opening handshake of WebSocket: Connection: Upgrade, Upgrade: websocket,"
        " Sec-WebSocket-Version: 13 and one Sec-WebSocket-Key of 16 bytes",
        headers={"upgrade": "websocket", "connection": "upgrade", "sec-websocket-version": "13"},
    )


def problem_of(error: Exception) -> Problem:
    """The problem that stands for ``error``; unknown errors become 500 without their text."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, TokenError):
        return Problem(401, error.code, str(error))
    if isinstance(error, CommerceError):
        if error.code == "internal":
            return Problem(500, "internal", error.message)
        status = 403 if error.code == "forbidden" else next(code for kind, code in STATUS_OF if isinstance(error, kind))
        return Problem(status, error.code, error.message, retry_ms=error.retry_ms, extra=error.extra)
    if isinstance(error, BadFrame):
        return Problem(400, "invalid", str(error))
    if isinstance(error, CommandRefused):
        status = STATUS_OF_REFUSAL.get(error.code, 422)
        return Problem(status, error.code, error.message, retry_ms=error.retry_ms, extra=error.extra)
    return Problem(500, "internal", "something broke on our side; it is in the log")


def problem_response(problem: Problem) -> Response:
    """The HTTP response of ``problem``."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": TITLES.get(problem.status, "Error"),
        "status": problem.status,
        "code": problem.code,
        "detail": problem.detail,
        **problem.extra,
    }
    headers = {name.decode(): value.decode() for name, value in CORS_HEADERS} | problem.headers
    if problem.retry_ms is not None:
        body["retry_ms"] = problem.retry_ms
        headers["retry-after"] = str(max(1, -(-problem.retry_ms // 1000)))
    if problem.status == 401:
        headers["www-authenticate"] = 'Bearer realm="siyu"'
    return Response(encode_json(body), problem.status, headers, PROBLEM_TYPE)
