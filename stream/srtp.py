"""Encrypting many packets for one peer into one piece of memory, ready for one write.

libsrtp by pylibsrtp's own binding: its `Session.protect` allocates and copies three times per packet, which costs twice
what the encryption does (2.3 µs against 0.9 µs). One memory serves all sessions, as all run on one thread: what
`protect_run` gives is good until the next call.
"""

from collections.abc import Sequence
from typing import Any, Final

import pylibsrtp
from pylibsrtp import _binding

RUN_BYTES_MAX: Final = 65_536
"""More than the longest datagram that the kernel cuts."""
TRAILER_BYTES_MAX: Final = 144
"""libsrtp's SRTP_MAX_TRAILER_LEN: what it may write behind a packet."""

SEGMENTS_MAX: Final = 40
"""48 KB of 1,200-byte payloads: below both the kernel's 64 segments and a datagram's 64 KB."""

Run = tuple[int, int]
"""From, and up to without it: packets that leave in one write."""

ONE: Final[tuple[Run, ...]] = ((0, 1),)
"""The runs of one packet alone."""

_lib: Final[Any] = _binding.lib
_ffi: Final[Any] = _binding.ffi
_memory: Final = _ffi.new("char[]", RUN_BYTES_MAX)
_bytes: Final = _ffi.buffer(_memory)
_view: Final = memoryview(_bytes)
_length: Final = _ffi.new("int *")


def runs_of(packets: Sequence[bytes]) -> tuple[Run, ...]:
    """Give the runs of packets of one size, with one smaller behind them: what the kernel can cut (udp(7))."""
    runs: list[Run] = []
    at, count = 0, len(packets)
    while at < count:
        size = len(packets[at])
        end = at + 1
        while end < count and end - at < SEGMENTS_MAX and len(packets[end]) == size:
            end += 1
        if end < count and end - at < SEGMENTS_MAX and len(packets[end]) < size:
            end += 1
        runs.append((at, end))
        at = end
    return tuple(runs)


def protect_run(session: pylibsrtp.Session, packets: Sequence[bytes]) -> tuple[memoryview, int]:
    """Encrypt RTP packets one behind the other; give the memory and the first one's size.

    Raises pylibsrtp.Error when libsrtp refuses one, ValueError when they do not fit.
    """
    srtp = session._srtp[0]  # noqa: SLF001  # the handle: there is no other way to it
    protect, memory, data, length = _lib.srtp_protect, _memory, _bytes, _length
    at = first = 0
    for packet in packets:
        size = len(packet)
        if at + size + TRAILER_BYTES_MAX > RUN_BYTES_MAX:
            raise ValueError("the packets do not fit")
        data[at : at + size] = packet
        length[0] = size
        status = protect(srtp, memory + at, length)
        if status:
            raise pylibsrtp.Error(pylibsrtp.ERRORS[status])
        at += length[0]
        first = first or at
    return _view[:at], first
