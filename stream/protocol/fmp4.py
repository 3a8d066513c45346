"""Fragmented MP4 for Media Source: an init segment, then fragments of one `moof` and one `mdat`.

Sources: ISO/IEC 14496-12 (boxes; the section is beside each), 14496-14 (esds), 14496-15 (avc1, hvc1), AV1 codec ISO
media file format binding 2.2 (av01), W3C "ISO BMFF Byte Stream Format" for what Media Source wants:
default-base-is-moof, a tfdt in each traf, movie durations of 0.
"""

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

VIDEO_TIMESCALE: Final = 90_000
"""Ticks a second: whole milliseconds and the usual frame rates are whole numbers of it."""

VIDEO_TRACK: Final = 1
AUDIO_TRACK: Final = 2

_SYNC_SAMPLE: Final = 0x02000000
"""8.8.3.1: depends on no other sample."""
_OTHER_SAMPLE: Final = 0x01010000
"""8.8.3.1: depends on others, is not a sync sample."""

_MATRIX: Final = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)


AVC: Final = (b"avc1", b"avcC")
HEVC: Final = (b"hvc1", b"hvcC")
"""With its parameter sets in the record alone, as Apple's players want it."""
AV1: Final = (b"av01", b"av1C")


@dataclass(frozen=True, slots=True)
class VideoTrack:
    """Picture: names of its sample entry and of the record's box, the record, and the size in pixels."""

    form: tuple[bytes, bytes]
    record: bytes
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class AudioTrack:
    """AAC sound: the AudioSpecificConfig, samples a second (the track's timescale), channels."""

    asc: bytes
    rate: int
    channels: int


@dataclass(slots=True)
class Sample:
    """One access unit; `time`, `duration` and `offset` in ticks of its track."""

    time: int
    duration: int
    offset: int
    key: bool
    data: bytes


def box(name: bytes, *parts: bytes) -> bytes:
    """Give a box (4.2)."""
    body = b"".join(parts)
    return struct.pack(">I4s", len(body) + 8, name) + body


def _full(name: bytes, version: int, flags: int, *parts: bytes) -> bytes:
    return box(name, struct.pack(">I", version << 24 | flags), *parts)


def init_segment(video: VideoTrack | None, audio: AudioTrack | None) -> bytes:
    """Give ftyp and moov for the tracks there are. Raises ValueError when there is none."""
    if video is None and audio is None:
        raise ValueError("an init segment needs a track")
    tracks, extends = [], []
    if video is not None:
        tracks.append(_video_trak(video))
        extends.append(VIDEO_TRACK)
    if audio is not None:
        tracks.append(_audio_trak(audio))
        extends.append(AUDIO_TRACK)
    # 8.8.3 trex: sample description 1, all defaults 0, as each fragment says its own.
    mvex = box(b"mvex", *(_full(b"trex", 0, 0, struct.pack(">5I", track, 1, 0, 0, 0)) for track in extends))
    mvhd = _full(
        b"mvhd",
        0,
        0,
        struct.pack(">IIIIIH10x", 0, 0, 1000, 0, 0x10000, 0x100),
        _MATRIX,
        bytes(24),
        struct.pack(">I", AUDIO_TRACK + 1),
    )
    ftyp = box(b"ftyp", b"iso5\0\0\2\0iso5iso6mp41")
    return ftyp + box(b"moov", mvhd, *tracks, mvex)


def _trak(track: int, timescale: int, size: tuple[int, int], handler: bytes, media: bytes, entry: bytes) -> bytes:
    sound = handler == b"soun"
    tkhd = _full(
        b"tkhd",
        0,
        3,
        struct.pack(">IIIII8xHHHH", 0, 0, track, 0, 0, 0, 0, 0x100 if sound else 0, 0),
        _MATRIX,
        struct.pack(">II", size[0] << 16, size[1] << 16),
    )
    # 0x55C4 is "und", packed as 8.4.2.3 says.
    mdhd = _full(b"mdhd", 0, 0, struct.pack(">IIIIHH", 0, 0, timescale, 0, 0x55C4, 0))
    hdlr = _full(b"hdlr", 0, 0, struct.pack(">I4s12x", 0, handler), b"siyu\0")
    dinf = box(b"dinf", _full(b"dref", 0, 0, struct.pack(">I", 1), _full(b"url ", 0, 1)))
    stbl = box(
        b"stbl",
        _full(b"stsd", 0, 0, struct.pack(">I", 1), entry),
        _full(b"stts", 0, 0, bytes(4)),
        _full(b"stsc", 0, 0, bytes(4)),
        _full(b"stsz", 0, 0, bytes(8)),
        _full(b"stco", 0, 0, bytes(4)),
    )
    return box(b"trak", tkhd, box(b"mdia", mdhd, hdlr, box(b"minf", media, dinf, stbl)))


def _video_trak(video: VideoTrack) -> bytes:
    # 12.1.3 VisualSampleEntry: 72 dpi, one frame a sample, depth 24.
    name, record = video.form
    entry = box(
        name,
        struct.pack(">6xH16xHHIIIH32xHh", 1, video.width, video.height, 0x480000, 0x480000, 0, 1, 24, -1),
        box(record, video.record),
    )
    media = _full(b"vmhd", 0, 1, bytes(8))
    return _trak(VIDEO_TRACK, VIDEO_TIMESCALE, (video.width, video.height), b"vide", media, entry)


