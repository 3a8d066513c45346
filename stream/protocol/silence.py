"""Frames of silence that fit a stream's sound as its host configured it, written without an encoder.

Sources: ISO/IEC 14496-3 section 4.4.2 (raw_data_block: no spectral band is sent, so every coefficient is 0); RFC 6716
sections 3.1 and 4.3 (a CELT frame whose first bit says silence); ISO/IEC 11172-3 section 2.4.1 (a Layer III frame whose
side information is all 0 has no main data).

    AAC    elements: id (3 bits) tag (4) [pair: common window 1, its ics_info, ms_mask_present 2 bits] channel…  END (3)
           channel: global gain u8 [single: ics_info] pulse 1, TNS 1, gain control 1
           ics_info: reserved 1, window sequence 2, window shape 1, max_sfb 6 bits = 0, predictor 1
"""

from typing import Final

from stream.packet import Codec
from stream.protocol import aac

OPUS_FRAME_MS: Final = 20.0

_SINGLE, _PAIR, _LFE, _END = 0, 1, 3, 7
_AAC_ELEMENTS: Final[dict[int, tuple[int, ...]]] = {
    1: (_SINGLE,),
    2: (_PAIR,),
    3: (_SINGLE, _PAIR),
    4: (_SINGLE, _PAIR, _SINGLE),
    5: (_SINGLE, _PAIR, _PAIR),
    6: (_SINGLE, _PAIR, _PAIR, _LFE),
    8: (_SINGLE, _PAIR, _PAIR, _PAIR, _LFE),
}
"""By number of channels (table 1.19)."""
_AAC_OBJECTS: Final = frozenset(("mp4a.40.2", "mp4a.40.5", "mp4a.40.29"))
"""AAC LC, and HE-AAC over it; the low-delay and USAC kinds write their frames otherwise."""

_MP3_RATES: Final = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
"""By version: MPEG-1, MPEG-2, MPEG-2.5."""


def silent_frame(codec: Codec, config: bytes, last: bytes) -> tuple[bytes, float] | None:
    """Give a frame of silence and its length in ms for sound of this configuration whose last frame was `last`.

    None for a codec that has no such frame here (FLAC, AC-3), or a configuration that cannot be read.
    """
    if codec is Codec.AAC:
        return _aac(config)
    if codec is Codec.OPUS:
        stereo = bool(last) and last[0] & 0x04
        # Configuration 31: full band, 20 ms; the two bytes begin with the bit for silence as the range coder has it.
        return bytes((0xF8 | (4 if stereo else 0), 0xFF, 0xFE)), OPUS_FRAME_MS
    return _mp3(last) if codec is Codec.MP3 else None


def _aac(config: bytes) -> tuple[bytes, float] | None:
    try:
        sound = aac.parse_asc(config)
    except ValueError:
        return None
    if sound.codec not in _AAC_OBJECTS:
        return None
    bits = ""
    tags: dict[int, int] = {}
    for element in _AAC_ELEMENTS[sound.channels]:
        tag = tags[element] = tags.get(element, -1) + 1
        bits += f"{element:03b}{tag:04b}"
        bits += (
            "1" + _ICS_INFO + "00" + _CHANNEL_GAIN + _TOOLS + _CHANNEL_GAIN + _TOOLS
            if element == _PAIR
            else (_CHANNEL_GAIN + _ICS_INFO + _TOOLS)
        )
    bits += f"{_END:03b}"
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big"), aac.SAMPLES_PER_FRAME * 1000 / sound.rate


_ICS_INFO: Final = "0" + "00" + "0" + "000000" + "0"
_CHANNEL_GAIN: Final = "00000000"
_TOOLS: Final = "000"


def _mp3(last: bytes) -> tuple[bytes, float] | None:
    """Give the last frame's header, said to have no checksum, and nothing behind it."""
    if len(last) < 4 or last[0] != 0xFF or last[1] & 0xE6 != 0xE2:
        return None
    rates = _MP3_RATES.get(last[1] >> 3 & 3)
    index = last[2] >> 2 & 3
    if rates is None or index == 3:
        return None
    samples = 1152 if rates[0] == 44_100 else 576
    head = bytes((last[0], last[1] | 0x01, last[2], last[3]))
    return head.ljust(len(last), b"\0"), samples * 1000 / rates[index]
