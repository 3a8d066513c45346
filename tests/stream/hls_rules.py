"""A validator of media playlists: what RFC 8216bis and Apple's authoring specification ask of a server.

`check(text)` raises AssertionError with the rule; `check_reload(before, after)` what may change from one to the next.
"""

import re
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise

_ATTRIBUTE = re.compile(r'([A-Z0-9-]+)=("[^"]*"|[^,]*)')
_ONCE = (
    "EXT-X-VERSION",
    "EXT-X-TARGETDURATION",
    "EXT-X-SERVER-CONTROL",
    "EXT-X-PART-INF",
    "EXT-X-MEDIA-SEQUENCE",
    "EXT-X-DISCONTINUITY-SEQUENCE",
    "EXT-X-SKIP",
)
DATE_SLACK_S = 1.0
"""How far a segment's date may be from the one before and its length: clocks of host and server are not one."""


@dataclass
class PartLine:
    duration_s: float
    uri: str
    independent: bool


@dataclass
class SegmentLines:
    """A segment, whole when it has a URI."""

    number: int
    date: datetime | None = None
    uri: str = ""
    duration_s: float = 0.0
    init: str = ""
    discontinuity: bool = False
    parts: list[PartLine] = field(default_factory=list)


@dataclass
class Playlist:
    """A media playlist read."""

    tags: dict[str, str]
    segments: list[SegmentLines]
    hint: str
    skipped: int

    @property
    def target_s(self) -> int:
        return int(self.tags["EXT-X-TARGETDURATION"])

    @property
    def part_target_s(self) -> float:
        return float(attributes(self.tags["EXT-X-PART-INF"])["PART-TARGET"])

    @property
    def first(self) -> int:
        return int(self.tags["EXT-X-MEDIA-SEQUENCE"])


def attributes(text: str) -> dict[str, str]:
    return {name: value.strip('"') for name, value in _ATTRIBUTE.findall(text)}


def read(text: str) -> Playlist:
    """Read a playlist; asserts its syntax."""
    lines = text.split("\n")
    assert lines[0] == "#EXTM3U", "4.4.1.1: it begins with EXTM3U"
    assert text.endswith("\n") and "\ufeff" not in text and not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", text), "4.1"
    tags: dict[str, str] = {}
    segments: list[SegmentLines] = []
    hint, init, skipped = "", "", 0
    for line in lines[1:]:
        if not line:
            continue
        name, _, value = line.removeprefix("#").partition(":") if line.startswith("#") else ("", "", line)
        if name in _ONCE:
            assert name not in tags, f"{name} stands more than once"
            assert not segments or name == "EXT-X-SKIP", f"{name} stands behind a segment"
            tags[name] = value
            if name == "EXT-X-SKIP":
                skipped = int(attributes(value)["SKIPPED-SEGMENTS"])
            continue
        if name == "EXT-X-MAP":
            init = attributes(value)["URI"]
            continue
        if name == "EXT-X-PRELOAD-HINT":
            assert not hint, "one hint of each type"
            assert attributes(value)["TYPE"] == "PART"
            hint = attributes(value)["URI"]
            continue
        if not segments or segments[-1].uri:
            segments.append(SegmentLines(int(tags["EXT-X-MEDIA-SEQUENCE"]) + skipped + len(segments)))
        segment = segments[-1]
        segment.init = init
        match name:
            case "EXT-X-DISCONTINUITY":
                segment.discontinuity = True
            case "EXT-X-PROGRAM-DATE-TIME":
                segment.date = datetime.fromisoformat(value)
                assert segment.date.tzinfo is not None, "4.4.4.6: a date has a time zone"
            case "EXT-X-PART":
                named = attributes(value)
                independent = named.get("INDEPENDENT") == "YES"
                segment.parts.append(PartLine(float(named["DURATION"]), named["URI"], independent))
            case "EXTINF":
                segment.duration_s = float(value.rstrip(","))
            case "":
                segment.uri = value
            case _:
                raise AssertionError(f"{name} is not known here")
    return Playlist(tags, segments, hint, skipped)


