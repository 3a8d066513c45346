"""The RTMP server with real hosts."""

import asyncio
import functools
import itertools
import logging
import re
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import ParamSpec

import pytest
import uvloop

from stream.directory import PUBLISHER_SILENCE_MS, Directory
from stream.errors import PublishRefused
from stream.ingest_rtmp import Authorize, RtmpIngest
from stream.packet import Kind
from stream.protocol.rtmp_chunk import write_message
from stream.rtmp_peers import PublishRequest, RtmpLimits
from stream.rtmp_server import TOLD_MAX, RtmpServer
from tests.stream.rtmp_peer import (
    C0C1,
    FFMPEG_PUBLISH,
    HELLO,
    SERVER_HANDSHAKE_BYTES,
    TO_PUBLISH,
    codes,
    command,
    connect,
    publish,
)
from tests.stream.rtmp_room import Room
from tests.stream.still_time import StillTime

P = ParamSpec("P")
KEY = "s3cret-k3y"
PATIENCE_S = 90.0


def on_uvloop(test: Callable[P, Coroutine[None, None, None]]) -> Callable[P, None]:
    """Run a test on the loop that serves in production: its transports differ from asyncio's own."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        uvloop.run(test(*args, **kwargs))

    return run


async def check_key(request: PublishRequest) -> None:
    if request.key != KEY:
        raise PublishRefused("NetStream.Publish.BadName", "Wrong stream key. Copy it from the host console.")


def clock() -> int:
    return time.time_ns() // 1_000_000


@asynccontextmanager
async def serving(
    directory: Room | Directory,
    authorize: Authorize = check_key,
    limits: RtmpLimits | None = None,
    clock: Callable[[], int] = clock,
) -> AsyncIterator[tuple[RtmpServer, int]]:
    ingest = RtmpServer(RtmpIngest(directory, authorize), clock=clock, limits=limits)
    port = await ingest.start("127.0.0.1", 0)
    try:
        yield ingest, port
    finally:
        await ingest.close()


class Peer:
    """A raw client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def to(cls, port: int, data: bytes = b"") -> "Peer":
        peer = cls(*await asyncio.open_connection("127.0.0.1", port))
        peer.writer.write(data)
        return peer

    async def rest(self) -> bytes:
        """All bytes until the server closes."""
        async with asyncio.timeout(PATIENCE_S):
            try:
                return await self.reader.read()
            except ConnectionResetError:
                return b""
            finally:
                self.writer.close()

    async def codes(self) -> list[str]:
        """The status codes sent until the server closes."""
        answer = (await self.rest())[SERVER_HANDSHAKE_BYTES:]
        return codes(answer, 128)

    async def until(self, word: bytes) -> None:
        async with asyncio.timeout(PATIENCE_S):
            await self.reader.readuntil(word)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.01)


def address(port: int, key: str = KEY, app: str = "live", room: str = "ROOM") -> str:
    return f"rtmp://127.0.0.1:{port}/{app}/{room}?key={key}"


