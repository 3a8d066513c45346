"""Hands one room's windows to all its viewers, without ever holding up the host.

All viewers of a room, format and delay share a `Fanout`, the relay's reader. It encodes each packet once, cuts windows
and hands them out in *passes*: one pass writes what is queued to every viewer, in slices that yield to the loop, so
that the host's bytes are read in between. A viewer that is not ready is offered the windows from a key frame on.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Protocol

from stream.packet import Kind, Packet
from stream.relay import Source
from stream.window import Encoder, Gop, Window, Windows, merge

SLICE_VIEWERS: Final = 64
"""Viewers written to before the loop gets its turn: about 0.4 ms."""

QUEUE_MS_MAX: Final = 4000
QUEUE_BYTES_MAX: Final = 8 * 1024 * 1024
"""Windows that wait for the pass under way. Over it this process is too slow: all skip to the next key frame."""


@dataclass(frozen=True, slots=True)
class ViewerLimits:
    """Time-outs in ms and buffers in bytes of one viewer."""

    window_ms: int = 350
    """Media time of one write; 3 writes a second and viewer cost a third of one per frame at 30 frames a second."""
    host_wait_ms: int = 10_000
    """A viewer who opens before the host waits this long for it."""
    start_wait_ms: int = 30_000
    """… and this long for a key frame, when there is a host."""
    stall_ms: int = 30_000
    """A paused viewer that does not drain for this long is closed."""
    buffer_ms: int = 4000
    """A viewer's buffer in media time, at the stream's measured rate …"""
    buffer_bytes_min: int = 512 * 1024
    """… but not less than this, as rates vary between scenes …"""
    buffer_ms_max: int = 10_000
    """… nor, for slow streams, more media time than this, to which a player would never catch up …"""
    buffer_bytes_floor: int = 64 * 1024
    """… nor less than the kernel may hold unsent."""

    def buffer_bytes(self, bytes_per_s: int) -> int:
        """Give the buffer limit for a stream of this rate (0: not known yet)."""
        if not bytes_per_s:
            return self.buffer_bytes_min
        least = min(self.buffer_bytes_min, bytes_per_s * self.buffer_ms_max // 1000)
        return max(self.buffer_bytes_floor, least, bytes_per_s * self.buffer_ms // 1000)


@dataclass(slots=True)
class Totals:
    """What an output has done since its start; see OutputStats."""

    joined: int = 0
    bytes_out: int = 0
    windows: int = 0
    dropped_ms: int = 0
    slow: int = 0
    stalled: int = 0
    not_found: int = 0
    overruns: int = 0


@dataclass(frozen=True, slots=True)
class Batch:
    """What one pass writes: all of it to viewers that are ready, from its first key window on to those that are not."""

    data: bytes
    start_ms: int
    version: int
    key: Window | None


class Member(Protocol):
    """What the fan-out asks of a viewer."""

    ready: bool
    started: bool
    joined_ms: int
    write: Callable[[bytes], None]
    transport: asyncio.Transport | None

    def offer(self, batch: Batch) -> None:
        """Take a pass's windows as a viewer that is not ready: begin, go on at a key frame, or miss them."""

    def lose(self, from_ms: int, version: int) -> None:
        """Miss what begins at `from_ms`; `version` is that of the last configuration it has had."""

    def refuse(self, status: int, phrase: str, code: str, detail: str) -> None:
        """Answer with an error instead of the stream."""

    def end(self, *, going_down: bool = False) -> None:
        """Close after what was written; `going_down`: because the server ends, not the broadcast."""


class Outlet(Protocol):
    """What the fan-out asks of its output."""

    totals: Totals
    limits: ViewerLimits
    fixed_tracks: bool

    @property
    def clock(self) -> Callable[[], int]:
        """Unix ms."""

    @property
    def encoder(self) -> Callable[[Source], Encoder]:
        """Makes the encoder of one run of a relay."""

    def retire(self, fanout: "Fanout", *, empty: bool) -> None:
        """Send no more viewers here; `empty`: and none is left."""


