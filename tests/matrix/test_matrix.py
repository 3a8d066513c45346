"""Every way in by every way out, with clients from outside: picture and sound arrive, in sync, in order."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import pytest

from tests.matrix.flashes import Seen
from tests.matrix.material import make_film, watch_file
from tests.matrix.night import OFFSET_MS_MAX, PAIRS, SINKS, SOURCES, Cell, Night, by_machine
from tests.matrix.stage import Stage

pytestmark = pytest.mark.browser

PLAN = {
    "ffmpeg": tuple(SINKS),
    "pyav": ("flv",),
    "gstreamer": ("rtmp",),
    "chromium-whip": ("fmp4",),
    "aiortc-whip": ("aiortc-whep",),
    "npm-whip": ("ll-hls",),
}


@pytest.fixture(scope="module")
def evening(stage: Stage) -> Night:
    """One way out for each way in, every way out for one; one after the other, or a slow machine keeps up with none."""
    return Night(stage)


@pytest.fixture(scope="module")
def season(stage: Stage) -> Iterator[Night]:
    """All of it, source after source."""
    yield Night(stage)


def check(cell: Cell, *, by_the_clock: bool) -> None:
    print(cell)
    assert cell.failure == ""
    assert cell.flashes >= PAIRS, "no picture"
    assert cell.beeps >= PAIRS, "no sound"
    assert cell.backward == ()
    assert len(cell.offsets_ms) >= PAIRS, "picture and sound do not belong together"
    if by_the_clock:
        assert abs(cell.added_ms) <= OFFSET_MS_MAX


@pytest.mark.parametrize(("source", "sink"), [(source, sink) for source, sinks in PLAN.items() for sink in sinks])
def test_picture_and_sound_arrive_in_sync_and_in_order(evening: Night, source: str, sink: str) -> None:
    # WebRTC hosts stamp, and browsers play, by the machine's clock, and this machine may be busy: their lips are read
    # in the soak.
    if not evening.played(source):
        evening.play({source: PLAN[source]}, strict=False)
    cell = evening.cell(source, sink)
    check(cell, by_the_clock=not by_machine(cell))


@pytest.mark.soak
@pytest.mark.parametrize(("source", "sink"), list(product(SOURCES, SINKS)))
def test_every_way_in_reaches_every_way_out(season: Night, stage: Stage, source: str, sink: str) -> None:
    if not season.played(source):
        stage.calibrate()
        season.play({source: tuple(SINKS)}, strict=True)
    check(season.cell(source, sink), by_the_clock=True)


@pytest.mark.parametrize("late_s", [0.0, 0.12])
def test_the_measure_sees_sound_that_comes_late(stage: Stage, late_s: float) -> None:
    film = make_film(stage.folder / f"late-{late_s}.flv", seconds=8, sound_late_s=late_s)
    assert watch_file(film, 7).offset_ms() == pytest.approx(late_s * 1000, abs=10)


def test_the_measure_takes_no_other_sound_for_the_beep(stage: Stage) -> None:
    seen = watch_file(stage.film, 5)
    other = Seen(pictures=seen.pictures, sounds=[(at_s, loud, changes * 3) for at_s, loud, changes in seen.sounds])
    assert seen.beeps()
    assert other.beeps() == []
