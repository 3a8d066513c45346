"""ICE over TCP: the same sessions by another way, and connections that are nobody's."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aioice import stun as outside
from aiortc import RTCDtlsFingerprint
from hypothesis import given, settings
from hypothesis import strategies as st

from stream import webrtc_tcp
from stream.webrtc_session import Session
from stream.webrtc_tcp import FRAME_BYTES_MAX, UNSENT_BYTES_MAX
from tests.stream.lossy_wire import lossy_wire
from tests.stream.media import Clip, make_clip
from tests.stream.webrtc_stage import WebRtcStage, outside_viewer, webrtc_stage


@pytest.fixture(scope="module")
def plain_clip() -> Clip:
    return make_clip(2, b_frames=0)


FINGERPRINT = RTCDtlsFingerprint("sha-256", ":".join(["AB"] * 32))


class Nobody:
    """A peer that is told nothing."""

    def on_connected(self, now_ms: int) -> None: ...
    def on_rtp(self, data: bytes, now_ms: int) -> None: ...
    def on_rtcp(self, data: bytes, now_ms: int) -> None: ...
    def on_closed(self, reason: str, now_ms: int) -> None: ...


Wire = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def connected(stage: WebRtcStage) -> AsyncIterator[Wire]:
    reader, writer = await asyncio.open_connection("127.0.0.1", stage.transport.port)
    try:
        yield reader, writer
    finally:
        writer.close()


def framed(data: bytes) -> bytes:
    return struct.pack("!H", len(data)) + data


async def frame(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(60):
        (size,) = struct.unpack("!H", await reader.readexactly(2))
        return await reader.readexactly(size)


def check(session: Session) -> bytes:
    message = outside.Message(outside.Method.BINDING, outside.Class.REQUEST)
    message.attributes["USERNAME"] = f"{session.ufrag}:them"
    message.attributes["USE-CANDIDATE"] = None
    message.add_message_integrity(session.password.encode())
    return bytes(message)


def opened(stage: WebRtcStage) -> Session:
    return stage.transport.open_session(Nobody(), client="127.0.0.1", remote_ufrag="them", fingerprints=(FINGERPRINT,))


async def test_a_check_by_tcp_is_answered_and_makes_a_path_in_any_split() -> None:
    async with webrtc_stage() as stage, connected(stage) as (reader, writer):
        session = opened(stage)
        for byte in framed(check(session)):
            writer.write(bytes((byte,)))
            await writer.drain()
        answer = outside.parse_message(await frame(reader))
        assert answer.attributes["XOR-MAPPED-ADDRESS"] == writer.get_extra_info("sockname")
        assert stage.transport.stats().tcp_connections == 1
        writer.close()
        async with asyncio.timeout(60):
            while stage.transport.stats().tcp_connections or session.address is not None:
                await asyncio.sleep(0.01)


async def test_an_answer_offers_tcp_below_udp() -> None:
    async with webrtc_stage() as stage, outside_viewer("video") as viewer:
        publication = stage.publish()
        for packet in make_clip(1, (160, 96), b_frames=0).packets:
            publication.push(packet, stage.clock())
        sdp = stage.whep.join("room", await viewer.offer(), client="127.0.0.1").sdp
        lines = [line.split() for line in sdp.split("\r\n") if line.startswith("a=candidate")]
        assert [line[2] for line in lines] == ["udp", "tcp"]
        assert lines[1][-2:] == ["tcptype", "passive"]
        assert int(lines[0][3]) > int(lines[1][3])


async def test_a_viewer_whose_udp_is_blocked_plays_over_tcp(plain_clip: Clip) -> None:
    """aiortc knows no TCP, so its datagrams are put into frames on the way."""
    async with webrtc_stage() as stage, outside_viewer() as viewer:
        stage.feed(stage.publish(), plain_clip, ready=20)
        await stage.until_playing()
        async with lossy_wire(stage.transport.port, lambda data, from_server: False, tcp=True) as wire:
            await viewer.play(stage, wire=wire)
            await viewer.until(video=20, audio=20, seconds=60)
            (session,) = stage.transport._sessions.values()
            assert isinstance(session.address, webrtc_tcp.TcpPath)
            assert stage.transport.stats().tcp_connections == 1
        # The way is gone: nobody hears it, and consent ends it.
        stage.ahead_ms += 10_000
        stage.transport.sweep(stage.clock())
        assert stage.whep.viewers == 0


async def test_a_viewer_over_tcp_that_does_not_read_costs_a_bounded_amount() -> None:
    async with webrtc_stage() as stage, connected(stage) as (reader, writer):
        session = opened(stage)
        writer.write(framed(check(session)))
        await frame(reader)
        path = session.address
        assert isinstance(path, webrtc_tcp.TcpPath)
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        for _ in range(1_000):
            stage.transport.write(bytes(48_000), 1_200, path)
        assert path._transport is not None
        assert path._transport.get_write_buffer_size() <= UNSENT_BYTES_MAX
        assert stage.transport.stats().writes_dropped > 0
        assert path.lost == stage.transport.stats().writes_dropped * 40


async def test_a_connection_without_a_check_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webrtc_tcp, "UNCHECKED_S", 0.05)
    async with webrtc_stage() as stage, connected(stage) as (reader, writer):
        writer.write(framed(b"\x16hello"))
        async with asyncio.timeout(60):
            with pytest.raises(ConnectionResetError):
                assert await reader.read() == b""
                raise ConnectionResetError
        assert stage.transport.stats().tcp_connections == 0


async def test_a_frame_that_is_too_long_ends_the_connection() -> None:
    async with webrtc_stage() as stage, connected(stage) as (reader, writer):
        writer.write(struct.pack("!H", FRAME_BYTES_MAX + 1))
        async with asyncio.timeout(60):
            with pytest.raises(ConnectionResetError):
                assert await reader.read() == b""
                raise ConnectionResetError


async def test_connections_of_one_address_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webrtc_tcp, "CONNECTIONS_PER_ADDRESS_MAX", 2)
    async with webrtc_stage() as stage, connected(stage), connected(stage):
        async with asyncio.timeout(60):
            while stage.transport.stats().tcp_connections < 2:
                await asyncio.sleep(0.01)
        async with connected(stage) as (reader, _), asyncio.timeout(60):
            with pytest.raises(ConnectionResetError):
                assert await reader.read() == b""
                raise ConnectionResetError
        assert stage.transport.stats().tcp_connections == 2


@settings(max_examples=20, deadline=None)
@given(st.lists(st.binary(max_size=60), max_size=10))
async def test_frames_of_nobody_are_ignored(frames: list[bytes]) -> None:
    async with webrtc_stage() as stage, connected(stage) as (_, writer):
        writer.write(b"".join(map(framed, frames)) + framed(check(opened(stage))))
        async with asyncio.timeout(60):
            while not stage.transport.stats().datagrams_out:
                await asyncio.sleep(0.005)
        assert stage.transport.stats().datagrams_out == 1
