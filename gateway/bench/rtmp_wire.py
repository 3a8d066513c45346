"""The client's side of RTMP for measurements: what it says to publish or play, and many hosts in one process."""

from __future__ import annotations

import heapq
import itertools
import socket
import time
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection

from gateway.bench.made_stream import GOP_S, packets
from gateway.bench.process import WAIT_S, BenchError
from gateway.bench.sink import HOST
from stream.packet import Kind, Packet
from stream.protocol import amf0, flv
from stream.protocol.rtmp_chunk import write_message
from stream.protocol.rtmp_handshake import PART_BYTES
from stream.protocol.rtmp_message import TypeId

CHUNK_BYTES = 4_096
"""OBS's."""
CHUNK_STREAM = 4
READY = b"NetStream.Publish.Start"
BEHIND_S_MAX = 10.0
"""Hosts that are later than this with their frames are not sending 2 Mbit/s."""
ANSWER_BYTES = 64 * 1024


def _hello(app: str) -> bytes:
    """Handshake and connect, without waiting for the answers: C2 need not repeat S1 (RTMP 1.0 section 5.2)."""
    connect: dict[str, amf0.Value] = {
        "app": app,
        "tcUrl": f"rtmp://{HOST}/{app}",
        "flashVer": "FMLE/3.0 (compatible; FMSc/1.0)",
    }
    return (
        b"\x03"
        + bytes(8)
        + bytes(range(1, 192)) * 8
        + bytes(PART_BYTES)
        + _command("connect", 1, connect)
        + _command("createStream", 2, None)
    )


def _command(name: str, transaction: int, *arguments: amf0.Value, stream_id: int = 0) -> bytes:
    return write_message(3, TypeId.COMMAND, stream_id, 0, amf0.encode(name, transaction, *arguments))


def to_publish(name: str) -> bytes:
    """All that a host says before its media, which then has chunks of CHUNK_BYTES."""
    size = write_message(2, TypeId.SET_CHUNK_SIZE, 0, 0, CHUNK_BYTES.to_bytes(4, "big"))
    return _hello("live") + _command("publish", 3, None, name, "live", stream_id=1) + size


def to_play(name: str) -> bytes:
    """All that a player says."""
    return _hello("live") + _command("play", 3, None, name, -2, stream_id=1)


def message(packet: Packet, dts_ms: int) -> bytes:
    """A packet as a host sends it."""
    body = flv.body_prefix(packet) + packet.data
    return write_message(CHUNK_STREAM, packet.kind, 1, dts_ms, body, chunk_bytes=CHUNK_BYTES)


def chunks(data: bytes) -> Iterator[bytes]:
    """Cut one message's bytes as librtmp writes them: a header and its chunk in each write."""
    head = 12
    yield data[: head + CHUNK_BYTES]
    for at in range(head + CHUNK_BYTES, len(data), 1 + CHUNK_BYTES):
        yield data[at : at + 1 + CHUNK_BYTES]


def publish_hosts(pipe: Connection, port: int, rooms: Sequence[str], seconds: float) -> None:
    """Publish the made-up stream into each room for so long, each host a little later than the one before.

    Says "live" when all hosts have sent a first frame, then, at the end, how many bytes each sent. Frames are made
    before they are needed, as all hosts send the same; a host that cannot keep up is an error.
    """
    sockets = [_open(port, to_publish(room)) for room in rooms]
    stream = packets()
    script = _Script(list(itertools.islice(stream, 2)))
    # (due, host, number of its next message); hosts spread over a GOP: key frames of a crowd do not come together.
    start_s = time.monotonic()
    due = [(start_s + GOP_S * index / len(sockets), index, 0) for index in range(len(sockets))]
    began = [at for at, _, _ in due]
    heapq.heapify(due)
    told = False
    end_s = start_s + GOP_S + seconds
    sent = [0] * len(sockets)
    while True:
        at, index, number = due[0]
        now_s = time.monotonic()
        if not told and now_s - start_s >= GOP_S:
            told = True
            pipe.send("live")
        if now_s >= end_s:
            break
        if at > now_s:
            time.sleep(min(at - now_s, 0.05))
            continue
        if now_s - at > BEHIND_S_MAX:
            raise BenchError(f"a host is {now_s - at:.1f} s late with its frames: too many hosts for these cores")
        _, pieces = script.get(number, stream)
        for piece in pieces:
            try:
                sockets[index].sendall(piece)
            except OSError as error:
                raise BenchError(f"the server let a host go while it was live: {error.strerror}") from error
            sent[index] += len(piece)
        heapq.heapreplace(due, (began[index] + script.get(number + 1, stream)[0] / 1000, index, number + 1))
    pipe.send({"least": min(sent), "most": max(sent)})
    for each in sockets:
        each.close()


class _Script:
    """The messages of the stream in the order in which every host sends them, made on first use."""

    def __init__(self, configurations: Sequence[Packet]) -> None:
        self._made = [(0, [message(packet, 0)]) for packet in configurations]

    def get(self, number: int, stream: Iterator[Packet]) -> tuple[int, list[bytes]]:
        """Give a message's time in ms and its writes."""
        while number >= len(self._made):
            packet = next(stream)
            data = message(packet, packet.dts_ms)
            writes = list(chunks(data)) if packet.kind is Kind.VIDEO else [data]
            self._made.append((packet.dts_ms, writes))
        return self._made[number]


def _open(port: int, request: bytes) -> socket.socket:
    """A connection whose publish was accepted."""
    client = socket.create_connection((HOST, port), timeout=WAIT_S)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # librtmp does
    client.sendall(request)
    answer = b""
    while READY not in answer:
        data = client.recv(ANSWER_BYTES)
        answer += data
        if not data or len(answer) > ANSWER_BYTES:
            raise BenchError("the server refused a host")
    return client
