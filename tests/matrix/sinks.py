"""The ways out: each sink watches a room with a client from outside and notes what it saw and when."""

from __future__ import annotations

import contextlib
import io
import itertools
import queue
import re
import threading
import time
from collections.abc import Callable, Iterator
from typing import Protocol
from urllib.parse import urljoin

import av
import httpx
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.matrix import pages
from tests.matrix.aiortc_peer import Receiving, offer_to, peer
from tests.matrix.flashes import Seen
from tests.matrix.material import watch_container
from tests.matrix.stage import Stage, take_seen

OPEN_S = 60
"""How long a client waits for its first bytes."""
PIECES_MAX = 4_000
"""Pieces of a body that wait for the decoder: far more than a test's half minute has."""
LISTING_POLL_S = 0.2


class Sink(Protocol):
    """A player in one room, from its making until `close`."""

    seen: Seen

    def pump(self) -> None:
        """Let it work, if it works on the caller's thread."""

    def close(self) -> None:
        """Leave."""


class _Watcher:
    """A player on a thread of its own; subclasses say how the media comes."""

    def __init__(self, stage: Stage, room: str) -> None:
        self.stage = stage
        self.room = room
        self.seen = Seen()
        self.over = threading.Event()
        self._thread = threading.Thread(target=self._run, name=type(self).__name__, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.watch()
        except (OSError, ValueError, AssertionError, httpx.HTTPError, av.FFmpegError) as error:
            if not self.over.is_set():
                self.seen.failure = f"{type(error).__name__}: {error}"

    def watch(self) -> None:
        """Open the room and note what comes until `over` is set."""
        raise NotImplementedError

    def pump(self) -> None:
        """Nothing: it works on its own thread."""

    def close(self) -> None:
        self.over.set()
        self._thread.join(30)
        assert not self._thread.is_alive(), "the player does not end"


class _Address(_Watcher):
    """libavformat at an address of the server, with its own client for the protocol."""

    def address(self) -> str:
        raise NotImplementedError

    def watch(self) -> None:
        with av.open(self.address(), timeout=(OPEN_S, OPEN_S)) as container:
            watch_container(container, self.seen, self.over.is_set)


class Flv(_Address):
    def address(self) -> str:
        return f"{self.stage.server.base}/live/{self.room}.flv"


class Rtmp(_Address):
    def address(self) -> str:
        return f"rtmp://127.0.0.1:{self.stage.server.rtmp_port}/live/{self.room}"


class Mp4(_Address):
    def address(self) -> str:
        return f"{self.stage.server.base}/live/{self.room}.mp4"


class Hls(_Address):
    def address(self) -> str:
        return f"{self.stage.server.base}/live/{self.room}/index.m3u8"


class _Pipe(io.RawIOBase):
    """What a client got, as a file for the decoder: bounded, and it ends when the client leaves."""

    def __init__(self, over: threading.Event) -> None:
        self._pieces: queue.Queue[bytes] = queue.Queue(PIECES_MAX)
        self._rest = b""
        self._over = over
        self._ended = False

    def put(self, piece: bytes) -> None:
        self._pieces.put(piece, timeout=OPEN_S)

    def end(self) -> None:
        self._ended = True

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        while not self._rest:
            if self._over.is_set() or (self._ended and self._pieces.empty()):
                return b""
            with contextlib.suppress(queue.Empty):
                self._rest = self._pieces.get(timeout=0.1)
        data, self._rest = self._rest[:size], self._rest[size:]
        return data


class _Fed(_Watcher):
    """A client that hands bytes to a decoder."""

    def decode(self, pipe: _Pipe, kind: str) -> None:
        with av.open(pipe, format=kind, mode="r") as container:
            watch_container(container, self.seen, self.over.is_set)


class WsFlv(_Fed):
    """FLV over a WebSocket, as mpegts.js asks for it."""

    def watch(self) -> None:
        pipe = _Pipe(self.over)
        url = f"ws://127.0.0.1:{self.stage.server.http_port}/live/{self.room}.flv"
        with connect(url, open_timeout=OPEN_S, max_size=None) as socket:
            reader = threading.Thread(target=self._read, args=(socket.recv, pipe), daemon=True)
            reader.start()
            self.decode(pipe, "flv")
        reader.join(10)

    def _read(self, receive: Callable[[float], str | bytes], pipe: _Pipe) -> None:
        # The decoder's thread closes the socket when it has ended.
        with contextlib.suppress(OSError, EOFError, ConnectionClosed):
            while not self.over.is_set():
                with contextlib.suppress(TimeoutError):
                    piece = receive(0.5)
                    assert isinstance(piece, bytes)
                    pipe.put(piece)


class LowLatencyHls(_Fed):
    """An LL-HLS client: blocking reloads, one request for each part as soon as the playlist names it."""

    def watch(self) -> None:
        with httpx.Client(timeout=OPEN_S, verify=False) as client:
            url = f"{self.stage.server.base}/live/{self.room}/index.m3u8"
            listed = self._get(client, url).text
            media = urljoin(url, next(line for line in listed.splitlines() if line and not line.startswith("#")))
            for pieces in _by_map(self._parts(client, media)):
                pipe = _Pipe(self.over)
                decoder = threading.Thread(target=self._decode, args=(pipe,), daemon=True)
                decoder.start()
                for piece in pieces:
                    pipe.put(piece)
                pipe.end()
                decoder.join(30)

    def _decode(self, pipe: _Pipe) -> None:
        try:
            self.decode(pipe, "mp4")
        except (OSError, av.FFmpegError) as error:
            if not self.over.is_set():
                self.seen.failure = f"{type(error).__name__}: {error}"

    def _get(self, client: httpx.Client, url: str) -> httpx.Response:
        deadline = time.monotonic() + OPEN_S
        while True:
            answer = client.get(url)
            if answer.status_code == 200:
                return answer
            # 404 and 503: not live yet, or the first segment is not whole.
            assert time.monotonic() < deadline and answer.status_code in (404, 503), f"{url}: {answer.text}"
            time.sleep(LISTING_POLL_S)

    def _parts(self, client: httpx.Client, media: str) -> Iterator[tuple[str, bytes]]:
        """(address of the part's map, the part's bytes), in order."""
        known: set[str] = set()
        directive = ""
        maps: dict[str, bytes] = {}
        while not self.over.is_set():
            text = self._get(client, media + directive).text
            number, part, current = int(_tag(text, "EXT-X-MEDIA-SEQUENCE")), 0, ""
            for line in text.splitlines():
                if line.startswith("#EXT-X-MAP:"):
                    current = urljoin(media, _uri(line))
                elif line.startswith("#EXT-X-PART:"):
                    part += 1
                    address = urljoin(media, _uri(line))
                    if address not in known and (known or "INDEPENDENT=YES" in line):
                        known.add(address)
                        if current not in maps:
                            maps[current] = self._get(client, current).content
                            yield current, maps[current]
                        yield current, self._get(client, address).content
                elif line and not line.startswith("#"):
                    number, part = number + 1, 0
            directive = f"?_HLS_msn={number}&_HLS_part={part}"


def _by_map(pieces: Iterator[tuple[str, bytes]]) -> Iterator[Iterator[bytes]]:
    """Part the pieces where the map changes: a new map is a new file to a decoder."""
    for _, run in itertools.groupby(pieces, key=lambda piece: piece[0]):
        yield (data for _, data in run)


def _uri(line: str) -> str:
    found = re.search(r'URI="([^"]+)"', line)
    assert found, line
    return found[1]


def _tag(text: str, name: str) -> str:
    found = re.search(rf"^#{name}:(.*)$", text, re.MULTILINE)
    assert found, text
    return found[1]


class WhepAiortc:
    """aiortc's WHEP: what comes, by the clock of the server's sender reports."""

    def __init__(self, stage: Stage, room: str) -> None:
        self.seen = Seen()
        self._stage = stage
        self._connection = peer()
        self._receiving: Receiving | None = None
        self._opening = stage.start(self._open(f"{stage.server.base}/whep/{room}"))

    async def _open(self, url: str) -> None:
        self._receiving = Receiving(self._connection, self.seen)
        for kind in ("video", "audio"):
            self._connection.addTransceiver(kind, direction="recvonly")
        try:
            await offer_to(self._connection, url, None, OPEN_S)
        except (AssertionError, httpx.HTTPError) as error:
            self.seen.failure = f"{type(error).__name__}: {error}"

    def pump(self) -> None:
        """Nothing: it works on aiortc's loop."""

    def close(self) -> None:
        self._opening.result(OPEN_S)
        if self._receiving is not None:
            self._receiving.close()
        self._stage.await_(self._connection.close())


class WhepChromium:
    """The viewer page with its WebRTC player; noted is what the page shows and plays, when it does."""

    def __init__(self, stage: Stage, room: str) -> None:
        self.seen = Seen()
        self._page = stage.page(pages.WATCH, bypass_csp=True)
        self._page.goto(f"{stage.server.base}/r/{room}?player=whep")
        self._watching = False

    def pump(self) -> None:
        if not self._watching:
            self._watching = self._page.evaluate(
                """() => {
                    const video = document.querySelector('[data-testid="player"]');
                    if (!(video.srcObject?.getAudioTracks().length && video.videoWidth)) return false;
                    watchVideo(video);
                    return true;
                }"""
            )
            return
        take_seen(self._page, self.seen)

    def close(self) -> None:
        self._page.context.close()
