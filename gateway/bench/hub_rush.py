"""A rush over the hub: a whole server with a sale of 100 units, and people who each send attempts on their socket."""

from __future__ import annotations

import asyncio
import select
import socket
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import orjson
import uvloop

from gateway.app import Application
from gateway.auth import Tokens
from gateway.bench.clock import system_clock
from gateway.bench.people import person
from gateway.bench.process import WAIT_S, BenchError, Meter
from gateway.bench.sink import HOST, READ_BYTES, READY_MAX
from gateway.bench.waiting import until_told
from gateway.config import Settings
from gateway.secrets import open_secrets
from gateway.seed import seed
from gateway.server import Server, freeze_start_up, serve

UNITS = 100
TOKEN_S = 3_600
ANSWER = b'"re":'
GRANTED = b'"hold":'
FRAME_SHORT_MAX = 125
START_S = 30.0


@dataclass(frozen=True, slots=True)
class Door:
    """Where the rush goes in: a port, the room, the sale, and a token for each person."""

    port: int
    room: str
    sale: str
    tokens: tuple[str, ...]


def hub_server(pipe: Connection, folder: str, people: int) -> None:
    """Serve a sale, and say what the rush cost this process."""
    uvloop.run(_hub_server(pipe, Path(folder), people))


async def _hub_server(pipe: Connection, folder: Path, people: int) -> None:
    settings = Settings(data=folder / "data", http_port=0, rtmp_port=0, udp_port=0, drain_s=2.0, log_level="error")
    secrets = open_secrets(settings.data)
    seeded = await seed(settings, secrets)
    stop = asyncio.Event()
    up: asyncio.Future[Server] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(serve(settings, ready=up.set_result, stop=stop))
    async with asyncio.timeout(START_S):
        server = await up
    assert isinstance(server, Application)
    freeze_start_up()
    shop, sku = server.services.shop, str(seeded.products[1]["sku"])
    await shop.stock_up(seeded.merchant, sku, UNITS)
    sale = await shop.create_sale(seeded.merchant, seeded.room, sku, 990, 990, UNITS, 1, hold_s=900, length_s=1_200)
    await shop.start_sale(seeded.merchant, sale.sale, 0)
    tokens = Tokens(secrets.key("tokens"), ttl_s=TOKEN_S, clock=system_clock)
    minted = (
        tokens.mint(person=person(n), name="people", role="viewer", merchant=seeded.merchant, room=seeded.room)[0]
        for n in range(people)
    )
    pipe.send(Door(server.addresses.http_port, seeded.room, sale.sale, tuple(minted)))
    await until_told(pipe)
    asked, meter = shop.ledger.commands, Meter()
    pipe.send("measuring")
    await until_told(pipe)
    spent, asked = meter.read(), shop.ledger.commands - asked
    left = (await shop.sale(sale.sale)).left
    stop.set()
    await task
    if left != max(0, UNITS - people):
        raise BenchError(f"{left} of {UNITS} units are left after the rush of {people}")
    pipe.send({"cpu_s": spent.cpu_s, "wall_s": spent.wall_s, "asked": float(asked)})


def rush(pipe: Connection, door: Door, attempts: int) -> None:
    """Open a socket for each person, then send all attempts in waves and count the answers. Raises BenchError."""
    crowd = Crowd(door)
    pipe.send("connected")
    pipe.recv()
    for wave in range(attempts):
        crowd.send(wave)
        crowd.read(0.0)
    deadline_s = time.monotonic() + WAIT_S
    while crowd.answered < attempts * len(door.tokens):
        if time.monotonic() > deadline_s:
            raise BenchError(f"{crowd.answered} answers came to {attempts * len(door.tokens)} attempts")
        crowd.read(0.5)
    # A repeat of a grant is a grant told again, so there may be more of these than units.
    pipe.send({"answered": float(crowd.answered), "granted": float(crowd.granted)})
    crowd.close()


class Crowd:
    """Sockets that write ready-made frames and look for answers in what they read."""

    def __init__(self, door: Door) -> None:
        self.answered = 0
        self.granted = 0
        self._door = door
        self._buffer = bytearray(READ_BYTES)
        self._epoll = select.epoll()
        self._sockets: dict[int, socket.socket] = {}
        self._tails: dict[int, bytes] = {}
        for token in door.tokens:
            client = socket.create_connection((HOST, door.port), timeout=WAIT_S)
            client.sendall(_upgrade(door.room, token))
            head = client.recv(READ_BYTES)
            if not head.startswith(b"HTTP/1.1 101"):
                raise BenchError(f"the hub let nobody in: {head[:200]!r}")
            self._sockets[client.fileno()] = client
            self._tails[client.fileno()] = b""
            self._epoll.register(client.fileno(), select.EPOLLIN)

    def send(self, wave: int) -> None:
        """One attempt of each, with a key of its own."""
        frame = _frame(
            {"id": wave + 1, "cmd": "sale.hold", "sale": self._door.sale, "quantity": 1, "key": f"key-{wave}"}
        )
        for client in self._sockets.values():
            client.sendall(frame)

    def read(self, wait_s: float) -> None:
        """Count the answers that are there."""
        for number, _ in self._epoll.poll(wait_s, READY_MAX):
            size = self._sockets[number].recv_into(self._buffer)
            if not size:
                raise BenchError("the hub closed a socket in the rush")
            # An answer may lie across two reads: the end of the last is looked at again, too short to hold a whole one.
            seen = self._tails[number] + self._buffer[:size]
            self.answered += seen.count(ANSWER)
            self.granted += seen.count(GRANTED)
            self._tails[number] = bytes(seen[-(len(ANSWER) - 1) :])

    def close(self) -> None:
        """Leave."""
        for client in self._sockets.values():
            client.close()


def _upgrade(room: str, token: str) -> bytes:
    return (
        f"GET /ws/{room}?token={token} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    ).encode()


def _frame(command: dict[str, object]) -> bytes:
    """A text frame of a client, masked with zeros (RFC 6455 section 5.3 asks for a mask, not for which)."""
    payload = orjson.dumps(command)
    if len(payload) <= FRAME_SHORT_MAX:
        return bytes((0x81, 0x80 | len(payload), 0, 0, 0, 0)) + payload
    return bytes((0x81, 0x80 | 126)) + len(payload).to_bytes(2, "big") + bytes(4) + payload