async def run_ffmpeg(url: str, *, frames: int = 50) -> tuple[int, str]:
    """Publish `frames` pictures at 25 a second, not slowed to real time; return the exit code and what it says."""
    process = await asyncio.create_subprocess_exec(
        *("ffmpeg", "-hide_banner", "-loglevel", "error", "-f", "lavfi", "-i", "testsrc=size=320x180:rate=25"),
        *("-f", "lavfi", "-i", "sine=frequency=440:sample_rate=44100", "-t", str(frames / 25)),
        *("-c:v", "libx264", "-preset", "veryfast", "-bf", "2", "-g", "25", "-c:a", "aac", "-f", "flv", url),
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(PATIENCE_S):
        _, said = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode()


# -- hosts -------------------------------------------------------------------------------------------------------------


@on_uvloop
async def test_ffmpeg_publishes_and_every_frame_arrives_in_order() -> None:
    room = Room()
    async with serving(room) as (ingest, port):
        code, said = await run_ffmpeg(address(port), frames=75)
        assert code == 0, said
        await until(lambda: room.ended)
        video, audio = room.frames(Kind.VIDEO), room.frames(Kind.AUDIO)
        assert len(video) == 75
        assert len(audio) == pytest.approx(3 * 44_100 / 1_024, abs=2)
        for track in (video, audio):
            times = [packet.dts_ms for packet in track]
            assert times == sorted(times)
            assert max(late - early for early, late in itertools.pairwise(times)) <= 41  # none is missing between
        assert video[0].key
        assert video[-1].dts_ms - video[0].dts_ms == pytest.approx(74 * 40, abs=2)
        assert {packet.kind for packet in room.packets if packet.config} == {Kind.VIDEO, Kind.AUDIO}
        assert ingest.stats().packets == len(room.packets)
        await until(lambda: ingest.stats().connections == 0)


@on_uvloop
async def test_pyav_publishes_and_every_frame_arrives() -> None:
    room = Room()
    async with serving(room) as (_, port):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.stream.pyav_host", address(port), "40"
        )
        async with asyncio.timeout(PATIENCE_S):
            assert await process.wait() == 0
        await until(lambda: room.ended)
        assert len(room.frames(Kind.VIDEO)) == 40


@on_uvloop
async def test_ffmpegs_frames_reach_the_relay_of_the_real_directory() -> None:
    directory = Directory(clock)
    async with serving(directory) as (ingest, port):
        directory.relay("ROOM")
        code, said = await run_ffmpeg(address(port))
        assert code == 0, said
        await until(lambda: ingest.stats().connections == 0)
        info = directory.info("ROOM")
        assert (info.live, info.width, info.height) == (False, 320, 180)
        assert ingest.stats().packets > 50


@on_uvloop
async def test_media_sent_at_once_behind_publish_is_not_lost() -> None:
    room = Room()

    async def allow(_request: PublishRequest) -> None:
        await asyncio.sleep(0.05)

    async with serving(room, allow) as (_, port):
        peer = await Peer.to(port, FFMPEG_PUBLISH)
        await until(lambda: room.ended)
        assert (len(room.frames(Kind.VIDEO)), len(room.frames(Kind.AUDIO))) == (50, 88)
        peer.writer.close()


@on_uvloop
async def test_a_host_that_vanishes_frees_its_room() -> None:
    room = Room()
    async with serving(room) as (ingest, port):
        peer = await Peer.to(port, HELLO + connect() + publish(f"ROOM?key={KEY}"))
        await peer.until(b"NetStream.Publish.Start")
        assert ingest.stats().publishing == 1
        peer.writer.transport.abort()
        await until(lambda: room.ended)
        await until(lambda: ingest.stats().connections == 0)


@on_uvloop
async def test_a_host_that_stops_may_publish_again_on_its_connection() -> None:
    room = Room()
    async with serving(room) as (_, port):
        peer = await Peer.to(port, HELLO + connect() + publish(f"ROOM?key={KEY}"))
        await peer.until(b"NetStream.Publish.Start")
        peer.writer.write(command("FCUnpublish", 5, None, "ROOM"))
        await until(lambda: room.ended == ["the host stopped"])
        peer.writer.write(command("publish", 6, None, f"ROOM?key={KEY}", "live", stream_id=1))
        await peer.until(b"NetStream.Publish.Start")
        peer.writer.close()


# -- refusals ----------------------------------------------------------------------------------------------------------


@on_uvloop
async def test_a_wrong_key_is_refused_with_what_to_do() -> None:
    room = Room()
    async with serving(room) as (ingest, port):
        code, said = await run_ffmpeg(address(port, key="wrong"))
        assert code != 0
        assert "Copy it from the host console" in said
        assert room.packets == []
        assert ingest.stats().rejected == 1


@on_uvloop
async def test_an_unknown_application_is_refused_with_what_to_do() -> None:
    async with serving(Room()) as (_, port):
        code, said = await run_ffmpeg(address(port, app="vod"))
        assert code != 0
        assert "rtmp://HOST/live" in said


