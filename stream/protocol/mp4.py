"""Fragments remuxed into one progressive MP4: the index (`moov`) first, then the samples as they are.

Source: ISO/IEC 14496-12, the section is beside each box. Pure: the caller reads the fragments' headers, gets the file's
head and the list of byte ranges that follow it, and copies those. Every player plays such a file, seeks in it, and
shows its length before it has it all.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from stream.protocol.fmp4 import VIDEO_TRACK, box, boxes

MOVIE_TIMESCALE: Final = 1000
_NOT_SYNC: Final = 0x00010000
"""8.8.3.1: sample_is_non_sync_sample."""


@dataclass(frozen=True, slots=True)
class Row:
    """One sample of a fragment: ticks of its track, and its bytes `at` … `at + size` of the file it lies in."""

    time: int
    duration: int
    offset: int
    key: bool
    at: int
    size: int


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes to copy: `at` … `at + size` of source `source`."""

    source: int
    at: int
    size: int


@dataclass(frozen=True, slots=True)
class Movie:
    """A progressive MP4: `head`, then the bytes of `spans`. `length_ms` by its longest track."""

    head: bytes
    spans: list[Span]
    length_ms: int


@dataclass(slots=True)
class _Track:
    scale: int
    rows: list[Row] = field(default_factory=list)
    """With times from 0, those of the file."""
    chunks: list[tuple[int, int]] = field(default_factory=list)
    """(offset in the media data, samples)."""
    begins: int = 0
    """When its first sample is decoded on the file's clock, in its ticks: before 0 when B-frames follow."""


def moof_rows(moof: bytes, at: int) -> dict[int, list[Row]]:
    """Give the samples of one of our own `moof` boxes that lies at `at` of its file, by track. Raises ValueError."""
    found: dict[int, list[Row]] = {}
    try:
        for name, start, end in boxes(moof[8:]):
            if name == b"traf":
                track, rows = _traf_rows(moof[8 + start + 8 : 8 + end], at)
                found.setdefault(track, []).extend(rows)
    except struct.error as error:
        raise ValueError("a fragment's header is cut off") from error
    return found


def _traf_rows(traf: bytes, at: int) -> tuple[int, list[Row]]:
    track = time = 0
    rows: list[Row] = []
    for name, start, _ in boxes(traf):
        if name == b"tfhd":
            (track,) = struct.unpack_from(">I", traf, start + 12)
        elif name == b"tfdt":
            (time,) = struct.unpack_from(">Q", traf, start + 12)
        elif name == b"trun":
            count, offset = struct.unpack_from(">Ii", traf, start + 12)
            place = at + offset
            table = traf[start + 20 : start + 20 + 16 * count]
            for duration, size, flags, shift in struct.iter_unpack(">IIIi", table):
                rows.append(Row(time, duration, shift, not flags & _NOT_SYNC, place, size))
                time += duration
                place += size
    return track, rows


Fragment = tuple[int, dict[int, list[Row]]]
"""The source it lies in, and its samples by track."""


def join(init: bytes, runs: Sequence[Iterable[Fragment]], until_ms: float) -> Movie:
    """Make one file of fragments, cut off at media time `until_ms`.

    Each run is without holes and begins with a key frame; a later run follows on the end of the one before, whatever
    time lay between. Raises ValueError when there is nothing to show.
    """
    tracks = {number: _Track(scale) for number, scale in _scales(init).items()}
    spans: list[Span] = []
    size = 0
    shown_s = 0.0
    for run in runs:
        fragments = list(run)
        lead_s = _lead_s(fragments, tracks)
        fragments = [(source, _before(found, tracks, until_ms, lead_s)) for source, found in fragments]
        origin_s = _origin_s(fragments, tracks)
        if origin_s is None:
            continue
        if spans:
            # B-frames are decoded before they are shown: not before the run before has ended.
            shown_s += lead_s
        shifts = {number: round((origin_s - shown_s) * track.scale) for number, track in tracks.items()}
        for source, found in fragments:
            for number, told in found.items():
                track = tracks[number]
                # Sound that ends before the first picture is shown, or lies under the run before, is left out.
                least = track.rows[-1].time + 1 if track.rows else 0
                rows = [replace(row, time=row.time - shifts[number]) for row in told]
                if number != VIDEO_TRACK:
                    rows = [
                        row for row in rows if row.time >= least or (not track.rows and row.time + row.duration > 0)
                    ]
                if not rows:
                    continue
                track.rows += rows
                length = sum(row.size for row in rows)
                track.chunks.append((size, len(rows)))
                spans.append(Span(source, rows[0].at, length))
                size += length
        shown_s = max((track.rows[-1].time + track.rows[-1].duration) / track.scale for track in _used(tracks))
    if not spans:
        raise ValueError("there is nothing to show")
    for track in _used(tracks):
        _settle(track)
    tracks = {number: track for number, track in tracks.items() if track.rows}
    # The index has the same length whatever the offsets are.
    head = _head(init, tracks, size, 0)
    head = _head(init, tracks, size, len(head))
    length_ms = max(_shown_ms(track) for track in tracks.values())
    return Movie(head, spans, length_ms)


