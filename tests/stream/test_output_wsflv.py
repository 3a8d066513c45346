"""FLV over WebSocket, with the client of websockets."""

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import av
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from stream.directory import Directory, DirectoryLimits
from stream.fanout import ViewerLimits
from stream.output_wsflv import SAID_BYTES_MAX, WsFlvOutput
from stream.packet import Kind
from tests.stream.media import Clip, packets
from tests.stream.stage import HASTY, PATIENT, Host, clock_ms

PATIENCE_S = 90.0


@dataclass
class Theatre:
    """A server on which every connection is a viewer of "room"."""

    directory: Directory
    output: WsFlvOutput
    port: int

    def join(self) -> connect:
        return connect(f"ws://127.0.0.1:{self.port}/live/room.flv", max_size=None, compression=None)

    async def feed(self, clip: Clip, shift_ms: int = 0) -> None:
        relay = self.directory.relay("room")
        if not relay.live:
            self.publication = self.directory.publish("room", Host(), clock_ms())
        for packet in clip.packets:
            self.publication.push(replace(packet, dts_ms=packet.dts_ms + shift_ms), clock_ms())
        await asyncio.sleep(0)


@asynccontextmanager
async def theatre(limits: ViewerLimits = PATIENT) -> AsyncIterator[Theatre]:
    directory = Directory(clock_ms, DirectoryLimits())
    output = WsFlvOutput(directory, clock_ms, limits)
    server = await asyncio.get_running_loop().create_server(lambda: output.websocket("room"), "127.0.0.1", 0)
    directory.start()
    try:
        yield Theatre(directory, output, server.sockets[0].getsockname()[1])
    finally:
        directory.close()
        await output.drain(interval_ms=0)
        server.close()


async def rest(viewer: ClientConnection) -> tuple[list[bytes], int, str]:
    """All messages until the end, the close code and its reason."""
    found: list[bytes] = []
    try:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                message = await viewer.recv()
                assert isinstance(message, bytes)
                found.append(message)
    except ConnectionClosed as closed:
        assert closed.rcvd is not None
        return found, closed.rcvd.code, closed.rcvd.reason


async def test_the_messages_joined_are_an_flv_file_from_the_cached_key_frame_on(clip: Clip) -> None:
    async with theatre() as stage:
        await stage.feed(clip)
        async with stage.join() as viewer:
            first = await viewer.recv()
            assert isinstance(first, bytes)
            assert first.startswith(b"FLV\x01\x05")
            await stage.feed(clip, 4000)
            stage.directory.close()
            found, code, reason = await rest(viewer)
        assert (code, reason) == (1000, "the broadcast is over")
        file = b"".join([first, *found])
        shown = [packet for packet in packets(file) if packet.kind is Kind.VIDEO and not packet.config]
        assert shown[0].key
        assert len(shown) > 100
        with av.open(io.BytesIO(file), "r", format="flv") as source:
            assert len(list(source.decode(video=0))) == len(shown)


async def test_all_viewers_get_the_very_same_messages(clip: Clip) -> None:
    async with theatre() as stage:
        await stage.feed(clip)
        async with stage.join() as one, stage.join() as two:
            await asyncio.gather(one.recv(), two.recv())
            await stage.feed(clip, 4000)
            stage.directory.close()
            first, second = await asyncio.gather(rest(one), rest(two))
        assert len(first[0]) > 5
        assert first[0][-5:] == second[0][-5:]


async def test_a_viewer_without_a_host_is_told_when_to_come_back() -> None:
    async with theatre(HASTY) as stage, stage.join() as viewer:
        assert await rest(viewer) == ([], 4204, "the room is not live retry_ms=3000")
        assert stage.output.stats().not_found == 1


async def test_draining_says_come_back_at_once(clip: Clip) -> None:
    async with theatre() as stage:
        await stage.feed(clip)
        async with stage.join() as viewer:
            await viewer.recv()
            await stage.output.drain(interval_ms=0)
            _, code, reason = await rest(viewer)
        assert (code, reason) == (4000, "the server restarts")


async def test_a_ping_is_answered_and_a_close_ends_it(clip: Clip) -> None:
    async with theatre() as stage:
        await stage.feed(clip)
        async with stage.join() as viewer:
            async with asyncio.timeout(PATIENCE_S):
                await (await viewer.ping())
            assert stage.output.viewers == 1
        async with asyncio.timeout(PATIENCE_S):
            while stage.output.viewers:
                await asyncio.sleep(0.005)


async def test_a_viewer_who_talks_without_end_is_cut(clip: Clip) -> None:
    async with theatre() as stage:
        await stage.feed(clip)
        async with stage.join() as viewer:
            with pytest.raises(ConnectionClosed):
                for _ in range(SAID_BYTES_MAX):
                    await viewer.send("x" * 1000)
                    await asyncio.sleep(0)


async def test_what_is_no_websocket_request_is_refused() -> None:
    async with theatre() as stage:
        reader, writer = await asyncio.open_connection("127.0.0.1", stage.port)
        writer.write(b"GET /live/room.flv HTTP/1.1\r\nHost: h\r\n\r\n")
        async with asyncio.timeout(PATIENCE_S):
            answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 426 ")
        writer.close()
        with pytest.raises(InvalidStatus):
            async with connect(f"ws://127.0.0.1:{stage.port}/", additional_headers={"Sec-WebSocket-Key": "two"}):
                pass
