"""Frames that say which they are: a made-up host's, found again in what a viewer gets.

A frame begins and ends with its mark. Its bytes hold no start code and nothing that a decoder could show.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field

from gateway.bench.made_stream import FRAMES_PER_S

MARK = re.compile(rb"SIYU<([0-9a-f]{8})([be])>")
MARK_BYTES = 15
FRAME_BYTES = 8_000
"""1.6 Mbit/s at 25 frames a second."""
SILENCE_AAC = bytes.fromhex("211004608c1c")
"""An AAC-LC frame of silence, 44.1 kHz stereo."""
SILENCE_OPUS = b"\xf8\xff\xfe"
"""20 ms of silence (RFC 6716 section 3.1: CELT, one frame)."""


def unit(number: int, *, key: bool) -> bytes:
    """One NAL unit of picture, marked."""
    begin, end = (b"SIYU<%08x%b>" % (number, side) for side in (b"b", b"e"))
    filling = b"." * (FRAME_BYTES - 1 - 2 * MARK_BYTES)
    return bytes((0x65 if key else 0x41,)) + begin + filling + end


@dataclass(slots=True)
class Sent:
    """When each frame was handed to the kernel, in seconds of the monotonic clock, by number."""

    at_s: dict[int, float] = field(default_factory=dict)
    newest: int = -1

    def note(self, number: int) -> None:
        """The frame leaves now."""
        self.at_s[number] = time.monotonic()


@dataclass(slots=True)
class Seen:
    """When each frame was whole at a viewer, by number; and what may be the beginning of a mark."""

    at_s: dict[int, float] = field(default_factory=dict)
    _tail: bytes = b""

    def take(self, data: bytes) -> None:
        """Look for ends of frames in the bytes that came now."""
        now_s = time.monotonic()
        whole = self._tail + data
        for found in MARK.finditer(whole):
            if found[2] == b"e":
                self.at_s.setdefault(int(found[1], 16), now_s)
        self._tail = whole[-MARK_BYTES + 1 :]

    def delays_ms(self, sent: Sent, from_s: float) -> list[float]:
        """How long each frame took that was sent after `from_s`, sorted."""
        at_s = sent.at_s
        return sorted(
            1000 * (seen_s - at_s[number])
            for number, seen_s in self.at_s.items()
            if number in at_s and at_s[number] >= from_s
        )


def frame_ms(number: int) -> int:
    """A frame's time in the stream."""
    return number * 1000 // FRAMES_PER_S
