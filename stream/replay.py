"""Reading recordings: the replay's playlist, and clips cut out of a show.

All of it touches the disk, so it runs on two threads of its own: one for playlists, which are short, one for clips,
which copy up to hundreds of megabytes.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final
from urllib.parse import urlencode

from stream.errors import StreamError
from stream.protocol import mp4, recording
from stream.protocol.recording import COVER_FILE, INDEX_FILE, Index, Part, init_file, media_file
from stream.record import Recorder
from stream.recorder_disk import Show

FILE_NAME: Final = re.compile(r"init-\d{1,6}\.mp4|media-\d{1,6}\.m4s|" + re.escape(COVER_FILE))
QUERY_CHARACTERS_MAX: Final = 2_048
INDEXES_MAX: Final = 8
"""Indexes kept in memory: a show of 4 hours has 30,000 parts, 5 MB."""
PLAYLISTS_WAITING_MAX: Final = 200
COPY_BYTES: Final = 1024 * 1024
SYNC_BYTES: Final = 8 * 1024 * 1024
"""A clip is synced as it grows: the ledger's sync on the same disk must not wait behind hundreds of megabytes."""
MOOF_BYTES_MAX: Final = 1024 * 1024
REACH_WAIT_S: Final = 5.0
"""How long a clip waits for its end to be on the disk: a part and the queue."""
REACH_POLL_S: Final = 0.1
REACH_SLACK_MS: Final = 500
"""The sound of the last frames lies in the part behind them."""

CLIP_MS_MIN: Final = 3_000
CLIP_MS_MAX: Final = 10 * 60_000
"""A clip is an explanation to watch again: of a longer one, its first ten minutes."""


class ClipRefused(StreamError):
    """There is no clip to be cut; the text says why."""


@dataclass(frozen=True, slots=True)
class ClipFile:
    """A clip on disk. Media times in ms: where it begins (a key frame) and ends, how long it plays; its bytes."""

    start_ms: int
    end_ms: int
    length_ms: int
    bytes: int


