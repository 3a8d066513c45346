"""The asyncio shell that all progressive outputs share: one room's windows to all its viewers.

Theory of operation. A `Seat` is a viewer on whatever connection; for HTTP, the gateway has read the request and a
`Viewer` then owns the transport. A viewer is

    waiting    nothing of the stream was sent; it waits for the host, the tracks and a key frame
    ready      gets the very bytes object of each window, by one `transport.write`
    paused     its transport is over its limit: it gets nothing, and is closed if that lasts too long
    behind     it drained, but missed windows: goes on at the next window that begins with a key frame

Only `ready` is looked at on the fast path; a viewer has no task and no queue but its transport's.
"""

import asyncio
import json
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, cast

from stream.directory import Clock, Directory, DirectoryFull
from stream.fanout import Batch, Fanout, Totals, ViewerLimits
from stream.relay import Source
from stream.window import Encoder, Window

RETRY_S = 3
"""When to come back to a room without a host, or to a server that restarts: a host is back within seconds."""

TCP_NOTSENT_LOWAT: Final = getattr(socket, "TCP_NOTSENT_LOWAT", 25)
"""Linux's number of the option; Python has the name on macOS only."""

NOTSENT_BYTES: Final = 64 * 1024
"""Unsent bytes in the kernel: without it 16 s of video lay there before a stalled viewer could be told."""

TICK_MS: Final = 250
"""How often time-outs of waiting and paused viewers are looked at, while there are viewers."""

DRAIN_BATCH: Final = 200
DRAIN_INTERVAL_MS: Final = 50
"""Viewers closed at once, and the pause between: they come back to another server as a flow, not as a wave."""

DRAIN_FLUSH_MS: Final = 1000
"""What a closed viewer gets to take its last bytes before its connection is aborted."""

REQUEST_BYTES_MAX: Final = 64 * 1024
"""Bytes after the request, which nobody reads: more is abuse."""


@dataclass(frozen=True, slots=True)
class OutputStats:
    """Figures for metrics: viewers now, the rest since the start."""

    viewers: int
    waiting: int
    paused: int
    joined: int
    bytes_out: int
    windows: int
    dropped_ms: int
    slow: int
    stalled: int
    not_found: int
    overruns: int


