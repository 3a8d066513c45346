"""HLS and LL-HLS: parts gathered into segments, and the playlists that tell of them.

Sources: RFC 8216bis (draft-pantos-hls-rfc8216bis, the section is beside each tag). Sans-I/O: parts come in with their
times, playlists and media go out as text and bytes.

A `Timeline` is one room's window of segments. A part is what players fetch first (a third of a second); a segment is
the parts from one key frame to the next that lies far enough. Names carry the timeline's epoch, so that a URL's bytes
never change and a cache may keep them.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

VERSION: Final = 9
"""Delta updates by EXT-X-SKIP need 9 (section 8)."""

PART_SLACK_MS: Final = 10
"""A part ends with a frame: some are a frame's rounding longer than the longest of the first segment. Not more, as
none may be shorter than 85 % of what is promised."""

ADVANCE_S: Final = 3.0
"""How far ahead of the last part one may be asked for (section 6.2.5.2, the advance part limit)."""

PARTS_TARGETS: Final = 3
"""Parts of older segments are no longer named (section 4.4.4.9)."""


@dataclass(frozen=True, slots=True)
class HlsLimits:
    """Lengths in ms and bytes of one room's window."""

    part_ms: int = 300
    """Length of a part; 200 to 333 ms is what players are tuned for."""
    segment_ms_min: int = 1_000
    """A segment ends at the first key frame after this …"""
    segment_ms_max: int = 10_000
    """… or without one here: OBS sends a key frame each 8 s or so when it is not told otherwise."""
    window_ms: int = 60_000
    """How far back a viewer can go."""
    window_bytes: int = 96 * 1024 * 1024
    """… and what that may hold: a minute at 12 Mbit/s."""


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a segment, as bytes."""

    data: bytes
    duration_ms: float
    independent: bool
    """A decoder can begin with it."""


@dataclass(slots=True)
class Segment:
    """Parts in a row. `number` is the media sequence number; `init` the map's; `wall_ms` Unix ms of its first frame."""

    number: int
    init: int
    wall_ms: int
    discontinuity: bool
    parts: list[Part] = field(default_factory=list)
    whole: bool = False

    @property
    def duration_ms(self) -> float:
        return sum(part.duration_ms for part in self.parts)

    @property
    def bytes(self) -> int:
        return sum(len(part.data) for part in self.parts)


