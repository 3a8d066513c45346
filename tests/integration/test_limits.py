"""A thousand connections from one address, and playback behind a token: a server that trusts nobody."""

from __future__ import annotations

import contextlib
import json
import selectors
import socket
import time
from collections.abc import Iterator

import httpx
import pytest

from tests.harness import LiveServer, live_server
from tests.integration.outsiders import PATIENCE_S, Bystander, drain, metric, problem, publishing, wait_until
from tests.outside import need

PER_ADDRESS = 50
CROWD = 1_000
RTMP_PER_ADDRESS = PER_ADDRESS


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    need("ffmpeg")
    flags = ["--connections-per-address", str(PER_ADDRESS), "--play-auth"]
    folder = tmp_path_factory.mktemp("limits")
    strict = {"SIYU_LOOPBACK_EXEMPT": "0"}
    with live_server(folder, flags=flags, environment=strict) as server, publishing(server.publish_url):
        yield server


@pytest.fixture(scope="module")
def bystander(server: LiveServer) -> Iterator[Bystander]:
    bystander = Bystander(server)
    yield bystander
    bystander.leave()


@pytest.fixture(autouse=True)
def nobody_else_notices(bystander: Bystander) -> Iterator[None]:
    yield
    bystander.undisturbed()


def _crowd(server: LiveServer, stack: contextlib.ExitStack) -> list[socket.socket]:
    """Open ``CROWD`` connections, all at once."""
    clients: list[socket.socket] = []
    for _ in range(CROWD):
        client = stack.enter_context(socket.socket())
        client.setblocking(False)
        client.connect_ex(("127.0.0.1", server.http_port))
        clients.append(client)
    return clients


def _refused(clients: list[socket.socket], expected: int) -> dict[socket.socket, bytes]:
    """What the server said to those whom it let go; ``expected`` of them are waited for."""
    said: dict[socket.socket, bytes] = dict.fromkeys(clients, b"")
    closed: dict[socket.socket, bytes] = {}
    with selectors.DefaultSelector() as selector:
        for waiting in clients:
            selector.register(waiting, selectors.EVENT_READ)
        deadline = time.monotonic() + PATIENCE_S
        while len(closed) < expected and time.monotonic() < deadline:
            for client in [key.fileobj for key, _ in selector.select(0.5)]:
                assert isinstance(client, socket.socket)
                data = client.recv(65536)
                said[client] += data
                if not data:
                    closed[client] = said[client]
                    selector.unregister(client)
    return closed


def test_one_address_cannot_take_all_connections(server: LiveServer) -> None:
    # The bystander's two connections come from the same address as all others here.
    free = PER_ADDRESS - int(metric(server, "siyu_http_connections")) + 1
    with contextlib.ExitStack() as stack:
        clients = _crowd(server, stack)
        closed = _refused(clients, CROWD - free)
        assert len(closed) == CROWD - free
        for answer in closed.values():
            status, body = problem(answer)
            assert (status, body["code"]) == (429, "too_many_connections")
            assert b"\r\nRetry-After: " in answer
        # Those who were let in are served, one of them here for all.
        inside = next(client for client in clients if client not in closed)
        inside.setblocking(True)
        inside.settimeout(PATIENCE_S)
        inside.sendall(b"GET /healthz HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
        assert drain(inside).startswith(b"HTTP/1.1 200")
    # After they left, new ones get in.
    wait_until(lambda: _is_served(server), "a free connection")
    assert metric(server, "siyu_http_refused_address_total") >= CROWD - free


def _is_served(server: LiveServer) -> bool:
    try:
        return httpx.get(f"{server.base}/healthz", timeout=PATIENCE_S).status_code == 200
    except httpx.HTTPError:
        return False


def test_one_address_cannot_take_all_places_of_hosts(server: LiveServer) -> None:
    with contextlib.ExitStack() as stack:
        hosts = []
        for _ in range(RTMP_PER_ADDRESS * 2):
            host = stack.enter_context(socket.create_connection(("127.0.0.1", server.rtmp_port), timeout=PATIENCE_S))
            hosts.append(host)
        # The bystander's host has one of the places.
        wait_until(lambda: metric(server, "siyu_rtmp_refused_total") >= RTMP_PER_ADDRESS + 1, "the refusals")
        assert metric(server, "siyu_rtmp_connections") == RTMP_PER_ADDRESS
    wait_until(lambda: metric(server, "siyu_rtmp_connections") == 1, "the end of those who left")


def test_playback_without_a_token_is_refused(server: LiveServer) -> None:
    for suffix in (".flv", ".mp4"):
        answer = httpx.get(f"{server.base}/live/{server.room}{suffix}", timeout=PATIENCE_S)
        assert (answer.status_code, answer.json()["code"]) == (401, "token")
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert answer.headers["access-control-allow-origin"] == "*"


def test_playback_with_the_token_of_another_room_is_refused(server: LiveServer) -> None:
    merchant = server.seed["merchant_token"]
    other = server.call("POST", "/api/v1/rooms", {"title": "隔壁"}, token=merchant).json()["id"]
    guest = server.call("POST", "/auth/guest", {"room": other, "name": "走错门"}).json()["token"]
    answer = httpx.get(f"{server.base}/live/{server.room}.flv?token={guest}", timeout=PATIENCE_S)
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


def test_playback_with_a_token_in_the_address_or_as_bearer_begins(server: LiveServer, bystander: Bystander) -> None:
    url = f"{server.base}/live/{server.room}.flv"
    for query, headers in ((f"?token={bystander.token}", {}), ("", {"authorization": f"Bearer {bystander.token}"})):
        with httpx.stream("GET", url + query, headers=headers, timeout=PATIENCE_S) as answer:
            assert answer.status_code == 200
            assert next(answer.iter_raw()).startswith(b"FLV")


def test_a_token_of_somebody_else_s_making_is_refused(server: LiveServer, bystander: Bystander) -> None:
    head, body, _ = bystander.token.split(".")
    for token in ("nonsense", f"{head}.{body}.{'A' * 43}", "x" * 10_000):
        answer = httpx.get(f"{server.base}/live/{server.room}.flv?token={token}", timeout=PATIENCE_S)
        assert answer.status_code == 401
        assert token not in json.dumps(answer.json())
