"""What the tests here meet the server with: ffmpeg as host and player, raw sockets, a bystander who must not notice."""

from __future__ import annotations

import contextlib
import hashlib
import json
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from websockets.sync.client import ClientConnection, connect

from tests.harness import LiveServer
from tests.outside import need

PATIENCE_S = 90.0
"""How long anything is waited for: the machine may be busy, and a test that fails should fail with words."""


def wait_until(condition: Callable[[], Any], what: str, timeout_s: float = PATIENCE_S) -> Any:
    """The first true value of ``condition``; fails with ``what`` when there is none in time."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.02)
    raise AssertionError(f"never came: {what}")


def publish(
    url: str,
    *,
    seconds: float | None = None,
    picture: bool = True,
    sound: bool = True,
    gop: int = 50,
    b_frames: int = 0,
    copy: Path | None = None,
) -> subprocess.Popen[bytes]:
    """ffmpeg publishing a moving test picture and a tone in real time; the file ``copy`` gets the same packets."""
    command = [need("ffmpeg"), "-hide_banner", "-loglevel", "error", "-nostdin"]
    if picture:
        command += ["-re", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25"]
    if sound:
        command += ["-re", "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=44100"]
    for number in range(picture + sound):
        command += ["-map", str(number)]
    if seconds is not None:
        command += ["-t", str(seconds)]
    if picture:
        command += ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"]
        command += ["-g", str(gop), "-sc_threshold", "0", "-bf", str(b_frames)]
    if sound:
        command += ["-c:a", "aac", "-b:a", "64k"]
    if copy is None:
        command += ["-f", "flv", url]
    else:
        command += ["-flags", "+global_header", "-f", "tee", f"[f=flv]{url}|[f=flv]{copy}"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


@contextlib.contextmanager
def publishing(url: str, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A host for as long as the block lasts."""
    host = publish(url, **options)
    try:
        yield host
    finally:
        end(host)


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill a process of ours and take what it wrote."""
    if process.poll() is None:
        process.kill()
    process.communicate()


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet as ffmpeg names it: stream index, decoding and presentation time in the stream's unit, bytes, MD5."""

    stream: int
    dts: int
    pts: int
    size: int
    digest: str


@dataclass
class Play:
    """What ffmpeg read: its packets in order, and the unit of each stream's times in seconds."""

    packets: list[Packet] = field(default_factory=list)
    units: dict[int, float] = field(default_factory=dict)

    def content(self) -> list[tuple[int, int, str]]:
        return [(packet.stream, packet.size, packet.digest) for packet in self.packets]

    def of(self, stream: int) -> list[Packet]:
        return [packet for packet in self.packets if packet.stream == stream]


def packets_command(source: str) -> list[str]:
    """ffmpeg printing the MD5 of every packet of ``source``, undecoded and with the times it came with."""
    options = ["-copyts", "-i", source, "-map", "0", "-c", "copy", "-f", "framemd5", "-"]
    return [need("ffmpeg"), "-hide_banner", "-loglevel", "error", "-nostdin", *options]


def read_packets(text: str) -> Play:
    """The packets of ffmpeg's ``framemd5`` text."""
    play = Play()
    for line in text.splitlines():
        if line.startswith("#tb "):
            stream, _, unit = line[4:].partition(": ")
            up, _, down = unit.partition("/")
            play.units[int(stream)] = int(up) / int(down)
        elif line and not line.startswith("#"):
            fields = [part.strip() for part in line.split(",")]
            # An end-of-sequence tag is a packet of no bytes at the very end of ffmpeg's own file.
            if int(fields[4]):
                play.packets.append(Packet(int(fields[0]), int(fields[1]), int(fields[2]), int(fields[4]), fields[5]))
    return play


def probe(source: str, *options: str, seconds: float = 3) -> dict[str, Any]:
    """What ffprobe says of a live ``source``."""
    command = [need("ffprobe"), "-loglevel", "error", "-of", "json", "-show_streams", "-show_format"]
    command += ["-show_packets", "-read_intervals", f"%+{seconds}", *options, source]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@dataclass(frozen=True, slots=True)
class Tag:
    """One FLV tag: 8 sound, 9 picture, 18 script; ``arrived`` is the monotonic clock, ``digest`` the payload's."""

    arrived: float
    kind: int
    time_ms: int
    key: bool
    config: bool
    digest: str


