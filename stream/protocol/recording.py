"""A recorded show on disk: its index, and the HLS playlist made of it.

Pure. A show is a folder:

    index.jsonl     one JSON value a line, only ever appended to
    init-0.mp4 …    init segments, as many as there were configurations
    media-0.m4s …   fragments one after another; a new file each 256 MB
    cover.jpg       the newest thumbnail

    {"v":1,"room":"…","show":"…","wall_ms":…}                   the first line
    {"init":0,"codecs":"avc1.64001f,mp4a.40.2","width":720,"height":1280}
    [0,0,48211,3000.0,500.0,1,0,1767225600000]                   a part, see `Part`
    {"end":…,"length_ms":…,"bytes":…,"from_ms":…,"to_ms":…}      the last line of a show that ended

A part's line is written after its bytes, so what the index names is there. A line without its newline, or that is not
what it should be, and all after it, never happened.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

FORMAT: Final = 1
INDEX_FILE: Final = "index.jsonl"
COVER_FILE: Final = "cover.jpg"

SEGMENT_MS_MIN: Final = 4_000
"""A segment of the replay ends at the first key frame after this (RFC 8216 asks for no length; 4 to 6 s is usual) …"""
SEGMENT_MS_MAX: Final = 10_000
"""… or without one here, so that EXT-X-TARGETDURATION is known before the show ends."""


def init_file(number: int) -> str:
    """The name of an init segment."""
    return f"init-{number}.mp4"


def media_file(number: int) -> str:
    """The name of a file of fragments."""
    return f"media-{number}.m4s"


@dataclass(frozen=True, slots=True)
class Part:
    """Fragments of half a second or so: bytes `at` to `at + size` of media file `file`, decodable after `init`.

    `start_ms` and `length_ms` are media time, by the picture's DTS where there is one. `key`: a decoder can begin here.
    `wall_ms` is Unix time of its first frame where a run begins (the start, a host's return, after a gap), else 0.
    """

    file: int
    at: int
    size: int
    start_ms: float
    length_ms: float
    key: bool
    init: int
    wall_ms: int

    @property
    def end_ms(self) -> float:
        return self.start_ms + self.length_ms


@dataclass(frozen=True, slots=True)
class Init:
    """A configuration: RFC 6381 codecs and the picture's size in pixels."""

    codecs: str
    width: int | None
    height: int | None


@dataclass(frozen=True, slots=True)
class End:
    """How a show ended: Unix ms, media time recorded (without the holes), bytes, first and last media time."""

    wall_ms: int
    length_ms: int
    bytes: int
    from_ms: int
    to_ms: int


@dataclass(slots=True)
class Index:
    """What the index of a show says."""

    room: str
    show: str
    wall_ms: int
    inits: dict[int, Init] = field(default_factory=dict)
    parts: list[Part] = field(default_factory=list)
    end: End | None = None

    def ended(self, wall_ms: int) -> End:
        """The last line for a show that ends at `wall_ms` with these parts."""
        parts = self.parts
        return End(
            wall_ms,
            round(sum(part.length_ms for part in parts)),
            sum(part.size for part in parts),
            int(parts[0].start_ms) if parts else 0,
            int(parts[-1].end_ms) if parts else 0,
        )

    def last_wall_ms(self) -> int:
        """Unix time of the last recorded frame; the show's start when there is none."""
        for part in reversed(self.parts):
            if part.wall_ms:
                return part.wall_ms + int(self.parts[-1].end_ms - part.start_ms)
        return self.wall_ms


# — lines —


def head_line(room: str, show: str, wall_ms: int) -> bytes:
    """The first line."""
    return _line({"v": FORMAT, "room": room, "show": show, "wall_ms": wall_ms})


def init_line(number: int, init: Init) -> bytes:
    return _line({"init": number, "codecs": init.codecs, "width": init.width, "height": init.height})


def part_line(part: Part) -> bytes:
    return _line(
        [
            part.file,
            part.at,
            part.size,
            round(part.start_ms, 3),
            round(part.length_ms, 3),
            int(part.key),
            part.init,
            part.wall_ms,
        ]
    )


def end_line(end: End) -> bytes:
    return _line(
        {"end": end.wall_ms, "length_ms": end.length_ms, "bytes": end.bytes, "from_ms": end.from_ms, "to_ms": end.to_ms}
    )


def _line(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


def parse_index(data: bytes) -> tuple[Index, int]:
    """Read an index: what it says, and how many bytes of it are good. Raises ValueError without a good first line."""
    first, newline, _ = data.partition(b"\n")
    head = _value(first) if newline else None
    if not isinstance(head, dict) or head.get("v") != FORMAT:
        raise ValueError("not an index of this format")
    index = Index(str(head.get("room")), str(head.get("show")), int(head.get("wall_ms") or 0))
    return index, len(first) + 1 + extend_index(index, data[len(first) + 1 :])


def extend_index(index: Index, data: bytes) -> int:
    """Read further lines into `index`; how many bytes of them are good."""
    good = 0
    while good < len(data) and index.end is None:
        newline_at = data.find(b"\n", good)
        if newline_at < 0 or not _take(index, _value(data[good:newline_at])):
            break
        good = newline_at + 1
    return good


def index_bytes(index: Index) -> bytes:
    """The whole index anew."""
    lines = [head_line(index.room, index.show, index.wall_ms)]
    lines += [init_line(number, init) for number, init in index.inits.items()]
    lines += [part_line(part) for part in index.parts]
    if index.end is not None:
        lines.append(end_line(index.end))
    return b"".join(lines)


def parse_summary(head: bytes, tail: bytes) -> Index | None:
    """The index of an ended show without its parts, by its first line and its last; None when it has not ended."""
    first, newline, _ = head.partition(b"\n")
    last = tail.rstrip(b"\n").rpartition(b"\n")[2]
    if not newline or not tail.endswith(b"\n"):
        return None
    value, ending = _value(first), _value(last)
    if not isinstance(value, dict) or value.get("v") != FORMAT or not isinstance(ending, dict) or "end" not in ending:
        return None
    index = Index(str(value.get("room")), str(value.get("show")), int(value.get("wall_ms") or 0))
    return index if _take(index, ending) else None


def _value(line: bytes) -> Any:
    """What a line says; None when it is no JSON, or holds a number that is none."""
    try:
        return json.loads(line, parse_float=_finite, parse_constant=_finite)
    except ValueError:
        return None


def _finite(text: str) -> float:
    """Raises ValueError for what is too large to be a number."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is not a number")
    return value


def _take(index: Index, value: Any) -> bool:
    """Add what one line says; False when it is none."""
    try:
        if isinstance(value, list):
            file, at, size, start_ms, length_ms, key, init, wall_ms = value
            part = Part(int(file), int(at), int(size), float(start_ms), float(length_ms), bool(key), init, int(wall_ms))
            if part.size <= 0 or part.at < 0 or part.init not in index.inits:
                return False
            index.parts.append(part)
        elif isinstance(value, dict) and "init" in value:
            index.inits[int(value["init"])] = Init(str(value["codecs"]), value["width"], value["height"])
        elif isinstance(value, dict) and "end" in value:
            numbers = (int(value[name]) for name in ("end", "length_ms", "bytes", "from_ms", "to_ms"))
            index.end = End(*numbers)
        else:
            return False
    except (KeyError, TypeError, ValueError):
        return False
    return True


# — the replay —


@dataclass(slots=True)
class Segment:
    """Parts in a row of one file, as one byte range."""

    file: int
    at: int
    size: int
    length_ms: float
    init: int
    wall_ms: int
    """Unix ms of its first frame where a run begins, else 0."""
    key: bool


def segments(parts: Iterable[Part]) -> list[Segment]:
    """Gather parts into segments, each from a key frame on where there is one in time."""
    made: list[Segment] = []
    for part in parts:
        last = made[-1] if made else None
        if (
            last is None
            or part.wall_ms
            or part.init != last.init
            or part.file != last.file
            or part.at != last.at + last.size
            or (part.key and last.length_ms >= SEGMENT_MS_MIN)
            or last.length_ms + part.length_ms > SEGMENT_MS_MAX
        ):
            made.append(Segment(part.file, part.at, part.size, part.length_ms, part.init, part.wall_ms, part.key))
        else:
            last.size += part.size
            last.length_ms += part.length_ms
    return made


def playlist(index: Index, query: str = "") -> str:
    """The replay as an HLS media playlist (RFC 8216bis 4.4.3): VOD when the show has ended, EVENT while it goes on.

    `query` is repeated on every child. While the show goes on, its last segment is left out: it still grows.
    """
    suffix = f"?{query}" if query else ""
    found = segments(index.parts)
    if index.end is None:
        found = found[:-1]
    lines = [
        "#EXTM3U",
        "#EXT-X-VERSION:7",
        # 4.4.3.1: fixed while the list grows, so it is the longest that can come.
        f"#EXT-X-TARGETDURATION:{SEGMENT_MS_MAX // 1000}",
        "#EXT-X-MEDIA-SEQUENCE:0",
        f"#EXT-X-PLAYLIST-TYPE:{'EVENT' if index.end is None else 'VOD'}",
    ]
    if found and all(segment.key for segment in found):
        lines.append("#EXT-X-INDEPENDENT-SEGMENTS")
    init = -1
    for number, segment in enumerate(found):
        if number and (segment.wall_ms or segment.init != init):
            lines.append("#EXT-X-DISCONTINUITY")
        if segment.init != init:
            init = segment.init
            lines.append(f'#EXT-X-MAP:URI="{init_file(init)}{suffix}"')
        if segment.wall_ms:
            when = datetime.fromtimestamp(segment.wall_ms / 1000, UTC)
            lines.append(f"#EXT-X-PROGRAM-DATE-TIME:{when:%Y-%m-%dT%H:%M:%S}.{when.microsecond // 1000:03d}Z")
        lines.append(f"#EXTINF:{segment.length_ms / 1000:.3f},")
        lines.append(f"#EXT-X-BYTERANGE:{segment.size}@{segment.at}")
        lines.append(f"{media_file(segment.file)}{suffix}")
    if index.end is not None:
        lines.append("#EXT-X-ENDLIST")
    return "\n".join(lines) + "\n"


# — clips —


def clip_parts(index: Index, start_ms: float, end_ms: float) -> list[list[Part]]:
    """The parts that show `start_ms` to `end_ms`, in runs, from the last key frame at or before the start.

    The part after the end comes too: the last sound lies there, as it arrives behind its picture. One MP4 file has one
    configuration: of several, the one with most of the time is taken.
    """
    parts = [part for part in index.parts if part.start_ms < end_ms]
    if parts and len(parts) < len(index.parts) and not index.parts[len(parts)].wall_ms:
        parts.append(index.parts[len(parts)])
    first = 0
    for at, part in enumerate(parts):
        if part.key and (part.start_ms <= start_ms or not parts[first].key):
            first = at
    runs: list[list[Part]] = []
    for part in parts[first:]:
        if part.end_ms <= start_ms and runs == [] and not part.key:
            continue
        if not runs or part.wall_ms or part.init != runs[-1][-1].init:
            runs.append([])
        runs[-1].append(part)
    runs = [run for run in ([*_from_key(run)] for run in runs) if run and run[-1].end_ms > start_ms]
    lengths: dict[int, float] = {}
    for run in runs:
        lengths[run[0].init] = lengths.get(run[0].init, 0) + sum(part.length_ms for part in run)
    longest = max(lengths, key=lambda init: lengths[init], default=-1)
    return [run for run in runs if run[0].init == longest]


def _from_key(run: list[Part]) -> list[Part]:
    for at, part in enumerate(run):
        if part.key:
            return run[at:]
    return []
