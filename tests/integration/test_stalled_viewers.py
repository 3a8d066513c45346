"""Viewers that stop reading: the others lose nothing, memory stays bounded, and who reads again goes on at a key frame.

Host and viewers go in step: the host sends a few frames and waits until each viewer that reads has them. So nobody is
slow who is not meant to be, whatever the machine does.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from gateway.bench.made_stream import AVCC
from gateway.bench.marked_stream import FRAME_BYTES, MARK, MARK_BYTES, frame_ms, unit
from gateway.bench.rtmp_wire import READY, message, to_publish
from stream.fanout import ViewerLimits
from stream.packet import Codec, Kind, Packet
from tests.harness import LiveServer, live_server

PATIENCE_S = 60.0
GOP_FRAMES = 25
STEP_FRAMES = 5
BEHIND_FRAMES = 15
"""A window of 350 ms is 9 frames; it leaves when the next frame comes."""
READ_BYTES = 256 * 1024
RECEIVE_BUFFER_BYTES = 64 * 1024
"""What the kernel keeps for a viewer that does not read: with Linux's own it would be megabytes."""


class Host:
    """Publishes marked frames over RTMP, as fast as it is told to."""

    def __init__(self, server: LiveServer) -> None:
        self.sent = 0
        self._socket = socket.create_connection(("127.0.0.1", server.rtmp_port), timeout=PATIENCE_S)
        self._socket.sendall(to_publish(f"{server.room}?key={server.seed['stream_key']}"))
        answer = b""
        while READY not in answer:
            data = self._socket.recv(65_536)
            assert data, "the server refused the host"
            answer += data
        self._socket.sendall(message(Packet(Kind.VIDEO, Codec.H264, 0, 0, True, True, AVCC), 0))

    def send(self, frames: int) -> None:
        for _ in range(frames):
            number, at_ms = self.sent, frame_ms(self.sent)
            made = unit(number, key=number % GOP_FRAMES == 0)
            data = len(made).to_bytes(4, "big") + made
            self._socket.sendall(message(Packet(Kind.VIDEO, Codec.H264, at_ms, 0, made[0] == 0x65, False, data), at_ms))
            self.sent += 1

    def close(self) -> None:
        self._socket.close()


