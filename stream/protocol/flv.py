"""FLV tags and the same bodies as RTMP carries them: classic codec ids and the enhanced FourCC headers.

Sources: Adobe Flash Video File Format 10.1, annex E; Enhanced RTMP v2 (Veovera), "Enhanced Video", "Enhanced Audio".

    tag:  type UI8 | body size UI24 | timestamp UI24 | timestamp high UI8 | stream id UI24 = 0 | body | size UI32
    video body, classic:   frame type UB4, codec id UB4 | AVC packet type UI8 | composition offset SI24 | data
    video body, enhanced:  1 UB1, frame type UB3, packet type UB4 | FourCC | offset SI24 (H.264, HEVC) | data
    audio body, classic:   format UB4, rate UB2, size UB1, stereo UB1 | for AAC: packet type UI8 | data
    audio body, enhanced:  9 UB4, packet type UB4 | FourCC | data
    ModEx (type 7):        size − 1 UI8, 255: then size − 1 UI16 | data | modifier UB4, packet type UB4, and once more
    multitrack (5, 6):     layout UB4, packet type UB4 | [FourCC, unless each track has its own]
                           then for each track: [FourCC] | track id UI8 | [size UI24, unless it is the only one] | data

Bodies that say nothing to a player (empty, too short, end of sequence, colour information, other tracks than number 0)
parse to None. A ModEx is read over: the one modifier there is adds nanoseconds, and a Packet counts milliseconds.
"""

import struct
from collections.abc import Iterator
from typing import Final

from stream.packet import Codec, Kind, Packet

TAG_BODY_BYTES_MAX: Final = 0xFFFFFF
"""The size field has 24 bits (E.4.1)."""

AVC_ID: Final = 7
HEVC_ID: Final = 12
"""Not Adobe's: the codec id that Chinese CDNs gave HEVC before Enhanced RTMP."""
AAC_ID: Final = 10
MP3_ID: Final = 2
ENHANCED_AUDIO_ID: Final = 9

KEY_FRAME: Final = 1
INTER_FRAME: Final = 2
COMMAND_FRAME: Final = 5

SEQUENCE_START: Final = 0
CODED_FRAMES: Final = 1
SEQUENCE_END: Final = 2
CODED_FRAMES_X: Final = 3
"""Coded frames whose composition offset is 0 and left out."""
METADATA: Final = 4
"""Picture: colour information in AMF; sound: the layout of its channels. Both are in the configurations as well."""
TS_SEQUENCE_START: Final = 5
"""Picture alone: AV1 as MPEG-2 transport streams describe it. No encoder is known to send it."""
AUDIO_MULTITRACK: Final = 5
VIDEO_MULTITRACK: Final = 6
MOD_EX: Final = 7

ONE_TRACK: Final = 0
MANY_TRACKS: Final = 1
MANY_CODECS: Final = 2
TRACKS_MAX: Final = 16
"""Tracks read of one body; ids have 8 bits, broadcasts with several renditions have three to six."""

VIDEO_FOURCC: Final = {
    b"avc1": Codec.H264,
    b"hvc1": Codec.HEVC,
    b"av01": Codec.AV1,
    b"vp08": Codec.VP8,
    b"vp09": Codec.VP9,
}
AUDIO_FOURCC: Final = {
    b"mp4a": Codec.AAC,
    b".mp3": Codec.MP3,
    b"Opus": Codec.OPUS,
    b"fLaC": Codec.FLAC,
    b"ac-3": Codec.AC3,
    b"ec-3": Codec.EAC3,
}
_FOURCC: Final = {codec: fourcc for fourcc, codec in (*VIDEO_FOURCC.items(), *AUDIO_FOURCC.items())}
_WITH_OFFSET: Final = (Codec.H264, Codec.HEVC)
_VIDEO_ID: Final = {AVC_ID: Codec.H264, HEVC_ID: Codec.HEVC}
_VIDEO, _AUDIO, _AAC = Kind.VIDEO, Kind.AUDIO, Codec.AAC  # each look at a member costs 0.14 µs on Python 3.11

_PREVIOUS_SIZE: Final = struct.Struct(">I")


def header(*, audio: bool, video: bool) -> bytes:
    """Give the file header and the first previous-tag size of 0: 13 bytes."""
    return b"FLV\x01" + bytes((4 * audio + video,)) + b"\0\0\0\x09\0\0\0\0"


