"""The SDK on a telephone whose network comes and goes: what it showed, beside what was promised."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.hub_contract import CLOSES, come_back
from tests.gateway.miniprogram.phone import node
from tests.harness import LiveServer, live_server
from tests.integration.bad_way import BadWay

PATIENCE_S = 90.0
VIEWER = Path(__file__).with_name("viewer.mjs")
SDK = Path(__file__).parents[2] / "gateway" / "web"
LINE_BYTES_MAX = 4 * 1024 * 1024


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    with live_server(tmp_path_factory.mktemp("flaky")) as running:
        yield running
        assert running.stop() == 0
        assert '"level":"error"' not in running.log()


class Viewer:
    """Reads what `viewer.mjs` tells, and finds gaps and repeats."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.texts: list[str] = []
        self.personal: list[int] = []
        self.states: list[dict[str, Any]] = []
        self.ends: dict[int, Any] = {}
        self.rooms = 0
        self._offset = -1
        self.reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        """Take in all that is told."""
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            told = json.loads(line)
            assert "broken" not in told, told
            if "event" in told:
                self._take(told["event"])
            elif "state" in told:
                self.states.append(told)
            else:
                self.ends[told["n"]] = told

    def _take(self, event: dict[str, Any]) -> None:
        if event["t"] == "room":
            self.rooms += 1
            if self._offset < 0:
                self._offset = event["offset"]
            else:
                assert event["resumed"], "what was missed is in the history"
                for kept in event["history"]:
                    self._keep(kept)
        elif "o" in event:
            self._keep(event)
        if "a" in event:
            self.personal.append(event["a"])

    def _keep(self, event: dict[str, Any]) -> None:
        assert event["o"] == self._offset + 1, "an event is missing or comes twice"
        self._offset = event["o"]
        if event["t"] == "chat":
            self.texts.append(event["text"])

    def command(self, number: int, cmd: str, /, **fields: Any) -> None:
        """Give a command; `ends` has what becomes of it."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"n": number, "cmd": cmd, "fields": fields}).encode() + b"\n")


@contextlib.asynccontextmanager
async def viewer(server: LiveServer, room: str, port: int) -> AsyncIterator[Viewer]:
    """Somebody in the room by the SDK, who comes by a port."""
    token = server.call("POST", "/auth/guest", {"room": room}).json()["token"]
    command = [node(), str(VIEWER), str(SDK), f"http://127.0.0.1:{port}", room, token]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, limit=LINE_BYTES_MAX)
    opened = Viewer(process)
    try:
        await seen(opened, lambda: opened.rooms > 0)
        yield opened
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await asyncio.wait_for(process.wait(), PATIENCE_S)
        await opened.reading


async def seen(one: Viewer, reached: Callable[[], bool]) -> None:
    """Wait until something was told; what the viewer found wrong ends it."""
    async with asyncio.timeout(PATIENCE_S):
        while not reached():
            if one.reading.done():
                one.reading.result()
            await asyncio.sleep(0.02)


class Host:
    """Says lines and drops coupons in a room of their own, over a good network."""

    def __init__(self, server: LiveServer) -> None:
        token = server.seed["merchant_token"]
        # What other tests left in a room would make it longer than a bad network lets through.
        self.room = str(server.call("POST", "/rooms", {"title": "晚间"}, token=token).json()["id"])
        headers = {"authorization": f"Bearer {token}"}
        base = f"{server.base}/api/v1/rooms/{self.room}"
        self.client = httpx.AsyncClient(base_url=base, headers=headers, timeout=PATIENCE_S)

    async def say(self, text: str) -> None:
        answer = await self.client.post("/commands", json={"cmd": "chat.send", "text": text})
        assert answer.status_code == 200, answer.text

    async def drop(self) -> str:
        body = {
            "title": "券",
            "reason": "试",
            "amount": 100,
            "threshold": 0,
            "total": 9,
            "per_person": 1,
            "seconds": 3600,
        }
        answer = await self.client.post("/drops", json=body)
        assert answer.status_code < 300, answer.text
        return str(answer.json()["drop"])


async def evening(server: LiveServer, *, seed: int, lines: int, coupons: int, cut_bytes: int, pause_s: float) -> BadWay:
    """Lines, and coupons that are caught, while the network drops at random bytes."""
    way = BadWay(server.http_port, seed=seed, cut_bytes=cut_bytes, pause_s=pause_s)
    host = Host(server)
    async with way.open() as port, host.client, viewer(server, host.room, port) as one:
        for number in range(lines):
            await host.say(f"{seed} {number}")
            if number < coupons:
                one.command(number, "coupon.claim", drop=await host.drop(), key=f"k{seed}-{number}")
            # So that frames are many, and cuts fall between them as well as into them.
            await asyncio.sleep(0.06)
        await seen(one, lambda: one.texts[-1:] == [f"{seed} {lines - 1}"] and len(one.ends) == coupons)
        # Each of these was caught, once, and told of until it was acknowledged: shown once.
        await seen(one, lambda: len(one.personal) >= coupons)
    assert one.texts == [f"{seed} {number}" for number in range(lines)]
    assert [end for end in one.ends.values() if "answer" not in end] == []
    assert one.personal == sorted(set(one.personal)) and len(one.personal) == coupons
    return way


async def test_a_viewer_whose_network_drops_at_any_byte_sees_all_once_and_catches_what_they_tap(
    server: LiveServer,
) -> None:
    way = await evening(server, seed=1, lines=30, coupons=3, cut_bytes=24_000, pause_s=0.02)
    assert way.cuts, "nothing was cut: the test has shown nothing"


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(2, 8))
async def test_no_flaky_network_loses_or_doubles_anything(server: LiveServer, seed: int) -> None:
    way = await evening(server, seed=seed, lines=500, coupons=20, cut_bytes=30_000, pause_s=0.1)
    assert way.cuts


async def test_who_gets_no_websocket_polls_and_goes_over_to_one_once_it_comes_through(server: LiveServer) -> None:
    way = BadWay(server.http_port, refuses=b"GET /ws/")
    host = Host(server)
    async with way.open() as port, host.client, viewer(server, host.room, port) as one:
        assert one.states[-1]["polled"] and one.states[-1]["state"] == "open"
        await host.say("by polling")
        one.command(1, "chat.send", text="heard")
        await seen(one, lambda: one.texts == ["by polling", "heard"] and 1 in one.ends)
        one.command(3, "chat.send", text="x" * 20_000)
        await seen(one, lambda: 3 in one.ends)
        assert one.ends[3] == {"n": 3, "refused": "invalid"}
        rooms, way.refuses = one.rooms, b""
        # Beside the polling, without a moment in which nobody listens.
        for number in range(10_000):
            await host.say(f"on {number}")
            if one.rooms > rooms:
                break
            await asyncio.sleep(0.1)
        one.command(2, "like", n=1)
        await seen(one, lambda: 2 in one.ends and one.texts[-1] == f"on {number}")
        assert not one.states[-1]["polled"]
        assert {state["state"] for state in one.states[-2:]} == {"open"}
    assert one.texts[2:] == [f"on {each}" for each in range(number + 1)]


def test_the_sdk_comes_back_from_each_close_as_its_code_says_and_never_before_the_stated_time() -> None:
    asked = [
        (int(code), said, attempt, drawn)
        for code in CLOSES
        for said in ("", "full, retry_ms=5000")
        for attempt in range(6)
        for drawn in (0, 0.5, 0.999)
    ]
    script = (
        f'const {{ reconnectDelay }} = await import("{(SDK / "siyu.js").as_uri()}");'
        f"const asked = {json.dumps(asked)};"
        "const told = asked.map(([code, said, attempt, drawn]) => reconnectDelay(code, said, attempt, () => drawn));"
        "console.log(JSON.stringify(told));"
    )
    done = subprocess.run(
        [node(), "--input-type=module", "--eval", script],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=True,
    )
    for (code, said, attempt, drawn), delay_ms in zip(asked, json.loads(done.stdout), strict=True):
        case = (code, said, attempt, drawn, delay_ms)
        match come_back(code):
            case "not by yourself":
                assert delay_ms is None, case
            case "after retry_ms":
                assert (5_000 if said else 1_000) <= delay_ms <= 7_000, case
            case "at once":
                # The first time as the server says; whoever fails again and again waits longer, never shorter.
                assert (5_000 if said else 0) <= delay_ms <= 15_000, case
                assert attempt or delay_ms <= (5_000 if said else 800), case
            case "after a while":
                assert 0 < delay_ms <= 15_000, case
