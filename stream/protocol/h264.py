"""What a player must know of H.264 before the first picture: profile, level, picture size.

Sources: ISO/IEC 14496-15 section 5.3.3 (AVCDecoderConfigurationRecord, "avcC"); ITU-T H.264 sections 7.3.2.1 (sequence
parameter set), 7.4.2.1.1 and table E-1 for cropping; RFC 6381 section 3.3 (`avc1.PPCCLL`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from stream.protocol.bits import Bits

RECORD_BYTES_MAX: Final = 65_536
"""A record holds a few parameter sets of a few hundred bytes; more is garbage, and it is kept per stream."""

# Profiles whose parameter set carries chroma format, bit depths and scaling lists (7.3.2.1.1).
_HIGH_PROFILES: Final = frozenset((100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135))


@dataclass(frozen=True, slots=True)
class AvcConfig:
    """An avcC record read: `codec` as in RFC 6381, size in pixels after cropping, bytes of each NAL length field."""

    codec: str
    width: int
    height: int
    length_bytes: int


def parse_avcc(record: bytes) -> AvcConfig:
    """Read an avcC record and its first sequence parameter set. Raises ValueError when it is not one."""
    if not 7 <= len(record) <= RECORD_BYTES_MAX or record[0] != 1:
        raise ValueError("not an avcC record")
    if record[5] & 0x1F == 0:
        raise ValueError("the avcC record has no sequence parameter set")
    size = int.from_bytes(record[6:8], "big")
    sps = record[8 : 8 + size]
    if len(sps) != size or size < 4:
        raise ValueError("the sequence parameter set is cut off")
    width, height = parse_sps(sps)
    return AvcConfig(f"avc1.{sps[1]:02x}{sps[2]:02x}{sps[3]:02x}", width, height, (record[4] & 3) + 1)


def split_annexb(data: bytes) -> Iterator[bytes]:
    """Yield the NAL units of a byte stream with start codes (ITU-T H.264 annex B), as encoders give them."""
    at = data.find(b"\0\0\1")
    while at >= 0:
        begin = at + 3
        at = data.find(b"\0\0\1", begin)
        unit = data[begin:] if at < 0 else data[begin:at]
        unit = unit.rstrip(b"\0")
        if unit:
            yield unit


def make_avcc(sps: bytes, pps: bytes) -> bytes:
    """Write the avcC record of one sequence and one picture parameter set, with NAL length fields of 4 bytes.

    Raises ValueError when they are too short or too long to be parameter sets.
    """
    if len(sps) < 4 or not pps or len(sps) + len(pps) + 11 > RECORD_BYTES_MAX:
        raise ValueError("not parameter sets")
    head = bytes((1, sps[1], sps[2], sps[3], 0xFF, 0xE1))
    return head + len(sps).to_bytes(2, "big") + sps + b"\x01" + len(pps).to_bytes(2, "big") + pps


def parse_sps(nal: bytes) -> tuple[int, int]:
    """Give (width, height) in pixels of a sequence parameter set NAL unit. Raises ValueError when it is broken."""
    if len(nal) < 4 or nal[0] & 0x1F != 7:
        raise ValueError("not a sequence parameter set")
    bits = Bits(nal[4:].replace(b"\0\0\3", b"\0\0"))
    bits.unsigned()
    chroma, separate = 1, False
    if nal[1] in _HIGH_PROFILES:
        chroma, separate = _skip_high_profile_fields(bits)
    bits.unsigned()  # log2_max_frame_num_minus4
    order = bits.unsigned()
    if order == 0:
        bits.unsigned()
    elif order == 1:
        bits.skip(1)
        bits.unsigned()  # offset_for_non_ref_pic: signed, but its length is that of an unsigned one
        bits.unsigned()
        for _ in range(min(bits.unsigned(), 255)):
            bits.unsigned()
    bits.unsigned()  # max_num_ref_frames
    bits.skip(1)
    width = (bits.unsigned() + 1) * 16
    map_units = bits.unsigned() + 1
    frame_only = bits.take(1)
    if not frame_only:
        bits.skip(1)
    height = map_units * 16 * (2 - frame_only)
    bits.skip(1)
    if bits.take(1):
        left, right, top, bottom = (bits.unsigned() for _ in range(4))
        subsampled = chroma in (1, 2) and not separate
        unit_x = 2 if subsampled else 1
        unit_y = (2 if chroma == 1 and not separate else 1) * (2 - frame_only)
        width -= unit_x * (left + right)
        height -= unit_y * (top + bottom)
    if not (0 < width <= 16_384 and 0 < height <= 16_384):
        raise ValueError("the picture size is out of range")
    return width, height


def _skip_high_profile_fields(bits: Bits) -> tuple[int, bool]:
    chroma = bits.unsigned()
    separate = chroma == 3 and bits.take(1) == 1
    bits.unsigned()
    bits.unsigned()
    bits.skip(1)
    if bits.take(1):
        for index in range(8 if chroma != 3 else 12):
            if bits.take(1):
                _skip_scaling_list(bits, 16 if index < 6 else 64)
    return chroma, separate


def _skip_scaling_list(bits: Bits, size: int) -> None:
    """Section 7.3.2.1.1.1: once the next scale is 0 the rest of the list repeats and is not in the stream."""
    last = following = 8
    for _ in range(size):
        if following:
            code = bits.unsigned()
            delta = (code + 1) // 2 if code % 2 else -(code // 2)
            following = (last + delta) % 256
        last = following or last