def check(text: str) -> Playlist:
    """Check one playlist."""
    playlist = read(text)
    target_s, part_target_s = playlist.target_s, playlist.part_target_s
    control = attributes(playlist.tags["EXT-X-SERVER-CONTROL"])
    assert int(playlist.tags["EXT-X-VERSION"]) >= 9, "section 8: skipping needs version 9"
    assert control["CAN-BLOCK-RELOAD"] == "YES"
    assert float(control["PART-HOLD-BACK"]) >= 3 * part_target_s, "4.4.3.8: three part targets"
    assert float(control["CAN-SKIP-UNTIL"]) >= 6 * target_s, "4.4.3.8: six targets"
    assert playlist.segments[0].init or playlist.skipped, "4.4.4.5: fragmented MP4 has a map"
    for segment in playlist.segments:
        check_segment(segment, target_s, part_target_s)
    whole = [segment for segment in playlist.segments if segment.uri]
    for before, after in pairwise(playlist.segments):
        assert before.uri, "only the last segment may be under way"
        assert after.init == before.init or after.discontinuity, "4.4.4.3: another map follows a discontinuity"
        if before.date is not None and after.date is not None:
            assert after.date >= before.date, "4.4.4.6: dates do not go back"
            if not after.discontinuity:
                lasts_s = (after.date - before.date).total_seconds()
                assert abs(lasts_s - before.duration_s) <= DATE_SLACK_S, "a date is that of its segment's first frame"
    named = [segment.parts for segment in playlist.segments]
    told = [index for index, parts in enumerate(named) if parts]
    assert not told or told == list(range(told[0], len(named))), "4.4.4.9: parts are told at the live edge"
    assert playlist.hint, "4.4.5.3: the next part is hinted at"
    uris = [segment.uri for segment in whole] + [part.uri for parts in named for part in parts] + [playlist.hint]
    assert len(set(uris)) == len(uris), "each URI stands once"
    return playlist


def check_segment(segment: SegmentLines, target_s: int, part_target_s: float) -> None:
    """Check a segment and its parts."""
    assert segment.date is not None, "Apple 8.14: each live segment has a date here"
    if segment.uri:
        assert segment.duration_s > 0
        assert int(segment.duration_s + 0.5) <= target_s, "4.4.3.1: no longer than the target, rounded"
    for part in segment.parts:
        assert 0 < part.duration_s <= part_target_s, "4.4.3.7: no longer than the part target"
    for part, follower in pairwise(segment.parts):
        short = not follower.independent and part.duration_s < 0.85 * part_target_s
        assert not short, "Apple, low-latency HLS: 85 % of the part target, but for the last one before a key frame"
    if segment.uri and segment.parts:
        sum_s = sum(part.duration_s for part in segment.parts)
        assert abs(sum_s - segment.duration_s) < 0.01 * len(segment.parts), "6.2.2: parts are the whole segment"


def check_reload(before: Playlist, after: Playlist) -> None:
    """Check what may change (6.2.1): lines go at the front and come at the end, and nothing else does."""
    assert after.target_s == before.target_s, "4.4.3.1: the target never changes"
    assert after.part_target_s == before.part_target_s
    assert after.first >= before.first, "6.2.2: numbers do not go back"
    gone = after.first - before.first
    known = {segment.number: segment for segment in before.segments}
    for segment in after.segments:
        old = known.get(segment.number)
        if old is None:
            continue
        assert (segment.init, segment.date) == (old.init, old.date), "6.2.2: a segment keeps its map and date"
        if segment.number != after.first:
            assert segment.discontinuity == old.discontinuity
        if old.uri:
            assert (segment.uri, segment.duration_s) == (old.uri, old.duration_s)
        if segment.parts:
            shared = min(len(segment.parts), len(old.parts))
            assert segment.parts[:shared] == old.parts[:shared], "6.2.2: parts only come at the end"
            assert len(segment.parts) >= len(old.parts)
    left = sum(segment.discontinuity for segment in before.segments if segment.number < after.first)
    told = [int(playlist.tags["EXT-X-DISCONTINUITY-SEQUENCE"]) for playlist in (before, after)]
    assert told[1] >= told[0] and (not gone or told[1] - told[0] >= 0), "6.2.2"
    assert told[1] - told[0] >= left - 1
