"""What a configuration says of its stream beside H.264 and AAC: RFC 6381 codec strings, and the picture's size.

Sources: ISO/IEC 14496-15 section 8.3.3 and annex E (hvcC, `hvc1.…`), ITU-T H.265 section 7.3.2.2; AV1 codec ISO media
file format binding 2.3.3 (av1C) and 5 (`av01.…`), AV1 bitstream specification section 5.5; VP codec ISO media file
format binding (vpcC, `vp09.…`); RFC 7845 section 5.1 (OpusHead); RFC 9639 section 8.2 (FLAC's stream information).

    hvcC   version 1 | space 2, tier 1, profile 5 bits | compatibility u32 | constraints 6 bytes | level u8 | 8 bytes |
           length size (2 bits) | number of arrays | each: type u8, count u16, (size u16, NAL unit)…
    av1C   0x81 | profile 3, level 5 bits | tier 1, high bit depth 1, 12 bit 1, mono 1, … | … | OBUs
    vpcC   [version 1, flags u24] | profile u8 | level u8 | depth 4 bits … | …
"""

from collections.abc import Callable
from typing import Final

from stream.packet import Codec, Packet
from stream.protocol import aac, av1, h264
from stream.protocol.bits import Bits
from stream.protocol.h264 import RECORD_BYTES_MAX

Size = tuple[int, int]

_HEVC_SPS: Final = 33
_HEVC_ARRAYS_MAX: Final = 8


def describe_hevc(record: bytes) -> tuple[str, Size | None]:
    """Give the codec of an hvcC record, and the picture's size in pixels if it holds a parameter set that says so.

    Raises ValueError when it is not one.
    """
    if not 23 <= len(record) <= RECORD_BYTES_MAX or record[0] not in (0, 1):
        raise ValueError("not an hvcC record")
    space = ("", "A", "B", "C")[record[1] >> 6]
    tier = "H" if record[1] & 0x20 else "L"
    # Annex E.3: the compatibility flags with the first one lowest, then constraints without the zeros behind.
    compatibility = int(f"{int.from_bytes(record[2:6], 'big'):032b}"[::-1], 2)
    constraints = record[6:12].rstrip(b"\0")
    parts = [f"hvc1.{space}{record[1] & 0x1F}", f"{compatibility:X}", f"{tier}{record[12]}"]
    parts += [f"{byte:X}" for byte in constraints]
    unit = _first_sps(record)
    return ".".join(parts), None if unit is None else _hevc_size(unit)


def is_hevc(record: bytes) -> bool:
    """Whether a record that should be an avcC is an hvcC: both begin alike."""
    try:
        h264.parse_avcc(record)
    except ValueError:
        try:
            describe_hevc(record)
        except ValueError:
            return False
        return True
    return False


def _first_sps(record: bytes) -> bytes | None:
    at = 23
    for _ in range(min(record[22], _HEVC_ARRAYS_MAX)):
        kind = record[at] & 0x3F if at < len(record) else 0
        count = int.from_bytes(record[at + 1 : at + 3], "big")
        at += 3
        for _ in range(min(count, _HEVC_ARRAYS_MAX)):
            size = int.from_bytes(record[at : at + 2], "big")
            unit = record[at + 2 : at + 2 + size]
            at += 2 + size
            if kind == _HEVC_SPS:
                if len(unit) != size:
                    raise ValueError("the sequence parameter set is cut off")
                return unit
    return None


def _hevc_size(unit: bytes) -> Size:
    """Read pic_width and pic_height of a sequence parameter set, after cropping (section 7.3.2.2.1)."""
    bits = Bits(unit[2:].replace(b"\0\0\3", b"\0\0"))
    bits.skip(4)
    layers = bits.take(3)
    bits.skip(1)
    bits.skip(88 + 8)  # general profile, tier, level (7.3.3)
    present = [(bits.take(1), bits.take(1)) for _ in range(layers)]
    if layers:
        bits.skip(2 * (8 - layers))
    for profile, level in present:
        bits.skip(88 * profile + 8 * level)
    bits.unsigned()
    chroma = bits.unsigned()
    separate = chroma == 3 and bits.take(1) == 1
    width, height = bits.unsigned(), bits.unsigned()
    if bits.take(1):
        left, right, top, bottom = (bits.unsigned() for _ in range(4))
        width -= (2 if chroma in (1, 2) and not separate else 1) * (left + right)
        height -= (2 if chroma == 1 and not separate else 1) * (top + bottom)
    return _checked(width, height)


