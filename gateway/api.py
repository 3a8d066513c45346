"""The JSON API as a list of operations: from one entry come the route, the checks of the body and the contract.

An ``Operation`` names method, path, roles, body and answer. ``Api.routes`` makes Starlette routes of them,
``gateway.api_contract`` makes the OpenAPI 3.1 document, so that the two cannot disagree.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from commerce.ledger import KEY_CHARACTERS_MAX
from gateway.auth import STAFF_ROLES, Claims, Tokens
from gateway.client import CORS_HEADERS, Clients, bearer_token
from gateway.encode import encode_json
from gateway.errors import Problem, problem_of, problem_response
from gateway.parameters import check_cursors
from gateway.routing import Endpoint, route_of
from gateway.schemas_base import MILLIS_MAX

logger = logging.getLogger("siyu.api")

BODY_BYTES_MAX = 64 * 1024
BODY_TIMEOUT_S = 15.0
LARGE_BODY_TIMEOUT_S = 60.0
"""A photograph on its way from a phone with 70 kB/s."""
LARGE_BODIES_MAX = 32
"""Bodies that may be longer than ``BODY_BYTES_MAX``, read at a time: of 4 MiB, 128 MiB in memory."""
ANSWER_TIMEOUT_S = 30.0

JSON_TYPE = "application/json"
CSV_TYPE = "text/csv"
XML_TYPE = "application/xml"
TEXT_TYPE = "text/plain"
SVG_TYPE = "image/svg+xml"
PNG_TYPE = "image/png"
JPEG_TYPE = "image/jpeg"
OCTETS_TYPE = "application/octet-stream"
PICTURE_TYPES = (JPEG_TYPE, PNG_TYPE, "image/webp")
NOTICE_TYPES = (JSON_TYPE, XML_TYPE, "text/xml", "application/x-www-form-urlencoded")
"""Callbacks of providers: each writes them as it does, and is answered so."""
REPLY_TYPES = (JSON_TYPE, TEXT_TYPE)

ANYONE: frozenset[str] = frozenset({"anyone"})
SIGNED_IN: frozenset[str] = frozenset({"viewer", "guest"}) | STAFF_ROLES
STAFF: frozenset[str] = STAFF_ROLES

_CORS = {name.decode(): value.decode() for name, value in CORS_HEADERS}


@dataclass(frozen=True, slots=True)
class Call:
    """One request, checked: who asks, path and query, body, and the key that makes it repeatable."""

    claims: Claims | None
    path: Mapping[str, str]
    query: Mapping[str, str]
    body: Any
    key: str | None
    address: str
    base_url: str
    headers: Mapping[str, str]
    raw: bytes = b""

    @property
    def who(self) -> Claims:
        """The signed-in caller of an operation that asks for one."""
        assert self.claims is not None
        return self.claims


Handler = Callable[[Call], Awaitable[Any]]
Within = Literal["shop", "books", "node", "orders", "people"]
"""What of a merchant an operation of staff is about. ``shop`` and ``books`` are about all of it, and closed to accounts
that have a part; the others keep to ``Claims.reach``. Accountants read ``books``, ``node`` and ``orders``."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One method on one path."""

    method: str
    path: str
    summary: str
    handler: Handler
    roles: frozenset[str] = ANYONE
    body: type[Any] | None = None
    answer: Any = None
    status: int = 200
    query: Mapping[str, str] = field(default_factory=dict)
    takes: tuple[str, ...] = ()
    """Content types of a body that is no form: it comes as it is, in ``Call.raw``."""
    body_bytes_max: int = BODY_BYTES_MAX
    by_hub: bool = False
    """Done by a command of the hub, which leaves its own entry in the audit trail."""
    name: str = ""
    """In the contract; the handler's, where that has one address alone."""
    within: Within = "shop"
    """Closed by default: an operation that does not say that it keeps to a part is not for who has a part."""
    keyed: bool = False
    """Must have an ``Idempotency-Key``: a repeated request acts once."""
    gives: tuple[str, ...] = ()
    """Content types of an answer that is no JSON, beside those that ``?format=`` chooses."""

    def check(self, who: Claims, path: Mapping[str, str]) -> None:
        """Whether an account may do this at all, by its seat. Raises ``Problem`` 403, 404.

        Operations that viewers have, too, are about the caller; where they widen for staff they say so in ``within``.
        """
        own = "viewer" in self.roles and self.within == "shop"
        if who.scope is not None:
            right = who.scope.right
            if not right.writes and self.method != "GET":
                raise Problem(403, "forbidden", "this account reads and changes nothing")
            if not own and right.books and self.within not in ("books", "node", "orders"):
                raise Problem(403, "forbidden", "an accountant reads accounts, orders and figures")
            if not right.persons and self.within == "people":
                raise Problem(403, "forbidden", f"the role {who.scope.role!r} does not read customers")
        if own or who.reach is None or self.within in ("node", "orders", "people"):
            return
        if "room" not in path:
            raise Problem(403, "outside", "this is about the whole shop, of which this account has a part")
        if not who.may_enter(path["room"], who.merchant):
            raise Problem(404, "no_room", "there is no such room")
        if not who.may_run(path["room"], who.merchant):
            raise Problem(403, "forbidden", "only the host and the shop's staff may do this")