def tag(packet: Packet, dts_ms: int | None = None) -> bytes:
    """Give the whole tag with its trailing size; the timestamp is taken modulo 2**32 (it wraps after 49.7 days).

    `dts_ms`: another time than the packet's own, for configurations that are sent again.
    Raises ValueError when the body is larger than a tag can say.
    """
    prefix = body_prefix(packet)
    size = len(prefix) + len(packet.data)
    if size > TAG_BODY_BYTES_MAX:
        raise ValueError(f"a tag body of {size} bytes is over the 24-bit size field")
    time = (packet.dts_ms if dts_ms is None else dts_ms) & 0xFFFFFFFF
    head = (
        bytes((packet.kind,))
        + size.to_bytes(3, "big")
        + (time & 0xFFFFFF).to_bytes(3, "big")
        + bytes((time >> 24, 0, 0, 0))
    )
    return b"".join((head, prefix, packet.data, _PREVIOUS_SIZE.pack(size + 11)))


def body_prefix(packet: Packet) -> bytes:
    """Give what stands before the data in the body of a tag or an RTMP message: classic where there is such a form."""
    if packet.kind is Kind.VIDEO:
        return _video_prefix(packet)
    return _audio_prefix(packet) if packet.kind is Kind.AUDIO else b""


def _video_prefix(packet: Packet) -> bytes:
    frame = KEY_FRAME if packet.key or packet.config else INTER_FRAME
    offset = (packet.cts_ms & 0xFFFFFF).to_bytes(3, "big")
    if packet.codec is Codec.H264:
        return bytes((frame << 4 | AVC_ID, 0 if packet.config else 1)) + (b"\0\0\0" if packet.config else offset)
    kind = SEQUENCE_START if packet.config else CODED_FRAMES
    if kind == CODED_FRAMES and packet.codec in _WITH_OFFSET:
        if packet.cts_ms:
            return bytes((0x80 | frame << 4 | kind,)) + _FOURCC[packet.codec] + offset
        kind = CODED_FRAMES_X
    return bytes((0x80 | frame << 4 | kind,)) + _FOURCC[packet.codec]


def _audio_prefix(packet: Packet) -> bytes:
    if packet.codec is Codec.AAC:
        # E.4.2.1: for AAC rate and channels always say 44 kHz stereo, the AudioSpecificConfig has the truth.
        return bytes((AAC_ID << 4 | 0x0F, 0 if packet.config else 1))
    if packet.codec is Codec.MP3:
        return bytes((MP3_ID << 4 | 0x0F,))
    kind = SEQUENCE_START if packet.config else CODED_FRAMES
    return bytes((ENHANCED_AUDIO_ID << 4 | kind,)) + _FOURCC[packet.codec]


def parse_video_body(body: bytes, dts_ms: int) -> Packet | None:
    """Read the body of an RTMP video message or FLV video tag; None when there is nothing in it to play."""
    if len(body) < 2:
        return None
    if body[0] & 0x80:
        return _parse_enhanced_video(body, dts_ms)
    frame, codec_id = body[0] >> 4, body[0] & 0x0F
    codec = _VIDEO_ID.get(codec_id)
    if codec is None or frame == COMMAND_FRAME or len(body) <= 5 or body[1] > 1:
        return None
    if body[1] == 0:
        return _video(codec, dts_ms, 0, False, True, body[5:])
    return Packet(_VIDEO, codec, dts_ms, _signed24(body[2:5]), frame == KEY_FRAME, False, body[5:])


def parse_audio_body(body: bytes, dts_ms: int) -> Packet | None:
    """Read the body of an RTMP audio message or FLV audio tag; None when there is nothing in it to play."""
    if len(body) < 2:
        return None
    form = body[0] >> 4
    if form == ENHANCED_AUDIO_ID:
        return _parse_enhanced_audio(body, dts_ms)
    if form == AAC_ID and len(body) > 2 and body[1] <= 1:
        return Packet(_AUDIO, _AAC, dts_ms, 0, True, body[1] == 0, body[2:])
    if form == MP3_ID:
        return Packet(Kind.AUDIO, Codec.MP3, dts_ms, 0, True, False, body[1:])
    return None


def parse_data_body(body: bytes, dts_ms: int) -> Packet | None:
    """Keep the body of a script message (AMF0); the caller has taken `@setDataFrame` away. None when it is empty."""
    if not body:
        return None
    return Packet(Kind.DATA, Codec.AMF0, dts_ms, 0, False, False, body)


