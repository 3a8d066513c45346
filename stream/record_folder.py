"""The recordings' folder: which shows lie there, what a crash left open, and what other processes write into it.

Workers of one server record into one folder, each the hosts that it has. Who writes a show holds a lock on its index
(flock(2), shared), which the kernel lets go with the process: an index without an end that nobody holds was left by a
crash, and whoever finds it closes it. `scan` reads what is new since the last one; it runs on a thread of the caller's,
one at a time.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import time
from collections.abc import Container
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

from stream.protocol import recording
from stream.protocol.fmp4 import boxes
from stream.protocol.recording import COVER_FILE, INDEX_FILE, Index, Part, init_file, media_file
from stream.recorder_disk import DiskStats, Show, write_whole

logger = logging.getLogger("siyu.record")

TAIL_BYTES: Final = 4_096
"""The last line of an index lies within so much of its end."""
CHECKED_PARTS: Final = 64
"""Parts at the end of an unfinished show that are looked into: a power cut may leave a file longer than its data."""
YOUNG_S: Final = 60.0
"""A show of another process may be without its first line for so long: it is about to be written."""
SETTLED_S: Final = 2.0
"""A folder's time of change is believed when it lies so far back: file systems count it in ticks."""

Name = tuple[str, str]
"""A room, and a show of it."""


class _Unwritten(Exception):
    """There is nothing to read of a show yet."""


@dataclass(slots=True)
class _Other:
    """A show that another process is writing, and how far its index is read."""

    show: Show
    index: Index
    good: int
    file: int
    """The index's inode: it is another one when somebody closed the show after a crash."""


@dataclass(slots=True)
class _RoomFolder:
    changed_ns: int = 0
    """When the room's folder changed last, as far as that can be believed; 0: look again."""
    names: set[str] = field(default_factory=set)


class RecordFolder:
    """What lies in the folder. `shared`: other processes write into it as well."""

    def __init__(self, folder: Path, stats: DiskStats, *, shared: bool) -> None:
        self._folder = folder
        self._stats = stats
        self._shared = shared
        self._rooms: dict[str, _RoomFolder] = {}
        self._others: dict[Name, _Other] = {}

    def scan(self, own: Container[Name] = ()) -> tuple[list[Show], list[Name]]:
        """Give (shows that were not there at the last scan, shows that are gone since); raises OSError.

        `own`: shows of this process. Shows that others are writing get their figures brought up to date in place. What
        a crash left open is closed; what holds nothing to play is removed.
        """
        found: list[Show] = []
        gone: list[Name] = []
        places = {path.name: path for path in self._folder.iterdir() if path.is_dir()} if self._folder.is_dir() else {}
        for room in sorted({*places, *self._rooms}):
            if room in places:
                self._scan_room(places[room], own, found, gone)
            else:
                gone += [(room, name) for name in self._rooms.pop(room).names]
        for name in gone:
            self._others.pop(name, None)
        for name, other in tuple(self._others.items()):
            self._follow(name, other)
        return found, gone

    def _scan_room(self, place: Path, own: Container[Name], found: list[Show], gone: list[Name]) -> None:
        room = place.name
        known = self._rooms.setdefault(room, _RoomFolder())
        changed_ns = place.stat().st_mtime_ns
        if known.changed_ns == changed_ns:
            return
        settled = time.time_ns() - changed_ns > SETTLED_S * 1e9
        names = {path.name for path in place.iterdir() if path.is_dir()}
        gone += [(room, name) for name in sorted(known.names - names)]
        for name in sorted(names - known.names):
            if (room, name) in own:
                continue
            try:
                show = self._read(place / name)
            except _Unwritten:
                settled = False
                names.discard(name)
                continue
            except (OSError, ValueError) as error:
                logger.error("a recording cannot be read: %s", error, extra={"fields": {"folder": name}})
                continue
            if show is not None:
                found.append(show)
        known.names = names
        known.changed_ns = changed_ns if settled else 0

    def _read(self, place: Path) -> Show | None:
        """A show that was not known; None when there was nothing to play. Raises OSError, ValueError, _Unwritten."""
        path = place / INDEX_FILE
        head, tail = _ends(path)
        if b"\n" not in head:
            if self._shared and time.time() - place.stat().st_mtime < YOUNG_S:
                raise _Unwritten
            shutil.rmtree(place)
            return None
        index = recording.parse_summary(head, tail)
        if index is None:
            with path.open("rb") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    return self._other(place, file)
                index = _recover(place, self._stats)
        return None if index is None else _show(place, index)

    def _other(self, place: Path, file: BinaryIO) -> Show:
        """A show that another process is writing."""
        index, good = recording.parse_index(file.read())
        show = Show(place.parent.name, place.name, index.wall_ms)
        inode = os.fstat(file.fileno()).st_ino
        other = self._others[(show.room, show.show)] = _Other(show, index, good, inode)
        _bring_up(other, place)
        return show

    def _follow(self, name: Name, other: _Other) -> None:
        """Read on what another process writes."""
        place = self._folder / name[0] / name[1]
        try:
            with (place / INDEX_FILE).open("rb") as file:
                inode = os.fstat(file.fileno()).st_ino
                if inode != other.file:
                    other.index, other.good = recording.parse_index(file.read())
                    other.file = inode
                else:
                    file.seek(other.good)
                    other.good += recording.extend_index(other.index, file.read())
        except (OSError, ValueError):
            # It is being removed, and so gone at the next scan.
            return
        _bring_up(other, place)
        if other.index.end is not None:
            del self._others[name]


