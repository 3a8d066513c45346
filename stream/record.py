"""Recording: each room's stream to fragmented MP4 on disk, from the host's first frame until the relay's end.

packets → fMP4 windows → parts → the disk's thread. A show is one life of a relay, and so has one media clock: a host
that comes back within the relay's linger goes on in the same show, after a discontinuity. Nothing here waits: a part
that the disk does not take is dropped and counted, and the show goes on at the next key frame.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from stream.directory import Clock, Directory, StreamEvent, StreamStarted
from stream.mp4_encoder import Mp4Encoder
from stream.packet import Packet
from stream.protocol import fmp4
from stream.protocol.recording import Init, Part
from stream.record_folder import Name, RecordFolder
from stream.recorder_disk import AppendFile, Disk, DiskLimits, InitSegment, OutFile, Show
from stream.relay import Source
from stream.window import Window, Windows

logger = logging.getLogger("siyu.record")

PART_MS: Final = 500
"""Media time of a part: what a SIGKILL may cost; two writes a second and room cost nothing."""
SWEEP_S: Final = 60.0
"""How often shows past their time are looked for."""
FOLLOW_S: Final = 2.0
"""How often shows of other processes are looked for, where several record into one folder."""
DAY_MS: Final = 86_400_000
NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""What may become a folder's name."""


@dataclass(frozen=True, slots=True)
class RecordLimits:
    """What may be kept, and for how long."""

    keep_days: int = 0
    """Shows are removed this long after their end; 0 keeps them for ever."""
    shows_max: int = 100_000
    """Shows listed in memory, at 300 bytes each; beyond it the oldest are removed."""
    disk: DiskLimits = field(default_factory=DiskLimits)


@dataclass(frozen=True, slots=True)
class ShowStarted:
    """A show's first part was cut."""

    room: str
    show: str
    now_ms: int


@dataclass(frozen=True, slots=True)
class ShowEnded:
    """A show is over, its last part is on the way to the disk; `media_ms` is the room's clock at its end."""

    room: str
    show: str
    now_ms: int
    media_ms: int


ShowEvent = ShowStarted | ShowEnded


@dataclass(slots=True)
class RecordStats:
    """Figures for metrics."""

    recording: int = 0
    shows: int = 0
    resting: int = 0
    """1 while the disk is nearly full or fails."""
    dropped_parts: int = 0
    dropped_bytes: int = 0
    failed: int = 0
    """Streams that cannot be recorded: neither a picture that MP4 carries here, nor AAC."""


class _Tape:
    """One room's reader."""

    def __init__(self, recorder: Recorder, relay: Source) -> None:
        self.relay = relay
        self.show: Show | None = None
        self._recorder = recorder
        self._windows: Windows | None = None
        self._rate = 0
        self._inits: list[InitSegment] = []
        self._init = -1
        self._gap = True

    def on_start(self, now_ms: int) -> None:
        if not self._recorder.hosts(self.relay.room):
            # The host came back at another process, which records it.
            asyncio.get_running_loop().call_soon(self._recorder.leave, self)
            return
        encoder = Mp4Encoder(self.relay)
        if not encoder.tracks:
            self._recorder.figures.failed += 1
            return
        self._rate = encoder.rate
        self._gap = True
        self._windows = windows = Windows(encoder, PART_MS)
        for packet in tuple(self.relay.gop):
            self._take(windows.push(packet, now_ms), now_ms)

    def on_packet(self, packet: Packet, now_ms: int) -> None:
        windows = self._windows
        if windows is not None:
            done = windows.push(packet, now_ms)
            if done:
                self._take(done, now_ms)

    def on_stop(self, now_ms: int) -> None:
        if self._windows is not None:
            self._take(self._windows.flush(), now_ms)
            self._windows = None

    def on_close(self, now_ms: int) -> None:
        self.on_stop(now_ms)
        self._recorder.ended(self, now_ms)

    def _take(self, windows: list[Window], now_ms: int) -> None:
        for window in windows:
            if self._gap and not window.key:
                # What cannot be decoded is not worth its bytes.
                self._recorder.drop(window.data)
                continue
            data = fmp4.media_only(window.data)
            spans = fmp4.spans(data)
            if not spans:
                continue
            if window.key:
                self._configure(window.head)
            start_ms, length_ms = self._span_ms(spans)
            if self._init < 0:
                continue
            wall_ms = now_ms - self.relay.media_clock_ms + int(start_ms)
            part = Part(0, 0, len(data), start_ms, length_ms, window.key, self._init, wall_ms)
            self._gap = not self._recorder.put(self, data, part, self._inits[self._init], self._gap, now_ms)

    def _configure(self, head: bytes) -> None:
        """Number the init segments; one that was there before keeps its number."""
        for number, known in enumerate(self._inits):
            if known.data == head:
                self._init = number
                return
        info = self.relay.info()
        codecs = ",".join(codec for codec in (info.video_codec, info.audio_codec) if codec)
        self._init = len(self._inits)
        self._inits.append(InitSegment(head, Init(codecs, info.width, info.height)))

    def _span_ms(self, spans: dict[int, tuple[int, int]]) -> tuple[float, float]:
        """Where the part begins and how long it lasts, by the picture where there is one."""
        track = fmp4.VIDEO_TRACK if fmp4.VIDEO_TRACK in spans else fmp4.AUDIO_TRACK
        scale = fmp4.VIDEO_TIMESCALE if track == fmp4.VIDEO_TRACK else self._rate
        start, end = spans[track]
        return start * 1000 / scale, (end - start) * 1000 / scale