class Api:
    """Turns operations into routes."""

    def __init__(
        self,
        operations: Sequence[Operation],
        *,
        tokens: Tokens,
        clients: Clients,
        public_url: str | None,
        in_room: Callable[[Claims, str], Claims],
        audit: Callable[[Operation, Call], None],
    ) -> None:
        self.operations = operations
        self._audit = audit
        self._in_room = in_room
        self._tokens = tokens
        self._clients = clients
        self._public_url = public_url
        self._large = 0

    def routes(self) -> list[Route]:
        """Starlette routes, most specific paths first."""
        by_path: dict[str, dict[str, Endpoint]] = {}
        for operation in sorted(self.operations, key=lambda entry: entry.path.count("{")):
            by_path.setdefault(operation.path, {})[operation.method] = self._endpoint(operation)
        return [route_of(path, methods) for path, methods in by_path.items()]

    def _endpoint(self, operation: Operation) -> Endpoint:
        decoder = msgspec.json.Decoder(operation.body) if operation.body is not None else None

        async def endpoint(request: Request) -> Response:
            try:
                call = await self._call(operation, decoder, request)
                async with asyncio.timeout(ANSWER_TIMEOUT_S):
                    answer = await operation.handler(call)
                self._audit(operation, call)
            except ClientDisconnect:
                return Response(status_code=400)
            except TimeoutError:
                return problem_response(Problem(503, "busy", "this took too long; try again", retry_ms=1_000))
            except Exception as error:
                problem = problem_of(error)
                if problem.status >= 500 and problem.code == "internal":
                    logger.error("%s %s failed", operation.method, operation.path, exc_info=error)
                return problem_response(problem)
            if isinstance(answer, Response):
                return answer
            return Response(encode_json(answer), operation.status, _CORS, "application/json")

        return endpoint

    async def _call(self, operation: Operation, decoder: Any, request: Request) -> Call:
        """Check one request. Raises ``Problem`` and ``TokenError``."""
        raw_headers = request.scope["headers"]
        query_string = request.scope["query_string"]
        claims: Claims | None = None
        if operation.roles is not ANYONE:
            claims = self._tokens.read(bearer_token(raw_headers, query_string))
            if claims.account and "room" in request.path_params:
                claims = self._in_room(claims, request.path_params["room"])
            if claims.role not in operation.roles:
                raise Problem(403, "forbidden", f"the role {claims.role!r} may not do this")
            if claims.staff:
                operation.check(claims, request.path_params)
        key = _key(operation, request)
        check_cursors(operation.query, request.query_params.items())
        body: Any = None
        raw = b""
        reads = decoder is not None or bool(operation.takes)
        if reads and request.headers.get("content-encoding", "identity").lower() not in {"", "identity"}:
            raise Problem(415, "media_type", "send the body as it is, without a Content-Encoding")
        if operation.body_bytes_max > BODY_BYTES_MAX:
            raw = await self._read_large(request, operation.body_bytes_max)
        elif reads:
            raw = await read_body(request, operation.body_bytes_max)
        if decoder is not None:
            try:
                body = decoder.decode(raw or b"{}")
            except msgspec.ValidationError as error:
                raise Problem(400, "invalid", str(error)) from error
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                raise Problem(400, "invalid", f"the body is not JSON: {error}") from error
        peer = request.client.host if request.client is not None else ""
        scheme = self._clients.scheme(peer, raw_headers, request.url.scheme)
        return Call(
            claims=claims,
            path=request.path_params,
            query=request.query_params,
            body=body,
            key=key,
            address=self._clients.address(peer, raw_headers),
            base_url=self._public_url or f"{scheme}://{request.headers.get('host', 'localhost')}",
            headers=request.headers,
            raw=raw,
        )

    async def _read_large(self, request: Request, most: int) -> bytes:
        """A body of more than a form's size. Raises ``Problem``."""
        if self._large >= LARGE_BODIES_MAX:
            raise Problem(503, "busy", "many files are being sent; try again", retry_ms=1_000)
        self._large += 1
        try:
            return await read_body(request, most, LARGE_BODY_TIMEOUT_S)
        finally:
            self._large -= 1


async def read_body(request: Request, most: int = BODY_BYTES_MAX, timeout_s: float = BODY_TIMEOUT_S) -> bytes:
    """The body within ``most`` bytes and ``timeout_s``. Raises ``Problem``."""
    body = bytearray()
    try:
        async with asyncio.timeout(timeout_s):
            async for chunk in request.stream():
                body += chunk
                if len(body) > most:
                    raise Problem(413, "too_long", f"a body has at most {most} bytes")
    except TimeoutError as error:
        raise Problem(408, "slow_request", f"the body did not arrive within {timeout_s:.0f} s") from error
    return bytes(body)


def _key(operation: Operation, request: Request) -> str | None:
    """The request's ``Idempotency-Key``. Raises ``Problem``."""
    given = request.headers.getlist("idempotency-key")
    if not given:
        if operation.keyed:
            raise Problem(400, "invalid", "send an Idempotency-Key header: a repeated request must act once")
        return None
    if len(given) > 1:
        raise Problem(400, "invalid", "send one Idempotency-Key")
    if not 1 <= len(given[0]) <= KEY_CHARACTERS_MAX:
        raise Problem(400, "invalid", f"Idempotency-Key has 1 to {KEY_CHARACTERS_MAX} characters")
    return given[0]


def call_key(call: Call) -> str:
    """The Idempotency-Key of a ``keyed`` operation."""
    assert call.key is not None
    return call.key


def page_limit(call: Call, *, most: int = 200) -> int:
    """``?limit=`` as a number from 1 to ``most``; 50 when not given. Raises ``Problem``."""
    text = call.query.get("limit", "50")
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= most:
        raise Problem(400, "invalid", f"limit is a whole number from 1 to {most}")
    return int(text)


def query_ms(call: Call, name: str, default: int) -> int:
    """A query parameter in Unix milliseconds. Raises ``Problem``."""
    text = call.query.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 15 or int(text) > MILLIS_MAX:
        raise Problem(400, "invalid", f"{name} is a time in Unix milliseconds up to {MILLIS_MAX}")
    return int(text)
