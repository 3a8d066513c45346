"""The shell of HTTP viewers: waiting, slow readers, errors, the end."""

import asyncio
import itertools
import json
import socket
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import uvloop

from stream.fanout import ViewerLimits
from stream.output_flv import FlvOutput
from stream.packet import Codec, Kind, Packet
from tests.stream.media import ASC, AVCC, Clip, packets
from tests.stream.stage import Stage, clock_ms
from tests.stream.test_codecs import HVCC


def heavy(seconds: int, frame_bytes: int = 40_000) -> Iterator[Packet]:
    """A stream of 1 MB a second, a key frame each second, numbered frames: fills any socket's buffers soon."""
    yield Packet(Kind.VIDEO, Codec.H264, 0, 0, True, True, AVCC)
    yield Packet(Kind.AUDIO, Codec.AAC, 0, 0, True, True, ASC)
    for index in range(seconds * 25):
        data = index.to_bytes(4, "big").ljust(frame_bytes, b"v")
        yield Packet(Kind.VIDEO, Codec.H264, index * 40, 0, index % 25 == 0, False, data)
        yield Packet(Kind.AUDIO, Codec.AAC, index * 40, 0, True, False, index.to_bytes(4, "big"))


def numbers(body: bytes) -> list[tuple[int, bool]]:
    return [
        (int.from_bytes(packet.data[:4], "big"), packet.key)
        for packet in packets(body)
        if packet.kind is Kind.VIDEO and not packet.config
    ]


def small_socket(port: int) -> socket.socket:
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    connection.connect(("127.0.0.1", port))
    connection.setblocking(False)
    return connection


