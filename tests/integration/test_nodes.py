"""Two server processes on one Redis: what one says the other shows, and what a death of either costs."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect

from tests.harness import LiveServer
from tests.outside import need
from tests.redis_server import RedisServer, redis_server

WAIT_S = 60.0
SHORE, HARBOUR = "10.213.7.1", "10.213.8.2"


@contextmanager
def nodes(
    folder: Path, url: str, *, island: Island | None = None, island_url: str = "", flags: Sequence[str] = ()
) -> Iterator[tuple[LiveServer, LiveServer]]:
    """Two servers with the same rooms and the same secret; each has a shop's database of its own."""
    one = LiveServer(folder / "one", flags=["--redis-url", url, *flags])
    shutil.copytree(one.data, folder / "two")
    if island is None:
        two = LiveServer(folder / "two", flags=["--redis-url", url, *flags])
    else:
        inside = ["--redis-url", island_url, "--host", "0.0.0.0", "--sandbox", *flags]
        two = IslandServer(folder / "two", flags=inside, prefix=island.inside)
    try:
        one.start()
        two.start()
        yield one, two
    finally:
        for server in (one, two):
            if server.process is not None and server.process.poll() is None:
                server.kill()
            print(server.log()[-6_000:])


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path) as server:
        yield server


class Watcher:
    """A viewer who takes note of all events with an offset."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.epoch = ""
        self.offset = 0
        self.first: dict[str, Any] = {}
        self.seen: list[dict[str, Any]] = []
        self.pending: list[dict[str, Any]] = []
        self._ids = itertools.count(1)

    async def until(self, wanted: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
        """Read on to an item that is wanted, be it in the history of a room object."""
        while True:
            while self.pending:
                item = self.pending.pop(0)
                self.note(item)
                for one in (item, *item.get("history", ())):
                    if wanted(one):
                        return dict(one)
            self.pending += json.loads(await asyncio.wait_for(self.socket.recv(), WAIT_S))

    def note(self, item: dict[str, Any]) -> None:
        if item.get("t") == "room":
            self.first, self.epoch, self.offset = item, item["epoch"], item["offset"]
        elif item.get("t") == "epoch":
            self.epoch = item["epoch"]
        elif "o" in item:
            assert item["o"] == self.offset + 1
            self.offset = item["o"]
            self.seen.append(item)

    async def event(self, kind: str, **fields: Any) -> dict[str, Any]:
        return await self.until(lambda item: item.get("t") == kind and fields.items() <= item.items())

    async def ask(self, cmd: str, **fields: Any) -> dict[str, Any]:
        number = next(self._ids)
        await self.socket.send(json.dumps({"id": number, "cmd": cmd, **fields}))
        answer = await self.until(lambda item: item.get("re") == number)
        assert answer.get("ok"), answer
        return answer

    @property
    def since(self) -> str:
        return f"{self.epoch}:{self.offset}"


@asynccontextmanager
async def watch(server: LiveServer, room: str, token: str, since: str = "") -> AsyncIterator[Watcher]:
    url = f"{server.base.replace('http', 'ws', 1)}/ws/{room}?token={token}" + (f"&since={since}" if since else "")
    async with connect(url, compression=None, proxy=None, max_size=None) as socket:
        watcher = Watcher(socket)
        await watcher.event("room")
        yield watcher


def metric(server: LiveServer, name: str) -> float:
    """One figure of /metrics."""
    for line in httpx.get(f"{server.base}/metrics", timeout=60).text.splitlines():
        if line.startswith(name + " "):
            return float(line.split()[1])
    raise AssertionError(f"there is no metric {name}")


async def become(condition: Callable[[], bool]) -> None:
    """Wait for a state that stays."""
    async with asyncio.timeout(WAIT_S):
        while not await asyncio.to_thread(condition):
            await asyncio.sleep(0.1)


async def test_a_viewer_of_a_killed_server_goes_on_at_the_other_without_loss(
    redis: RedisServer, tmp_path: Path
) -> None:
    with nodes(tmp_path, redis.url) as (one, two):
        room, guests = one.room, [one.guest(name) for name in "甲乙"]
        async with watch(two, room, guests[1]["token"]) as bob:
            async with watch(one, room, guests[0]["token"]) as ann:
                await ann.ask("chat.send", text="one")
                await bob.event("chat", text="one")
                await ann.event("chat", text="one")
                await bob.until(lambda item: item.get("t") == "viewers" and item["n"] == 2)
                since, epoch = ann.since, ann.epoch
                one.kill()
            await bob.ask("chat.send", text="two")
            await bob.event("chat", text="two")
            async with watch(two, room, guests[0]["token"], since) as ann:
                assert (ann.first["resumed"], ann.first["epoch"]) == (True, epoch)
                assert [event["text"] for event in ann.first["history"]] == ["two"]
                # A command of staff over HTTP works where the person is not.
                one.start()
                host = one.seed["host_token"]
                kicked = {"person": guests[0]["person"], "reason": "enough"}
                answer = await asyncio.to_thread(one.call, "POST", f"/rooms/{room}/kick", kicked, token=host)
                assert answer.status_code == 200, answer.text
                assert (await ann.event("kick"))["reason"] == "enough"
            viewers = await asyncio.to_thread(one.call, "GET", f"/rooms/{room}/viewers", token=host)
            assert viewers.json()["viewers"] >= 1


@pytest.mark.soak
async def test_the_life_of_two_servers_with_deaths_of_either_and_of_redis(redis: RedisServer, tmp_path: Path) -> None:
    with nodes(tmp_path, redis.url) as (one, two):
        room, guests = one.room, [one.guest(name) for name in "甲乙"]
        card = one.call("GET", f"/rooms/{room}/products").json()[1]
        async with watch(one, room, guests[0]["token"]) as ann, watch(two, room, guests[1]["token"]) as bob:
            async with watch(one, room, one.seed["host_token"]) as host:
                await ann.until(lambda item: item.get("t") == "viewers" and item["n"] == 2)
                # Redis dies: what the shop decides on a server reaches its viewers, the others when it is back.
                redis.kill()
                await host.ask("pin", product=card["product"])
                await ann.event("pin")
                await become(lambda: metric(two, "siyu_bus_up") == 0)
                await bob.ask("chat.send", text="alone")
                await bob.event("chat", text="alone")
                redis.start()
                await become(lambda: metric(one, "siyu_bus_up") == metric(two, "siyu_bus_up") == 1)
                await become(lambda: metric(one, "siyu_bus_alone") == metric(two, "siyu_bus_alone") == 0)
                await bob.until(lambda item: item.get("t") in {"pin", "room"} and "pin" in json.dumps(item))
                await bob.ask("chat.send", text="together")
                await ann.event("chat", text="together")
                assert (ann.epoch, ann.offset) == (bob.epoch, bob.offset) or bob.offset <= ann.offset
            # A dead server's people are gone in ten seconds.
            killed_s = asyncio.get_running_loop().time()
            two.kill()
            await ann.until(lambda item: item.get("t") == "viewers" and item["n"] == 1)
            assert asyncio.get_running_loop().time() - killed_s < 10


class Island:
    """A network of its own, with a wire for the bus, which can be pulled, and one for viewers. Needs root."""

    def __init__(self) -> None:
        self.name = f"siyu{os.getpid()}"
        self.wire, self.ferry = f"sw{os.getpid()}", f"sf{os.getpid()}"

    def __enter__(self) -> Island:
        self.run("ip", "netns", "add", self.name)
        for link, here, there in ((self.wire, SHORE, "10.213.7.2"), (self.ferry, "10.213.8.1", HARBOUR)):
            self.run("ip", "link", "add", link, "type", "veth", "peer", "name", f"{link}i", "netns", self.name)
            for where, end, address in (((), link, here), (self.inside, f"{link}i", there)):
                self.run(*where, "ip", "address", "add", f"{address}/30", "dev", end)
                self.run(*where, "ip", "link", "set", end, "up")
        self.run(*self.inside, "ip", "link", "set", "lo", "up")
        return self

    @property
    def inside(self) -> tuple[str, ...]:
        """What a command begins with to run there."""
        return ("ip", "netns", "exec", self.name)

    def turn(self, state: str) -> None:
        """Pull the wire (down: nothing comes through, and nobody is told) or mend it (up)."""
        self.run("ip", "link", "set", self.wire, state)

    def run(self, *command: str) -> None:
        """Run a command that must succeed."""
        subprocess.run(command, check=True, capture_output=True, timeout=180)

    def __exit__(self, *_: object) -> None:
        subprocess.run(("ip", "netns", "del", self.name), check=False, timeout=180)


class IslandServer(LiveServer):
    """A server that is reached by the ferry."""

    @property
    def base(self) -> str:
        return f"http://{HARBOUR}:{self.http_port}"


@pytest.mark.soak
async def test_a_server_on_an_island_goes_on_alone_and_finds_back(tmp_path: Path) -> None:
    need("ip")
    with ExitStack() as stack:
        island = stack.enter_context(Island())
        redis = stack.enter_context(redis_server(tmp_path, bind=f"127.0.0.1 {SHORE}"))
        one, two = stack.enter_context(nodes(tmp_path, redis.url, island=island, island_url=redis.url_at(SHORE)))
        room, guest, host = one.room, one.guest("甲"), one.seed["host_token"]
        async with watch(one, room, guest["token"]) as ann, watch(two, room, one.seed["viewer_token"]) as bob:
            await ann.ask("chat.send", text="before")
            await bob.event("chat", text="before")
            island.turn("down")
            await ann.ask("chat.send", text="ashore")
            await ann.event("chat", text="ashore")
            await bob.ask("chat.send", text="on the way")
            await bob.event("chat", text="on the way")
            await bob.ask("chat.send", text="on the island")
            await bob.event("chat", text="on the island")
            assert ann.epoch != bob.epoch
            notice = {"kind": "pinned", "text": "welcome"}
            said = await asyncio.to_thread(one.call, "POST", f"/rooms/{room}/messages", notice, token=host)
            assert said.is_success, said.text
            island.turn("up")
            await bob.event("chat", text="ashore")
            assert bob.first["pinned"]["text"] == "welcome"
            await bob.ask("chat.send", text="together")
            await ann.event("chat", text="together")
            await bob.event("chat", text="together")
            assert (ann.epoch, ann.offset) == (bob.epoch, bob.offset)
            texts = [event["text"] for event in ann.seen if event["t"] == "chat" and event["text"] != "on the way"]
            assert texts == ["before", "ashore", "together"]