def _parse_enhanced_video(body: bytes, dts_ms: int) -> Packet | None:
    frame = body[0] >> 4 & 0x07
    found = _enhanced_payload(body, VIDEO_MULTITRACK)
    if found is None or frame == COMMAND_FRAME:
        return None
    kind, fourcc, data = found
    codec = VIDEO_FOURCC.get(fourcc)
    if codec is None or kind not in (SEQUENCE_START, CODED_FRAMES, CODED_FRAMES_X):
        return None
    offset_ms = 0
    if kind == CODED_FRAMES and codec in _WITH_OFFSET:
        offset_ms, data = _signed24(data[:3]), data[3:]
    if not data:
        return None
    return _video(codec, dts_ms, offset_ms, frame == KEY_FRAME, kind == SEQUENCE_START, data)


def _parse_enhanced_audio(body: bytes, dts_ms: int) -> Packet | None:
    found = _enhanced_payload(body, AUDIO_MULTITRACK)
    if found is None:
        return None
    kind, fourcc, data = found
    codec = AUDIO_FOURCC.get(fourcc)
    if codec is None or kind not in (SEQUENCE_START, CODED_FRAMES) or not data:
        return None
    return Packet(Kind.AUDIO, codec, dts_ms, 0, True, kind == SEQUENCE_START, data)


def _enhanced_payload(body: bytes, multitrack: int) -> tuple[int, bytes, bytes] | None:
    """Walk the enhanced header to (packet type, FourCC, rest) of track 0; None when it is cut short or not there."""
    found = _after_mod_ex(body)
    if found is None:
        return None
    kind, at = found
    if kind != multitrack:
        return (kind, body[at : at + 4], body[at + 4 :]) if len(body) >= at + 4 else None
    kind = body[at] & 0x0F if at < len(body) else 0
    return next(((kind, fourcc, data) for track, fourcc, data in _tracks(body, at) if track == 0), None)


def tracks_left_out(kind: Kind, body: bytes) -> int:
    """Count the tracks of a video or audio body that are read over, because they are not number 0."""
    enhanced = body[:1] >= b"\x80" if kind is Kind.VIDEO else bool(body) and body[0] >> 4 == ENHANCED_AUDIO_ID
    found = _after_mod_ex(body) if enhanced else None
    if found is None or found[0] != (VIDEO_MULTITRACK if kind is Kind.VIDEO else AUDIO_MULTITRACK):
        return 0
    return sum(track != 0 for track, _, _ in _tracks(body, found[1]))


def _after_mod_ex(body: bytes) -> tuple[int, int] | None:
    """Give the packet type behind all modifiers, and where its data begins; None when the body is cut short."""
    kind, at = body[0] & 0x0F, 1
    while kind == MOD_EX:
        if at >= len(body):
            return None
        size = body[at] + 1
        at += 1
        if size == 256:
            size = int.from_bytes(body[at : at + 2], "big") + 1
            at += 2
        at += size
        if at >= len(body):
            return None
        kind = body[at] & 0x0F
        at += 1
    return kind, at


def _tracks(body: bytes, at: int) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield (track id, FourCC, data) of a multitrack body whose layout stands at `at`; ends where it is cut short."""
    if at >= len(body):
        return
    layout = body[at] >> 4
    at += 1
    fourcc = b""
    if layout != MANY_CODECS:
        fourcc = body[at : at + 4]
        at += 4
    for _ in range(TRACKS_MAX):
        if layout == MANY_CODECS:
            fourcc = body[at : at + 4]
            at += 4
        if at >= len(body):
            return
        track = body[at]
        at += 1
        if layout == ONE_TRACK:
            yield track, fourcc, body[at:]
            return
        size = int.from_bytes(body[at : at + 3], "big")
        at += 3
        if at + size > len(body):
            return
        yield track, fourcc, body[at : at + size]
        at += size


def _video(codec: Codec, dts_ms: int, offset_ms: int, key: bool, config: bool, data: bytes) -> Packet:
    return Packet(Kind.VIDEO, codec, dts_ms, offset_ms, key and not config, config, data)


def _signed24(raw: bytes) -> int:
    value = int.from_bytes(raw, "big")
    return value - 0x1000000 if value & 0x800000 else value
