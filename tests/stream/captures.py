"""The captures in tests/stream/fixtures, read; make_captures makes them."""

from collections.abc import Iterator
from pathlib import Path

FOLDER = Path(__file__).parent / "fixtures"
DATAGRAMS = FOLDER / "webrtc_aiortc.bin"
"""Rows of (kind, u16 length, bytes): kind 0 RTP, 1 RTCP of a host, 2 STUN, 3 RTCP of a player."""


def read_datagrams(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Kind and bytes of each datagram of a capture; the last one may be cut short."""
    at = 0
    while at + 3 <= len(data):
        size = int.from_bytes(data[at + 1 : at + 3], "big")
        yield data[at], data[at + 3 : at + 3 + size]
        at += 3 + size
