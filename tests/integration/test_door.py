"""Bad input at the HTTP door of a real server: each gets a clear answer, and a bystander notices nothing."""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.harness import LiveServer, live_server
from tests.integration.outsiders import PATIENCE_S, Bystander, drain, exchange, metric, problem, publishing, wait_until
from tests.outside import need

HEADER_TIMEOUT_S = 1
HEAD_BYTES_MAX = 32 * 1024
BODY_BYTES_MAX = 64 * 1024
WEBSOCKET_KEY = base64.b64encode(bytes(16)).decode()


class SlowBody(threading.Thread):
    """Sends a body byte by byte for as long as it may, from before the first test to the last one."""

    def __init__(self, server: LiveServer) -> None:
        super().__init__(daemon=True)
        self.client = socket.create_connection(("127.0.0.1", server.http_port), timeout=0.9)
        self.client.sendall(request("/api/v1/auth/guest", "POST", "Content-Length: 10000\r\n"))
        self.answer = b""
        self.closed = False
        self.start()

    def run(self) -> None:
        try:
            while True:
                self.client.sendall(b" ")
                with contextlib.suppress(TimeoutError):
                    data = self.client.recv(65536)
                    if not data:
                        break
                    self.answer += data
        except OSError:
            # Reset: it went on sending to a closed door.
            self.closed = True
        self.closed = True
        self.client.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    need("ffmpeg")
    flags = ["--header-timeout-s", str(HEADER_TIMEOUT_S)]
    with live_server(tmp_path_factory.mktemp("door"), flags=flags) as server, publishing(server.publish_url):
        yield server


@pytest.fixture(scope="module")
def slow_body(server: LiveServer) -> SlowBody:
    return SlowBody(server)


@pytest.fixture(scope="module")
def bystander(server: LiveServer, slow_body: SlowBody) -> Iterator[Bystander]:
    bystander = Bystander(server)
    yield bystander
    bystander.leave()


@pytest.fixture(autouse=True)
def nobody_else_notices(bystander: Bystander) -> Iterator[None]:
    yield
    bystander.undisturbed()


def request(target: str, method: str = "GET", head: str = "", body: bytes = b"") -> bytes:
    return f"{method} {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n{head}\r\n".encode() + body


def last(target: str, method: str = "GET", head: str = "", body: bytes = b"") -> bytes:
    """A request after which the server closes."""
    return request(target, method, head + "Connection: close\r\n", body)


def connect(server: LiveServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.http_port), timeout=PATIENCE_S)


def read_until(client: socket.socket, mark: bytes) -> bytes:
    out = b""
    while mark not in out:
        data = client.recv(65536)
        assert data, f"closed after {out[-300:]!r}"
        out += data
    return out


def upgrade(server: LiveServer, token: str, connection: str = "Upgrade") -> bytes:
    head = f"Connection: {connection}\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    return request(f"/ws/{server.room}?token={token}", head=head + f"Sec-WebSocket-Key: {WEBSOCKET_KEY}\r\n")


def masked(text: str) -> bytes:
    """One text frame of a client (RFC 6455 section 5.2), masked with zeros."""
    data = text.encode()
    assert len(data) < 126
    return bytes((0x81, 0x80 | len(data))) + bytes(4) + data


def test_a_head_that_never_ends_is_answered_and_closed(server: LiveServer) -> None:
    with connect(server) as client:
        client.sendall(b"GET / HTTP/1.1\r\nX-Slow: ")
        client.settimeout(HEADER_TIMEOUT_S / 10)
        answer = b""
        deadline = time.monotonic() + PATIENCE_S
        # A byte now and then must not put the end off.
        while b"\r\n\r\n" not in answer and time.monotonic() < deadline:
            with contextlib.suppress(TimeoutError):
                client.sendall(b"x")
                answer += client.recv(65536)
    status, body = problem(answer)
    assert (status, body["code"]) == (408, "slow_request")


def test_a_hundred_heads_that_never_end_leave_nothing_behind(server: LiveServer) -> None:
    before = metric(server, "siyu_http_connections")
    with contextlib.ExitStack() as stack:
        for _ in range(100):
            client = stack.enter_context(connect(server))
            client.sendall(b"POST /api/v1/auth/guest HTTP/1.1\r\n")
        wait_until(lambda: metric(server, "siyu_http_connections") <= before, "the end of the slow ones")


@pytest.mark.parametrize(
    "garbage", [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b"HELO you\r\n\r\n", b"\r" * 99]
)
def test_a_request_line_that_is_garbage_is_refused(server: LiveServer, garbage: bytes) -> None:
    status, body = problem(exchange(server, garbage + b"\r\n\r\n"))
    assert (status, body["code"]) == (400, "bad_request")


def test_a_head_over_the_limit_is_refused(server: LiveServer) -> None:
    status, body = problem(exchange(server, b"GET / HTTP/1.1\r\nX: " + b"x" * (HEAD_BYTES_MAX + 4096)))
    assert (status, body["code"]) == (431, "head_too_long")