@on_uvloop
async def test_a_second_publisher_is_refused_while_the_first_goes_on() -> None:
    now = clock()
    directory = Directory(lambda: now)
    # With a clock that stands, no stall of the machine makes the first one look silent.
    async with serving(directory, clock=lambda: now) as (ingest, port):
        first = await Peer.to(port, HELLO + connect() + publish(f"ROOM?key={KEY}"))
        await first.until(b"NetStream.Publish.Start")
        first.writer.write(write_message(4, 8, 1, 0, b"\xaf\x00\x12\x10"))
        await until(lambda: ingest.stats().packets == 1)

        async def go_on() -> None:
            for count in itertools.count(1):
                first.writer.write(write_message(4, 8, 1, 23 * count, b"\xaf\x01abc"))
                await asyncio.sleep(0.02)

        going_on = asyncio.create_task(go_on())
        second = await Peer.to(port, HELLO + connect() + publish(f"ROOM?key={KEY}"))
        answer = await second.rest()
        assert b"NetStream.Publish.BadName" in answer
        assert b"live already" in answer
        assert ingest.stats().publishing == 1
        seen = ingest.stats().packets
        await until(lambda: ingest.stats().packets > seen)
        going_on.cancel()
        first.writer.close()


@on_uvloop
async def test_a_host_that_was_heard_a_moment_ago_and_says_nothing_more_is_taken_over_at_the_first_try() -> None:
    """Its old connection looks alive, and the encoder's patience is three tries."""
    directory = Directory(clock)
    async with serving(directory) as (ingest, port):
        first = await Peer.to(port, HELLO + connect() + publish(f"ROOM?key={KEY}"))
        await first.until(b"NetStream.Publish.Start")
        second = await Peer.to(port, HELLO + connect() + publish(f"ROOM?key={KEY}"))
        first.writer.write(write_message(4, 8, 1, 0, b"\xaf\x00\x12\x10"))
        await second.until(b"NetStream.Publish.Start")
        assert b"taken over" in await first.rest()
        assert directory.stats().takeovers == 1
        assert ingest.stats().rejected == 0


@on_uvloop
async def test_a_second_host_that_leaves_while_it_waits_gets_no_room() -> None:
    now = [clock()]
    directory = Directory(lambda: now[0])
    ingest = RtmpServer(RtmpIngest(directory, check_key), clock=lambda: now[0])
    port = await ingest.start("127.0.0.1", 0)
    first = await Peer.to(port, HELLO + connect() + publish(f"ROOM?key={KEY}"))
    await first.until(b"NetStream.Publish.Start")
    second = await Peer.to(port, HELLO + connect() + publish(f"ROOM?key={KEY}"))
    await until(lambda: directory.stats().refused > 0)
    second.writer.transport.abort()
    await until(lambda: ingest.stats().connections == 1)
    now[0] += 2 * PUBLISHER_SILENCE_MS
    first.writer.write(write_message(4, 8, 1, 0, b"\xaf\x00\x12\x10"))
    await until(lambda: ingest.stats().packets == 1)
    assert directory.stats().takeovers == 0
    await ingest.close()


@on_uvloop
async def test_a_silent_host_is_taken_over_at_once_and_closed() -> None:
    now = [clock()]
    directory = Directory(lambda: now[0])
    ingest = RtmpServer(RtmpIngest(directory, check_key), clock=lambda: now[0])
    port = await ingest.start("127.0.0.1", 0)
    first = await Peer.to(port, HELLO + connect() + publish(f"ROOM?key={KEY}"))
    await first.until(b"NetStream.Publish.Start")
    now[0] += PUBLISHER_SILENCE_MS
    second = await Peer.to(port, HELLO + connect() + publish(f"ROOM?key={KEY}"))
    await second.until(b"NetStream.Publish.Start")
    assert b"taken over" in await first.rest()
    await until(lambda: ingest.stats().connections == 1)
    second.writer.write(write_message(4, 8, 1, 0, b"\xaf\x00\x12\x10"))
    await until(lambda: ingest.stats().packets == 1)
    await ingest.close()