def _used(tracks: dict[int, _Track]) -> list[_Track]:
    return [track for track in tracks.values() if track.rows]


def _before(
    found: dict[int, list[Row]], tracks: dict[int, _Track], until_ms: float, lead_s: float
) -> dict[int, list[Row]]:
    """The samples decoded before the end: the others lie behind them in decoding order, none that stays needs them.

    Sound goes on for as long as the last picture is shown after it is decoded.
    """
    kept = {}
    for number in found.keys() & tracks.keys():
        until = (until_ms / 1000 + (0 if number == VIDEO_TRACK else lead_s)) * tracks[number].scale
        kept[number] = [row for row in found[number] if row.time < until]
    return kept


def _origin_s(fragments: Sequence[Fragment], tracks: dict[int, _Track]) -> float | None:
    """When the run's first frame is shown (without picture: its first sound), in seconds of media time."""
    for number in (VIDEO_TRACK, *tracks):
        for _, found in fragments:
            rows = found.get(number)
            if rows:
                return (rows[0].time + rows[0].offset) / tracks[number].scale
    return None


def _lead_s(fragments: Sequence[Fragment], tracks: dict[int, _Track]) -> float:
    """How long the run's first frame is decoded before it is shown."""
    for _, found in fragments:
        rows = found.get(VIDEO_TRACK)
        if rows:
            return rows[0].offset / tracks[VIDEO_TRACK].scale
    return 0.0


def _settle(track: _Track) -> None:
    """Let each sample last until the next, from 0 on."""
    rows = track.rows
    track.begins = rows[0].time
    base = rows[0].time
    settled = []
    for at, row in enumerate(rows):
        until = rows[at + 1].time if at + 1 < len(rows) else row.time + row.duration
        settled.append(replace(row, time=row.time - base, duration=max(1, until - row.time)))
    track.rows = settled