class Seat:
    """One viewer's place in a room, on whatever connection; subclasses say how it begins and how it ends."""

    __slots__ = (
        "_ended",
        "_fanout",
        "_gap_ms",
        "_low_delay",
        "_output",
        "_room",
        "_version",
        "joined_ms",
        "paused",
        "ready",
        "started",
        "transport",
        "write",
    )

    def __init__(self, output: "ProgressiveOutput", room: str, *, low_delay: bool) -> None:
        self._output = output
        self._room = room
        self._low_delay = low_delay
        self._fanout: Fanout | None = None
        self._ended = False
        self._gap_ms: int | None = None
        self._version = 0
        self.joined_ms = 0
        self.paused = False
        self.ready = False
        self.started = False
        self.transport: asyncio.Transport | None = None
        self.write: Callable[[bytes], None] = _write_nothing

    # What subclasses say.

    def preface(self, content_type: str) -> bytes:
        """Give what comes before the stream's own first bytes."""
        return b""

    def wants_media(self) -> bool:
        """Whether anything follows the preface."""
        return True

    def farewell(self, *, going_down: bool) -> bytes:
        """Give what comes behind the stream's last bytes; `going_down`: it is the server that ends."""
        return b""

    def refuse(self, status: int, phrase: str, code: str, detail: str) -> None:
        """Answer with an error instead of the stream, and end."""
        raise NotImplementedError

    # What the connection calls.

    def sit(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport over and wait for the stream, or start at once."""
        # uvloop's transports are no subclass of asyncio.Transport.
        transport = cast(asyncio.Transport, transport)
        self.transport = transport
        self.write = transport.write
        raw = transport.get_extra_info("socket")
        if raw is not None and raw.family in (socket.AF_INET, socket.AF_INET6):
            raw.setsockopt(socket.IPPROTO_TCP, TCP_NOTSENT_LOWAT, NOTSENT_BYTES)
        try:
            self._fanout = self._output._join(self, self._room, self._low_delay)  # noqa: SLF001
        except DirectoryFull as full:
            self.refuse(503, "Service Unavailable", "busy", str(full))

    def leave(self) -> None:
        """Give the place up: nothing is written from now on."""
        self._ended = True
        self.ready = False
        self.write = _write_nothing
        if self._fanout is not None:
            self._fanout.leave(self)

    def pause_writing(self) -> None:
        """The transport is over its limit."""
        self.paused = True
        self.ready = False
        if self._fanout is not None:
            self._fanout.paused(self)

    def resume_writing(self) -> None:
        """The transport drained: go on at once if nothing was missed, otherwise at a key frame."""
        self.paused = False
        if self._fanout is not None:
            self._fanout.resumed(self)
        if self.started and not self._ended and self._gap_ms is None:
            self.ready = True

    # What the fan-out calls.

    def lose(self, from_ms: int, version: int) -> None:
        """Mark what begins at `from_ms` as missed; `version` is that of the last configuration it has."""
        if self.started:
            self.ready = False
            self._version = version
            if self._gap_ms is None:
                self._gap_ms = from_ms

    def offer(self, batch: Batch) -> None:
        """Take a pass's windows as a viewer that is not ready: begin, go on at a key frame, or miss them."""
        if self._ended:
            return
        key = batch.key
        if not self.started:
            if key is not None:
                self._start(key)
            return
        if self.paused or key is None:
            if self._gap_ms is None:
                self._gap_ms, self._version = batch.start_ms, batch.version
            return
        fanout = self._fanout
        assert fanout is not None
        data = key.config + key.data if key.version != self._version else key.data
        if self._gap_ms is not None:
            fanout.totals.dropped_ms += max(0, key.start_ms - self._gap_ms)
            self._gap_ms = None
        self.ready = True
        self.send(data)

    def _start(self, key: Window) -> None:
        fanout, transport = self._fanout, self.transport
        assert fanout is not None
        assert transport is not None
        preface = self.preface(fanout.content_type)
        self.started = True
        if not self.wants_media():
            self.send(preface)
            self.end()
            return
        first = preface + key.head
        self.ready = True
        fanout.begun(self, len(first) + len(key.data))
        transport.writelines((first, key.data))
        fanout.totals.bytes_out += len(first) + len(key.data)

    def send(self, data: bytes) -> None:
        """Write and count, off the fast path."""
        self.write(data)
        if self._fanout is not None:
            self._fanout.totals.bytes_out += len(data)

    def end(self, *, going_down: bool = False) -> None:
        """Close after what was written; a paused viewer would keep it open for ever, so it is aborted."""
        if self.transport is None or self._ended:
            return
        if self.paused:
            self.stop()
            self.transport.abort()
            return
        farewell = self.farewell(going_down=going_down) if self.started else b""
        if farewell:
            self.send(farewell)
        self.stop()
        self.transport.close()

    def expel(self, code: str, detail: str) -> None:
        """Close a viewer that may watch no longer; one that has the stream's head already cannot be told why."""
        if self.started:
            self.end()
        else:
            self.refuse(401, "Unauthorized", code, detail)

    def stop(self) -> None:
        """Take nothing more; the place is given up when the connection is gone."""
        self._ended = True
        self.ready = False


class Viewer(Seat, asyncio.Protocol):
    """One HTTP connection after its request."""

    __slots__ = ("_discarded", "_head_only", "_headers", "_on_lost")

    def __init__(
        self,
        output: "ProgressiveOutput",
        room: str,
        *,
        head_only: bool,
        headers: Sequence[tuple[bytes, bytes]],
        low_delay: bool,
        on_lost: Callable[[], None],
    ) -> None:
        super().__init__(output, room, low_delay=low_delay)
        lines = [name + b": " + value + b"\r\n" for name, value in headers]
        if any(line.count(b"\n") != 1 or line.count(b"\r") != 1 for line in lines):
            raise ValueError("a header holds a line break")
        self._head_only = head_only
        self._headers = b"".join(lines)
        self._on_lost = on_lost
        self._discarded = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport over."""
        self.sit(transport)

    def data_received(self, data: bytes) -> None:
        """Discard what follows the request."""
        self._discarded += len(data)
        if self._discarded > REQUEST_BYTES_MAX and self.transport is not None:
            self.stop()
            self.transport.abort()

    def eof_received(self) -> bool:
        """Let the transport close: a viewer that ends its side has gone."""
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """Leave the room."""
        self.leave()
        self._on_lost()

    def preface(self, content_type: str) -> bytes:
        """Give the response's head."""
        return self._response_head(b"200 OK", content_type.encode()) + self._headers + b"\r\n"

    def wants_media(self) -> bool:
        """Tell GET from HEAD."""
        return not self._head_only

    def refuse(self, status: int, phrase: str, code: str, detail: str) -> None:
        """Answer with a problem document (RFC 9457) instead of the stream."""
        if self._ended:
            return
        problem = {"type": "about:blank", "title": phrase, "status": status, "code": code, "detail": detail}
        head = self._response_head(f"{status} {phrase}".encode(), b"application/problem+json")
        if status == 401:
            # RFC 9110 section 15.5.2: it names a way in; coming back with the same token would not help.
            again = b'WWW-Authenticate: Bearer realm="siyu"'
        else:
            again = b"Retry-After: %d" % RETRY_S
            problem["retry_ms"] = RETRY_S * 1000
        body = json.dumps(problem, separators=(",", ":"))
        head += again + b"\r\nContent-Length: %d\r\n" % len(body) + self._headers + b"\r\n"
        self.send(head if self._head_only else head + body.encode())
        self.end()

    @staticmethod
    def _response_head(status: bytes, content_type: bytes) -> bytes:
        # HTTP/1.1 without a length or chunks: the body ends with the connection (RFC 9112 section 6.3, rule 8).
        return (
            b"HTTP/1.1 "
            + status
            + b"\r\nContent-Type: "
            + content_type
            + b"\r\nCache-Control: no-store\r\nConnection: close\r\n"
        )


def _write_nothing(data: bytes) -> None:
    """Stand for the write of a connection that is not there."""


class ProgressiveOutput:
    """Viewers of all rooms in one format. `encoder` makes the format's encoder for one run of a relay."""

    def __init__(
        self,
        directory: Directory,
        encoder: Callable[[Source], Encoder],
        *,
        clock: Clock,
        limits: ViewerLimits | None = None,
        fixed_tracks: bool,
    ) -> None:
        self.clock = clock
        self.encoder = encoder
        self.fixed_tracks = fixed_tracks
        self.limits = limits or ViewerLimits()
        self.totals = Totals()
        self._directory = directory
        self._open: dict[tuple[str, bool], Fanout] = {}
        self._fanouts: dict[Fanout, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._draining = False

    def viewer(
        self,
        room: str,
        *,
        head_only: bool = False,
        headers: Sequence[tuple[bytes, bytes]] = (),
        low_delay: bool = False,
        on_lost: Callable[[], None] = lambda: None,
    ) -> asyncio.Protocol:
        """Give the protocol for a connection whose request has been read; call its `connection_made(transport)`.

        It writes the whole response. `headers` are added to the response head; raises ValueError on a line break in
        them. `on_lost` is called once, when the connection is gone.
        """
        return Viewer(self, room, head_only=head_only, headers=headers, low_delay=low_delay, on_lost=on_lost)

    @property
    def viewers(self) -> int:
        """Connections now, those that wait for a host included."""
        return sum(len(fanout.viewers) for fanout in self._fanouts)

    def viewers_in(self, room: str) -> int:
        """Connections to one room now."""
        return sum(len(fanout.viewers) for fanout in self._fanouts if fanout.key[0] == room)

    def stats(self) -> OutputStats:
        """Give figures for metrics."""
        fanouts, totals = self._fanouts, self.totals
        return OutputStats(
            viewers=self.viewers,
            waiting=sum(len(fanout.waiting) for fanout in fanouts),
            paused=sum(len(fanout.stalling) for fanout in fanouts),
            joined=totals.joined,
            bytes_out=totals.bytes_out,
            windows=totals.windows,
            dropped_ms=totals.dropped_ms,
            slow=totals.slow,
            stalled=totals.stalled,
            not_found=totals.not_found,
            overruns=totals.overruns,
        )

    async def drain(self, batch: int = DRAIN_BATCH, interval_ms: int = DRAIN_INTERVAL_MS) -> None:
        """Close all viewers in paced batches and refuse new ones; those that take no bytes are aborted at the end."""
        self._draining = True
        leaving = [viewer for fanout in self._fanouts for viewer in fanout.viewers]
        for start in range(0, len(leaving), batch):
            for viewer in leaving[start : start + batch]:
                if viewer.started:
                    viewer.end(going_down=True)
                else:
                    viewer.refuse(503, "Service Unavailable", "draining", "the server is restarting, come back")
            await asyncio.sleep(interval_ms / 1000)
        for _ in range(DRAIN_FLUSH_MS // DRAIN_INTERVAL_MS):
            if not self._fanouts:
                break
            await asyncio.sleep(DRAIN_INTERVAL_MS / 1000)
        for fanout in tuple(self._fanouts):
            for viewer in tuple(fanout.viewers):
                if viewer.transport is not None:
                    viewer.transport.abort()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def end_room(self, room: str) -> None:
        """End all viewers of one room: it is elsewhere from now on."""
        for fanout in tuple(self._fanouts):
            if fanout.key[0] == room:
                for viewer in tuple(fanout.viewers):
                    viewer.end()

    def _join(self, viewer: Seat, room: str, low_delay: bool) -> Fanout:
        if self._draining:
            raise DirectoryFull("the server is restarting, come back")
        key = (room, low_delay)
        fanout = self._open.get(key)
        if fanout is None:
            fanout = self._open[key] = Fanout(self, self._directory.aac(room), key)
            self._fanouts[fanout] = None
        viewer._fanout = fanout  # noqa: SLF001
        fanout.join(viewer, self.clock())
        if self._timer is None:
            self._arm()
        return fanout

    def retire(self, fanout: Fanout, *, empty: bool) -> None:
        """Forget a fan-out: its room is over (its viewers still leave), or it is `empty`."""
        if self._open.get(fanout.key) is fanout:
            del self._open[fanout.key]
        if empty:
            self._fanouts.pop(fanout, None)

    def _arm(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(TICK_MS / 1000, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        if not self._fanouts:
            return
        self._arm()
        now_ms = self.clock()
        for fanout in tuple(self._fanouts):
            fanout.tick(now_ms)