class Viewer:
    """One FLV viewer; the numbers of the frames it has got, in order."""

    def __init__(self, server: LiveServer) -> None:
        self.numbers: list[int] = []
        self.closed = False
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        self.socket.settimeout(PATIENCE_S)
        self.socket.connect(("127.0.0.1", server.http_port))
        self.socket.sendall(f"GET /live/{server.room}.flv HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        self.socket.setblocking(False)
        self._tail = b""

    def read(self) -> None:
        try:
            data = self.socket.recv(READ_BYTES)
        except BlockingIOError:
            return
        self.closed = not data
        whole = self._tail + data
        self.numbers += [int(found[1], 16) for found in MARK.finditer(whole) if found[2] == b"e"]
        self._tail = whole[-MARK_BYTES + 1 :]

    @property
    def newest(self) -> int:
        return self.numbers[-1] if self.numbers else -1

    def gaps(self) -> list[tuple[int, int]]:
        """Where a frame is not followed by the next one: both numbers."""
        return [(one, two) for one, two in zip(self.numbers, self.numbers[1:], strict=False) if two != one + 1]


def read_until(viewers: Iterable[Viewer], condition: Callable[[Viewer], bool]) -> None:
    """Let viewers read until the condition holds for each of them."""
    waiting = {viewer.socket.fileno(): viewer for viewer in viewers if not condition(viewer)}
    deadline = time.monotonic() + PATIENCE_S
    with select.epoll() as epoll:
        for number in waiting:
            epoll.register(number, select.EPOLLIN)
        while waiting and time.monotonic() < deadline:
            for number, _ in epoll.poll(1):
                viewer = waiting[number]
                viewer.read()
                assert not viewer.closed, f"the server closed a viewer after {viewer.newest}"
                if condition(viewer):
                    epoll.unregister(number)
                    del waiting[number]
    assert not waiting, f"{len(waiting)} viewers did not get on: {[viewer.newest for viewer in waiting.values()][:5]}"


def play(host: Host, frames: int, readers: list[Viewer]) -> None:
    """Broadcast so many frames, in step with those who read."""
    for _ in range(frames // STEP_FRAMES):
        host.send(STEP_FRAMES)
        read_until(readers, lambda viewer: viewer.newest >= host.sent - BEHIND_FRAMES)


def resident_bytes(server: LiveServer) -> int:
    assert server.process is not None
    status = Path(f"/proc/{server.process.pid}/status").read_text(encoding="utf-8")
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS:"))


@contextmanager
def connected(server: LiveServer, count: int) -> Iterator[list[Viewer]]:
    with ExitStack() as stack:
        viewers = []
        for _ in range(count):
            viewers.append(Viewer(server))
            stack.callback(viewers[-1].socket.close)
        yield viewers


def stall(folder: Path, count: int, stalled_count: int, missed_frames: int) -> None:
    """The test in any size: `missed_frames` are broadcast while some do not read."""
    with live_server(folder) as server, ExitStack() as stack:
        host = Host(server)
        stack.callback(host.close)
        # Nobody is heard saying a word for 2 s: without sound the tracks settle then, with the next frame.
        host.send(GOP_FRAMES)
        viewers = stack.enter_context(connected(server, count))
        stalled, readers = viewers[:stalled_count], viewers[stalled_count:]
        deadline = time.monotonic() + PATIENCE_S
        while not all(viewer.numbers for viewer in viewers):
            assert time.monotonic() < deadline, "not all viewers began"
            host.send(1)
            time.sleep(0.04)
            for viewer in viewers:
                viewer.read()
        play(host, 2 * GOP_FRAMES, viewers)
        before = resident_bytes(server)
        peak, last_read = before, max(viewer.newest for viewer in stalled)
        for _ in range(missed_frames // GOP_FRAMES):
            play(host, GOP_FRAMES, readers)
            peak = max(peak, resident_bytes(server))
        unread_bytes = stalled_count * (host.sent - last_read) * FRAME_BYTES
        # Who does not read is given what its buffer takes, and all of them the very same bytes.
        limit_bytes = ViewerLimits().buffer_bytes(FRAME_BYTES * GOP_FRAMES)
        print(
            f"{count} viewers, {stalled_count} stalled: {unread_bytes / 1e6:.0f} MB not read, resident memory "
            f"{before / 1e6:.0f} MB before, {(peak - before) / 1e6:.1f} MB more at most"
        )
        assert (host.sent - last_read) * FRAME_BYTES > 2 * limit_bytes, "too little for a buffer to run over"
        assert peak - before < unread_bytes / 4
        # They read again: first what was kept for them, then, from a key frame on, what is broadcast now.
        deadline = time.monotonic() + PATIENCE_S
        while min(viewer.newest for viewer in stalled) < host.sent - BEHIND_FRAMES:
            assert time.monotonic() < deadline, "those who read again did not go on"
            play(host, STEP_FRAMES, readers)
            for viewer in stalled:
                viewer.read()
        play(host, 2 * GOP_FRAMES, viewers)
        assert [viewer.gaps() for viewer in readers if viewer.gaps()] == []
        for viewer in stalled:
            ((lost_from, resumed),) = viewer.gaps()
            assert resumed % GOP_FRAMES == 0, f"went on at {resumed}, which is no key frame"
            assert lost_from < resumed


def test_when_some_of_many_viewers_stop_reading_the_others_lose_nothing(tmp_path: Path) -> None:
    stall(tmp_path, count=200, stalled_count=40, missed_frames=10 * GOP_FRAMES)


@pytest.mark.soak
def test_when_200_of_1000_viewers_stop_reading_the_others_lose_nothing(tmp_path: Path) -> None:
    stall(tmp_path, count=1_000, stalled_count=200, missed_frames=40 * GOP_FRAMES)