def _shown_ms(track: _Track) -> int:
    total = sum(row.duration for row in track.rows)
    return max(0, (total + _delay(track)) * MOVIE_TIMESCALE // track.scale)


def _delay(track: _Track) -> int:
    """When its first sample is shown, in its ticks; negative: that much of it is cut off."""
    return track.begins + track.rows[0].offset


# — boxes —


def _scales(init: bytes) -> dict[int, int]:
    """Track numbers and timescales of an init segment."""
    found = {}
    for trak in _children(_inside(init, b"moov"), b"trak"):
        (number,) = struct.unpack_from(">I", _inside(trak, b"tkhd"), 12)
        (scale,) = struct.unpack_from(">I", _inside(_inside(trak, b"mdia"), b"mdhd"), 12)
        found[number] = scale
    return found


def _children(data: bytes, name: bytes) -> Iterator[bytes]:
    for found, start, end in boxes(data):
        if found == name:
            yield data[start + 8 : end]


def _inside(data: bytes, name: bytes) -> bytes:
    for body in _children(data, name):
        return body
    raise ValueError(f"there is no box {name!r}")


def _head(init: bytes, tracks: dict[int, _Track], media_bytes: int, base: int) -> bytes:
    """ftyp, moov and the header of mdat (4.2: a size of 64 bits), with chunk offsets from `base` on."""
    parts = []
    length_ms = max(_shown_ms(track) for track in tracks.values())
    for name, start, end in boxes(_inside(init, b"moov")):
        body = _inside(init, b"moov")[start + 8 : end]
        if name == b"mvhd":
            parts.append(box(name, _with_duration(body, 16, length_ms)))
        elif name == b"trak":
            (number,) = struct.unpack_from(">I", _inside(body, b"tkhd"), 12)
            if number in tracks:
                parts.append(_trak(body, tracks[number], base))
    mdat = struct.pack(">I4sQ", 1, b"mdat", media_bytes + 16)
    return box(b"ftyp", b"isom\0\0\2\0isomiso2avc1mp41") + box(b"moov", *parts) + mdat


def _with_duration(body: bytes, at: int, duration: int) -> bytes:
    return body[:at] + struct.pack(">I", min(duration, 0xFFFFFFFF)) + body[at + 4 :]


def _trak(body: bytes, track: _Track, base: int) -> bytes:
    parts = []
    for name, start, end in boxes(body):
        inner = body[start + 8 : end]
        if name == b"tkhd":
            parts.append(box(name, _with_duration(inner, 20, _shown_ms(track))))
            parts.append(_edits(track))
        elif name == b"mdia":
            parts.append(_mdia(inner, track, base))
        else:
            parts.append(box(name, inner))
    return box(b"trak", *parts)


def _edits(track: _Track) -> bytes:
    """8.6.6: sound that begins after the picture waits, what was cut into is cut off; B-frames begin late by design."""
    entries = []
    delay = _delay(track)
    waits_ms = max(0, delay) * MOVIE_TIMESCALE // track.scale
    if waits_ms:
        entries.append(struct.pack(">IiHH", waits_ms, -1, 1, 0))
    entries.append(struct.pack(">IiHH", _shown_ms(track) - waits_ms, track.rows[0].offset + max(0, -delay), 1, 0))
    return box(b"edts", box(b"elst", struct.pack(">II", 0, len(entries)), *entries))


def _mdia(body: bytes, track: _Track, base: int) -> bytes:
    parts = []
    for name, start, end in boxes(body):
        inner = body[start + 8 : end]
        if name == b"mdhd":
            inner = _with_duration(inner, 16, sum(row.duration for row in track.rows))
        elif name == b"minf":
            inner = b"".join(
                box(
                    child,
                    _tables(inner[first + 8 : last], track, base) if child == b"stbl" else inner[first + 8 : last],
                )
                for child, first, last in boxes(inner)
            )
        parts.append(box(name, inner))
    return box(b"mdia", *parts)


def _tables(body: bytes, track: _Track, base: int) -> bytes:
    """8.5.2 stsd as it was; 8.6.1 stts, ctts, stss; 8.7 stsc, stsz, co64."""
    rows = track.rows
    durations = _runs(row.duration for row in rows)
    offsets = _runs(row.offset for row in rows)
    keys = [at for at, row in enumerate(rows, 1) if row.key]
    counts: list[tuple[int, int]] = []
    for number, (_, count) in enumerate(track.chunks, 1):
        if not counts or counts[-1][1] != count:
            counts.append((number, count))
    tables = [
        box(b"stsd", _inside(body, b"stsd")),
        _table(b"stts", 0, [struct.pack(">II", count, value) for value, count in durations]),
    ]
    if offsets != [(0, len(rows))]:
        tables.append(_table(b"ctts", 1, [struct.pack(">Ii", count, value) for value, count in offsets]))
    if len(keys) < len(rows):
        tables.append(_table(b"stss", 0, [struct.pack(">I", key) for key in keys]))
    tables.append(_table(b"stsc", 0, [struct.pack(">III", first, count, 1) for first, count in counts]))
    sizes = b"".join(struct.pack(">I", row.size) for row in rows)
    tables.append(box(b"stsz", struct.pack(">III", 0, 0, len(rows)), sizes))
    tables.append(_table(b"co64", 0, [struct.pack(">Q", base + offset) for offset, _ in track.chunks]))
    return b"".join(tables)


def _table(name: bytes, version: int, entries: Sequence[bytes]) -> bytes:
    return box(name, struct.pack(">II", version << 24, len(entries)), *entries)


def _runs(values: Iterable[int]) -> list[tuple[int, int]]:
    """(value, how often in a row)."""
    found: list[tuple[int, int]] = []
    for value in values:
        if found and found[-1][0] == value:
            found[-1] = value, found[-1][1] + 1
        else:
            found.append((value, 1))
    return found
