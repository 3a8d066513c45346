"""The one currency of the media side: ingests make packets, outputs read them, the relay lies between.

Pure: no I/O, no clock.
"""

from dataclasses import dataclass
from enum import IntEnum, StrEnum


class Kind(IntEnum):
    """Which track a packet belongs to; the values are FLV's tag types (Adobe FLV 10.1, E.4.1)."""

    AUDIO = 8
    VIDEO = 9
    DATA = 18


class Codec(StrEnum):
    """What the payload is; the value is a short name for logs and metrics."""

    H264 = "h264"
    HEVC = "hevc"
    AV1 = "av1"
    VP8 = "vp8"
    VP9 = "vp9"
    AAC = "aac"
    MP3 = "mp3"
    OPUS = "opus"
    FLAC = "flac"
    AC3 = "ac3"
    EAC3 = "eac3"
    AMF0 = "amf0"


@dataclass(frozen=True, slots=True)
class Packet:
    """One access unit, one decoder configuration, or one script message.

    `dts_ms`: decoding time in milliseconds. As an ingest gives it, any clock and 32 bits that wrap; as a relay gives
    it, one clock per room that never goes back within a track.
    `cts_ms`: composition offset, presentation time less decoding time (B-frames), may be negative.
    `key`: a decoder can start here (always true for audio).
    `config`: `data` is an avcC/hvcC/av1C/vpcC record, an AudioSpecificConfig, an OpusHead or FLAC's header, no frame.
    `data`: without any FLV header: length-prefixed NAL units, a raw AAC frame, or for DATA an AMF0 script body.
    """

    kind: Kind
    codec: Codec
    dts_ms: int
    cts_ms: int
    key: bool
    config: bool
    data: bytes
