"""What an AV1 sequence header says, and the av1C record made of it.

Pure. Sources: AV1 bitstream specification sections 5.5 (sequence header) and 6.4.2 (colour), AV1 codec ISO media file
format binding 2.3.3 (av1C).

    av1C   0x81 | profile 3, level 5 bits | tier, high bit depth, 12 bit, mono, subsampling across, down: 1 bit each,
           position 2 bits | 0 | OBUs: the sequence header, with its size
"""

from dataclasses import dataclass
from typing import Final

from stream.protocol.bits import Bits

SEQUENCE_HEADER: Final = 1
"""Its obu_type (section 6.2.2)."""
HAS_SIZE: Final = 2
HAS_EXTENSION: Final = 4

_BT_709, _SRGB, _IDENTITY = 1, 13, 0
_TIERED_LEVEL: Final = 7
"""Levels above it say their tier."""


@dataclass(frozen=True, slots=True)
class SequenceHeader:
    """Profile, level and tier of the first operating point, colour, and the largest picture in pixels."""

    profile: int
    level: int
    tier: int
    high_bitdepth: int
    twelve_bit: int
    mono: int
    subsampling: tuple[int, int]
    position: int
    width: int
    height: int


def kind_of(obu: bytes) -> int:
    """The obu_type."""
    return obu[0] >> 3 & 15


def leb128(number: int) -> bytes:
    """A number in groups of 7 bits (section 4.10.5)."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def sized(obu: bytes) -> bytes:
    """An OBU that has no size field with one, as files carry it."""
    head = 2 if obu[0] & HAS_EXTENSION else 1
    return bytes((obu[0] | HAS_SIZE,)) + obu[1:head] + leb128(len(obu) - head) + obu[head:]


def make_av1c(obu: bytes) -> bytes:
    """Give the record for a sequence header without its size field. Raises ValueError when it is broken."""
    found = parse_sequence_header(obu[2 if obu[0] & HAS_EXTENSION else 1 :])
    across, down = found.subsampling
    colour = (
        found.tier << 7
        | found.high_bitdepth << 6
        | found.twelve_bit << 5
        | found.mono << 4
        | across << 3
        | down << 2
        | found.position
    )
    return bytes((0x81, found.profile << 5 | found.level, colour, 0)) + sized(obu)


def parse_sequence_header(body: bytes) -> SequenceHeader:
    """Read the body of a sequence header OBU (section 5.5.1). Raises ValueError when it is broken."""
    bits = Bits(body)
    profile = bits.take(3)
    bits.skip(1)
    reduced = bits.take(1)
    level, tier = (bits.take(5), 0) if reduced else _operating_points(bits)
    width_bits, height_bits = bits.take(4) + 1, bits.take(4) + 1
    width, height = bits.take(width_bits) + 1, bits.take(height_bits) + 1
    if not reduced and bits.take(1):  # frame_id_numbers_present_flag
        bits.skip(4 + 3)
    bits.skip(3)
    if not reduced:
        _skip_tools(bits)
    bits.skip(3)
    high, twelve, mono, subsampling, position = _colour(bits, profile)
    return SequenceHeader(profile, level, tier, high, twelve, mono, subsampling, position, width, height)


def _operating_points(bits: Bits) -> tuple[int, int]:
    """Give the first one's level and tier."""
    decoder_model, delay_bits = 0, 0
    if bits.take(1):  # timing_info_present_flag
        bits.skip(64)
        if bits.take(1):
            bits.unsigned()
        decoder_model = bits.take(1)
        if decoder_model:
            delay_bits = bits.take(5) + 1
            bits.skip(32 + 5 + 5)
    display_delay = bits.take(1)
    first = None
    for _ in range(bits.take(5) + 1):
        bits.skip(12)
        level = bits.take(5)
        tier = bits.take(1) if level > _TIERED_LEVEL else 0
        first = first or (level, tier)
        if decoder_model and bits.take(1):
            bits.skip(2 * delay_bits + 1)
        if display_delay and bits.take(1):
            bits.skip(4)
    assert first is not None
    return first


def _skip_tools(bits: Bits) -> None:
    bits.skip(4)
    order_hint = bits.take(1)
    if order_hint:
        bits.skip(2)
    screen_content = 2 if bits.take(1) else bits.take(1)
    if screen_content and not bits.take(1):
        bits.skip(1)
    if order_hint:
        bits.skip(3)


def _colour(bits: Bits, profile: int) -> tuple[int, int, int, tuple[int, int], int]:
    """Give high_bitdepth, twelve_bit, mono_chrome, subsampling and the place of the chroma samples (5.5.2)."""
    high = bits.take(1)
    twelve = bits.take(1) if profile == 2 and high else 0
    mono = 0 if profile == 1 else bits.take(1)
    described = (bits.take(8), bits.take(8), bits.take(8)) if bits.take(1) else None
    if mono:
        return high, twelve, mono, (1, 1), 0
    if described == (_BT_709, _SRGB, _IDENTITY):
        return high, twelve, mono, (0, 0), 0
    bits.skip(1)
    if profile == 0:
        subsampling = (1, 1)
    elif profile == 1:
        subsampling = (0, 0)
    elif twelve:
        across = bits.take(1)
        subsampling = (across, bits.take(1) if across else 0)
    else:
        subsampling = (1, 0)
    return high, twelve, mono, subsampling, bits.take(2) if subsampling == (1, 1) else 0