def test_a_body_over_the_limit_is_refused(server: LiveServer) -> None:
    body = b"{" + b" " * BODY_BYTES_MAX + b"}"
    answer = exchange(server, last("/api/v1/auth/guest", "POST", f"Content-Length: {len(body)}\r\n", body))
    status, found = problem(answer)
    assert (status, found["code"]) == (413, "too_long")


def test_what_is_not_there_is_said_in_words(server: LiveServer) -> None:
    for target, code in (
        ("/live/nowhere.flv", "no_stream"),
        (f"/live/{server.room}.avi", "no_stream"),
        (f"/live/{server.room}", "no_stream"),
        (f"/live/{server.room}/index.flv", "not_found"),
        ("/nothing", "not_found"),
        ("/r/nowhere", "no_room"),
        ("/api/v1/rooms/nowhere", "no_room"),
    ):
        answer = exchange(server, last(target, head="Accept: application/json\r\n"))
        status, found = problem(answer)
        assert (target, status, found["code"]) == (target, 404, code)


def test_a_method_that_is_not_answered_names_those_that_are(server: LiveServer) -> None:
    for target, method in ((f"/live/{server.room}.flv", "POST"), ("/healthz", "DELETE")):
        answer = exchange(server, last(target, method))
        assert problem(answer)[0] == 405
        assert b"\r\nallow: " in answer.lower()


def test_head_of_a_stream_gives_its_type_and_no_body(server: LiveServer) -> None:
    for suffix, kind in ((".flv", b"video/x-flv"), (".mp4", b'video/mp4; codecs="avc1.')):
        answer = exchange(server, request(f"/live/{server.room}{suffix}", "HEAD"))
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK")
        assert b"content-type: " + kind in head.lower()
        assert body == b""


def test_head_of_a_stream_that_is_not_there_is_a_refusal_without_a_body(server: LiveServer) -> None:
    answer = exchange(server, last("/live/nowhere.flv", "HEAD"))
    assert answer.startswith(b"HTTP/1.1 404")
    assert answer.endswith(b"\r\n\r\n")


def test_a_connection_kept_for_the_api_becomes_a_stream(server: LiveServer) -> None:
    with connect(server) as client:
        for _ in range(2):
            client.sendall(request("/healthz"))
            assert read_until(client, b'{"ok":true}').startswith(b"HTTP/1.1 200")
        client.sendall(request(f"/live/{server.room}.flv"))
        assert b"video/x-flv" in read_until(client, b"FLV\x01\x05")


def test_pipelined_requests_are_answered_in_order_up_to_the_stream(server: LiveServer) -> None:
    with connect(server) as client:
        client.sendall(request("/healthz") * 3 + request(f"/live/{server.room}.flv"))
        answer = read_until(client, b"FLV\x01\x05")
    assert answer.count(b'{"ok":true}') == 3
    assert answer.rindex(b'{"ok":true}') < answer.index(b"video/x-flv")


def test_a_websocket_opens_with_the_header_that_firefox_sends(server: LiveServer, bystander: Bystander) -> None:
    with connect(server) as client:
        client.sendall(upgrade(server, bystander.token, "keep-alive, Upgrade"))
        answer = read_until(client, b'"t":"room"')
    assert answer.startswith(b"HTTP/1.1 101")


def test_a_frame_sent_at_once_behind_the_handshake_is_not_lost(server: LiveServer, bystander: Bystander) -> None:
    with connect(server) as client:
        client.sendall(upgrade(server, bystander.token) + masked(json.dumps({"id": 7, "cmd": "like", "n": 1})))
        assert b'"re":7,"ok":true' in read_until(client, b'"re":7')


def test_the_hub_s_address_tells_a_plain_request_what_it_speaks(server: LiveServer) -> None:
    answer = exchange(server, last(f"/ws/{server.room}"))
    status, body = problem(answer)
    assert (status, body["code"]) == (426, "upgrade")
    assert b"\r\nupgrade: websocket\r\n" in answer.lower()


def test_pages_of_other_origins_may_ask(server: LiveServer) -> None:
    asks = "Origin: https://elsewhere.example\r\nAccess-Control-Request-Method: POST\r\n"
    asks += "Access-Control-Request-Headers: authorization, idempotency-key\r\n"
    for target in ("/api/v1/orders", f"/live/{server.room}.flv"):
        answer = exchange(server, last(target, "OPTIONS", asks)).lower()
        assert answer.startswith(b"http/1.1 204")
        assert b"access-control-allow-origin: *" in answer
        assert b"authorization" in answer
        assert b"idempotency-key" in answer


def test_a_client_that_closes_its_side_is_answered_and_let_go(server: LiveServer) -> None:
    before = metric(server, "siyu_http_connections")
    answer = exchange(server, request(f"/api/v1/rooms/{server.room}"), half_close=True)
    assert answer.startswith(b"HTTP/1.1 200")
    # A player that closed its side has gone.
    exchange(server, request(f"/live/{server.room}.flv"), half_close=True)
    exchange(server, b"GET /half", half_close=True)
    wait_until(lambda: metric(server, "siyu_http_connections") <= before, "the end of the half-closed")