def _ends(path: Path) -> tuple[bytes, bytes]:
    """The first and the last bytes of a file; nothing when there is none."""
    try:
        with path.open("rb") as file:
            head = file.read(TAIL_BYTES)
            file.seek(max(0, path.stat().st_size - TAIL_BYTES))
            return head, file.read()
    except FileNotFoundError:
        return b"", b""


def _bring_up(other: _Other, place: Path) -> None:
    show, index = other.show, other.index
    end = index.end or index.ended(0)
    show.length_ms, show.bytes, show.from_ms, show.to_ms = end.length_ms, end.bytes, end.from_ms, end.to_ms
    show.cover = (place / COVER_FILE).exists()
    show.ended_ms = None if index.end is None else end.wall_ms


def _show(place: Path, index: Index) -> Show | None:
    end = index.end
    if end is None:
        return None
    return Show(
        room=place.parent.name,
        show=place.name,
        started_ms=index.wall_ms,
        ended_ms=end.wall_ms,
        length_ms=end.length_ms,
        bytes=end.bytes,
        from_ms=end.from_ms,
        to_ms=end.to_ms,
        cover=(place / COVER_FILE).exists(),
    )


def _recover(place: Path, stats: DiskStats) -> Index | None:
    """Close a show that a crash left open: keep what the index names and the files hold. Raises OSError, ValueError."""
    index = recording.parse_index((place / INDEX_FILE).read_bytes())[0]
    index.parts = _whole_parts(place, index.parts)
    if not index.parts:
        shutil.rmtree(place)
        return None
    if index.end is None:
        index.end = index.ended(index.last_wall_ms())
        write_whole(place / INDEX_FILE, recording.index_bytes(index))
        stats.recovered += 1
        fields = {"room": place.parent.name, "show": place.name, "length_ms": index.end.length_ms}
        logger.info("a recording was closed after a crash", extra={"fields": fields})
    return index


def _whole_parts(place: Path, parts: list[Part]) -> list[Part]:
    """The parts before the first one that the files do not hold."""
    sizes: dict[int, int] = {}
    inits: dict[int, bool] = {}
    for at, part in enumerate(parts):
        if part.file not in sizes:
            path = place / media_file(part.file)
            sizes[part.file] = path.stat().st_size if path.exists() else 0
        if part.init not in inits:
            inits[part.init] = (place / init_file(part.init)).exists()
        whole = part.at + part.size <= sizes[part.file] and inits[part.init]
        if whole and at >= len(parts) - CHECKED_PARTS:
            whole = _is_media(place / media_file(part.file), part)
        if not whole:
            return parts[:at]
    return parts


def _is_media(path: Path, part: Part) -> bool:
    with path.open("rb") as file:
        file.seek(part.at)
        data = file.read(part.size)
    try:
        return all(name in {b"moof", b"mdat"} for name, _, _ in boxes(data))
    except ValueError:
        return False