@on_uvloop
async def test_playing_is_refused_and_says_where_to_play() -> None:
    async with serving(Room()) as (_, port):
        peer = await Peer.to(port, HELLO + connect() + command("play", 4, None, "ROOM", stream_id=1))
        await peer.until(b"NetStream.Play.Failed")
        peer.writer.close()


async def slow(_request: PublishRequest) -> None:
    await asyncio.sleep(60)


async def broken(_request: PublishRequest) -> None:
    raise RuntimeError("the database is gone")


@pytest.mark.parametrize("authorize", [slow, broken])
@on_uvloop
async def test_a_check_of_the_key_that_hangs_or_breaks_refuses_the_host(
    authorize: Callable[[PublishRequest], Awaitable[None]],
) -> None:
    room = Room()
    async with serving(room, authorize, RtmpLimits(authorize_s=0.1)) as (ingest, port):
        peer = await Peer.to(port, TO_PUBLISH)
        assert b"NetStream.Publish.Failed" in await peer.rest()
        await until(lambda: ingest.stats().connections == 0)
        assert room.packets == []


@on_uvloop
async def test_a_host_that_leaves_while_its_key_is_checked_never_gets_the_room() -> None:
    entered, leave = asyncio.Event(), asyncio.Event()

    async def wait(_request: PublishRequest) -> None:
        entered.set()
        await leave.wait()

    room = Room()
    async with serving(room, wait) as (ingest, port):
        peer = await Peer.to(port, TO_PUBLISH)
        await entered.wait()
        peer.writer.transport.abort()
        await asyncio.sleep(0.05)
        leave.set()
        await until(lambda: ingest.stats().connections == 0)
        assert room.publisher is None


# -- bad input ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "HandshakeError"),
        (HELLO + b"\xff" * 3000, "ChunkError"),
        (HELLO + connect() + b"\x06\0\0\0\xff\xff\xff\x09\1\0\0\0", "MessageLimitError"),
        (HELLO + connect() + write_message(2, 1, 0, 0, b"\xff\xff\xff\xff"), "ChunkError"),
        (HELLO + connect() + write_message(3, 20, 0, 0, b"\x02\x00\x05ab"), "AmfError"),
    ],
)
@on_uvloop
async def test_garbage_closes_its_connection_with_a_log_line_and_disturbs_nobody(
    data: bytes, word: str, caplog: pytest.LogCaptureFixture
) -> None:
    room = Room()
    async with serving(room) as (ingest, port):
        host = await Peer.to(port, HELLO + connect() + publish(f"ROOM?key={KEY}"))
        await host.until(b"NetStream.Publish.Start")
        with caplog.at_level(logging.INFO, "siyu.rtmp"):
            await (await Peer.to(port, data)).rest()
            await until(lambda: ingest.stats().connections == 1)
        assert [record.levelname for record in caplog.records if word in record.getMessage()] == ["WARNING"]
        assert ingest.stats().failed == 1
        host.writer.write(write_message(4, 8, 1, 0, b"\xaf\x01abc"))
        await until(lambda: len(room.packets) == 1)
        host.writer.close()


@on_uvloop
async def test_a_host_with_too_much_unfinished_is_closed(caplog: pytest.LogCaptureFixture) -> None:
    room = Room()
    async with serving(room) as (ingest, port):
        host = await Peer.to(port, HELLO + connect() + publish(f"ROOM?key={KEY}"))
        await host.until(b"NetStream.Publish.Start")
        host.writer.write(write_message(2, 1, 0, 0, (12_000_000).to_bytes(4, "big")))
        for stream in (5, 6):
            length = (12_000_001).to_bytes(3, "big")
            host.writer.write(bytes((stream, 0, 0, 0)) + length + bytes((9, 1, 0, 0, 0)) + bytes(12_000_000))
        await until(lambda: ingest.stats().failed == 1)
        await until(lambda: room.ended)
        assert "MessageLimitError" in caplog.text
        host.writer.close()


