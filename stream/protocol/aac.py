"""What a player must know of AAC before the first frame.

Source: ISO/IEC 14496-3 section 1.6.2.1 (AudioSpecificConfig), RFC 6381 section 3.3 (`mp4a.40.N`).
"""

from dataclasses import dataclass
from typing import Final

SAMPLES_PER_FRAME: Final = 1024
"""Core samples of one raw AAC frame (960 exists in broadcast radio only; no RTMP encoder sends it)."""

CONFIG_BYTES_MAX: Final = 512
"""A config is 2 to 20 bytes; more is garbage, and it is kept per stream."""

_RATES: Final = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)


@dataclass(frozen=True, slots=True)
class AacConfig:
    """An AudioSpecificConfig read: `codec` as in RFC 6381, the core's samples a second, channels."""

    codec: str
    rate: int
    channels: int


def make_asc(rate: int, channels: int) -> bytes:
    """Write the AudioSpecificConfig of AAC-LC. Raises ValueError for a rate without an index or too many channels."""
    if not 1 <= channels <= 6:
        raise ValueError("AAC-LC here has 1 to 6 channels")
    return (2 << 11 | _RATES.index(rate) << 7 | channels << 3).to_bytes(2, "big")


def parse_asc(config: bytes) -> AacConfig:
    """Read an AudioSpecificConfig. Raises ValueError when it is cut off or has values that are reserved."""
    if not 2 <= len(config) <= CONFIG_BYTES_MAX:
        raise ValueError("not an AudioSpecificConfig")
    # Every field read here lies in the first 8 bytes; zeros behind a short one are never believed (see `end`).
    value, end, at = int.from_bytes(config[:8].ljust(8, b"\0"), "big"), len(config) * 8, 0

    def take(count: int) -> int:
        nonlocal at
        at += count
        if at > end:
            raise ValueError("the AudioSpecificConfig is cut off")
        return value >> (64 - at) & ((1 << count) - 1)

    object_type = take(5)
    if object_type == 31:
        object_type = 32 + take(6)
    index = take(4)
    if index == 15:
        rate = take(24)
    elif index < len(_RATES):
        rate = _RATES[index]
    else:
        raise ValueError("the sampling frequency is reserved")
    layout = take(4)
    if object_type == 0 or not 1000 <= rate <= 192_000 or layout > 7:
        raise ValueError("the AudioSpecificConfig has reserved values")
    # Layout 0 means a program config element follows; stereo is what such encoders send. Layout 7 is 7.1.
    return AacConfig(f"mp4a.40.{object_type}", rate, {0: 2, 7: 8}.get(layout, layout))