class Recorder:
    """Records every live room between `start` and `close`, and knows all shows there are.

    `shared`: other processes record into the same folder; `sweeps`: whether this one removes what is past its time.
    """

    def __init__(
        self,
        directory: Directory,
        folder: Path,
        *,
        clock: Clock,
        record: bool = True,
        shared: bool = False,
        sweeps: bool = True,
        limits: RecordLimits | None = None,
        open_file: Callable[[Path], OutFile] = AppendFile,
        free_bytes: Callable[[Path], int] | None = None,
    ) -> None:
        self.folder = folder
        self.limits = limits or RecordLimits()
        self.disk = Disk(folder, limits=self.limits.disk, open_file=open_file, free_bytes=free_bytes)
        self.figures = RecordStats()
        self._directory = directory
        self._clock = clock
        self._record = record
        self._shared = shared
        self._sweeps = sweeps
        self._lying = RecordFolder(folder, self.disk.stats, shared=shared)
        self._own: set[Name] = set()
        """Shows that this process recorded."""
        self._following: asyncio.Task[None] | None = None
        self._tapes: dict[str, _Tape] = {}
        self._shows: dict[tuple[str, str], Show] = {}
        self._rooms: dict[str, list[Show]] = {}
        """Each room's shows, oldest first."""
        self._listeners: list[Callable[[ShowEvent], None]] = []
        self._newest_ms = 0
        self._timer: asyncio.TimerHandle | None = None

    # — life —

    async def start(self) -> None:
        """Find the shows there are, close those that a crash left open, then record. Raises OSError."""
        await self._scan()
        self.disk.start()
        if self._record:
            self._directory.listen(self._on_stream)
        if self._shared:
            self._following = asyncio.get_running_loop().create_task(self._follow(), name="record-follow")
        if self._sweeps:
            self._sweep()

    async def close(self) -> None:
        """End the shows under way and write all that is queued."""
        if self._timer is not None:
            self._timer.cancel()
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)
        now_ms = self._clock()
        for tape in tuple(self._tapes.values()):
            tape.relay.detach(tape)
            tape.on_close(now_ms)
        await asyncio.to_thread(self.disk.close)

    def listen(self, callback: Callable[[ShowEvent], None]) -> None:
        """Call `callback` with each event, at once and on the host's path: it must be quick and not raise."""
        self._listeners.append(callback)

    # — what there is —

    def current(self, room: str) -> str | None:
        """The show that is being recorded in the room."""
        tape = self._tapes.get(room)
        return tape.show.show if tape is not None and tape.show is not None else None

    def shows(self, room: str) -> list[Show]:
        """The room's shows, newest first."""
        return self._rooms.get(room, [])[::-1]

    def find(self, room: str, show: str) -> Show | None:
        """A show; None when there is none of that name (any more)."""
        return self._shows.get((room, show))

    def place(self, show: Show) -> Path:
        """The show's folder."""
        return self.folder / show.room / show.show

    def stats(self) -> RecordStats:
        """Give figures for metrics."""
        self.figures.recording = sum(tape.show is not None for tape in self._tapes.values())
        self.figures.shows = len(self._shows)
        self.figures.resting = int(not self.disk.ready)
        return self.figures

    def cover(self, room: str, picture: bytes) -> None:
        """Take a thumbnail of the show under way."""
        tape = self._tapes.get(room)
        if tape is not None and tape.show is not None:
            self.disk.put_cover(tape.show, picture)

    # — what the tapes call —

    def hosts(self, room: str) -> bool:
        """Whether the room's host is at this process."""
        return self._directory.hosted(room) is not None

    def leave(self, tape: _Tape) -> None:
        """End what a tape records."""
        tape.relay.detach(tape)
        tape.on_close(self._clock())

    def put(self, tape: _Tape, data: bytes, part: Part, init: InitSegment, fresh: bool, now_ms: int) -> bool:
        """Take a part; False when it was dropped."""
        if tape.show is None:
            if not self.disk.ready:
                self.drop(data)
                return False
            tape.show = self._begin(tape.relay.room, now_ms)
        if not self.disk.put_part(tape.show, data, part, init, fresh=fresh):
            self.drop(data)
            return False
        return True

    def drop(self, data: bytes) -> None:
        """Count a part that was not recorded."""
        self.figures.dropped_parts += 1
        self.figures.dropped_bytes += len(data)

    def ended(self, tape: _Tape, now_ms: int) -> None:
        """The relay is over."""
        room = tape.relay.room
        if self._tapes.get(room) is tape:
            del self._tapes[room]
        show, tape.show = tape.show, None
        if show is not None:
            show.ended_ms = now_ms
            self.disk.put_end(show, now_ms)
            self._tell(ShowEnded(room, show.show, now_ms, tape.relay.media_clock_ms))

    def _begin(self, room: str, now_ms: int) -> Show:
        # A name of its own even where the clock stands still.
        self._newest_ms = named_ms = max(now_ms, self._newest_ms + 1)
        show = Show(room, show_name(named_ms), now_ms)
        self._own.add((room, show.show))
        self._add(show)
        self._tell(ShowStarted(room, show.show, now_ms))
        return show

    # — inside —

    def _on_stream(self, event: StreamEvent) -> None:
        if not isinstance(event, StreamStarted) or event.room in self._tapes:
            return
        if self._directory.find(event.room) is not None and NAME.fullmatch(event.room):
            relay = self._directory.aac(event.room)
            tape = self._tapes[event.room] = _Tape(self, relay)
            relay.attach(tape, event.now_ms, host_only=True)

    def _add(self, show: Show) -> None:
        self._shows[(show.room, show.show)] = show
        shows = self._rooms.setdefault(show.room, [])
        shows.append(show)
        if len(shows) > 1 and show.show < shows[-2].show:
            shows.sort(key=lambda known: known.show)

    def _forget(self, show: Show) -> None:
        self._own.discard((show.room, show.show))
        del self._shows[(show.room, show.show)]
        self._rooms[show.room].remove(show)

    async def _follow(self) -> None:
        """Hear of what other processes record, and of what they remove."""
        while True:
            await asyncio.sleep(FOLLOW_S)
            try:
                await self._scan()
            except OSError as error:
                logger.warning("recordings of other processes cannot be read: %s", error)

    async def _scan(self) -> None:
        """Raises OSError."""
        found, gone = await asyncio.to_thread(self._lying.scan, self._own)
        for show in found:
            self._add(show)
        for name in gone:
            show_gone = self._shows.get(name)
            if show_gone is not None:
                self._forget(show_gone)

    def _sweep(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(SWEEP_S, self._sweep)
        self.expire(self._clock())

    def expire(self, now_ms: int) -> None:
        """Remove shows past their time, and the oldest beyond what is listed."""
        over = [show for show in self._shows.values() if show.ended_ms is not None]
        keep_ms = self.limits.keep_days * DAY_MS
        gone = [show for show in over if keep_ms and (show.ended_ms or 0) < now_ms - keep_ms]
        excess = len(self._shows) - len(gone) - self.limits.shows_max
        if excess > 0:
            left = sorted((show for show in over if show not in gone), key=lambda show: show.started_ms)
            gone += left[:excess]
        for show in gone:
            self._forget(show)
            self.disk.put_delete(show)
        if gone:
            logger.info("recordings past their time were removed", extra={"fields": {"shows": len(gone)}})

    def _tell(self, event: ShowEvent) -> None:
        for listener in self._listeners:
            listener(event)


def show_name(started_ms: int) -> str:
    """A show's name by its start: sorts by time, sorts after every earlier one until the year 2059."""
    digits = "0123456789abcdefghijklmnopqrstuvwxyz"
    name = ""
    for _ in range(8):
        started_ms, rest = divmod(started_ms, 36)
        name = digits[rest] + name
    return name