def describe_av1(record: bytes) -> tuple[str, Size | None]:
    """Give the codec of an av1C record, and the largest picture's size if the record holds the sequence header.

    Raises ValueError when it is not one.
    """
    if not 4 <= len(record) <= RECORD_BYTES_MAX or record[0] != 0x81:
        raise ValueError("not an av1C record")
    profile, level = record[1] >> 5, record[1] & 0x1F
    tier = "H" if record[2] & 0x80 else "M"
    depth = (12 if record[2] & 0x20 else 10) if record[2] & 0x40 else 8
    size = None
    unit = record[4:]
    if len(unit) > 2 and av1.kind_of(unit) == av1.SEQUENCE_HEADER:
        at = 2 if unit[0] & 4 else 1
        if unit[0] & 2:
            while at < len(unit) and unit[at] & 0x80:  # obu_size is LEB128
                at += 1
            at += 1
        header = av1.parse_sequence_header(unit[at:])
        size = _checked(header.width, header.height)
    return f"av01.{profile}.{level:02d}{tier}.{depth:02d}", size


def describe_vp9(record: bytes) -> tuple[str, None]:
    """Give the codec of a vpcC record, with or without the box's version. Raises ValueError when it is not one."""
    if record[:1] == b"\x01" and len(record) >= 12:
        record = record[4:]
    if len(record) < 3 or record[0] > 3 or record[2] >> 4 not in (8, 10, 12):
        raise ValueError("not a vpcC record")
    return f"vp09.{record[0]:02d}.{record[1]:02d}.{record[2] >> 4:02d}", None


def describe_opus(head: bytes) -> tuple[str, None]:
    """Check an OpusHead; its codec has no parameters (RFC 6381 by the Opus in ISO media file format binding, 5)."""
    if len(head) < 19 or not head.startswith(b"OpusHead") or not head[9]:
        raise ValueError("not an OpusHead")
    return "opus", None


def describe_flac(header: bytes) -> tuple[str, None]:
    """Check FLAC's header: marker and stream information block, or (FFmpeg) the 34 bytes in that block alone."""
    if header.startswith(b"fLaC"):
        block = header[4:]
        if len(block) < 38 or block[0] & 0x7F != 0 or int.from_bytes(block[1:4], "big") != 34:
            raise ValueError("not a FLAC header")
    elif len(header) != 34:
        raise ValueError("not a FLAC header")
    return "flac", None


def _checked(width: int, height: int) -> Size:
    if not (0 < width <= 65_536 and 0 < height <= 65_536):
        raise ValueError("the picture size is out of range")
    return width, height


def describe(packet: Packet) -> tuple[str, Size | None]:
    """Give the RFC 6381 codec and the picture size of a configuration. Raises ValueError when it is broken."""
    if packet.codec is Codec.H264:
        avc = h264.parse_avcc(packet.data)
        return avc.codec, (avc.width, avc.height)
    if packet.codec is Codec.AAC:
        return aac.parse_asc(packet.data).codec, None
    if packet.codec in _DESCRIBED and packet.data:
        return _DESCRIBED[packet.codec](packet.data)
    if len(packet.data) > RECORD_BYTES_MAX:
        raise ValueError("the configuration is too long")
    return {Codec.MP3: "mp4a.6b", Codec.AC3: "ac-3", Codec.EAC3: "ec-3"}.get(packet.codec, packet.codec.value), None


_DESCRIBED: Final[dict[Codec, Callable[[bytes], tuple[str, Size | None]]]] = {
    Codec.HEVC: describe_hevc,
    Codec.AV1: describe_av1,
    Codec.VP9: describe_vp9,
    Codec.OPUS: describe_opus,
    Codec.FLAC: describe_flac,
}
