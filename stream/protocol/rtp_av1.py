"""AV1 into RTP: temporal units as RTMP and MP4 carry them, as RTP payloads.

Pure. Sources: RTP payload format for AV1 (AOMedia, v1.0.0) sections 4.4 (aggregation header) and 4.5 (payload); AV1
bitstream specification section 5.3 (OBU header) and 4.10.5 (leb128).

    aggregation header |Z|Y|W W|N|- - -|   Z: begins in the middle of an OBU   Y: ends in one   W 0: each has its length
                                           N: a coded video sequence begins
"""

from collections.abc import Iterator
from typing import Final

from stream.protocol.rtp import PAYLOAD_BYTES_MAX

_SEQUENCE_HEADER: Final = 1
_LEFT_OUT: Final = frozenset((2, 8, 15))
"""Temporal delimiters, tile lists and padding are not sent (section 5)."""
_HAS_SIZE: Final = 2
_HAS_EXTENSION: Final = 4
_Z, _Y, _N = 0x80, 0x40, 0x08
_LENGTH_BYTES_MAX: Final = 2
"""A piece is shorter than a payload, so its length fits two bytes of leb128."""
OBUS_MAX: Final = 256
"""In one temporal unit: 64 tiles groups and some metadata; more is garbage."""


def split_obus(data: bytes) -> Iterator[bytes]:
    """Give the OBUs of a temporal unit, each without its size field; what is cut off at the end is left out."""
    at, end = 0, len(data)
    for _ in range(OBUS_MAX):
        if at >= end:
            return
        head = data[at]
        body = at + (2 if head & _HAS_EXTENSION else 1)
        if not head & _HAS_SIZE:
            size = end - body
        else:
            size, body = _leb128(data, body)
        if size < 0 or body + size > end:
            return
        yield (
            bytes((head & ~_HAS_SIZE,))
            + data[at + 1 : at + 2 if head & _HAS_EXTENSION else at + 1]
            + data[body : body + size]
        )
        at = body + size


def _leb128(data: bytes, at: int) -> tuple[int, int]:
    """Give (number, where it ends); -1 when it is cut off or over 28 bits."""
    value = 0
    for turn in range(4):
        if at >= len(data):
            return -1, at
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << 7 * turn
        if byte < 0x80:
            return value, at
    return -1, at


def _length(size: int) -> bytes:
    return bytes((size,)) if size < 0x80 else bytes((size & 0x7F | 0x80, size >> 7))


def payloads(data: bytes, config: bytes, *, key: bool) -> list[bytes]:
    """Give the RTP payloads of one temporal unit, none when it is broken.

    `config`: the OBUs of the av1C record, which go in front of a key frame that does not bring its sequence header.
    """
    obus = [obu for obu in split_obus(data) if obu[0] >> 3 & 15 not in _LEFT_OUT]
    if key and not any(obu[0] >> 3 & 15 == _SEQUENCE_HEADER for obu in obus):
        obus = [*split_obus(config), *obus]
    out: list[bytes] = []
    parts: list[bytes] = []
    room, head = PAYLOAD_BYTES_MAX - 1, _N if key else 0
    for obu in obus:
        at = 0
        while at < len(obu):
            if room <= _LENGTH_BYTES_MAX:
                out.append(bytes((head | (_Y if at else 0),)) + b"".join(parts))
                room, parts, head = PAYLOAD_BYTES_MAX - 1, [], _Z if at else 0
            piece = obu[at : at + room - _LENGTH_BYTES_MAX]
            length = _length(len(piece))
            parts += (length, piece)
            room -= len(length) + len(piece)
            at += len(piece)
    if parts:
        out.append(bytes((head,)) + b"".join(parts))
    return out
