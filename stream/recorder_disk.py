"""The recordings' side of the disk: one thread that appends.

The loop puts jobs into a queue bounded in bytes and never waits; a part that finds it full is dropped and counted by
the caller. The thread writes each part's bytes, then its line of the index, so a SIGKILL loses what was still in the
queue and nothing else. It syncs what it has written each `sync_ms` and at the end of a show: a power cut costs that
much. The little and often also keeps a sync of the ledger on the same disk from having to carry minutes of video.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Protocol

from stream.protocol import recording
from stream.protocol.recording import COVER_FILE, INDEX_FILE, End, Init, Part, init_file, media_file

logger = logging.getLogger("siyu.record")

SPACE_CHECK_S: Final = 1.0
"""How often the room on the disk is looked at: at 1 GB/s a second still lies far within the reserve."""
RETRY_S: Final = 10.0
"""After an error of the disk recording rests this long."""
CLOSE_WAIT_S: Final = 10.0
"""How long the end of the server waits for the queue to be written."""


class OutFile(Protocol):
    """A file that is appended to. Each call may raise OSError."""

    def write(self, data: bytes) -> None:
        """Append all of `data`."""

    def sync(self) -> None:
        """Have the disk keep what was written."""

    def size(self) -> int:
        """Bytes now."""

    def truncate(self, size: int) -> None:
        """Cut off what lies beyond `size`."""

    def close(self) -> None:
        """Let it go."""


class AppendFile:
    """An `OutFile` on a real file."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            # Other processes see by it that the file is being written; the kernel lets it go with ours.
            fcntl.flock(self._descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            os.close(self._descriptor)
            raise

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._descriptor, view) :]

    def sync(self) -> None:
        os.fdatasync(self._descriptor)

    def size(self) -> int:
        return os.fstat(self._descriptor).st_size

    def truncate(self, size: int) -> None:
        os.ftruncate(self._descriptor, size)

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


@dataclass(frozen=True, slots=True)
class DiskLimits:
    """Bounds of the recordings' disk."""

    min_free_bytes: int = 2 * 1024**3
    """With less room than this on the disk nothing is recorded: the ledger beside it must never meet a full one."""
    queue_bytes: int = 32 * 1024 * 1024
    """Parts waiting for the disk, of all rooms: 4 s of 16 rooms at 4 Mbit/s."""
    sync_ms: int = 2_000
    """What a power cut may cost."""
    file_bytes: int = 256 * 1024 * 1024
    """A media file ends at the first key frame after this."""


@dataclass(slots=True)
class Show:
    """One recorded show. The loop owns it; the disk's thread writes the figures that say so."""

    room: str
    show: str
    started_ms: int
    ended_ms: int | None = None
    length_ms: float = 0.0
    """Media time recorded (disk's thread)."""
    bytes: int = 0
    """Bytes recorded (disk's thread)."""
    from_ms: float | None = None
    """Media time of its first frame (disk's thread)."""
    to_ms: float = 0.0
    """Media time up to which it is on the disk (disk's thread)."""
    cover: bool = False
    """Whether it has a thumbnail (disk's thread)."""


@dataclass(slots=True)
class DiskStats:
    """Figures for metrics; written by the disk's thread but for `queued_bytes` and the drops."""

    queued_bytes: int = 0
    parts: int = 0
    bytes_written: int = 0
    syncs: int = 0
    errors: int = 0
    lost: int = 0
    """Parts that came to the disk and were of no use, for an error before them."""
    recovered: int = 0
    deleted: int = 0
    free_bytes: int = 0


@dataclass(frozen=True, slots=True)
class InitSegment:
    """What a part needs before it: its bytes, and what the index tells of it."""

    data: bytes
    about: Init


@dataclass(frozen=True, slots=True)
class _Job:
    show: Show
    kind: str
    data: bytes = b""
    part: Part | None = None
    init: InitSegment | None = None
    fresh: bool = False
    wall_ms: int = 0


@dataclass(slots=True)
class _Open:
    """A show being written."""

    folder: Path
    index: OutFile
    index_size: int = 0
    media: OutFile | None = None
    file: int = -1
    at: int = 0
    dirty: bool = False
    synced_s: float = 0.0
    broken: bool = False
    """A part was lost here: what follows is no use before the next key frame."""
    inits: set[int] = field(default_factory=set)


