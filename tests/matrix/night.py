"""A night at the matrix: sources on air, each in a room of its own, sinks in the rooms, until all is seen and heard."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median

import pytest

from tests.matrix import sinks, sources
from tests.matrix.flashes import Seen
from tests.matrix.stage import Stage

SOURCES: Mapping[str, Callable[[Stage, str], sources.Source]] = {
    "ffmpeg": sources.Ffmpeg,
    "pyav": sources.Pyav,
    "gstreamer": sources.GStreamer,
    "chromium-whip": sources.Studio,
    "aiortc-whip": sources.Aiortc,
    "npm-whip": sources.NpmWhip,
}
SINKS: Mapping[str, Callable[[Stage, str], sinks.Sink]] = {
    "flv": sinks.Flv,
    "ws-flv": sinks.WsFlv,
    "rtmp": sinks.Rtmp,
    "fmp4": sinks.Mp4,
    "hls": sinks.Hls,
    "ll-hls": sinks.LowLatencyHls,
    "chromium-whep": sinks.WhepChromium,
    "aiortc-whep": sinks.WhepAiortc,
}
OFFSET_MS_MAX = 40
"""What people do not notice (ITU-R BT.1359 puts the threshold at 45 ms for sound that leads)."""
PAIRS = 5
"""Seconds with a flash and a beep that a verdict is made of."""
PATIENCE_S = 220.0
ROUND_S = 0.05


@dataclass(frozen=True)
class Cell:
    """What one sink had of one source."""

    source: str
    sink: str
    published_ms: float | None
    offsets_ms: tuple[float, ...]
    flashes: int
    beeps: int
    backward: tuple[str, ...]
    failure: str

    @property
    def added_ms(self) -> float:
        """How far sound and picture were moved apart on the way, over the last seconds."""
        assert self.published_ms is not None, f"{self.source} never said how it publishes"
        assert len(self.offsets_ms) >= PAIRS, f"{self}: too few seconds"
        return median(self.offsets_ms[-PAIRS:]) - self.published_ms

    def settled(self, by_the_clock: bool) -> bool:
        """Whether the verdict is good already."""
        known = self.published_ms is not None and len(self.offsets_ms) >= PAIRS
        return bool(self.failure) or (known and (not by_the_clock or abs(self.added_ms) <= OFFSET_MS_MAX))


def by_machine(cell: Cell) -> bool:
    """Whether the offset also depends on how busy this machine is: it is the host's clock, or the player's."""
    return "whip" in cell.source or cell.sink == "chromium-whep"


class Night:
    """Plays and remembers each cell; a source that cannot be tried here is remembered with its reason."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._cells: dict[tuple[str, str], Cell] = {}
        self._outcomes: dict[str, BaseException] = {}

    def cell(self, source: str, sink: str) -> Cell:
        """What was seen; skips or fails as the source did."""
        if source in self._outcomes:
            raise self._outcomes[source]
        return self._cells[source, sink]

    def played(self, source: str) -> bool:
        """Whether the source was on already."""
        return source in self._outcomes or any(known == source for known, _ in self._cells)

    def play(self, plan: Mapping[str, Sequence[str]], *, strict: bool) -> None:
        """Put all sources of ``plan`` on air, each watched by its sinks.

        ``strict``: wait for the browser, too, to bring picture and sound together by its own clock.
        """
        with ExitStack() as closing:
            hosts: dict[str, sources.Source] = {}
            players: dict[tuple[str, str], sinks.Sink] = {}
            for name, watched in plan.items():
                room = self._stage.room(name)
                try:
                    hosts[name] = SOURCES[name](self._stage, room)
                except (pytest.skip.Exception, pytest.fail.Exception) as outcome:
                    self._outcomes[name] = outcome
                    continue
                closing.callback(hosts[name].close)
                for sink in watched:
                    players[name, sink] = SINKS[sink](self._stage, room)
                    closing.callback(players[name, sink].close)
            deadline = time.monotonic() + PATIENCE_S
            while time.monotonic() < deadline:
                for host in hosts.values():
                    host.pump()
                for player in players.values():
                    player.pump()
                cells = {key: self._look(key, hosts[key[0]], player.seen) for key, player in players.items()}
                self._cells.update(cells)
                if all(cell.settled(strict or not by_machine(cell)) for cell in cells.values()):
                    break
                time.sleep(ROUND_S)

    def _look(self, key: tuple[str, str], host: sources.Source, seen: Seen) -> Cell:
        source, sink = key
        delay_ms = self._stage.tap_delay_ms if sink == "chromium-whep" else 0.0
        offsets = tuple(offset - delay_ms for offset in seen.offsets_ms())
        counts = len(seen.flashes()), len(seen.beeps())
        return Cell(source, sink, host.published_ms(), offsets, *counts, tuple(seen.backward), seen.failure)
