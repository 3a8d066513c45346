"""WebSocket frames (RFC 6455 section 5.2): what the server sends, final and unmasked, and what it gets most.

A frame is prepared once for a whole room, so it is bytes and not an object:

    0x81 LEN payload              LEN ≤ 125
    0x81 126 LEN(2) payload       LEN ≤ 65,535
    0x81 127 LEN(8) payload

and 0xC1 (RSV1) where the payload is compressed (RFC 7692 section 6).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable

try:
    from websockets.speedups import apply_mask
except ImportError:
    # Where the library was built without its C part.
    from websockets.utils import apply_mask

PING = b"\x89\x00"
"""A ping without payload; the peer's pong shows that it lives (RFC 6455 section 5.5.2)."""

_SHORT = struct.Struct("!BB")
_MEDIUM = struct.Struct("!BBH")
_LONG = struct.Struct("!BBQ")
_MASKED = 0x80
_MASK_BYTES = 4
_LENGTH_IN_2, _LENGTH_IN_8 = 126, 127
_FIN_TEXT = 0x81
_DEFLATED = 0x40
_DEFLATE_LEVEL = 3
"""Of ten lines of chat level 1 leaves 398 bytes of 1,429, level 3 391 in 13 µs, level 9 388 in 16 µs."""
_DEFLATE_TAIL = b"\x00\x00\xff\xff"
DEFLATE_BYTES_MIN = 100
"""Shorter messages are sent as they are: a single figure does not get shorter."""


def whole_text(data: bytes, start: int, bytes_max: int) -> tuple[bytes | bytearray, int] | None:
    """Return the payload of the frame that begins at `start`, and where it ends, if it is plain and whole.

    Plain is a final, masked text frame of at most `bytes_max`, neither compressed nor otherwise extended: what a
    command comes as. Anything else is the parser's, which takes 12 µs for such a frame.
    """
    mask = start + _SHORT.size
    if len(data) < mask + _MASK_BYTES or data[start] != _FIN_TEXT:
        return None
    length = data[start + 1] - _MASKED
    if length == _LENGTH_IN_2:
        mask = start + _MEDIUM.size
        length = int.from_bytes(data[start + _SHORT.size : mask])
    payload = mask + _MASK_BYTES
    end = payload + length
    if end > len(data) or not 0 <= length <= bytes_max or data[start + 1] == _MASKED | _LENGTH_IN_8:
        return None
    return apply_mask(data[payload:end], data[mask:payload]), end


def text(payload: bytes, flags: int = 0) -> bytes:
    """Return the text frame that carries `payload` (UTF-8)."""
    length = len(payload)
    first = _FIN_TEXT | flags
    if length < 126:
        return _SHORT.pack(first, length) + payload
    if length < 65536:
        return _MEDIUM.pack(first, 126, length) + payload
    return _LONG.pack(first, 127, length) + payload


def deflated(payload: bytes) -> bytes:
    """Return the text frame that carries `payload` compressed by itself, or as it is when that is shorter.

    To be read without what came before (no context takeover), so it is one frame for many sockets.
    """
    if len(payload) < DEFLATE_BYTES_MIN:
        return text(payload)
    deflate = zlib.compressobj(_DEFLATE_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    data = deflate.compress(payload) + deflate.flush(zlib.Z_SYNC_FLUSH)
    # RFC 7692 section 7.2.1: what a sync flush always ends with is left out.
    data = data.removesuffix(_DEFLATE_TAIL)
    return text(data, _DEFLATED) if len(data) < len(payload) else text(payload)


def array(items: Iterable[bytes]) -> bytes:
    """Return the text frame of a JSON array of values that are encoded already."""
    return text(b"[" + b",".join(items) + b"]")