class Disk:
    """Appends to shows on a thread of its own. `put_*` are called on the loop and return at once."""

    def __init__(
        self,
        folder: Path,
        *,
        limits: DiskLimits | None = None,
        open_file: Callable[[Path], OutFile] = AppendFile,
        free_bytes: Callable[[Path], int] | None = None,
    ) -> None:
        self.folder = folder
        self.limits = limits or DiskLimits()
        self.stats = DiskStats()
        self.ready = True
        """Whether there is room and the disk works; parts are refused otherwise."""
        self._open_file = open_file
        self._free_bytes = free_bytes or _free_bytes
        self._shows: dict[tuple[str, str], _Open] = {}
        self._jobs: deque[_Job] = deque()
        self._wake = threading.Condition()
        self._ending = False
        self._rests_until_s = 0.0
        self._looked_s = -SPACE_CHECK_S
        self._thread = threading.Thread(target=self._run, name="record", daemon=True)

    # What the loop calls.

    def start(self) -> None:
        """Begin to write. Raises OSError when the folder cannot be made."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._look()
        self._thread.start()

    def put_part(self, show: Show, data: bytes, part: Part, init: InitSegment, *, fresh: bool) -> bool:
        """Add a part (`file` and `at` are filled in here); False when there is no room for it, on disk or in memory.

        `fresh`: a run begins with it; only then its `wall_ms` is told.
        """
        if not self.ready or self.stats.queued_bytes + len(data) > self.limits.queue_bytes:
            return False
        self._put(_Job(show, "part", data, part, init, fresh))
        return True

    def put_cover(self, show: Show, data: bytes) -> None:
        """Replace its thumbnail."""
        if self.ready and self.stats.queued_bytes + len(data) <= self.limits.queue_bytes:
            self._put(_Job(show, "cover", data))

    def put_end(self, show: Show, wall_ms: int) -> None:
        """It is over."""
        self._put(_Job(show, "end", wall_ms=wall_ms))

    def put_delete(self, show: Show) -> None:
        """Remove it."""
        self._put(_Job(show, "delete"))

    def close(self) -> None:
        """Write what is queued, then end the thread; waits CLOSE_WAIT_S at most (on a thread of the caller's)."""
        with self._wake:
            self._ending = True
            self._wake.notify()
        if self._thread.is_alive():
            self._thread.join(CLOSE_WAIT_S)
            if self._thread.is_alive():
                logger.error("the disk did not take the last of the recordings in time")

    def _put(self, job: _Job) -> None:
        with self._wake:
            self._jobs.append(job)
            self.stats.queued_bytes += len(job.data)
            self._wake.notify()

    # The thread.

    def _run(self) -> None:
        try:
            while self._step():
                pass
        except Exception:
            self.ready = False
            logger.critical("recording has ended by an error of ours", exc_info=True)
            raise
        finally:
            for opened in self._shows.values():
                self._release(opened)

    def _step(self) -> bool:
        """One job, and what is due; False at the end."""
        with self._wake:
            if not self._jobs and not self._ending:
                self._wake.wait(SPACE_CHECK_S / 2)
            job = self._jobs.popleft() if self._jobs else None
            if job is None and self._ending:
                return False
        if job is not None:
            self._do(job)
            with self._wake:
                self.stats.queued_bytes -= len(job.data)
        self._sync_due()
        if time.monotonic() - self._looked_s >= SPACE_CHECK_S:
            self._look()
        return True

    def _do(self, job: _Job) -> None:
        key = (job.show.room, job.show.show)
        try:
            if job.kind == "part":
                self._write(self._shows.get(key) or self._begin(job.show), job)
            elif job.kind == "cover" and key in self._shows:
                write_whole(self._shows[key].folder / COVER_FILE, job.data)
                job.show.cover = True
            elif job.kind == "end" and key in self._shows:
                self._end(job.show, self._shows.pop(key), job.wall_ms)
            elif job.kind == "delete":
                shutil.rmtree(self.folder / job.show.room / job.show.show, ignore_errors=True)
                self.stats.deleted += 1
        except OSError as error:
            self._failed(job.show.room, error)

    def _failed(self, room: str, error: OSError) -> None:
        self.stats.errors += 1
        if self.ready:
            logger.error("recording rests, the disk failed: %s", error.strerror, extra={"fields": {"room": room}})
        self.ready = False
        self._rests_until_s = time.monotonic() + RETRY_S

    def _begin(self, show: Show) -> _Open:
        folder = self.folder / show.room / show.show
        folder.mkdir(parents=True, exist_ok=True)
        opened = _Open(folder, self._open_file(folder / INDEX_FILE))
        # One that a full disk left without its first line begins anew.
        opened.index.truncate(0)
        self._line(opened, recording.head_line(show.room, show.show, show.started_ms))
        self._shows[(show.room, show.show)] = opened
        return opened

    def _write(self, opened: _Open, job: _Job) -> None:
        part, init, show, size = job.part, job.init, job.show, len(job.data)
        assert part is not None and init is not None
        if opened.broken and not part.key:
            self.stats.lost += 1
            return
        fresh = job.fresh or opened.broken
        opened.broken = True
        if part.init not in opened.inits:
            write_whole(opened.folder / init_file(part.init), init.data)
            self._line(opened, recording.init_line(part.init, init.about))
            opened.inits.add(part.init)
        media = self._media(opened, part.key)
        try:
            media.write(job.data)
        except OSError:
            # What was written of it is skipped: the next part lies behind it.
            opened.at = media.size()
            raise
        placed = replace(part, file=opened.file, at=opened.at, size=size, wall_ms=part.wall_ms if fresh else 0)
        opened.at += size
        self._line(opened, recording.part_line(placed))
        opened.broken, opened.dirty = False, True
        show.bytes += size
        show.length_ms += part.length_ms
        show.from_ms = part.start_ms if show.from_ms is None else show.from_ms
        show.to_ms = part.end_ms
        self.stats.parts += 1
        self.stats.bytes_written += size

    def _media(self, opened: _Open, key: bool) -> OutFile:
        """The file that the next part goes to: a new one when that has its size."""
        if opened.media is None or (key and opened.at >= self.limits.file_bytes):
            if opened.media is not None:
                opened.media.sync()
                opened.media.close()
                opened.media = None
            opened.media = self._open_file(opened.folder / media_file(opened.file + 1))
            opened.file += 1
            opened.at = 0
        return opened.media

    @staticmethod
    def _line(opened: _Open, line: bytes) -> None:
        try:
            opened.index.write(line)
        except OSError:
            # Half a line would spoil the next one.
            opened.index.truncate(opened.index_size)
            raise
        opened.index_size += len(line)

    def _end(self, show: Show, opened: _Open, wall_ms: int) -> None:
        try:
            if opened.file < 0:
                shutil.rmtree(opened.folder, ignore_errors=True)
                return
            end = End(wall_ms, round(show.length_ms), show.bytes, int(show.from_ms or 0), int(show.to_ms))
            if opened.media is not None:
                opened.media.sync()
            self._line(opened, recording.end_line(end))
            opened.index.sync()
        finally:
            opened.dirty = False
            self._release(opened)

    def _release(self, opened: _Open) -> None:
        try:
            self._sync(opened)
        except OSError as error:
            logger.error("the end of a recording was not synced: %s", error.strerror)
        opened.index.close()
        if opened.media is not None:
            opened.media.close()

    def _sync_due(self) -> None:
        now_s = time.monotonic()
        for (room, _), opened in self._shows.items():
            if opened.dirty and (now_s - opened.synced_s) * 1000 >= self.limits.sync_ms:
                try:
                    self._sync(opened)
                except OSError as error:
                    self._failed(room, error)

    def _sync(self, opened: _Open) -> None:
        """The data before the lines that tell of it."""
        if opened.dirty:
            if opened.media is not None:
                opened.media.sync()
            opened.index.sync()
            self.stats.syncs += 1
        opened.dirty = False
        opened.synced_s = time.monotonic()

    def _look(self) -> None:
        """Look whether there is room, and say so when that changes."""
        self._looked_s = time.monotonic()
        try:
            free = self._free_bytes(self.folder)
        except OSError as error:
            self._failed("", error)
            return
        self.stats.free_bytes = free
        least = self.limits.min_free_bytes
        # Room must come back by a tenth, or it would go on and off with each part.
        enough = free >= (least if self.ready else least + least // 10)
        rested = self._looked_s >= self._rests_until_s
        if enough and rested and not self.ready:
            logger.info("recording goes on")
        if not enough and self.ready:
            fields = {"free_bytes": free, "min_free_bytes": least}
            logger.error("recording rests: the disk is nearly full", extra={"fields": fields})
        self.ready = enough and rested


def _free_bytes(folder: Path) -> int:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


def write_whole(path: Path, data: bytes) -> None:
    """Write a small file so that a reader sees the old one or the new one, and a power cut leaves one of them."""
    part = path.with_name(path.name + ".part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)
    part.replace(path)