@pytest.mark.parametrize("data", [b"", C0C1[:1000], HELLO[:-1]])
@on_uvloop
async def test_a_handshake_that_never_ends_is_closed(data: bytes) -> None:
    async with serving(Room(), limits=RtmpLimits(handshake_s=0.1)) as (ingest, port):
        await (await Peer.to(port, data)).rest()
        assert ingest.stats().timed_out == 1


@on_uvloop
async def test_bytes_that_trickle_in_do_not_extend_the_handshake() -> None:
    async with serving(Room(), limits=RtmpLimits(handshake_s=0.2)) as (ingest, port):
        peer = await Peer.to(port)
        async with asyncio.timeout(PATIENCE_S):
            for byte in C0C1:
                if ingest.stats().timed_out:
                    break
                peer.writer.write(bytes((byte,)))
                await asyncio.sleep(0.02)
        await peer.rest()
        assert ingest.stats().timed_out == 1


@pytest.mark.parametrize("data", [HELLO, HELLO + connect()])
@on_uvloop
async def test_a_peer_that_never_publishes_is_closed(data: bytes) -> None:
    async with serving(Room(), limits=RtmpLimits(publish_s=0.1)) as (ingest, port):
        await (await Peer.to(port, data)).rest()
        assert ingest.stats().timed_out == 1


def taken(ingest: RtmpServer, packets: int) -> bool:
    return ingest.stats().packets == packets


@on_uvloop
async def test_a_host_that_falls_silent_is_closed_and_one_that_sends_is_not() -> None:
    room, still = Room(), StillTime()
    async with serving(room, limits=RtmpLimits(idle_s=30)) as (ingest, port):
        host = await Peer.to(port, HELLO + connect())
        await host.until(b"NetConnection.Connect.Success")
        (connection,) = ingest._connections
        connection._loop = still  # type: ignore[assignment]
        host.writer.write(publish(f"ROOM?key={KEY}"))
        await host.until(b"NetStream.Publish.Start")
        for number in range(8):
            host.writer.write(write_message(4, 8, 1, number, b"\xaf\x01abc"))
            await until(functools.partial(taken, ingest, number + 1))
            still.advance(20)
            assert room.ended == []
        still.advance(10)
        assert b"IdleTimeOut" in await host.rest()
        assert room.ended == ["silent for 30 s"]
        assert ingest.stats().timed_out == 1


@on_uvloop
async def test_a_refused_peer_that_does_not_leave_is_cut() -> None:
    async with serving(Room(), limits=RtmpLimits(linger_s=0.1)) as (ingest, port):
        peer = await Peer.to(port, HELLO + connect("vod"))
        await until(lambda: ingest.stats().rejected == 1)
        await until(lambda: ingest.stats().connections == 0)
        assert await peer.codes() == ["NetConnection.Connect.Rejected"]


@on_uvloop
async def test_connections_from_one_address_are_bounded_unless_it_is_exempt(caplog: pytest.LogCaptureFixture) -> None:
    limits = RtmpLimits(connections_per_address_max=3, loopback_exempt=False)
    async with serving(Room(), limits=limits) as (ingest, port):
        peers = [await Peer.to(port) for _ in range(3)]
        await until(lambda: ingest.stats().connections == 3)
        for _ in range(5):
            refused = await Peer.to(port, HELLO + connect())
            assert await refused.codes() == ["NetConnection.Connect.Rejected"]
            refused.writer.close()
        assert (ingest.stats().refused, ingest.stats().connections) == (5, 3)
        assert len([record for record in caplog.records if "too many" in record.getMessage()]) == 1
        peers[0].writer.close()
        await until(lambda: ingest.stats().connections == 2)
        peers.append(await Peer.to(port, HELLO))
        await until(lambda: ingest.stats().connections == 3)
        for peer in peers:
            peer.writer.close()
    async with serving(Room(), limits=RtmpLimits(connections_per_address_max=1)) as (ingest, port):
        peers = [await Peer.to(port) for _ in range(3)]
        await until(lambda: ingest.stats().connections == 3)
        for peer in peers:
            peer.writer.close()