class Timeline:
    """Segments of one room, oldest first; the last one may be under way.

    `like`: of the room that this one is a rendition of; both promise the same lengths (section 6.2.4).
    """

    def __init__(self, epoch: str, limits: HlsLimits, like: Timeline | None = None) -> None:
        self.epoch = epoch
        self.limits = limits
        self.segments: deque[Segment] = deque()
        self.target_s = 0
        """EXT-X-TARGETDURATION, fixed by the first whole segment; 0 before."""
        self.part_target_s = 0.0
        """PART-TARGET, fixed with it: parts are as long as the longest of the first segment, or shorter."""
        self.discontinuities = 0
        """Discontinuities that have left the window."""
        self.ready = False
        """Whether a playlist can be given: after a whole segment."""
        if like is not None:
            self.target_s, self.part_target_s = like.target_s, like.part_target_s
        self._inits: dict[int, bytes] = {}
        self._next = 0
        self._break = False
        self._init = -1

    # — what comes in —

    def interrupt(self) -> None:
        """The host has gone or something other begins: end the segment, the next one is a discontinuity."""
        self._end()
        self._break = self._next > 0

    def add(self, part: Part, init: bytes, wall_ms: int) -> None:
        """Add a part that begins at `wall_ms`, decodable after `init`."""
        changed = self._inits.get(self._init) != init
        under_way = self._under_way()
        if under_way is not None and (changed or self._is_full(under_way, part)):
            self._end()
            under_way = None
        if changed:
            self._break = self._break or self._init >= 0
            self._init += 1
            self._inits[self._init] = init
        if under_way is None:
            under_way = Segment(self._next, self._init, wall_ms, self._break)
            self._next += 1
            self._break = False
            self.segments.append(under_way)
        under_way.parts.append(part)
        self._trim()

    def _is_full(self, segment: Segment, part: Part) -> bool:
        duration_ms = segment.duration_ms
        # One that had to begin without a key frame ends at the first: those after it lie where the key frames do.
        if part.independent and (duration_ms >= self.limits.segment_ms_min or not segment.parts[0].independent):
            return True
        most_ms = self.target_s * 1000 if self.target_s else self.limits.segment_ms_max
        # 4.4.3.1: a segment's duration, rounded, may not exceed the target.
        return duration_ms + part.duration_ms > most_ms + 400

    def _end(self) -> None:
        segment = self._under_way()
        if segment is not None:
            segment.whole = self.ready = True
            if not self.target_s:
                self.target_s = max(1, round(max(segment.duration_ms, self.limits.segment_ms_min * 2) / 1000))
                longest_ms = max(part.duration_ms for part in segment.parts)
                self.part_target_s = (max(longest_ms, self.limits.part_ms) + PART_SLACK_MS) / 1000

    def _under_way(self) -> Segment | None:
        return self.segments[-1] if self.segments and not self.segments[-1].whole else None

    def _trim(self) -> None:
        """Let go of what lies before the window; always keep enough for a player to begin."""
        held_ms = sum(segment.duration_ms for segment in self.segments)
        held_bytes = sum(segment.bytes for segment in self.segments)
        while len(self.segments) > PARTS_TARGETS + 1:
            first = self.segments[0]
            if held_ms - first.duration_ms < self.limits.window_ms and held_bytes <= self.limits.window_bytes:
                break
            held_ms -= first.duration_ms
            held_bytes -= first.bytes
            self.segments.popleft()
            if first.discontinuity:
                self.discontinuities += 1
        used = {segment.init for segment in self.segments}
        for init in [init for init in self._inits if init not in used and init != self._init]:
            del self._inits[init]

    # — what goes out —

    def has(self, number: int, part: int | None) -> bool:
        """Whether the playlist holds segment `number` whole, or its part `part`, or something later."""
        last = self.segments[-1] if self.segments else None
        if last is None:
            return False
        if number != last.number:
            return number < last.number
        # 6.2.5.2: a part behind the segment's last one is the first of the next segment.
        return last.whole if part is None else part < len(last.parts)

    def too_far(self, number: int, part: int | None = None) -> bool:
        """6.2.5.2: a request more than two segments ahead, or some seconds in parts, is the client's fault."""
        last = self.segments[-1] if self.segments else None
        if last is None:
            return number > 2
        ahead = math.ceil(ADVANCE_S / max(0.1, self.part_target_s))
        return number > last.number + 2 or (
            part is not None and number == last.number and not last.whole and part > len(last.parts) - 1 + ahead
        )

    def media(self, name: str) -> bytes | None:
        """The bytes of a file named in the playlist; None when it is not there (yet, or any more)."""
        prefix, _, rest = name.partition("-")
        if prefix != self.epoch:
            return None
        kind, number, part = rest[:1], *_numbers(rest[1:].partition(".")[0])
        if number is None:
            return None
        if kind == "i":
            return self._inits.get(number)
        segment = next((segment for segment in self.segments if segment.number == number), None)
        if segment is None:
            return None
        if kind == "s" and part is None and segment.whole:
            return b"".join(part.data for part in segment.parts)
        if kind == "p" and part is not None and part < len(segment.parts):
            return segment.parts[part].data
        return None

    def awaited(self, name: str) -> tuple[int, int] | None:
        """(segment, part) when `name` is the part that comes next: the preload hint, held until it is there."""
        hint = self._hint()
        return hint if name == f"{self.epoch}-p{hint[0]}_{hint[1]}.m4s" else None

    def _hint(self) -> tuple[int, int]:
        segment = self._under_way()
        return (segment.number, len(segment.parts)) if segment is not None else (self._next, 0)

    def playlist(self, query: str = "", *, skip: bool = False) -> str:
        """The media playlist (section 4.4.3); `query` is repeated on every child, `skip` asks for a delta update."""
        suffix = f"?{query}" if query else ""
        skip_s = self.target_s * 6
        first = self.segments[0]
        lines = [
            "#EXTM3U",
            f"#EXT-X-VERSION:{VERSION}",
            f"#EXT-X-TARGETDURATION:{self.target_s}",
            f"#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK={self.part_target_s * 3:.3f}"
            f",CAN-SKIP-UNTIL={skip_s:.1f}",
            f"#EXT-X-PART-INF:PART-TARGET={self.part_target_s:.3f}",
            f"#EXT-X-MEDIA-SEQUENCE:{first.number}",
            f"#EXT-X-DISCONTINUITY-SEQUENCE:{self.discontinuities + first.discontinuity}",
        ]
        skipped = self._skippable(skip_s * 1000) if skip else 0
        if skipped:
            lines.append(f"#EXT-X-SKIP:SKIPPED-SEGMENTS={skipped}")
        named_from_ms = sum(segment.duration_ms for segment in self.segments) - PARTS_TARGETS * self.target_s * 1000
        map_told = -1
        at_ms = 0.0
        for index, segment in enumerate(self.segments):
            end_ms = at_ms + segment.duration_ms
            if index >= skipped:
                if segment.discontinuity and index:
                    lines.append("#EXT-X-DISCONTINUITY")
                if segment.init != map_told:
                    lines.append(f'#EXT-X-MAP:URI="{self.epoch}-i{segment.init}.mp4{suffix}"')
                    map_told = segment.init
                lines += self._segment_lines(segment, suffix, parts=end_ms > named_from_ms)
            elif index == skipped - 1:
                # What was skipped is known to the client, its map as well.
                map_told = segment.init
            at_ms = end_ms
        number, part = self._hint()
        lines.append(f'#EXT-X-PRELOAD-HINT:TYPE=PART,URI="{self.epoch}-p{number}_{part}.m4s{suffix}"')
        return "\n".join(lines) + "\n"

    def _segment_lines(self, segment: Segment, suffix: str, *, parts: bool) -> Iterable[str]:
        when = datetime.fromtimestamp(segment.wall_ms / 1000, UTC)
        yield f"#EXT-X-PROGRAM-DATE-TIME:{when:%Y-%m-%dT%H:%M:%S}.{when.microsecond // 1000:03d}Z"
        if parts:
            for index, part in enumerate(segment.parts):
                mark = ",INDEPENDENT=YES" if part.independent else ""
                uri = f"{self.epoch}-p{segment.number}_{index}.m4s{suffix}"
                yield f'#EXT-X-PART:DURATION={part.duration_ms / 1000:.3f},URI="{uri}"{mark}'
        if segment.whole:
            yield f"#EXTINF:{segment.duration_ms / 1000:.3f},"
            yield f"{self.epoch}-s{segment.number}.m4s{suffix}"

    def _skippable(self, until_ms: float) -> int:
        """6.2.5.1: segments further than the skip boundary from the end."""
        left_ms = sum(segment.duration_ms for segment in self.segments)
        for index, segment in enumerate(self.segments):
            left_ms -= segment.duration_ms
            if left_ms < until_ms:
                return index
        return 0


