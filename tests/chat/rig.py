"""A hub behind a real asyncio server, and clients that are outsiders: the websockets library and bare sockets."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from chat.broker import Broker
from chat.broker_memory import MemoryBroker
from chat.errors import TokenRefused
from chat.hub import CommandHandler, Hub, HubLimits, Member
from chat.moderation import TextFilter

WAIT_S = 60.0
"""Longest wait for something that must come."""


class Clock:
    """Real time in milliseconds that a test can put forward, and stop."""

    def __init__(self) -> None:
        self.ahead_ms = 0
        self._stopped_ms: int | None = None

    def __call__(self) -> int:
        real_ms = int(time.time() * 1000) if self._stopped_ms is None else self._stopped_ms
        return real_ms + self.ahead_ms

    def stop(self) -> None:
        """Let no more time pass by itself."""
        self._stopped_ms = int(time.time() * 1000)


def member_of(room: str, token: str) -> Member:
    """Read a token of the form PERSON, PERSON.ROLE or PERSON.ROLE.EXPIRES_MS; "banned" and "" are refused."""
    if not token:
        raise TokenRefused(4401, "no token")
    person, role, expires_ms = (*token.split("."), "", "")[:3]
    if person == "banned":
        raise TokenRefused(4403, "banned")
    return Member(person, person.title(), role or "viewer", None, int(expires_ms or 0))


class Client:
    """One client of a room; `pending` holds what came and nobody has asked for yet."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.pending: list[dict[str, Any]] = []
        self.frames: list[list[dict[str, Any]]] = []
        self._ids = itertools.count(1)

    async def read(self) -> list[dict[str, Any]]:
        """Return the next frame."""
        text = await asyncio.wait_for(self.socket.recv(), WAIT_S)
        items: list[dict[str, Any]] = json.loads(text)
        self.frames.append(items)
        return items

    async def until(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Return the first item that is wanted; what came before it stays pending."""
        for index, item in enumerate(self.pending):
            if wanted(item):
                return self.pending.pop(index)
        while True:
            items = await self.read()
            found = next((item for item in items if wanted(item)), None)
            self.pending += [item for item in items if item is not found]
            if found is not None:
                return found

    async def event(self, kind: str) -> dict[str, Any]:
        """Return the next event of a type."""
        return await self.until(lambda item: item.get("t") == kind)

    async def say(self, cmd: str, **arguments: Any) -> int:
        """Send a command; return its id."""
        number = next(self._ids)
        await self.socket.send(json.dumps({"id": number, "cmd": cmd, **arguments}))
        return number

    async def ask(self, cmd: str, **arguments: Any) -> dict[str, Any]:
        """Send a command; return its answer."""
        return await self.answer(await self.say(cmd, **arguments))

    async def answer(self, number: int) -> dict[str, Any]:
        """Return the answer to the command with an id."""
        return await self.until(lambda item: item.get("re") == number)

    async def closed(self) -> tuple[int, str]:
        """Wait for the end; return the close code and the reason."""
        try:
            while True:
                self.pending += await self.read()
        except ConnectionClosed as end:
            assert end.rcvd is not None, "lost without a close frame"
            return end.rcvd.code, end.rcvd.reason


class Rig:
    """A running hub with the rooms `show` and `other`."""

    def __init__(self, hub: Hub, clock: Clock, port: int) -> None:
        self.hub = hub
        self.clock = clock
        self.port = port

    def url(self, room: str = "show", token: str | None = "ann", since: str | None = None) -> str:
        """Return the address of a room."""
        query = "&".join(f"{k}={v}" for k, v in (("token", token), ("since", since)) if v is not None)
        return f"ws://127.0.0.1:{self.port}/ws/{room}?{query}"

    @asynccontextmanager
    async def client(
        self, token: str | None = "ann", *, room: str = "show", since: str | None = None, **options: Any
    ) -> AsyncIterator[Client]:
        """Connect a client of the websockets library."""
        address = self.url(room, token, since)
        # Without a bound the library reads at once what comes: a test is never a slow reader by accident.
        unlimited = {"max_size": None, "max_queue": None, "ping_interval": None, **options}
        async with connect(address, compression=None, proxy=None, **unlimited) as socket:
            yield Client(socket)

    async def bare(self, token: str = "ann", *, extra: str = "", room: str = "show") -> Bare:
        """Connect a bare socket and read the answer to its request."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=2**22)
        bare = Bare(reader, writer)
        key = base64.b64encode(os.urandom(16)).decode()
        bare.send(
            f"GET /ws/{room}?token={token} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n{extra}"
            f"Connection: keep-alive, Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        bare.head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), WAIT_S)
        return bare


class Bare:
    """A bare socket that speaks frames by hand."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.head = b""

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.writer.write(data)

    def send_text(self, text: str, *, opcode: int = 1, fin: bool = True) -> None:
        """Send a masked frame."""
        self.send(client_frame(text.encode(), opcode=opcode, fin=fin))

    async def frame(self) -> tuple[int, bytes]:
        """Return opcode and payload of the next frame."""
        head = await asyncio.wait_for(self.reader.readexactly(2), WAIT_S)
        length = head[1] & 0x7F
        if length > 125:
            length = int.from_bytes(await self.reader.readexactly(2 if length == 126 else 8), "big")
        return head[0] & 0x0F, await asyncio.wait_for(self.reader.readexactly(length), WAIT_S)

    async def closed(self) -> int:
        """Read to the close frame; return its code."""
        while True:
            opcode, payload = await self.frame()
            if opcode == 8:
                return int.from_bytes(payload[:2], "big")

    def close(self) -> None:
        """Cut the socket."""
        self.writer.transport.abort()


def client_frame(payload: bytes, *, opcode: int = 1, fin: bool = True) -> bytes:
    """Return a frame as a client sends it, masked with zeros."""
    first = (0x80 if fin else 0) | opcode
    size = len(payload)
    if size < 126:
        return bytes((first, 0x80 | size, 0, 0, 0, 0)) + payload
    if size < 65536:
        return bytes((first, 0xFE)) + size.to_bytes(2, "big") + bytes(4) + payload
    return bytes((first, 0xFF)) + size.to_bytes(8, "big") + bytes(4) + payload


@asynccontextmanager
async def running(
    *,
    commands: Mapping[str, CommandHandler] | None = None,
    limits: HubLimits | None = None,
    sections: Mapping[str, Any] | None = None,
    text_filter: TextFilter | None = None,
    authenticate: Callable[[str, str], Member] = member_of,
    broker: Broker | None = None,
    **more: Any,
) -> AsyncIterator[Rig]:
    """Run a hub behind an asyncio server on a free port."""
    clock = Clock()
    hub = Hub(
        authenticate=authenticate,
        commands=commands or {},
        clock=clock,
        broker=broker or MemoryBroker(),
        limits=limits,
        epoch="e1",
        text_filter=text_filter,
        **more,
    )
    await hub.start()
    hub.open_room("show", sections or {"pins": []})
    hub.open_room("other", {})
    server = await asyncio.get_running_loop().create_server(lambda: hub.connection("127.0.0.1"), "127.0.0.1", 0)
    try:
        yield Rig(hub, clock, server.sockets[0].getsockname()[1])
    finally:
        server.close()
        await hub.close()
        assert await hub.wheel.wait_empty(WAIT_S)


async def eventually(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(WAIT_S):
        while not condition():
            await asyncio.sleep(0.005)