@on_uvloop
async def test_connections_in_all_are_bounded() -> None:
    async with serving(Room(), limits=RtmpLimits(connections_max=1)) as (ingest, port):
        peer = await Peer.to(port)
        await until(lambda: ingest.stats().connections == 1)
        told = [await Peer.to(port) for _ in range(TOLD_MAX)]
        await until(lambda: ingest.stats().refused == TOLD_MAX)
        # Those that are told why are few; a flood is cut.
        assert await (await Peer.to(port, HELLO)).rest() == b""
        told[0].writer.write(HELLO + connect())
        assert b"Too many connections in all" in await told[0].rest()
        for refused in told:
            refused.writer.close()
        peer.writer.close()


@on_uvloop
async def test_a_peer_that_asks_and_never_reads_is_cut() -> None:
    room = Room()
    async with serving(room) as (ingest, port):
        host = await Peer.to(port, HELLO + connect() + publish(f"ROOM?key={KEY}"))
        await host.until(b"NetStream.Publish.Start")
        host.reader._transport.pause_reading()  # type: ignore[attr-defined]
        pings = write_message(2, 4, 0, 0, b"\x00\x06abcd") * 5000
        async with asyncio.timeout(PATIENCE_S):
            try:
                while ingest.stats().connections:
                    host.writer.write(pings)
                    await host.writer.drain()
                    await asyncio.sleep(0)
            except ConnectionError:
                pass
        await until(lambda: room.ended)
        host.writer.close()


# -- life --------------------------------------------------------------------------------------------------------------


@on_uvloop
async def test_draining_tells_hosts_to_come_back_and_listens_no_more() -> None:
    room = Room()
    async with serving(room) as (ingest, port):
        host = await Peer.to(port, HELLO + connect() + publish(f"ROOM?key={KEY}"))
        await host.until(b"NetStream.Publish.Start")
        draining = asyncio.create_task(ingest.drain())
        assert b"AppShutdown" in await host.rest()
        await draining
        assert room.ended == ["the server is going down"]
        with pytest.raises(OSError):
            await asyncio.open_connection("127.0.0.1", port)


@on_uvloop
async def test_draining_does_not_wait_for_a_host_that_never_leaves() -> None:
    async with serving(Room(), limits=RtmpLimits(linger_s=0.1)) as (ingest, port):
        host = await Peer.to(port, HELLO + connect() + publish(f"ROOM?key={KEY}"))
        await host.until(b"NetStream.Publish.Start")
        async with asyncio.timeout(PATIENCE_S):
            await ingest.drain()
        assert ingest.stats().connections == 0
        host.writer.close()


@on_uvloop
async def test_no_log_line_holds_a_key(caplog: pytest.LogCaptureFixture) -> None:
    room = Room()
    caplog.set_level(logging.DEBUG)
    async with serving(room) as (ingest, port):
        for data in (
            HELLO + connect() + publish(f"ROOM?key={KEY}"),
            HELLO + connect() + publish("ROOM?key=wrong-" + KEY),
            HELLO + connect() + publish(KEY),
            HELLO + connect(f"live?key={KEY}") + publish("ROOM"),
            HELLO + connect(f"vod?key={KEY}") + publish("ROOM"),
            HELLO + connect(KEY) + publish("ROOM"),
            HELLO + connect() + publish(f"ROOM?key={KEY}") + b"\xff" * 64,
        ):
            peer = await Peer.to(port, data)
            peer.writer.write_eof()
            await peer.rest()
        await until(lambda: ingest.stats().connections == 0)
    assert len(caplog.records) >= 7
    assert not re.search(KEY, caplog.text)
