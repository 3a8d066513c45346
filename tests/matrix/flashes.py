"""What a player saw and heard of the flash-and-beep source: when it turned white, when it beeped, and how far apart.

The source turns white for 100 ms at each whole second and beeps at 1 kHz for the same 100 ms. A player notes the
brightness of each picture and the loudness of each 2.5 ms of sound, each with the player's own time; where these rise
is a flash or a beep.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import numpy as np

BURST_S = 0.1
TONE_HZ = 1000
WHITE = 128
"""Brightness (0 to 255) between the black and the white picture."""
LOUD = 0.4
"""Of the loudest: codecs blur a beep's edge, and half way up is where an ear puts it."""
WINDOW_S = 0.0025
QUIET_S = 0.3
"""A beep, as a flash, begins only after so long a rest: a wobble within one is no second."""
PAIR_S = 0.45
"""A flash and a beep farther apart than this belong to different seconds."""
NOISE = 0.02
"""Below this nothing was heard at all: full scale is 1."""


@dataclass
class Seen:
    """What one player noted; filled on its thread, read on another."""

    pictures: list[tuple[float, float]] = field(default_factory=list)
    """(seconds, brightness 0 to 255)"""
    sounds: list[tuple[float, float, int]] = field(default_factory=list)
    """(seconds, loudness 0 to 1, changes of sign) of each window"""
    backward: list[str] = field(default_factory=list)
    """Timestamps that went back, in words."""
    failure: str = ""
    """Why the player gave up."""
    _newest: dict[str, float] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def picture(self, at_s: float, brightness: float) -> None:
        """Note a picture shown at ``at_s``."""
        with self._lock:
            self.pictures.append((at_s, brightness))

    def sound(self, at_s: float, samples: Any, rate: int) -> None:
        """Note mono ``samples`` (-1 to 1) that begin at ``at_s``."""
        width = round(rate * WINDOW_S)
        with self._lock:
            for number in range(len(samples) // width):
                window = samples[number * width : (number + 1) * width]
                loudness = float(np.sqrt(np.mean(np.square(window)))) * 2**0.5
                changes = int(np.count_nonzero(np.diff(np.signbit(window))))
                self.sounds.append((at_s + number * width / rate, loudness, changes))

    def window(self, at_s: float, loudness: float, changes: int) -> None:
        """Note a window of sound that was measured elsewhere."""
        with self._lock:
            self.sounds.append((at_s, loudness, changes))

    def stamp(self, track: str, time: float) -> None:
        """Note a packet's timestamp; it must not lie before the track's last."""
        last = self._newest.get(track)
        if last is not None and time < last:
            self.backward.append(f"{track}: {time} after {last}")
        self._newest[track] = time

    def flashes(self) -> list[float]:
        """When the picture turned white, in seconds."""
        with self._lock:
            pictures = sorted(self.pictures)
        return _rises([(at_s, brightness > WHITE) for at_s, brightness in pictures])

    def beeps(self) -> list[float]:
        """When a tone of 1 kHz began, in seconds."""
        with self._lock:
            sounds = sorted(self.sounds)
        loudest = max((loudness for _, loudness, _ in sounds), default=0.0)
        if loudest < NOISE:
            return []
        starts = _rises([(at_s, loudness > LOUD * loudest) for at_s, loudness, _ in sounds])
        return [start for start in starts if _is_the_tone([s for s in sounds if start <= s[0] < start + BURST_S])]

    def offsets_ms(self) -> list[float]:
        """How long after each flash its beep came; negative when it came before."""
        beeps = self.beeps()
        nearest = ((min(beeps, key=lambda beep: abs(beep - flash)), flash) for flash in self.flashes() if beeps)
        return [(beep - flash) * 1000 for beep, flash in nearest if abs(beep - flash) < PAIR_S]

    def offset_ms(self, last: int | None = None) -> float:
        """The middle of the ``last`` of `offsets_ms`, of all when None: one late picture says nothing."""
        return median(self.offsets_ms()[-last:] if last else self.offsets_ms())


def _rises(marks: list[tuple[float, bool]]) -> list[float]:
    """Where a mark turns true after a rest; the first mark counts as no rise, its beginning was not seen."""
    rises: list[float] = []
    last_on: float | None = None
    was_off = False
    for at_s, on in marks:
        if on:
            if was_off and (last_on is None or at_s - last_on > QUIET_S):
                rises.append(at_s)
            last_on = at_s
        else:
            was_off = True
    return rises


def _is_the_tone(burst: list[tuple[float, float, int]]) -> bool:
    """Whether the windows of a burst swing about as often as 1 kHz does."""
    # Each window misses the changes at its edges: up to one of the five in 2.5 ms.
    swings = sum(changes for _, _, changes in burst)
    expected = 2 * TONE_HZ * WINDOW_S * len(burst)
    return bool(burst) and 0.6 * expected <= swings <= 1.2 * expected
