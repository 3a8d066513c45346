"""The tick of a room."""

from __future__ import annotations

import pytest

from chat.limits import HubLimits
from chat.sink import Kind
from chat.tempo import PASSES_PER_TICK, Tempo

LIMITS = HubLimits()


def talk(tempo: Tempo, lines_per_s: float, seconds: float, start_s: float = 1_000.0) -> float:
    """Cut a frame each tick for so long; give the time then."""
    now_s = start_s
    while now_s < start_s + seconds:
        took_s = tempo.tick_s
        now_s += took_s
        tempo.cut(round(lines_per_s * took_s), now_s)
    return now_s


def test_a_quiet_room_has_the_shortest_tick() -> None:
    tempo = Tempo(LIMITS)
    talk(tempo, 20, 3)
    assert tempo.tick_s == LIMITS.tick_ms / 1000


def test_a_room_at_its_cap_of_chat_gathers_for_a_tenth_of_a_second() -> None:
    tempo = Tempo(LIMITS)
    talk(tempo, LIMITS.room.chat_per_s, 5)
    assert tempo.tick_s == pytest.approx(0.09, rel=0.1)


def test_no_chat_makes_the_tick_longer_than_its_bound() -> None:
    tempo = Tempo(LIMITS)
    talk(tempo, 5_000, 5)
    assert tempo.tick_s == LIMITS.tick_ms_hot / 1000


def test_a_burst_out_of_silence_is_not_heat_and_heat_goes_with_the_chat() -> None:
    tempo = Tempo(LIMITS)
    tempo.cut(5, 1_000.0)
    assert tempo.tick_s == LIMITS.tick_ms / 1000
    end_s = talk(tempo, 400, 3)
    assert tempo.tick_s > 0.15
    tempo.cut(1, end_s + 2)
    assert tempo.tick_s == LIMITS.tick_ms / 1000


def test_frames_that_were_cut_for_something_urgent_do_not_hide_the_heat() -> None:
    tempo, now_s = Tempo(LIMITS), 1_000.0
    for number in range(2_000):
        now_s += 0.005
        tempo.cut(2 * (number % 2), now_s)
    assert tempo.tick_s == pytest.approx(0.09, rel=0.1)


def test_the_tick_lasts_as_long_as_passes_over_all_kinds_of_sockets_ask() -> None:
    tempo = Tempo(LIMITS)
    tempo.passed(Kind.FRAME, 0.08)
    tempo.passed(Kind.DEFLATED, 0.04)
    assert tempo.tick_s == pytest.approx(0.12 * PASSES_PER_TICK)
    tempo.passed(Kind.FRAME, 60.0)
    assert tempo.tick_s == LIMITS.tick_ms_max / 1000
    tempo.passed(Kind.FRAME, 0.0)
    tempo.passed(Kind.DEFLATED, 0.0)
    assert tempo.tick_s == LIMITS.tick_ms / 1000