class Fanout:
    """All viewers of one room in one format and delay; the relay's reader while there are any."""

    def __init__(self, output: Outlet, relay: Source, key: tuple[str, bool]) -> None:
        self.key = key
        """Room, and whether each packet goes out at once."""
        self.relay = relay
        self.totals = output.totals
        self.content_type = ""
        self.viewers: dict[Member, None] = {}
        self.waiting: dict[Member, None] = {}
        self.stalling: dict[Member, int] = {}
        self._output = output
        self._limits = output.limits
        self._loop = asyncio.get_running_loop()
        self._window_ms = 0 if key[1] else self._limits.window_ms
        self._windows: Windows | None = None
        self._tracks: tuple[Kind, ...] | None = None
        self._gop = Gop(relay.limits)
        self._queue: list[Window] = []
        self._queue_bytes = 0
        self._batch: Batch | None = None
        self._targets: list[Member] = []
        self._at = 0
        self._fresh = False
        self._bursting: dict[Member, None] = {}
        self._buffer_bytes = self._limits.buffer_bytes(0)

    # What viewers call.

    def join(self, viewer: Member, now_ms: int) -> None:
        """Add a viewer; the stream begins for it at once if there is a key frame."""
        viewer.joined_ms = now_ms
        self.viewers[viewer] = None
        self.waiting[viewer] = None
        if len(self.viewers) == 1:
            self.relay.attach(self, now_ms)
            return
        windows = self._windows
        if windows is None:
            return
        if windows.opens_with_key:
            self._enqueue(windows.cut())
        if any(window.key for window in self._queue):
            # The pass that follows begins with a newer key frame than the cached one.
            return
        start = self._gop.start(video=Kind.VIDEO in windows.encoder.tracks)
        if start is not None:
            viewer.offer(Batch(start.data, start.start_ms, start.version, start))

    def leave(self, viewer: Member) -> None:
        """Take a viewer out; with the last one, nothing is encoded any more."""
        self.viewers.pop(viewer, None)
        self.waiting.pop(viewer, None)
        self.stalling.pop(viewer, None)
        self._bursting.pop(viewer, None)
        if not self.viewers:
            self.relay.detach(self)
            self._windows = None
            self._gop.clear()
            self._drop_queue()
            self._output.retire(self, empty=True)

    def begun(self, viewer: Member, first_bytes: int) -> None:
        """The viewer gets its first bytes: a whole GOP may be more than the limit, and is no sign of a slow viewer."""
        self.waiting.pop(viewer, None)
        self._bursting[viewer] = None
        self._limit(viewer, self._buffer_bytes + first_bytes)
        self.totals.joined += 1

    def paused(self, viewer: Member) -> None:
        """The viewer's transport is full."""
        self.totals.slow += 1
        self.stalling[viewer] = self._output.clock()

    def resumed(self, viewer: Member) -> None:
        """The viewer's transport has drained."""
        self.stalling.pop(viewer, None)

    # What the relay calls.

    def on_start(self, now_ms: int) -> None:
        """Begin to encode, from the cached key frame on."""
        encoder = self._output.encoder(self.relay)
        if not encoder.tracks:
            return
        if self._output.fixed_tracks and self._tracks not in (None, encoder.tracks):
            for viewer in tuple(self.viewers):
                if viewer.started:
                    viewer.end()
        self._tracks = encoder.tracks
        self._windows = windows = Windows(encoder, self._window_ms)
        self._gop.clear()
        cached: list[Window] = []
        for packet in tuple(self.relay.gop):
            cached += windows.push(packet, now_ms)
        cached += windows.cut()
        self.content_type = encoder.content_type
        first = merge(cached) if cached else None
        self._fresh = True
        if first is not None:
            self._enqueue([first])

    def on_packet(self, packet: Packet, now_ms: int) -> None:
        """Encode one packet and send the windows that it completes."""
        windows = self._windows
        if windows is not None:
            done = windows.push(packet, now_ms)
            if done:
                self._enqueue(done)

    def on_pause(self, now_ms: int) -> None:
        """Send the window under way as it is."""
        if self._windows is not None:
            self._enqueue(self._windows.cut())

    def on_stop(self, now_ms: int) -> None:
        """Send what is left; viewers wait for the next start."""
        if self._windows is not None:
            self._enqueue(self._windows.flush(self.relay.run_ends_ms))
        self._windows = None
        self._gop.clear()

    def on_close(self, now_ms: int) -> None:
        """The stream is over: end all viewers after what is queued."""
        self._output.retire(self, empty=False)
        self._loop.call_soon(self._end_all)

    def _end_all(self) -> None:
        if self._batch is not None or self._queue:
            self._loop.call_soon(self._end_all)
            return
        for viewer in tuple(self.viewers):
            if viewer.started:
                viewer.end()
            else:
                self._not_found(viewer)

    # The pass.

    def _enqueue(self, windows: list[Window]) -> None:
        if not windows:
            return
        idle = self._batch is None and not self._queue
        if self._fresh and windows[0].key:
            self._fresh = False
            windows = [replace(windows[0], fresh=True), *windows[1:]]
        self._queue += windows
        self._queue_bytes += sum(len(window.data) for window in windows)
        if idle:
            self._loop.call_soon(self._begin_pass)
        else:
            # Without the first: a cached GOP may well be longer, and is no sign of being late.
            first, last = self._queue[0], self._queue[-1]
            waiting_bytes = self._queue_bytes - len(first.data)
            if waiting_bytes > QUEUE_BYTES_MAX or last.end_ms - first.end_ms > QUEUE_MS_MAX:
                self._overrun()

    def _overrun(self) -> None:
        self.totals.overruns += 1
        lost = self._queue[0]
        for viewer in self.viewers:
            viewer.lose(lost.start_ms, -1)
        self._targets = self._targets[: self._at]
        self._gop.clear()
        self._drop_queue()

    def _drop_queue(self) -> None:
        self._queue.clear()
        self._queue_bytes = 0

    def _begin_pass(self) -> None:
        queue = self._queue
        if not queue or self._batch is not None:
            return
        # A start after the host's return is a pass of its own: what came before it still goes to those that are ready.
        end = next((index for index, window in enumerate(queue) if window.fresh and index), len(queue))
        taken, self._queue = queue[:end], queue[end:]
        self._queue_bytes = sum(len(window.data) for window in self._queue)
        windows = self._windows
        video = windows is None or Kind.VIDEO in windows.encoder.tracks
        if windows is not None:
            self.content_type = windows.encoder.content_type
            for window in taken:
                self._gop.add(window, video=video)
        if taken[0].fresh:
            for viewer in self.viewers:
                viewer.lose(taken[0].start_ms, -1)
        whole = merge(taken)
        first = next((index for index, window in enumerate(taken) if window.key), None)
        key = None if first is None else merge(taken[first:]) if first else whole
        self._batch = Batch(whole.data, whole.start_ms, whole.version, key)
        self._targets = list(self.viewers)
        self._at = 0
        self.totals.windows += len(taken)
        self._slice()

    def _slice(self) -> None:
        batch = self._batch
        assert batch is not None
        data = batch.data
        at = self._at
        targets = self._targets
        self._at = at + SLICE_VIEWERS
        written = 0
        for viewer in targets[at : at + SLICE_VIEWERS]:
            if viewer.ready:
                viewer.write(data)
                written += 1
            else:
                viewer.offer(batch)
        self.totals.bytes_out += written * len(data)
        if self._at < len(self._targets):
            self._loop.call_soon(self._slice)
            return
        self._batch = None
        self._targets = []
        if self._queue:
            self._loop.call_soon(self._begin_pass)

    # Time.

    def tick(self, now_ms: int) -> None:
        """Look at time-outs and at the stream's rate."""
        limits = self._limits
        for viewer in tuple(self.waiting):
            waited_ms = now_ms - viewer.joined_ms
            if waited_ms >= (limits.start_wait_ms if self.relay.live else limits.host_wait_ms):
                self._not_found(viewer)
        for viewer, since_ms in tuple(self.stalling.items()):
            if now_ms - since_ms >= limits.stall_ms and viewer.transport is not None:
                self.totals.stalled += 1
                self.stalling.pop(viewer)
                viewer.transport.abort()
        for viewer in tuple(self._bursting):
            transport = viewer.transport
            if transport is not None and transport.get_write_buffer_size() <= self._buffer_bytes:
                del self._bursting[viewer]
                self._limit(viewer, self._buffer_bytes)
        wanted = limits.buffer_bytes(self.relay.bytes_per_s)
        # Each change touches every viewer: small ones are not worth it.
        if abs(wanted - self._buffer_bytes) * 4 > self._buffer_bytes:
            self._buffer_bytes = wanted
            for viewer in self.viewers:
                if viewer.started and viewer not in self._bursting:
                    self._limit(viewer, wanted)

    def _not_found(self, viewer: Member) -> None:
        self.waiting.pop(viewer, None)
        self.totals.not_found += 1
        viewer.refuse(404, "Not Found", "not_live", "the room is not live")

    @staticmethod
    def _limit(viewer: Member, high: int) -> None:
        if viewer.transport is not None and not viewer.transport.is_closing():
            viewer.transport.set_write_buffer_limits(high=high, low=high // 4)
