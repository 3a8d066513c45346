"""The room through proxies that keep back and ways that break: what docs/hub.md promises those who get no WebSocket."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from tests.harness import LiveServer, live_server
from tests.integration.bad_way import BadWay

PATIENCE_S = 90.0
LINES = 25
LOST = (httpx.TransportError, json.JSONDecodeError)
"""How a request ends whose answer was cut off."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    with live_server(tmp_path_factory.mktemp("bad-ways")) as running:
        yield running
        assert running.stop() == 0
        assert '"level":"error"' not in running.log()


class Reader:
    """What somebody made of the room: its kept events, checked for gaps and repeats as they come."""

    def __init__(self, server: LiveServer, port: int) -> None:
        self.token = server.guest()["token"]
        self.room = server.room
        self.base = f"http://127.0.0.1:{port}"
        self.since = ""
        self.texts: list[str] = []
        self.joins = 0

    def take(self, items: list[dict[str, Any]]) -> None:
        """Take in one frame."""
        for item in items:
            if item["t"] == "room":
                assert item["resumed"] is bool(self.since), "what was missed is in the history"
                self.joins += 1
                epoch = item["epoch"]
                for kept in item["history"]:
                    self._keep(epoch, kept)
                # Without a word in the history there is nothing to begin with but this.
                self.since = self.since or f"{epoch}:{item['offset']}"
            elif "o" in item:
                self._keep(self.since.partition(":")[0], item)

    def _keep(self, epoch: str, item: dict[str, Any]) -> None:
        if self.since:
            assert item["o"] == int(self.since.partition(":")[2]) + 1, "an event is missing or comes twice"
        self.since = f"{epoch}:{item['o']}"
        if item["t"] == "chat":
            self.texts.append(item["text"])

    async def listen(self, last: str) -> None:
        """Read server-sent events as a browser does, and come back when they break off, until a line is there."""
        async with httpx.AsyncClient(timeout=PATIENCE_S) as client:
            while last not in self.texts:
                headers = {"last-event-id": self.since} if self.since else {}
                url = f"{self.base}/sse/{self.room}"
                with contextlib.suppress(*LOST):
                    async with client.stream("GET", url, params=self.query(pad="1"), headers=headers) as answer:
                        async for items in events(answer):
                            self.take(items)
                            if last in self.texts:
                                return

    async def ask(self, last: str) -> None:
        """Poll, and ask again when an answer breaks off, until a line is there."""
        session, number = "", 0
        async with httpx.AsyncClient(timeout=PATIENCE_S) as client:
            while last not in self.texts:
                asked = self.query(poll=session, n=str(number), **({"since": self.since} if self.since else {}))
                with contextlib.suppress(*LOST):
                    answer = (await client.get(f"{self.base}/poll/{self.room}", params=asked)).json()
                    session, number = answer["poll"], answer["n"]
                    self.take(answer["items"])

    def query(self, **more: str) -> dict[str, str]:
        return {"token": self.token, **more}


async def events(answer: httpx.Response) -> AsyncIterator[list[dict[str, Any]]]:
    """The frames of an event stream; one that is not whole is none (WHATWG HTML, section 9.2.6)."""
    data = ""
    async for line in answer.aiter_lines():
        if line.startswith("data: "):
            data = line.removeprefix("data: ")
        elif not line and data:
            yield json.loads(data)
            data = ""


async def talk(server: LiveServer, port: int, name: str, lines: int) -> None:
    """Say lines over HTTP by a way that cuts answers off: asked for again under the same id until one is whole."""
    url = f"http://127.0.0.1:{port}/api/v1/rooms/{server.room}/commands"
    headers = {"authorization": f"Bearer {server.seed['host_token']}"}
    async with httpx.AsyncClient(timeout=PATIENCE_S, headers=headers) as client:
        for number in range(lines):
            said = {"id": number, "cmd": "chat.send", "text": f"{name} {number}"}
            while True:
                with contextlib.suppress(*LOST):
                    [answer] = (await client.post(url, params={"client": name}, json=said)).json()
                    if answer.get("ok"):
                        break
                    assert answer["error"]["code"] == "rate", answer
                    await asyncio.sleep(answer["error"]["retry_ms"] / 1000)


async def through(server: LiveServer, *, how: str, seed: int, lines: int = LINES) -> BadWay:
    """One reader and one talker, each on a bad way of their own."""
    # A stream lives as long as its bytes last; of a poll the first answer alone is some thousand.
    hold, cut = (4096, 150_000) if how == "listen" else (0, 12_000)
    way = BadWay(server.http_port, seed=seed, hold_bytes=hold, cut_bytes=cut, pause_s=0.01)
    other = BadWay(server.http_port, seed=seed, cut_bytes=2_000)
    name = f"{how} {seed}"
    async with way.open() as port, other.open() as back, asyncio.timeout(PATIENCE_S + lines):
        reader = Reader(server, port)
        reading = asyncio.create_task(getattr(reader, how)(f"{name} {lines - 1}"))
        while not reader.since:
            await asyncio.sleep(0.01)
            if reading.done():
                await reading
        await talk(server, back, name, lines)
        await reading
    assert reader.texts[-lines:] == [f"{name} {number}" for number in range(lines)]
    assert other.cuts
    return way


@pytest.mark.parametrize("how", ["listen", "ask"])
async def test_a_way_that_breaks_off_and_keeps_back_loses_and_doubles_no_line(server: LiveServer, how: str) -> None:
    way = await through(server, how=how, seed=1)
    assert way.cuts, "nothing was cut: the test has shown nothing"


@pytest.mark.soak
@pytest.mark.parametrize("how", ["listen", "ask"])
@pytest.mark.parametrize("seed", range(2, 10))
async def test_no_bad_way_loses_or_doubles_a_line(server: LiveServer, how: str, seed: int) -> None:
    way = await through(server, how=how, seed=seed, lines=300)
    assert way.cuts


async def test_what_a_buffering_proxy_keeps_back_comes_through_with_padding(server: LiveServer) -> None:
    plain, padded = (BadWay(server.http_port, hold_bytes=4096) for _ in range(2))
    async with plain.open() as one, padded.open() as two, asyncio.timeout(PATIENCE_S):
        guest = server.guest()["token"]
        async with httpx.AsyncClient(timeout=PATIENCE_S) as client:
            url = f"http://127.0.0.1:{{}}/sse/{server.room}"
            query = {"token": guest, "pad": "1"}
            async with client.stream("GET", url.format(two), params=query) as answer:
                frames = events(answer)
                assert (await anext(frames))[0]["t"] == "room"
                # The same without padding: the room's first bytes wait in the proxy for more.
                waiting = asyncio.create_task(client.get(url.format(one), params={"token": guest}))
                while not plain.held:
                    await asyncio.sleep(0.01)
                await talk(server, server.http_port, "padded", 1)
                async for items in frames:
                    if any(item.get("text") == "padded 0" for item in items):
                        break
                assert plain.held and not waiting.done()
                waiting.cancel()