def _audio_trak(audio: AudioTrack) -> bytes:
    # 14496-1 7.2.6: ES descriptor: decoder config (0x40 MPEG-4 audio, 0x15 audio stream), its specifics, SL config.
    specific = _descriptor(5, audio.asc)
    config = _descriptor(4, struct.pack(">BBB2xII", 0x40, 0x15, 0, 0, 0), specific)
    esds = _full(b"esds", 0, 0, _descriptor(3, struct.pack(">HB", AUDIO_TRACK, 0), config, _descriptor(6, b"\2")))
    # 12.2.3 AudioSampleEntry; its rate has 16 bits, a higher one is written as 0: the esds tells it.
    rate = audio.rate if audio.rate <= 0xFFFF else 0
    entry = box(b"mp4a", struct.pack(">6xH8xHHHHI", 1, audio.channels, 16, 0, 0, rate << 16), esds)
    return _trak(AUDIO_TRACK, audio.rate, (0, 0), b"soun", _full(b"smhd", 0, 0, bytes(4)), entry)


def _descriptor(tag: int, *parts: bytes) -> bytes:
    """Give a descriptor (14496-1 8.3.3) with its length in groups of 7 bits."""
    body = b"".join(parts)
    size = bytes((0x80 | len(body) >> 7, len(body) & 0x7F)) if len(body) > 0x7F else bytes((len(body),))
    return bytes((tag,)) + size + body


def fragment(sequence: int, tracks: Iterable[tuple[int, Sequence[Sample]]]) -> bytes:
    """Give one moof and mdat with each (track id, its samples); tracks without samples are left out.

    Gives b"" when there is no sample at all.
    """
    present = [(track, samples) for track, samples in tracks if samples]
    if not present:
        return b""
    mfhd = _full(b"mfhd", 0, 0, struct.pack(">I", sequence & 0xFFFFFFFF))
    # The data offsets count from the moof's start; its size does not depend on them, so it is built twice.
    trafs = [_traf(track, samples, 0) for track, samples in present]
    at = 8 + len(mfhd) + sum(map(len, trafs)) + 8
    for index, (track, samples) in enumerate(present):
        trafs[index] = _traf(track, samples, at)
        at += sum(len(sample.data) for sample in samples)
    moof = box(b"moof", mfhd, *trafs)
    return moof + box(b"mdat", *(sample.data for _, samples in present for sample in samples))


def _traf(track: int, samples: Sequence[Sample], data_offset: int) -> bytes:
    tfhd = _full(b"tfhd", 0, 0x020000, struct.pack(">I", track))
    tfdt = _full(b"tfdt", 1, 0, struct.pack(">Q", samples[0].time))
    rows = [
        struct.pack(
            ">IIIi",
            sample.duration,
            len(sample.data),
            _SYNC_SAMPLE if sample.key else _OTHER_SAMPLE,
            sample.offset,
        )
        for sample in samples
    ]
    # 8.8.8: data offset, then duration, size, flags and (version 1: signed) composition offset of each sample.
    trun = _full(b"trun", 1, 0xF01, struct.pack(">Ii", len(samples), data_offset), *rows)
    return box(b"traf", tfhd, tfdt, trun)


def boxes(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Give (name, start, end) of each top-level box (4.2). Raises ValueError on a broken size."""
    at = 0
    while at < len(data):
        if at + 8 > len(data):
            raise ValueError("a box ends in its header")
        size, name = struct.unpack_from(">I4s", data, at)
        if size < 8 or at + size > len(data):
            raise ValueError(f"box {name!r} has the size {size}")
        yield name, at, at + size
        at += size


def media_only(data: bytes) -> bytes:
    """Give fragments without the init segments between them."""
    kept = [(start, end) for name, start, end in boxes(data) if name not in {b"ftyp", b"moov"}]
    if kept and kept[0][0] == 0 and sum(end - start for start, end in kept) == len(data):
        return data
    return b"".join(data[start:end] for start, end in kept)


def spans(data: bytes) -> dict[int, tuple[int, int]]:
    """Give for each track in `data` (our own fragments) the time of its first sample and where its last one ends.

    Both in ticks of the track (8.8.12 tfdt, 8.8.8 trun).
    """
    found: dict[int, tuple[int, int]] = {}
    for name, start, end in boxes(data):
        if name == b"moof":
            moof = data[start + 8 : end]
            for child, first, last in boxes(moof):
                if child == b"traf":
                    track, time, until = _span(moof[first + 8 : last])
                    found[track] = (found[track][0] if track in found else time, until)
    return found


def _span(traf: bytes) -> tuple[int, int, int]:
    track = time = ticks = 0
    for name, start, _ in boxes(traf):
        if name == b"tfhd":
            (track,) = struct.unpack_from(">I", traf, start + 12)
        elif name == b"tfdt":
            (time,) = struct.unpack_from(">Q", traf, start + 12)
        elif name == b"trun":
            (count,) = struct.unpack_from(">I", traf, start + 12)
            rows = struct.iter_unpack(">IIIi", traf[start + 20 : start + 20 + 16 * count])
            ticks += sum(duration for duration, _, _, _ in rows)
    return track, time, time + ticks