class RawPlayer(threading.Thread):
    """A GET over a plain socket that never gives up; subclasses read the body."""

    def __init__(self, server: LiveServer, path: str) -> None:
        super().__init__(daemon=True)
        self.head = b""
        self.body_bytes = 0
        self.ended = False
        self._pending = b""
        self._socket = socket.create_connection(("127.0.0.1", server.http_port), timeout=120)
        self.asked = time.monotonic()
        self._socket.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        self.start()

    def run(self) -> None:
        try:
            while data := self._socket.recv(65536):
                self._take(data)
        except OSError:
            # Closed by `leave`, or reset by the server: either way it has ended.
            self.ended = True
        self.ended = True

    def _take(self, data: bytes) -> None:
        self._pending += data
        if not self.head:
            head, mark, rest = self._pending.partition(b"\r\n\r\n")
            if not mark:
                return
            self.head, self._pending = head + mark, rest
            data = rest
        self.body_bytes += len(data)
        self.parse()

    def parse(self) -> None:
        """Take what is whole from ``self._pending``."""
        self._pending = b""

    def leave(self) -> None:
        """Close the connection."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self.join(10)
        self._socket.close()


class FlvPlayer(RawPlayer):
    """Reads ``/live/ROOM.flv`` into tags."""

    def __init__(self, server: LiveServer, room: str | None = None, query: str = "") -> None:
        self.header = b""
        self.tags: list[Tag] = []
        self.last_body = b""
        """The payload of the newest tag."""
        super().__init__(server, f"/live/{room or server.room}.flv{query}")

    def parse(self) -> None:
        if not self.header:
            if len(self._pending) < 13:
                return
            self.header, self._pending = self._pending[:13], self._pending[13:]
        data, at, now = self._pending, 0, time.monotonic()
        while at + 11 <= len(data):
            size = int.from_bytes(data[at + 1 : at + 4], "big")
            if at + 15 + size > len(data):
                break
            kind = data[at] & 0x1F
            time_ms = int.from_bytes(data[at + 4 : at + 7], "big") | data[at + 7] << 24
            body = data[at + 11 : at + 11 + size]
            config = kind in (8, 9) and body[1] == 0 and (kind == 9 or body[0] >> 4 == 10)
            key = kind == 9 and body[0] >> 4 == 1
            self.last_body = body
            self.tags.append(Tag(now, kind, time_ms, key, config, hashlib.md5(body).hexdigest()))
            at += 15 + size
        self._pending = data[at:]

    def frames(self, kind: int = 9) -> list[Tag]:
        """The tags of one track that are no configuration."""
        return [tag for tag in self.tags if tag.kind == kind and not tag.config]


class Mp4Player(RawPlayer):
    """Reads ``/live/ROOM.mp4`` into boxes, and the start of each track's fragments."""

    def __init__(self, server: LiveServer, room: str | None = None) -> None:
        self.boxes: list[str] = []
        self.starts: dict[int, list[int]] = {}
        super().__init__(server, f"/live/{room or server.room}.mp4")

    def parse(self) -> None:
        while len(self._pending) >= 8:
            size = int.from_bytes(self._pending[:4], "big")
            if len(self._pending) < size:
                return
            box, self._pending = self._pending[:size], self._pending[size:]
            kind = box[4:8].decode("latin-1")
            self.boxes.append(kind)
            if kind == "moof":
                for name, body in _boxes(box[8:]):
                    if name == b"traf":
                        parts = dict(_boxes(body))
                        track = int.from_bytes(parts[b"tfhd"][4:8], "big")
                        wide = parts[b"tfdt"][0] == 1
                        start = int.from_bytes(parts[b"tfdt"][4 : 12 if wide else 8], "big")
                        self.starts.setdefault(track, []).append(start)


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        yield data[at + 4 : at + 8], data[at + 8 : at + size]
        at += size


def exchange(server: LiveServer, data: bytes, *, timeout_s: float = PATIENCE_S, half_close: bool = False) -> bytes:
    """Send ``data`` on a new connection and give all that comes until the server closes it."""
    with socket.create_connection(("127.0.0.1", server.http_port), timeout=timeout_s) as client:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            client.sendall(data)
        if half_close:
            client.shutdown(socket.SHUT_WR)
        return drain(client)


def drain(client: socket.socket) -> bytes:
    """All bytes until the peer closes or resets."""
    out = b""
    try:
        while data := client.recv(65536):
            out += data
    except ConnectionResetError:
        return out
    return out


def problem(response: bytes) -> tuple[int, dict[str, Any]]:
    """Status and problem document of a raw HTTP response."""
    head, _, body = response.partition(b"\r\n\r\n")
    assert b"application/problem+json" in head.lower(), response[:400]
    return int(head.split(b" ", 2)[1]), json.loads(body)


def metric(server: LiveServer, name: str) -> float:
    """One figure of /metrics."""
    for line in httpx.get(f"{server.base}/metrics", timeout=PATIENCE_S).text.splitlines():
        if line.startswith(name + " "):
            return float(line.rpartition(" ")[2])
    raise AssertionError(f"/metrics does not show {name}")


class Bystander:
    """Somebody who watches, chats and shops while others misbehave, and who must not notice."""

    def __init__(self, server: LiveServer, query: str = "") -> None:
        self.server = server
        guest = server.guest("路人")
        self.token: str = guest["token"]
        self.player = FlvPlayer(server, query=query or f"?token={self.token}")
        self._stack = contextlib.ExitStack()
        hub = connect(server.ws_url(self.token), open_timeout=PATIENCE_S)
        self.hub: ClientConnection = self._stack.enter_context(hub)
        self.hub.recv(PATIENCE_S)
        self._id = 0
        wait_until(lambda: len(self.player.frames()) > 10, "the bystander's picture")

    def undisturbed(self) -> None:
        """Assert that picture, hub and API go on, on the very connections it had."""
        seen = len(self.player.frames())
        wait_until(lambda: len(self.player.frames()) > seen + 10 or self.player.ended, "the picture going on")
        assert not self.player.ended, "the bystander's picture ended"
        times = [tag.time_ms for tag in self.player.frames()]
        assert times == sorted(set(times))
        self._id += 1
        self.hub.send(json.dumps({"id": self._id, "cmd": "like", "n": 1}))
        deadline = time.monotonic() + PATIENCE_S
        while True:
            answers = json.loads(self.hub.recv(max(0.1, deadline - time.monotonic())))
            if any(answer.get("re") == self._id and answer.get("ok") for answer in answers):
                break
        answer = self.server.call("GET", f"/rooms/{self.server.room}")
        assert answer.status_code == 200, answer.text

    def leave(self) -> None:
        """Go home."""
        self.player.leave()
        self._stack.close()
