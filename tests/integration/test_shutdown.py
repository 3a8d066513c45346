"""SIGTERM in the middle of an evening: told to come back, gone within the deadline, nothing acknowledged lost."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import signal
import socket
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.harness import LiveServer, live_server
from tests.integration.outsiders import PATIENCE_S, FlvPlayer, publishing, wait_until
from tests.outside import need

DRAIN_S = 10
WATCHERS = 500
BUYERS = 60


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    need("ffmpeg")
    with live_server(tmp_path_factory.mktemp("shutdown"), flags=["--drain-s", str(DRAIN_S)]) as server:
        yield server


@dataclass
class Evening:
    """What clients saw of the server's end."""

    closed: list[tuple[int, str]] = field(default_factory=list)
    granted: list[str] = field(default_factory=list)
    ready: httpx.Response | None = None
    healthy: httpx.Response | None = None
    exit_code: int | None = None


def _never_reads(server: LiveServer, request: str) -> socket.socket:
    """A connection that takes no byte: the kernel's buffers are as small as they can be."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    client.connect(("127.0.0.1", server.http_port))
    client.sendall(request.encode())
    return client


def _deaf_hub_viewer(server: LiveServer, token: str) -> socket.socket:
    head = (
        f"GET /ws/{server.room}?token={token} HTTP/1.1\r\nHost: here\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    )
    head += "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    return _never_reads(server, head)


async def _watch(connection: ClientConnection, evening: Evening) -> None:
    """Read until the end and note how it came."""
    try:
        while True:
            await connection.recv()
    except ConnectionClosed as closed:
        received = closed.rcvd
        evening.closed.append((received.code, received.reason) if received else (1006, ""))


async def _buy(connection: ClientConnection, sale: str, number: int, evening: Evening) -> None:
    """Ask for one unit, note the hold if it is granted, and read on until the end."""
    try:
        command = {"id": 1, "cmd": "sale.hold", "sale": sale, "quantity": 1, "key": f"evening-{number}"}
        await connection.send(json.dumps(command))
        while True:
            for event in json.loads(await connection.recv()):
                if event.get("re") == 1 and event.get("ok"):
                    evening.granted.append(event["hold"])
    except ConnectionClosed as closed:
        received = closed.rcvd
        evening.closed.append((received.code, received.reason) if received else (1006, ""))


async def _spend(server: LiveServer, folder: Path) -> Evening:
    """Fill the room, begin the rush, and end the server in the midst of it."""
    evening = Evening()
    sale, merchant = server.seed["sale"], server.seed["merchant_token"]
    async with httpx.AsyncClient(base_url=server.base, timeout=PATIENCE_S) as api, asyncio.TaskGroup() as group:
        guests = [(await asyncio.to_thread(server.guest, f"买家{n}"))["token"] for n in range(BUYERS)]
        start = f"/api/v1/rooms/{server.room}/sales/{sale}/start"
        answer = await api.post(start, json={"countdown_s": 0}, headers={"authorization": f"Bearer {merchant}"})
        assert answer.status_code == 200, answer.text
        tokens = [server.seed["viewer_token"]] * (WATCHERS - BUYERS) + guests
        connections = [await connect(server.ws_url(token), open_timeout=PATIENCE_S, max_queue=None) for token in tokens]
        for connection in connections[:-BUYERS]:
            group.create_task(_watch(connection, evening))
        buyers = connections[-BUYERS:]
        for number, connection in enumerate(buyers[: BUYERS // 2]):
            group.create_task(_buy(connection, sale, number, evening))
        async with asyncio.timeout(PATIENCE_S):
            while len(evening.granted) < BUYERS // 2:
                await asyncio.sleep(0.01)
        # The other half asks as the signal comes: some are answered and some are not.
        for number, connection in enumerate(buyers[BUYERS // 2 :], BUYERS):
            group.create_task(_buy(connection, sale, number, evening))
        assert server.process is not None
        (await api.get("/healthz")).raise_for_status()
        server.process.send_signal(signal.SIGTERM)
        await _ask_while_draining(api, evening)
        evening.exit_code = await asyncio.to_thread(server.process.wait, DRAIN_S + 5)
    return evening


async def _ask_while_draining(api: httpx.AsyncClient, evening: Evening) -> None:
    """Ask the probes on the connection that is open already: no new one gets in."""
    async with asyncio.timeout(PATIENCE_S):
        while evening.ready is None or evening.ready.status_code == 200:
            evening.ready = await api.get("/readyz")
        evening.healthy = await api.get("/healthz")


@pytest.fixture(scope="module")
def evening(server: LiveServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Evening]:
    with contextlib.ExitStack() as stack:
        host = stack.enter_context(publishing(server.publish_url))
        player = FlvPlayer(server)
        stack.callback(player.leave)
        deaf = f"GET /live/{server.room}.flv HTTP/1.1\r\nHost: here\r\n\r\n"
        stack.enter_context(_never_reads(server, deaf))
        stack.enter_context(_deaf_hub_viewer(server, server.seed["viewer_token"]))
        stack.enter_context(_never_reads(server, "GET / HTTP/1.1\r\nX-Never: "))
        wait_until(lambda: len(player.frames()) > 20, "a picture")
        evening = asyncio.run(_spend(server, tmp_path_factory.mktemp("evening")))
        wait_until(lambda: player.ended, "the end of the picture")
        wait_until(lambda: host.poll() is not None, "the end of the host")
        yield evening


def test_the_process_is_gone_within_the_deadline(evening: Evening) -> None:
    assert evening.exit_code == 0


def test_hub_viewers_are_told_when_to_come_back(evening: Evening) -> None:
    assert len(evening.closed) == WATCHERS
    assert {code for code, _ in evening.closed} == {4000}
    waits = [int(re.fullmatch(r"server restarts, retry_ms=(\d+)", reason)[1]) for _, reason in evening.closed]  # type: ignore[index]
    # Spread out, so that they do not come back as one wave.
    assert len(set(waits)) > WATCHERS / 4


def test_readiness_fails_while_liveness_holds(evening: Evening) -> None:
    assert evening.ready is not None
    assert (evening.ready.status_code, evening.ready.json()["code"]) == (503, "draining")
    assert "retry-after" in evening.ready.headers
    assert evening.healthy is not None
    assert evening.healthy.status_code == 200


def test_nothing_that_was_acknowledged_is_lost(server: LiveServer, evening: Evening) -> None:
    assert len(evening.granted) >= BUYERS // 2
    with contextlib.closing(sqlite3.connect(server.data / "shop.db")) as database:
        kept = {row[0] for row in database.execute("SELECT id FROM hold")}
    assert set(evening.granted) <= kept
    assert server.run("audit").returncode == 0
    server.start()
    sale = next(
        entry
        for entry in server.call("GET", f"/rooms/{server.room}/sales").json()
        if entry["sale"] == server.seed["sale"]
    )
    assert (sale["state"], sale["left"]) == ("open", sale["total"] - len(kept))
    assert server.run("audit").returncode == 0
    assert server.stop() == 0


def test_the_log_of_an_orderly_end_holds_no_error(server: LiveServer, evening: Evening) -> None:
    lines = [json.loads(line) for line in server.log().splitlines()]
    assert [line for line in lines if line["level"] == "error"] == []
    assert lines[-1]["message"] == "stopped"


def test_a_second_signal_skips_the_farewell(server: LiveServer, evening: Evening) -> None:
    server.start()
    assert server.process is not None
    with _deaf_hub_viewer(server, server.guest()["token"]):
        wait_until(lambda: _hub_connections(server) == 1, "the viewer that never answers")
        logged = len(server.log())
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: "stopping" in server.log()[logged:], "the first signal")
        time.sleep(0.2)
        assert server.process.poll() is None
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(DRAIN_S) == 0
    said = server.log()[logged:]
    assert said.count('"stopping"') == 2
    assert "aborting what is left" in said


def _hub_connections(server: LiveServer) -> int:
    text = httpx.get(f"{server.base}/metrics", timeout=PATIENCE_S).text
    return int(float(re.search(r"^siyu_hub_connections (\S+)$", text, re.MULTILINE)[1]))  # type: ignore[index]
