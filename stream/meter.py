"""What a host sends, measured: rates, key frames, B-frames, and whether it keeps up with the clock.

Pure: `now_ms` comes with each call. Rates are by the host's own media time, over whole seconds, so that a burst on the
line does not look like a fast encoder; only `pace` compares media time with the wall clock.
"""

from __future__ import annotations

import typing
from collections import deque
from dataclasses import dataclass
from typing import Final, Literal, runtime_checkable

from stream.packet import Kind, Packet

SECONDS: Final = 5
"""Whole seconds that rates are taken over: a key frame each 2 s, the usual advice, is in there twice."""
KEY_GAPS: Final = 4
"""Distances between key frames that are remembered: an encoder that cuts at scenes makes short ones in between."""
PACE_POINTS: Final = 12
"""Moments, a second apart, that `pace` looks back over."""
PACE_SPAN_MS: Final = 5_000
"""A shorter look back is luck: TCP hands on a second's media in one read."""
BREAK_MS: Final = 3_000
"""A host's clock that steps farther than this, or back by as much, begins anew (timeline.py)."""
SKEW_MS: Final = 500
"""What lies this far behind the newest packet belongs to no second that is still counted apart."""


Protocol = Literal["rtmp", "whip"]
"""How a host sends."""


@runtime_checkable
class HostLine(typing.Protocol):
    """What an ingest's connection may tell of itself."""

    @property
    def protocol(self) -> Protocol:
        """How it sends."""

    def rtt_ms(self) -> int | None:
        """The round trip to the host in ms; None where it is not known."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a host sends now. None: not heard long enough to say.

    `fps` pictures, `video_bps` and `audio_bps` bits of a second of media; `gop_ms` the longest of the last distances
    between key frames; `pace` media time per wall time (1: keeps up, 0.8: arrives at four fifths of its speed).
    """

    fps: float | None = None
    video_bps: int | None = None
    audio_bps: int | None = None
    gop_ms: int | None = None
    b_frames: bool = False
    pace: float | None = None
    silent_ms: int = 0


@dataclass(slots=True)
class _Second:
    number: int
    frames: int = 0
    video_bytes: int = 0
    audio_bytes: int = 0
    reordered: bool = False


class Meter:
    """Measures one host's connection."""

    __slots__ = ("_gaps", "_heard_ms", "_key_ms", "_newest_ms", "_points", "_seconds")

    def __init__(self, now_ms: int) -> None:
        self._heard_ms = now_ms
        self._begin()

    def _begin(self) -> None:
        self._newest_ms: int | None = None
        self._key_ms: int | None = None
        self._gaps: deque[int] = deque(maxlen=KEY_GAPS)
        # The one under way, and the first, which may have begun before we listened, are no whole seconds.
        self._seconds: deque[_Second] = deque(maxlen=SECONDS + 2)
        self._points: deque[tuple[int, int]] = deque(maxlen=PACE_POINTS)

    def note(self, packet: Packet, now_ms: int) -> None:
        """Take one packet of picture or sound, with the host's time."""
        if packet.config or packet.kind is Kind.DATA:
            return
        dts_ms, newest_ms = packet.dts_ms, self._newest_ms
        if newest_ms is not None and abs(dts_ms - newest_ms) > BREAK_MS + max(0, now_ms - self._heard_ms):
            self._begin()
            newest_ms = None
        self._heard_ms = now_ms
        if newest_ms is None or dts_ms > newest_ms:
            self._newest_ms = newest_ms = dts_ms
        second = self._second(dts_ms, newest_ms)
        if packet.kind is Kind.VIDEO:
            second.frames += 1
            second.video_bytes += len(packet.data)
            second.reordered = second.reordered or packet.cts_ms != 0
            if packet.key:
                if self._key_ms is not None and dts_ms > self._key_ms:
                    self._gaps.append(dts_ms - self._key_ms)
                self._key_ms = dts_ms
        else:
            second.audio_bytes += len(packet.data)
        if not self._points or now_ms - self._points[-1][0] >= 1_000:
            self._points.append((now_ms, newest_ms))

    def _second(self, dts_ms: int, newest_ms: int) -> _Second:
        """The second that a packet is counted in; sound a little behind the picture goes into its own."""
        seconds, number = self._seconds, max(dts_ms, newest_ms - SKEW_MS) // 1000
        if not seconds or number > seconds[-1].number:
            seconds.append(_Second(number))
        elif len(seconds) > 1 and number < seconds[-1].number:
            return seconds[-2]
        return seconds[-1]

    def reading(self, now_ms: int) -> Reading:
        """Give the figures of now."""
        whole = list(self._seconds)[1:-1]
        if not whole:
            return Reading(silent_ms=max(0, now_ms - self._heard_ms))
        # Seconds without a packet are seconds, too.
        length_s = whole[-1].number - whole[0].number + 1
        return Reading(
            fps=round(sum(second.frames for second in whole) / length_s, 1),
            video_bps=sum(second.video_bytes for second in whole) * 8 // length_s,
            audio_bps=sum(second.audio_bytes for second in whole) * 8 // length_s,
            gop_ms=self._gop_ms(),
            b_frames=any(second.reordered for second in whole),
            pace=self._pace(now_ms),
            silent_ms=max(0, now_ms - self._heard_ms),
        )

    def _gop_ms(self) -> int | None:
        longest = max(self._gaps, default=0)
        if self._key_ms is not None and self._newest_ms is not None:
            # A group under way that is the longest already: an encoder that makes no other key frame shows at once.
            longest = max(longest, self._newest_ms - self._key_ms)
        return longest if self._gaps or longest > BREAK_MS else None

    def _pace(self, now_ms: int) -> float | None:
        if not self._points or self._newest_ms is None:
            return None
        from_ms, media_ms = self._points[0]
        if now_ms - from_ms < PACE_SPAN_MS:
            return None
        return round((self._newest_ms - media_ms) / (now_ms - from_ms), 3)
