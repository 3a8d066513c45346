"""The contract with uvicorn on which the seam rests: keep-alive, pipelining, HEAD, hand-over, plain and over TLS."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.client import Clients
from gateway.config import Settings
from gateway.gate import REQUEST_HEAD_BYTES_MAX, Gate, Taken, origin_form
from gateway.server import _uvicorn, listen

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
HASTY_S = 0.4
"""The header time-out of the door that is hasty; the others have patience with a machine that stands still."""
SHORT_S = 1.5
"""The same of the door at which something takes longer than that on purpose."""
CONNECTIONS_MAX = 6
PER_ADDRESS_MAX = 4
PATIENCE_S = 90.0
BIG_BYTES = 4 * 1024 * 1024


class Echo(asyncio.Protocol):
    """Stands for hub and player: says it is there, then gives back all it gets; ``quit`` ends it."""

    def __init__(self, door: Door, on_lost: Callable[[], None]) -> None:
        self.door = door
        self.on_lost = on_lost

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(b"taken;")

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)
        if data.endswith(b"quit"):
            self.transport.close()

    def pause_writing(self) -> None:
        self.door.paused.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.on_lost()


class Door:
    """uvicorn with our gate on a loop of its own, as `siyu serve` runs it."""

    def __init__(
        self,
        certificate: tuple[Path, Path] | None,
        environment: dict[str, Any] | None = None,
        handshake_timeout_s: float = PATIENCE_S,
        header_timeout_s: float = PATIENCE_S,
    ) -> None:
        cert, key = certificate or (None, None)
        self.settings = Settings(tls_cert=cert, tls_key=key, **(environment or {}))
        self.certificate = cert
        self.paused = threading.Event()
        self.gate = Gate(
            Clients(self.settings),
            connections_max=CONNECTIONS_MAX,
            per_address_max=PER_ADDRESS_MAX,
            header_timeout_s=header_timeout_s,
            handshake_timeout_s=handshake_timeout_s,
            take=self.take,
        )
        self.asgi = Starlette(
            routes=[
                Route("/hello", self.hello, methods=["GET", "POST"]),
                Route("/body", self.body, methods=["POST"]),
                Route("/slow", self.slow),
                Route("/big", self.big),
                Route("/live/{file}", self.hello),
            ]
        )
        self.port = 0
        self._up = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._up.wait(PATIENCE_S)

    def take(self, scope: dict[str, Any], address: str, on_lost: Callable[[], None]) -> Taken | None:
        if scope["path"] == "/live/nobody.flv":
            return None
        return Taken(Echo(self, on_lost), feed_head=scope["path"].startswith("/ws/"))

    @staticmethod
    async def hello(request: Request) -> Response:
        return Response(b"hello")

    @staticmethod
    async def body(request: Request) -> Response:
        return Response(str(len(await request.body())))

    @staticmethod
    async def slow(request: Request) -> Response:
        await asyncio.sleep(0.2)
        return Response(b"late")

    @staticmethod
    async def big(request: Request) -> Response:
        return Response(bytes(BIG_BYTES))

    def _run(self) -> None:
        uvloop.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        listening = listen("127.0.0.1", 0)
        self.port = listening.getsockname()[1]
        server = _uvicorn(cast(Any, SimpleNamespace(asgi=self.asgi, gate=self.gate)), self.settings)
        task = asyncio.create_task(server.serve(sockets=[listening]))
        await server.came_up(task)
        self._up.set()
        await self._stop.wait()
        server.should_exit = server.force_exit = True
        await task

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()

    def connect(self, *, receive_bytes: int | None = None) -> socket.socket:
        raw = socket.socket()
        if receive_bytes is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        raw.settimeout(PATIENCE_S)
        raw.connect(("127.0.0.1", self.port))
        if self.certificate is None:
            return raw
        context = ssl.create_default_context(cafile=str(self.certificate))
        return context.wrap_socket(raw, server_hostname="localhost")

    def until(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, f"never came: {what}"
            time.sleep(0.01)

    def until_empty(self) -> None:
        self.until(lambda: self.gate.counts.connections == 0, "the end of all connections")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run([*command, "-keyout", str(key), "-out", str(cert)], check=True, capture_output=True, timeout=180)
    return cert, key


@pytest.fixture(scope="module", params=["plain", "tls"])
def door(request: pytest.FixtureRequest) -> Iterator[Door]:
    door = Door(request.getfixturevalue("certificate") if request.param == "tls" else None)
    yield door
    door.close()


@pytest.fixture(scope="module", params=["plain", "tls"])
def hasty(request: pytest.FixtureRequest) -> Iterator[Door]:
    """A door that does not wait for a request's head."""
    certificate = request.getfixturevalue("certificate") if request.param == "tls" else None
    door = Door(certificate, header_timeout_s=HASTY_S)
    yield door
    door.close()


