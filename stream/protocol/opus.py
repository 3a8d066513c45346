"""What must be known of Opus without decoding it: how long a packet lasts, and the header that describes a stream.

Pure. Sources: RFC 6716 section 3.1 (the TOC byte: configuration, stereo, frame count), RFC 7845 section 5.1 (OpusHead).
"""

import struct
from typing import Final

RATE: Final = 48_000
"""The clock of Opus in RTP (RFC 7587 section 4.1), whatever was recorded."""

SAMPLES_MAX: Final = RATE * 120 // 1000
"""A packet lasts 120 ms at most (RFC 6716 section 3.2.5)."""

_SILK: Final = (480, 960, 1920, 2880)
_HYBRID: Final = (480, 960)
_CELT: Final = (120, 240, 480, 960)


def samples(packet: bytes) -> int:
    """Give how many samples (of 48,000 a second) a packet lasts; 0 when it is broken."""
    if not packet:
        return 0
    configuration, code = packet[0] >> 3, packet[0] & 3
    if configuration < 12:
        frame = _SILK[configuration & 3]
    elif configuration < 16:
        frame = _HYBRID[configuration & 1]
    else:
        frame = _CELT[configuration & 3]
    if code == 3:
        if len(packet) < 2:
            return 0
        count = packet[1] & 0x3F
    else:
        count = 1 if code == 0 else 2
    total = frame * count
    return total if total <= SAMPLES_MAX else 0


def head(channels: int = 2) -> bytes:
    """Write an OpusHead: mapping family 0, nothing to skip, as RTP has no pre-skip."""
    return b"OpusHead" + struct.pack("<BBHIhB", 1, channels, 0, RATE, 0, 0)