def _numbers(text: str) -> tuple[int | None, int | None]:
    """ "12" and "12_3" as numbers."""
    first, _, second = text.partition("_")
    if not first.isascii() or not first.isdigit() or len(first) > 12:
        return None, None
    if not second:
        return int(first), None
    if not second.isascii() or not second.isdigit() or len(second) > 6:
        return None, None
    return int(first), int(second)


@dataclass(frozen=True, slots=True)
class Rendition:
    """One of a multivariant playlist: codecs (RFC 6381), bits a second at the peak, size in pixels, query for media."""

    codecs: str
    bandwidth: int
    size: tuple[int, int] | None
    query: str = ""


def multivariant(*renditions: Rendition) -> str:
    """The multivariant playlist (section 4.4.6)."""
    lines = ["#EXTM3U", f"#EXT-X-VERSION:{VERSION}"]
    for rendition in renditions:
        size = rendition.size
        resolution = f",RESOLUTION={size[0]}x{size[1]}" if size else ""
        bandwidth = max(1, rendition.bandwidth)
        lines.append(f'#EXT-X-STREAM-INF:BANDWIDTH={bandwidth},CODECS="{rendition.codecs}"{resolution}')
        lines.append("media.m3u8" + (f"?{rendition.query}" if rendition.query else ""))
    return "\n".join(lines) + "\n"
