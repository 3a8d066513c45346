"""The room's clock over hosts' clocks of all kinds."""

from hypothesis import given
from hypothesis import strategies as st

from stream.packet import Kind
from stream.timeline import JUMP_MS, START_MS, Timeline

V, A = Kind.VIDEO, Kind.AUDIO


def run(timeline: Timeline, steps: list[tuple[Kind, int, int]]) -> list[int | None]:
    return [timeline.map(kind, raw, now) for kind, raw, now in steps]


def test_a_steady_host_keeps_its_spacing_and_its_tracks_together() -> None:
    out = run(Timeline(), [(V, 500, 0), (A, 510, 10), (V, 540, 40), (A, 533, 45), (V, 580, 80)])
    assert out == [START_MS, START_MS + 10, START_MS + 40, START_MS + 33, START_MS + 80]


def test_a_track_may_begin_two_seconds_before_or_after_the_other() -> None:
    assert run(Timeline(), [(A, 5000, 0), (V, 3000, 5), (V, 7000, 6)]) == [START_MS, START_MS - 2000, START_MS + 2000]


def test_a_clock_that_wraps_at_32_bits_goes_on() -> None:
    last = (1 << 32) - 20
    out = run(Timeline(), [(V, last, 0), (A, last, 0), (V, 20, 40), (A, 3, 41), (V, 60, 80)])
    assert out == [START_MS, START_MS, START_MS + 40, START_MS + 23, START_MS + 80]


def test_a_jump_forward_is_taken_out_and_the_tracks_stay_together() -> None:
    timeline = Timeline()
    run(timeline, [(V, 0, 0), (A, 0, 0), (V, 40, 40), (A, 23, 40)])
    out = run(timeline, [(V, 100_040, 80), (A, 46, 81), (A, 100_030, 90), (V, 100_080, 120)])
    assert out == [START_MS + 80, START_MS + 46, START_MS + 70, START_MS + 120]


def test_a_jump_back_does_not_take_the_room_back() -> None:
    timeline = Timeline()
    run(timeline, [(V, 50_000, 0), (A, 50_000, 0), (V, 50_040, 40)])
    out = run(timeline, [(V, 0, 80), (A, 10, 90), (V, 40, 120), (A, 33, 121)])
    assert out == [START_MS + 80, START_MS + 90, START_MS + 120, START_MS + 113]


def test_a_silence_that_really_passed_is_kept() -> None:
    assert run(Timeline(), [(V, 0, 0), (V, 10_000, 10_000)]) == [START_MS, START_MS + 10_000]


def test_one_track_that_paused_comes_back_where_the_other_is() -> None:
    timeline = Timeline()
    timeline.map(V, 0, 0)
    for step in range(400):
        timeline.map(A, step * 20, step * 20)
    assert timeline.map(V, 8000, 8000) == START_MS + 8000


def test_a_host_that_returns_goes_on_after_the_time_that_passed() -> None:
    timeline = Timeline()
    run(timeline, [(V, 9000, 0), (V, 9040, 40)])
    timeline.restart()
    assert run(timeline, [(V, 0, 2040), (A, 5, 2045), (V, 40, 2080)]) == [
        START_MS + 2040,
        START_MS + 2045,
        START_MS + 2080,
    ]


def test_a_run_begins_where_it_is_told_to_and_leaves_out_sound_from_before() -> None:
    timeline = Timeline()
    run(timeline, [(V, 9000, 0), (A, 9010, 10)])
    timeline.restart(START_MS + 500)
    assert run(timeline, [(V, 700, 400), (A, 690, 401), (A, 711, 402), (V, 740, 440)]) == [
        START_MS + 500,
        None,
        START_MS + 511,
        START_MS + 540,
    ]


@given(
    st.lists(
        st.tuples(st.sampled_from((V, A)), st.integers(0, (1 << 32) - 1), st.integers(-50, 5000), st.booleans()),
        max_size=60,
    )
)
def test_no_track_ever_goes_back_or_stands_still(steps: list[tuple[Kind, int, int, bool]]) -> None:
    timeline, now = Timeline(), 0
    last: dict[Kind, int] = {}
    for kind, raw, passed, restart in steps:
        if restart:
            timeline.restart(None if passed % 2 or timeline.newest_ms is None else timeline.newest_ms + passed + 51)
        now += passed
        before = timeline.newest_ms
        out = timeline.map(kind, raw, now)
        if out is None:
            assert kind is A
            continue
        assert out > last.get(kind, -1)
        # Nor does it run away: a step is the time that passed and what counts as no jump, at most.
        assert before is None or out <= before + max(51, 51 + passed) + JUMP_MS
        last[kind] = out


def test_a_room_that_is_pulled_keeps_the_time_it_is_given() -> None:
    timeline = Timeline()
    timeline.restart(keeps=True)
    assert run(timeline, [(V, 70_000, 0), (A, 69_990, 5), (V, 70_040, 40)]) == [70_000, 69_990, 70_040]


def test_a_room_that_is_pulled_goes_ahead_with_its_source_but_never_back() -> None:
    timeline = Timeline()
    run(timeline, [(V, 0, 0), (A, 10, 10)])
    timeline.restart(keeps=True)
    assert run(timeline, [(V, 90_000, 5_000), (A, 90_010, 5_010)]) == [90_000, 90_010]
    timeline.restart(keeps=True)
    assert run(timeline, [(V, 4_000, 6_010), (A, 4_010, 6_020)]) == [91_010, 91_020]


def test_a_host_that_changes_the_process_goes_on_where_the_other_one_was() -> None:
    timeline = Timeline()
    timeline.go_on_from(500_000, 1_700_000_000_000)
    timeline.restart()
    assert timeline.map(V, 7, 1_700_000_000_250) == 500_250
    timeline.go_on_from(400_000, 1_700_000_000_300)
    assert timeline.map(V, 47, 1_700_000_000_290) == 500_290
