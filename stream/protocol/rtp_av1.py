"""AV1 into RTP and out of it: temporal units as RTMP and MP4 carry them, as RTP payloads, and their OBUs back.

Pure. Sources: RTP payload format for AV1 (AOMedia, v1.0.0) sections 4.4 (aggregation header) and 4.5 (payload); AV1
bitstream specification section 5.3 (OBU header) and 4.10.5 (leb128).

    aggregation header |Z|Y|W W|N|- - -|   Z: begins in the middle of an OBU   Y: ends in one   W 0: each has its length
                                           N: a coded video sequence begins
"""

from collections.abc import Iterator
from typing import Final

from stream.errors import RtpError
from stream.protocol.av1 import HAS_EXTENSION, HAS_SIZE, SEQUENCE_HEADER, kind_of, leb128
from stream.protocol.rtp import PAYLOAD_BYTES_MAX, Depacketizer

_LEFT_OUT: Final = frozenset((2, 8, 15))
"""Temporal delimiters, tile lists and padding are not sent (section 5)."""
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
        body = at + (2 if head & HAS_EXTENSION else 1)
        if not head & HAS_SIZE:
            size = end - body
        else:
            size, body = _leb128(data, body)
        if size < 0 or body + size > end:
            return
        yield (
            bytes((head & ~HAS_SIZE,))
            + data[at + 1 : at + 2 if head & HAS_EXTENSION else at + 1]
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


def payloads(data: bytes, config: bytes, *, key: bool) -> list[bytes]:
    """Give the RTP payloads of one temporal unit, none when it is broken.

    `config`: the OBUs of the av1C record, which go in front of a key frame that does not bring its sequence header.
    """
    obus = [obu for obu in split_obus(data) if kind_of(obu) not in _LEFT_OUT]
    if key and not any(kind_of(obu) == SEQUENCE_HEADER for obu in obus):
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
            length = leb128(len(piece))
            parts += (length, piece)
            room -= len(length) + len(piece)
            at += len(piece)
    if parts:
        out.append(bytes((head,)) + b"".join(parts))
    return out


class Av1Depacketizer(Depacketizer):
    """Temporal units; each OBU is one unit, without a size field."""

    def __init__(self) -> None:
        super().__init__()
        self._obu: bytearray | None = None

    def _close(self) -> bool:
        complete = self._obu is None
        self._obu = None
        return complete

    def _take(self, payload: bytes) -> None:
        try:
            pieces = list(_pieces(payload))
            for at, piece in enumerate(pieces):
                self._count(len(piece))
                if at == 0 and payload[0] & _Z:
                    if self._obu is None:
                        raise RtpError("an OBU without its start")
                    self._obu += piece
                elif self._obu is not None:
                    raise RtpError("an OBU begins before the one before it ended")
                else:
                    self._obu = bytearray(piece)
                if at < len(pieces) - 1 or not payload[0] & _Y:
                    self._add(bytes(self._obu))
                    self._obu = None
        except RtpError:
            self._obu = None
            raise

    def _add(self, obu: bytes) -> None:
        # A sender should leave the size out (section 4.5), and may not.
        unit = next(split_obus(obu), None)
        if unit is None or len(self._units) >= OBUS_MAX:
            raise RtpError("an OBU is broken, or one of too many")
        kind = kind_of(unit)
        if kind not in _LEFT_OUT:
            self._units.append(unit)
            self._key = self._key or kind == SEQUENCE_HEADER


def _pieces(payload: bytes) -> Iterator[bytes]:
    """Give the elements of a payload. Raises RtpError."""
    count, at = payload[0] >> 4 & 3, 1
    if at >= len(payload):
        raise RtpError("an AV1 payload has no OBU")
    number = 0
    while at < len(payload):
        number += 1
        size = len(payload) - at
        if number != count:
            size, at = _leb128(payload, at)
        if size < 0 or at + size > len(payload) or number > OBUS_MAX:
            raise RtpError("an AV1 payload is cut off")
        if size:
            yield payload[at : at + size]
        at += size
    if number < count:
        raise RtpError("an AV1 payload has fewer OBUs than it says")
