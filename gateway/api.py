"""The JSON API as a list of operations: from one entry come the route, the checks of the body and the contract.

An ``Operation`` names method, path, roles, body and answer. ``build_routes`` makes Starlette routes of them,
``openapi`` makes the OpenAPI 3.1 document, so that the two cannot disagree.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
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
from gateway.schemas import ProblemDetails

logger = logging.getLogger("siyu.api")

BODY_BYTES_MAX = 64 * 1024
BODY_TIMEOUT_S = 15.0
LARGE_BODY_TIMEOUT_S = 60.0
"""A photograph on its way from a phone with 70 kB/s."""
LARGE_BODIES_MAX = 32
"""Bodies that may be longer than ``BODY_BYTES_MAX``, read at a time: of 4 MiB, 128 MiB in memory."""
ANSWER_TIMEOUT_S = 30.0

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
    raw_body: bool = False
    body_bytes_max: int = BODY_BYTES_MAX
    by_hub: bool = False
    """Done by a command of the hub, which leaves its own entry in the audit trail."""
    name: str = ""
    """In the contract; the handler's, where that has one address alone."""
    within: Within = "shop"
    """Closed by default: an operation that does not say that it keeps to a part is not for who has a part."""

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
    """Turns operations into routes and a contract."""

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
        return [
            Route(operation.path, self._endpoint(operation), methods=[operation.method])
            for operation in sorted(self.operations, key=lambda entry: entry.path.count("{"))
        ]

    def _endpoint(self, operation: Operation) -> Callable[[Request], Awaitable[Response]]:
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
        key = request.headers.get("idempotency-key")
        if key is not None and not 1 <= len(key) <= KEY_CHARACTERS_MAX:
            raise Problem(400, "invalid", f"Idempotency-Key has 1 to {KEY_CHARACTERS_MAX} characters")
        body: Any = None
        raw = b""
        reads = decoder is not None or operation.raw_body
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


def call_key(call: Call) -> str:
    """The Idempotency-Key of an operation that must have one. Raises ``Problem``."""
    if call.key is None:
        raise Problem(400, "invalid", "send an Idempotency-Key header: a repeated request must act once")
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
    if not text.isascii() or not text.isdigit() or len(text) > 15:
        raise Problem(400, "invalid", f"{name} is a time in Unix milliseconds")
    return int(text)


def openapi(operations: Sequence[Operation], *, version: str) -> dict[str, Any]:
    """The OpenAPI 3.1 document of ``operations``."""
    kinds: list[Any] = [ProblemDetails]
    for operation in operations:
        kinds += [kind for kind in (operation.body, operation.answer) if kind is not None]
    schemas, components = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    schema_of = dict(zip(map(str, kinds), schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _describe(operation, schema_of)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Siyu Live",
            "version": version,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": components,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }


def _describe(operation: Operation, schema_of: Mapping[str, Any]) -> dict[str, Any]:
    parameters: list[dict[str, Any]] = [
        {"name": part[1:-1], "in": "path", "required": True, "schema": {"type": "string"}}
        for part in operation.path.split("/")
        if part.startswith("{")
    ]
    parameters += [
        {"name": name, "in": "query", "required": False, "description": text, "schema": {"type": "string"}}
        for name, text in operation.query.items()
    ]
    problem = {"application/problem+json": {"schema": schema_of[str(ProblemDetails)]}}
    good: dict[str, Any] = {"description": HTTPStatus(operation.status).phrase}
    if operation.answer is not None:
        good["content"] = {"application/json": {"schema": schema_of[str(operation.answer)]}}
    out: dict[str, Any] = {
        "summary": operation.summary,
        "operationId": operation.name or operation.handler.__name__.strip("_"),
        "responses": {str(operation.status): good, "default": {"description": "problem details", "content": problem}},
    }
    if parameters:
        out["parameters"] = parameters
    if operation.body is not None:
        content = {"application/json": {"schema": schema_of[str(operation.body)]}}
        out["requestBody"] = {"required": True, "content": content}
    if operation.roles is not ANYONE:
        out["security"] = [{"bearer": []}]
        out["description"] = "Roles: " + ", ".join(sorted(operation.roles))
    return out