def test_a_player_that_goes_on_sending_is_cut(server: LiveServer) -> None:
    with connect(server) as client:
        client.sendall(request(f"/live/{server.room}.flv"))
        read_until(client, b"FLV\x01\x05")
        with contextlib.suppress(ConnectionError):
            client.sendall(bytes(4 * 1024 * 1024))
            drain(client)
    assert metric(server, "siyu_http_connections") >= 1


def test_a_body_that_trickles_is_refused_and_cannot_hold_its_connection(slow_body: SlowBody) -> None:
    wait_until(lambda: slow_body.closed, "the end of the slow body", 2 * PATIENCE_S)
    status, body = problem(slow_body.answer)
    assert (status, body["code"]) == (408, "slow_request")


HANDSHAKE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": WEBSOCKET_KEY,
}
FLAWS: dict[str, dict[str, str | None]] = {
    "another version": {"Sec-WebSocket-Version": "8"},
    "no version": {"Sec-WebSocket-Version": None},
    "versions in halves": {"Sec-WebSocket-Version": "1\r\nSec-WebSocket-Version: 3"},
    "no key": {"Sec-WebSocket-Key": None},
    "a short key": {"Sec-WebSocket-Key": "abc"},
    "no base64": {"Sec-WebSocket-Key": "*" * 22 + "=="},
    "two keys": {"Sec-WebSocket-Key": f"{WEBSOCKET_KEY}\r\nSec-WebSocket-Key: {WEBSOCKET_KEY}"},
    "two origins": {"Origin": "https://a\r\nOrigin: https://b"},
    "extensions that are none": {"Sec-WebSocket-Extensions": ";;"},
    "protocols that are none": {"Sec-WebSocket-Protocol": "a b"},
}


@pytest.mark.parametrize("flaw", FLAWS)
@pytest.mark.parametrize("address", ["/ws/{}", "/live/{}.flv"])
def test_a_handshake_that_is_none_is_told_so_in_a_problem_document(server: LiveServer, address: str, flaw: str) -> None:
    headers = {**HANDSHAKE, **FLAWS[flaw]}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items() if value is not None)
    with connect(server) as client:
        client.sendall(request(address.format(server.room), head=head))
        answer = read_until(client, b"}")
    status, body = problem(answer)
    assert (status, body["code"]) == (426, "upgrade")
    assert b"\r\nsec-websocket-version: 13\r\n" in answer.lower()


def test_handshakes_of_browsers_and_of_proxies_are_taken(server: LiveServer, bystander: Bystander) -> None:
    extensions = 'permessage-deflate; client_max_window_bits, x-own; a="b"; c=1'
    more = {
        "Connection": "keep-alive\r\nConnection: Upgrade",
        "Sec-WebSocket-Extensions": extensions,
        "Sec-WebSocket-Protocol": "chat, superchat",
        "Origin": "https://shop.test",
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in {**HANDSHAKE, **more}.items())
    for target in (f"/ws/{server.room}?token={bystander.token}", f"/live/{server.room}.flv"):
        with connect(server) as client:
            client.sendall(request(target, head=head))
            assert read_until(client, b"\r\n\r\n").startswith(b"HTTP/1.1 101"), target


def test_a_websocket_to_the_mp4_and_a_post_to_the_hub_are_told_what_there_is(server: LiveServer) -> None:
    head = "".join(f"{name}: {value}\r\n" for name, value in HANDSHAKE.items())
    for method, target, wanted in (
        ("GET", f"/live/{server.room}.mp4", (404, "no_stream")),
        ("POST", f"/ws/{server.room}", (405, "method")),
    ):
        with connect(server) as client:
            client.sendall(request(target, method, head))
            status, body = problem(read_until(client, b"}"))
        assert (status, body["code"]) == wanted


@pytest.mark.parametrize(("given", "status"), [("bytes=x-", 400), ("bytes=99999999-", 416)])
def test_a_range_that_cannot_be_given_is_told_so_in_a_problem_document(
    server: LiveServer, given: str, status: int
) -> None:
    answer = exchange(server, last("/static/dom.js", head=f"Range: {given}\r\n"))
    told, body = problem(answer)
    assert (told, body["code"]) == (status, "range")
    assert (b"\r\ncontent-range: bytes */" in answer.lower()) == (status == 416)


def test_a_session_of_webrtc_names_all_its_methods(server: LiveServer) -> None:
    for target, wanted in (
        (f"/whep/{server.room}", "OPTIONS, POST"),
        (f"/whip/{server.room}/x", "DELETE, OPTIONS, PATCH"),
    ):
        answer = exchange(server, last(target, "PUT", "Content-Length: 0\r\n"))
        assert problem(answer)[0] == 405
        allow = next(line for line in answer.decode().splitlines() if line.lower().startswith("allow:"))
        assert ", ".join(sorted(allow.partition(": ")[2].split(", "))) == wanted