async def test_a_viewer_without_a_host_waits_and_is_then_told_so(hasty: Stage) -> None:
    head, body = await hasty.get("/nobody.flv")
    assert head.startswith(b"HTTP/1.1 404 ")
    assert b"Content-Type: application/problem+json\r\n" in head
    problem = json.loads(body)
    assert (problem["status"], problem["code"]) == (404, "not_live")
    assert b"Retry-After: %d\r\n" % (problem["retry_ms"] // 1000) in head
    assert hasty.lost == ["nobody"]
    assert hasty.flv.stats().not_found == 1


async def test_head_gets_the_head_of_the_response_and_no_body(stage: Stage, hasty: Stage, clip: Clip) -> None:
    publication = stage.publish()
    await stage.feed(publication, clip.packets)
    head, body = await stage.get("/room.mp4", "HEAD")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b'codecs="avc1.64000d, mp4a.40.2"' in head
    assert body == b""
    head, body = await hasty.get("/nobody.mp4", "HEAD")
    assert head.startswith(b"HTTP/1.1 404 ")
    assert body == b""


async def test_a_header_with_a_line_break_is_refused(stage: Stage) -> None:
    with pytest.raises(ValueError, match="line break"):
        stage.flv.viewer("room", headers=[(b"X-A", b"1\r\nX-B: 2")])


async def test_a_viewer_that_never_reads_costs_the_others_nothing_and_little_memory(stage: Stage) -> None:
    stuck = small_socket(stage.port)
    await asyncio.get_running_loop().sock_sendall(stuck, b"GET /room.flv HTTP/1.1\r\n\r\n")
    viewing = asyncio.create_task(stage.get("/room.flv"))
    await stage.until_viewers(2)
    publication = stage.publish()
    for packet in heavy(20):
        publication.push(packet, clock_ms())
        # The reader needs its turns: it is the same loop that reads here.
        await asyncio.sleep(0.001 if packet.kind is Kind.VIDEO else 0)
    fanout = next(iter(stage.flv._fanouts))
    sizes = [viewer.transport.get_write_buffer_size() for viewer in fanout.viewers if viewer.transport]
    limit = stage.limits.buffer_bytes(stage.directory.relay("room").bytes_per_s)
    # The limit, the first bytes that come on top of it, and one window.
    assert max(sizes) < limit + 1_500_000
    assert stage.flv.stats().slow >= 1
    assert stage.flv.stats().paused == 1
    stage.directory.close()
    _, body = await viewing
    assert [number for number, _ in numbers(body)] == list(range(500))
    stuck.close()


async def test_a_viewer_that_stalls_goes_on_at_a_key_frame(stage: Stage) -> None:
    slow = small_socket(stage.port)
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(slow, b"GET /room.flv HTTP/1.1\r\n\r\n")
    await stage.until_viewers(1)
    publication = stage.publish()
    received = b""

    async def read(enough: int) -> None:
        nonlocal received
        while len(received) < enough and (data := await asyncio.wait_for(loop.sock_recv(slow, 1 << 20), 60)):
            received += data

    for index, packet in enumerate(heavy(40)):
        publication.push(packet, clock_ms())
        await asyncio.sleep(0.0005 if index < 1400 else 0.002)
        if index == 1400:
            reading = asyncio.create_task(read(1 << 40))
    stage.directory.close()
    await reading
    slow.close()
    got = numbers(received[received.index(b"\r\n\r\n") + 4 :])
    gaps = [(a, b, key) for (a, _), (b, key) in itertools.pairwise(got) if b != a + 1]
    assert gaps
    assert all(b > a and key for a, b, key in gaps)
    assert stage.flv.stats().dropped_ms >= 1000


async def test_a_viewer_that_does_not_drain_is_closed_in_the_end() -> None:
    stage = Stage(ViewerLimits(stall_ms=100))
    await stage.open()
    stuck = small_socket(stage.port)
    await asyncio.get_running_loop().sock_sendall(stuck, b"GET /room.flv HTTP/1.1\r\n\r\n")
    await stage.until_viewers(1)
    publication = stage.publish()
    for packet in heavy(15):
        publication.push(packet, clock_ms())
        await asyncio.sleep(0)
    await stage.until_viewers(0)
    assert stage.flv.stats().stalled == 1
    assert stage.lost == ["room"]
    stuck.close()
    await stage.close()


async def test_a_viewer_that_goes_on_sending_is_closed(stage: Stage) -> None:
    _, writer = await stage.connect("/room.flv")
    await stage.until_viewers(1)
    writer.write(bytes(100_000))
    await stage.until_viewers(0)
    writer.close()


async def test_nothing_is_encoded_once_the_last_viewer_left(stage: Stage, clip: Clip) -> None:
    publication = stage.publish()
    await stage.feed(publication, clip.packets)
    reader, writer = await stage.connect("/room.flv")
    await reader.readexactly(1000)
    assert stage.directory.relay("room").has_readers
    writer.close()
    await stage.until_viewers(0)
    assert not stage.directory.relay("room").has_readers


async def test_a_drain_ends_readers_waiters_and_those_who_never_read(clip: Clip) -> None:
    stage = Stage(ViewerLimits())
    await stage.open()
    stuck = small_socket(stage.port)
    await asyncio.get_running_loop().sock_sendall(stuck, b"GET /room.flv HTTP/1.1\r\n\r\n")
    viewing = [asyncio.create_task(stage.get("/room.flv")) for _ in range(5)]
    waiting = asyncio.create_task(stage.get("/nobody.flv"))
    await stage.until_viewers(7)
    publication = stage.publish()
    for packet in heavy(15):
        publication.push(packet, clock_ms())
        await asyncio.sleep(0.001 if packet.kind is Kind.VIDEO else 0)
    await stage.flv.drain()
    await stage.until_viewers(0)
    assert all(numbers(body) for _, body in await asyncio.gather(*viewing))
    assert (await waiting)[0].startswith(b"HTTP/1.1 503 ")
    assert (await stage.get("/room.flv"))[0].startswith(b"HTTP/1.1 503 ")
    stuck.close()
    await stage.close()


async def test_a_packet_is_encoded_once_and_its_bytes_are_shared(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[list[bytes]] = []

    class Recorder(asyncio.Transport):
        def __init__(self, kept: list[bytes]) -> None:
            super().__init__()
            self.kept = kept

        def write(self, data: Any) -> None:
            assert isinstance(data, bytes)
            self.kept.append(data)

        def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
            pass

        def get_write_buffer_size(self) -> int:
            return 0

        def is_closing(self) -> bool:
            return False

        def close(self) -> None:
            pass

    # They wait for their host longer than a machine stands still.
    output = FlvOutput(stage.directory, clock_ms, ViewerLimits(host_wait_ms=60_000))
    viewers = []
    for _ in range(200):
        written.append([])
        viewers.append(output.viewer("room"))
        viewers[-1].connection_made(Recorder(written[-1]))
    publication = stage.publish()
    for packet in heavy(4, 1000):
        publication.push(packet, clock_ms())
        await asyncio.sleep(0)
    await asyncio.sleep(0.05)
    first, *others = written
    assert len(first) > 10
    for other in others:
        # The response's head is the only part made for each viewer.
        assert all(a is b for a, b in zip(first[1:], other[1:], strict=True))
    for viewer in viewers:
        viewer.connection_lost(None)


async def test_a_host_of_another_codec_plays_as_flv_but_not_as_mp4(stage: Stage) -> None:
    viewing = asyncio.create_task(stage.get("/room.flv"))
    await stage.until_viewers(1)
    publication = stage.publish()
    hevc = [
        replace(p, codec=Codec.HEVC, data=HVCC if p.config else p.data) if p.kind is Kind.VIDEO else p
        for p in heavy(3, 1000)
    ]
    await stage.feed(publication, [packet for packet in hevc if packet.kind is Kind.VIDEO or packet.dts_ms < 2000])
    stage.directory.close()
    _, body = await viewing
    assert numbers(body)[0] == (0, True)
    assert {packet.codec for packet in packets(body) if packet.kind is Kind.VIDEO} == {Codec.HEVC}


def test_the_server_runs_on_uvloop_as_well(clip: Clip) -> None:
    async def serve() -> bytes:
        stage = Stage()
        await stage.open()
        stuck = small_socket(stage.port)
        await asyncio.get_running_loop().sock_sendall(stuck, b"GET /room.flv HTTP/1.1\r\n\r\n")
        viewing = asyncio.create_task(stage.get("/room.flv"))
        await stage.until_viewers(2)
        publication = stage.publish()
        for packet in heavy(12):
            publication.push(packet, clock_ms())
            await asyncio.sleep(0.001 if packet.kind is Kind.VIDEO else 0)
        assert stage.flv.stats().paused == 1
        stage.directory.close()
        _, body = await viewing
        await stage.close()
        stuck.close()
        return body

    body = uvloop.run(asyncio.wait_for(serve(), 60))
    assert [number for number, _ in numbers(body)] == list(range(300))
