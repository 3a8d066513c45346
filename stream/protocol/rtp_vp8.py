"""VP8 in RTP: out of one payload, into another, unchanged.

Pure. Sources: RFC 7741 section 4.2 (payload descriptor), RFC 6386 section 9.1 (frame header: bit 0 of the first byte is
clear for a key frame, whose size follows its start code).

    |X|R|N|S|R| PID |   then with X: |I|L|T|K| RSV |, with I a picture id (1 or 2 bytes), with L a byte, with T or K one
"""

from typing import Final

from stream.errors import RtpError
from stream.protocol.rtp import PAYLOAD_BYTES_MAX, Depacketizer

_START: Final = b"\x10"
"""A descriptor that says only that a partition begins: no ids, as every viewer gets every frame."""
_GOES_ON: Final = b"\x00"
_START_CODE: Final = b"\x9d\x01\x2a"


def payloads(frame: bytes) -> list[bytes]:
    """Give the RTP payloads of one frame, all but the last of one size."""
    size = PAYLOAD_BYTES_MAX - 1
    return [(_GOES_ON if at else _START) + frame[at : at + size] for at in range(0, len(frame), size)]


def is_key(frame: bytes) -> bool:
    """Whether a decoder can start with this frame."""
    return len(frame) >= 10 and not frame[0] & 1 and frame[3:6] == _START_CODE


def size_of(frame: bytes) -> tuple[int, int]:
    """Give (width, height) of a key frame in pixels."""
    return int.from_bytes(frame[6:8], "little") & 0x3FFF, int.from_bytes(frame[8:10], "little") & 0x3FFF


class Vp8Depacketizer(Depacketizer):
    """Frames; each is one unit."""

    def __init__(self) -> None:
        super().__init__()
        self._frame = bytearray()
        self._begun = False

    def _take(self, payload: bytes) -> None:
        first, at = payload[0], 1
        if first & 0x80:
            if len(payload) < 2:
                raise RtpError("a VP8 descriptor is cut off")
            more, at = payload[1], 2
            if more & 0x80:
                at += 2 if len(payload) > at and payload[at] & 0x80 else 1
            at += bool(more & 0x40)
            at += bool(more & 0x30)
        if at >= len(payload):
            raise RtpError("a VP8 payload has no frame")
        if first & 0x10 and not first & 0x07:
            if self._begun:
                raise RtpError("a VP8 frame begins twice")
            self._begun = True
        elif not self._begun:
            raise RtpError("a VP8 frame without its start")
        self._count(len(payload) - at)
        self._frame += payload[at:]

    def _close(self) -> bool:
        complete, frame = self._begun, bytes(self._frame)
        self._begun = False
        self._frame.clear()
        if frame:
            self._units.append(frame)
            self._key = is_key(frame)
        return complete
