"""A real asyncio server that hands its sockets to the outputs as the gateway does, and a host to feed them."""

import asyncio
import time
from collections.abc import Iterable
from dataclasses import replace
from typing import cast

from stream.directory import Directory, DirectoryLimits, Publication
from stream.fanout import ViewerLimits
from stream.output_flv import FlvOutput
from stream.output_mp4 import Mp4Output
from stream.packet import Packet


def clock_ms() -> int:
    return time.time_ns() // 1_000_000


PATIENT = ViewerLimits(host_wait_ms=60_000)
"""A machine that stands still between a viewer and its host leaves the viewer waiting."""
HASTY = ViewerLimits(host_wait_ms=100)
"""For those whose host never comes."""


class Host:
    """A publisher that only notes why it was closed."""

    def __init__(self) -> None:
        self.closed: list[str] = []

    def close(self, reason: str) -> None:
        self.closed.append(reason)


class Gate(asyncio.Protocol):
    """Reads one request head and hands the transport on: `/ROOM.flv` or `/ROOM.mp4`, `?delay=low`."""

    def __init__(self, stage: "Stage") -> None:
        self.stage = stage
        self.head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.head += data
        if b"\r\n\r\n" not in self.head:
            return
        method, target, _ = self.head.split(b" ", 2)
        path, _, query = target.decode().partition("?")
        room, _, form = path.strip("/").partition(".")
        output = self.stage.flv if form == "flv" else self.stage.mp4
        viewer = output.viewer(
            room,
            head_only=method == b"HEAD",
            headers=[(b"Access-Control-Allow-Origin", b"*"), (b"Siyu-Node", self.stage.node)],
            low_delay=query == "delay=low",
            on_lost=lambda: self.stage.lost.append(room),
        )
        self.transport.set_protocol(viewer)
        viewer.connection_made(self.transport)


class Stage:
    """Directory, outputs and server of one test."""

    def __init__(self, limits: ViewerLimits | None = None) -> None:
        self.limits = limits or PATIENT
        self.directory = Directory(clock_ms, DirectoryLimits())
        self.flv = FlvOutput(self.directory, clock_ms, self.limits)
        self.mp4 = Mp4Output(self.directory, clock_ms, self.limits)
        self.lost: list[str] = []
        self.node = b"first"
        self.port = 0
        self.media_ms = 0

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        self.server = await loop.create_server(lambda: Gate(self), "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]
        self.directory.start()

    async def close(self) -> None:
        self.directory.close()
        await self.flv.drain(interval_ms=0)
        await self.mp4.drain(interval_ms=0)
        self.server.close()
        await self.server.wait_closed()

    def publish(self, room: str = "room", host: Host | None = None) -> Publication:
        return self.directory.publish(room, host or Host(), clock_ms())

    async def feed(self, publication: Publication, packets: Iterable[Packet], shift_ms: int = 0) -> None:
        """Push packets as fast as the loop takes them."""
        for count, packet in enumerate(packets):
            publication.push(replace(packet, dts_ms=packet.dts_ms + shift_ms), clock_ms())
            if count % 8 == 0:
                await asyncio.sleep(0)

    async def connect(self, target: str, method: str = "GET") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=64 * 1024 * 1024)
        writer.write(f"{method} {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        return reader, writer

    async def until_viewers(self, count: int) -> None:
        async with asyncio.timeout(60):
            while self.flv.viewers + self.mp4.viewers != count:
                await asyncio.sleep(0.005)

    async def get(self, target: str, method: str = "GET") -> tuple[bytes, bytes]:
        """Give (head, body) of a response that ends."""
        reader, writer = await self.connect(target, method)
        async with asyncio.timeout(60):
            head = await reader.readuntil(b"\r\n\r\n")
            body = await reader.read()
        writer.close()
        return head, body
