"""WebSocket frames as the server sends them (RFC 6455 section 5.2): final, unmasked, without extensions.

A frame is prepared once for a whole room, so it is bytes and not an object:

    0x81 LEN payload              LEN ≤ 125
    0x81 126 LEN(2) payload       LEN ≤ 65,535
    0x81 127 LEN(8) payload
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

PING = b"\x89\x00"
"""A ping without payload; the peer's pong shows that it lives (RFC 6455 section 5.5.2)."""

_SHORT = struct.Struct("!BB")
_MEDIUM = struct.Struct("!BBH")
_LONG = struct.Struct("!BBQ")
_FIN_TEXT = 0x81


def text(payload: bytes) -> bytes:
    """Return the text frame that carries `payload` (UTF-8)."""
    length = len(payload)
    if length < 126:
        return _SHORT.pack(_FIN_TEXT, length) + payload
    if length < 65536:
        return _MEDIUM.pack(_FIN_TEXT, 126, length) + payload
    return _LONG.pack(_FIN_TEXT, 127, length) + payload


def array(items: Iterable[bytes]) -> bytes:
    """Return the text frame of a JSON array of values that are encoded already."""
    return text(b"[" + b",".join(items) + b"]")