@pytest.fixture(scope="module", params=["plain", "tls"])
def brisk(request: pytest.FixtureRequest) -> Iterator[Door]:
    """A door that waits for a request's head as long as a machine stands still, and no longer."""
    certificate = request.getfixturevalue("certificate") if request.param == "tls" else None
    door = Door(certificate, header_timeout_s=SHORT_S)
    yield door
    door.close()


@pytest.fixture(autouse=True)
def nobody_stays(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever a test did, its door counts nobody at its end."""
    doors = [request.getfixturevalue(name) for name in ("door", "hasty", "brisk") if name in request.fixturenames]
    yield
    for door in doors:
        door.until_empty()


def get(path: str, method: str = "GET", head: str = "", body: bytes = b"") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{head}\r\n".encode() + body


def receive(client: socket.socket, until: bytes) -> bytes:
    out = b""
    while not out.endswith(until):
        data = client.recv(65536)
        assert data, f"closed after {out[-200:]!r}"
        out += data
    return out


def rest(client: socket.socket) -> bytes:
    out = b""
    with contextlib.suppress(ConnectionResetError, ssl.SSLEOFError):
        while data := client.recv(65536):
            out += data
    return out


def _ended(client: socket.socket, within_s: float) -> bool:
    client.settimeout(within_s)
    try:
        return client.recv(1) == b""
    except TimeoutError:
        return False
    finally:
        client.settimeout(PATIENCE_S)


def refused(answer: bytes) -> tuple[int, str]:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"application/problem+json" in head
    assert json.loads(body)["status"] == int(head.split(b" ")[1])
    return int(head.split(b" ")[1]), json.loads(body)["code"]


def test_a_connection_is_kept_for_requests_and_then_taken_over(door: Door) -> None:
    with door.connect() as client:
        for _ in range(3):
            client.sendall(get("/hello"))
            assert receive(client, b"hello").startswith(b"HTTP/1.1 200")
        client.sendall(get("/live/a.flv"))
        assert receive(client, b"taken;") == b"taken;"
        client.sendall(b"more")
        assert receive(client, b"more") == b"more"
        assert door.gate.counts.connections == 1


def test_a_request_that_nobody_takes_stays_with_the_app(door: Door) -> None:
    with door.connect() as client:
        client.sendall(get("/live/nobody.flv"))
        assert receive(client, b"hello").startswith(b"HTTP/1.1 200")


def test_pipelined_requests_are_answered_in_order_before_the_hand_over(door: Door) -> None:
    with door.connect() as client:
        client.sendall(get("/slow") + get("/hello") + get("/live/a.flv") + b"and what follows")
        answer = receive(client, b"and what follows")
    assert answer.index(b"late") < answer.index(b"hello") < answer.index(b"taken;")
    assert answer.endswith(b"taken;and what follows")


def test_a_hub_gets_the_head_it_needs_and_every_byte_behind_it(door: Door) -> None:
    upgrade = "Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\nX-Long: " + "x" * 8000 + "\r\n"
    upgrade += f"Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n"
    with door.connect() as client:
        client.sendall(get("/ws/a?since=1:2", head=upgrade, body=b"first frame"))
        answer = receive(client, b"first frame")
    assert answer.startswith(b"taken;GET /ws/a?since=1:2 HTTP/1.1\r\n")
    lowered = answer.lower()
    assert b"\r\nconnection: keep-alive, upgrade\r\n" in lowered
    assert b"\r\nupgrade: websocket\r\n" in lowered
    assert b"x" * 100 not in answer
    assert answer.endswith(b"\r\n\r\nfirst frame")


@pytest.mark.parametrize(
    ("target", "origin"),
    [
        (b"http://shop.example:8000/hello?a=b://c", b"/hello?a=b://c"),
        (b"HTTPS://shop.example/r/x", b"/r/x"),
        (b"http://shop.example", b"/"),
        (b"http://shop.example?x=/y", b"/?x=/y"),
        (b"/live/a.flv?u=http://x/y", b"/live/a.flv?u=http://x/y"),
        (b"*", b"*"),
    ],
)
def test_a_target_may_name_scheme_and_host(target: bytes, origin: bytes) -> None:
    assert origin_form(target) == origin


def test_a_request_as_to_a_proxy_is_answered_and_taken_over_as_any_other(door: Door) -> None:
    with door.connect() as client:
        client.sendall(get("http://shop.example/hello"))
        assert receive(client, b"hello").startswith(b"HTTP/1.1 200")
        upgrade = (
            f"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n"
        )
        client.sendall(get("http://shop.example/ws/room?token=t", head=upgrade))
        assert b"GET /ws/room?token=t HTTP/1.1\r\n" in receive(client, b"\r\n\r\n")


@pytest.mark.parametrize("lacking", ["Sec-WebSocket-Version: 13\r\n", f"Sec-WebSocket-Key: {KEY}\r\n"])
def test_a_handshake_that_lacks_what_it_needs_stays_with_the_app_which_says_so(door: Door, lacking: str) -> None:
    head = f"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n"
    with door.connect() as client:
        client.sendall(get("/ws/room", head=head.replace(lacking, "")))
        assert receive(client, b"Not Found").startswith(b"HTTP/1.1 404")
        client.sendall(get("/ws/room", head=head))
        assert receive(client, b"\r\n\r\n").startswith(b"taken;")


def test_a_head_that_comes_byte_by_byte_is_taken_over_too(door: Door) -> None:
    with door.connect() as client:
        for byte in get("/live/a.flv"):
            client.sendall(bytes([byte]))
        assert receive(client, b"taken;") == b"taken;"


def test_head_gets_no_body_and_leaves_the_connection_usable(door: Door) -> None:
    with door.connect() as client:
        client.sendall(get("/hello", "HEAD"))
        assert b"content-length: 5" in receive(client, b"\r\n\r\n").lower()
        client.sendall(get("/hello"))
        assert receive(client, b"hello").count(b"HTTP/1.1 200") == 1


def test_an_owner_is_told_that_the_peer_was_not_reading_before(door: Door) -> None:
    door.paused.clear()
    with door.connect(receive_bytes=4096) as client:
        # The head of the second request comes while the first answer still waits in the transport's buffer.
        client.sendall(get("/big") + get("/live/a.flv"))
        got = b""
        while not got.endswith(b"taken;"):
            got += client.recv(65536)
            if len(got) < BIG_BYTES:
                assert b"taken;" not in got
    # Over TLS what was handed to the socket's transport is not counted: only what comes after it can pause the owner.
    assert door.paused.is_set() or door.certificate is not None


def test_a_head_that_never_ends_is_answered_and_closed(hasty: Door) -> None:
    with hasty.connect() as client:
        client.sendall(b"GET /hello HTTP/1.1\r\nX-Slow: ")
        before = hasty.gate.counts.head_timeouts
        assert refused(rest(client)) == (408, "slow_request")
        assert hasty.gate.counts.head_timeouts == before + 1


def test_the_second_request_of_a_connection_must_end_its_head_in_time_too(hasty: Door) -> None:
    with hasty.connect() as client:
        client.sendall(get("/hello"))
        receive(client, b"hello")
        client.sendall(b"GET /hello HTTP/1.1\r\n")
        assert refused(rest(client)) == (408, "slow_request")


def test_a_connection_that_says_nothing_is_closed_without_an_answer(hasty: Door) -> None:
    with hasty.connect() as client:
        assert rest(client) == b""


def test_a_kept_connection_outlives_the_time_out_of_heads(brisk: Door) -> None:
    with brisk.connect() as client:
        client.sendall(get("/hello"))
        receive(client, b"hello")
        time.sleep(SHORT_S * 1.5)
        client.sendall(get("/hello"))
        assert receive(client, b"hello").startswith(b"HTTP/1.1 200")


def test_what_is_not_http_is_refused_in_words(door: Door) -> None:
    for garbage in (b"\x00\x01\x02\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/1.1\r\nbad header\r\n\r\n"):
        with door.connect() as client:
            client.sendall(garbage)
            assert refused(rest(client)) == (400, "bad_request")


def test_a_head_that_is_too_long_is_refused_in_words(door: Door) -> None:
    with door.connect() as client:
        client.sendall(b"GET /hello HTTP/1.1\r\nX: " + b"x" * (REQUEST_HEAD_BYTES_MAX + 1))
        assert refused(rest(client)) == (431, "head_too_long")


def test_garbage_behind_an_early_answer_only_ends_the_connection(door: Door, caplog: pytest.LogCaptureFixture) -> None:
    with door.connect() as client:
        client.sendall(get("/hello", "POST", "Transfer-Encoding: chunked\r\n"))
        receive(client, b"hello")
        client.sendall(b"no chunk size\r\n\r\n")
        assert rest(client) == b""
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


def test_a_body_that_nobody_waits_for_cannot_hold_the_connection(hasty: Door) -> None:
    with hasty.connect() as client:
        client.sendall(get("/hello", "POST", "Content-Length: 100000\r\n"))
        receive(client, b"hello")
        deadline = time.monotonic() + PATIENCE_S
        closed = False
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            while not closed and time.monotonic() < deadline:
                client.sendall(b"x")
                # Over TLS the close is first seen by reading: its farewell needs the connection's other direction.
                closed = _ended(client, HASTY_S / 8)
        assert time.monotonic() < deadline, "the connection was held byte by byte"


def test_a_body_that_takes_longer_than_a_head_may_is_read(brisk: Door) -> None:
    with brisk.connect() as client:
        client.sendall(get("/body", "POST", "Content-Length: 6\r\n"))
        for _ in range(6):
            time.sleep(SHORT_S / 3)
            client.sendall(b"x")
        assert receive(client, b"6").startswith(b"HTTP/1.1 200")


def test_the_limits_refuse_with_a_time_to_come_back(door: Door) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(CONNECTIONS_MAX):
            client = stack.enter_context(door.connect())
            client.sendall(get("/live/a.flv"))
            receive(client, b"taken;")
        late = stack.enter_context(door.connect())
        answer = rest(late)
        assert refused(answer) == (503, "full")
        assert b"\r\nRetry-After: " in answer
    door.until_empty()
    with door.connect() as client:
        client.sendall(get("/hello"))
        receive(client, b"hello")


def test_an_owner_that_ends_the_connection_is_counted_out(door: Door) -> None:
    taken = door.gate.counts.taken
    for _ in range(CONNECTIONS_MAX * 2):
        with door.connect() as client:
            client.sendall(get("/live/a.flv", body=b"quit"))
            assert rest(client) == b"taken;quit"
        door.until_empty()
    assert door.gate.counts.taken == taken + CONNECTIONS_MAX * 2


def test_a_client_that_closes_its_side_behind_a_request_is_answered() -> None:
    door = Door(None)
    try:
        with door.connect() as client:
            client.sendall(get("/slow"))
            client.shutdown(socket.SHUT_WR)
            assert rest(client).endswith(b"late")
        with door.connect() as client:
            client.sendall(get("/body", "POST", "Content-Length: 10\r\n", b"half"))
            client.shutdown(socket.SHUT_WR)
            assert rest(client) == b""
        door.until_empty()
    finally:
        door.close()


def test_one_address_has_a_bound_of_its_own_where_it_is_not_exempt() -> None:
    door = Door(None, {"loopback_exempt": False})
    try:
        with contextlib.ExitStack() as stack:
            for _ in range(PER_ADDRESS_MAX):
                client = stack.enter_context(door.connect())
                client.sendall(get("/live/a.flv"))
                receive(client, b"taken;")
            answer = rest(stack.enter_context(door.connect()))
            assert refused(answer) == (429, "too_many_connections")
            assert b"\r\nRetry-After: " in answer
        door.until_empty()
        with door.connect() as client:
            client.sendall(get("/live/a.flv"))
            receive(client, b"taken;")
        door.until_empty()
    finally:
        door.close()


def test_a_connection_counts_from_before_its_tls_handshake(certificate: tuple[Path, Path]) -> None:
    """Who never agrees on TLS holds no descriptor uncounted, and none for long."""
    door = Door(certificate, {"loopback_exempt": False})
    try:
        silent = [
            socket.create_connection(("127.0.0.1", door.port), timeout=PATIENCE_S) for _ in range(PER_ADDRESS_MAX)
        ]
        door.until(lambda: door.gate.counts.tls_handshakes == PER_ADDRESS_MAX, "four handshakes under way")
        with door.connect() as told:
            assert b"too_many_connections" in rest(told)
        for client in silent:
            client.close()
        door.until_empty()
        assert (door.gate.counts.tls_failed, door.gate.counts.tls_handshakes) == (PER_ADDRESS_MAX, 0)
        with door.connect() as late:
            late.sendall(get("/hello", head="Connection: close\r\n"))
            assert rest(late).endswith(b"hello")
    finally:
        door.close()


def test_a_handshake_that_does_not_come_is_given_up(certificate: tuple[Path, Path]) -> None:
    door = Door(certificate, handshake_timeout_s=0.2)
    try:
        with socket.create_connection(("127.0.0.1", door.port), timeout=PATIENCE_S) as silent:
            assert rest(silent) == b""
        door.until_empty()
        assert door.gate.counts.tls_failed == 1
    finally:
        door.close()


def test_what_is_no_tls_is_cut_and_counted_out(certificate: tuple[Path, Path]) -> None:
    door = Door(certificate)
    try:
        with socket.create_connection(("127.0.0.1", door.port), timeout=PATIENCE_S) as plain:
            plain.sendall(get("/hello"))
            assert not rest(plain).startswith(b"HTTP")
        door.until_empty()
        assert door.gate.counts.tls_failed == 1
    finally:
        door.close()