class Replay:
    """Playlists and clips of the recorder's shows."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._lists = ThreadPoolExecutor(1, thread_name_prefix="replay")
        self._cutter = ThreadPoolExecutor(1, thread_name_prefix="clip")
        self._waiting = 0
        self._indexes: OrderedDict[Path, tuple[Index, int, int]] = OrderedDict()
        """By folder: what the index says, how far it is read, and which file it was (see `_index`)."""

    def close(self) -> None:
        """End the threads; a clip under way is finished."""
        self._lists.shutdown(wait=False, cancel_futures=True)
        self._cutter.shutdown(wait=True, cancel_futures=True)

    async def playlist(self, show: Show, query: Mapping[str, str]) -> str | None:
        """The show as an HLS playlist; the query is repeated on its children. None: not there, or too many ask."""
        children = urlencode(list(query.items()))
        if self._waiting >= PLAYLISTS_WAITING_MAX or len(children) > QUERY_CHARACTERS_MAX:
            return None
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._lists, self._playlist, self._recorder.place(show), children)
        finally:
            self._waiting -= 1

    def file(self, show: Show, name: str) -> Path | None:
        """The file that a playlist names; None when it cannot be one."""
        return self._recorder.place(show) / name if FILE_NAME.fullmatch(name) else None

    async def cut(self, room: str, show_name: str, start_ms: int, end_ms: int, target: Path) -> ClipFile:
        """Cut media time `start_ms` to `end_ms` out of a show into `target`, from a key frame on, without re-encoding.

        Waits until the end is on the disk. Raises ClipRefused, OSError.
        """
        show = self._recorder.find(room, show_name)
        if show is None:
            raise ClipRefused("this show is not recorded")
        end_ms = min(end_ms, start_ms + CLIP_MS_MAX)
        if end_ms - start_ms < CLIP_MS_MIN:
            raise ClipRefused("too short for a clip")
        for _ in range(round(REACH_WAIT_S / REACH_POLL_S)):
            over = show.ended_ms is not None and not self._recorder.disk.stats.queued_bytes
            if over or show.to_ms >= end_ms + REACH_SLACK_MS:
                break
            await asyncio.sleep(REACH_POLL_S)
        loop = asyncio.get_running_loop()
        place = self._recorder.place(show)
        return await loop.run_in_executor(self._cutter, cut_clip, place, start_ms, end_ms, target)

    def _playlist(self, place: Path, query: str) -> str | None:
        try:
            return recording.playlist(self._index(place), query)
        except (OSError, ValueError):
            # Removed between the request and now.
            return None

    def _index(self, place: Path) -> Index:
        """The index of a show, read on from where it was; on the playlists' thread only.

        Whoever closes a show that a crash left open writes its index anew.
        """
        known = self._indexes.pop(place, None)
        with (place / INDEX_FILE).open("rb") as file:
            inode = os.fstat(file.fileno()).st_ino
            if known is None or known[2] != inode:
                index, good = recording.parse_index(file.read())
            else:
                index, good, _ = known
                file.seek(good)
                good += recording.extend_index(index, file.read())
        self._indexes[place] = index, good, inode
        if len(self._indexes) > INDEXES_MAX:
            self._indexes.popitem(last=False)
        return index


def cut_clip(place: Path, start_ms: int, end_ms: int, target: Path) -> ClipFile:
    """Cut a clip out of the show in the folder `place`; see `Replay.cut`."""
    index, _ = recording.parse_index((place / INDEX_FILE).read_bytes())
    runs = recording.clip_parts(index, start_ms, end_ms)
    if not runs:
        raise ClipRefused("nothing of it was recorded")
    with ExitStack() as stack:
        sources: dict[int, BinaryIO] = {}
        for part in (part for run in runs for part in run):
            if part.file not in sources:
                sources[part.file] = stack.enter_context((place / media_file(part.file)).open("rb"))
        init = (place / init_file(runs[0][0].init)).read_bytes()
        try:
            movie = mp4.join(init, [_fragments(sources, run) for run in runs], end_ms)
        except ValueError as error:
            raise ClipRefused(str(error)) from error
        if movie.length_ms < CLIP_MS_MIN:
            raise ClipRefused("too little of it was recorded")
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished = target.with_name(target.name + ".part")
        try:
            size = _write(unfinished, movie, sources)
            unfinished.replace(target)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise
    first, last = runs[0][0], runs[-1][-1]
    return ClipFile(int(first.start_ms), int(min(end_ms, last.end_ms)), movie.length_ms, size)


def _fragments(sources: Mapping[int, BinaryIO], run: list[Part]) -> Iterator[mp4.Fragment]:
    """Read the headers of a run's fragments. Raises ValueError."""
    for part in run:
        source = sources[part.file]
        at = part.at
        while at < part.at + part.size:
            source.seek(at)
            head = source.read(8)
            size, name = int.from_bytes(head[:4], "big"), head[4:]
            if size < 8 or at + size > part.at + part.size:
                raise ValueError("a fragment is broken")
            if name == b"moof" and size <= MOOF_BYTES_MAX:
                yield part.file, mp4.moof_rows(head + source.read(size - 8), at)
            at += size


def _write(path: Path, movie: mp4.Movie, sources: Mapping[int, BinaryIO]) -> int:
    """Write the file; its bytes."""
    with path.open("wb") as file:
        file.write(movie.head)
        unsynced = 0
        for span in movie.spans:
            source = sources[span.source]
            source.seek(span.at)
            left = span.size
            while left:
                data = source.read(min(left, COPY_BYTES))
                if not data:
                    raise OSError(f"{span.source}: the recording is shorter than its index")
                file.write(data)
                left -= len(data)
                unsynced += len(data)
            if unsynced >= SYNC_BYTES:
                file.flush()
                os.fdatasync(file.fileno())
                unsynced = 0
        file.flush()
        os.fdatasync(file.fileno())
        return file.tell()
