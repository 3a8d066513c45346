"""The index of a recorded show: what a crash may leave of it, its playlist, and what a clip takes of it."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.protocol import recording
from stream.protocol.recording import Index, Init, Part

INIT = Init("avc1.64001f,mp4a.40.2", 720, 1280)


def parts(count: int, *, key_each: int = 4, from_ms: float = 3_000, file: int = 0, init: int = 0) -> list[Part]:
    """Half-second parts in a row, the first one the begin of a run."""
    return [
        Part(
            file, n * 1_000, 1_000, from_ms + n * 500, 500, n % key_each == 0, init, 1_700_000_000_000 if n == 0 else 0
        )
        for n in range(count)
    ]


def index_of(*found: Part) -> Index:
    index = Index("room", "show", 1_700_000_000_000, {part.init: INIT for part in found}, list(found))
    index.end = index.ended(1_700_000_100_000)
    return index


@given(st.integers(0, 2_000))
def test_an_index_cut_off_anywhere_is_good_up_to_its_last_whole_line(length: int) -> None:
    data = recording.index_bytes(index_of(*parts(20)))
    head = data.index(b"\n") + 1
    torn = data[: head + length]
    index, good = recording.parse_index(torn)
    assert data[:good] == torn[: torn.rindex(b"\n") + 1]
    assert index.parts == parts(20)[: len(index.parts)]


@pytest.mark.parametrize(
    "garbage",
    [b"[1,2]\n", b"{}\n", b"\0\0\0\n", b"[0,0,-5,0,0,1,0,0]\n", b"[0,0,5,0,0,1,9,0]\n", b"[0,0,5,1e999,0,1,0,0]\n"],
)
def test_a_line_that_is_none_ends_the_index(garbage: bytes) -> None:
    index = index_of(*parts(3))
    index.end = None
    data = recording.index_bytes(index)
    found, good = recording.parse_index(data + garbage + recording.part_line(parts(4)[3]))
    assert good == len(data) and found.parts == parts(3)


@pytest.mark.parametrize("data", [b"", b"x", b'{"v":2}\n', b"[]\n", b'{"v":1,"wall_ms":1e999}\n'])
def test_a_file_without_a_good_first_line_is_no_index(data: bytes) -> None:
    with pytest.raises(ValueError, match="index"):
        recording.parse_index(data)


def test_an_ended_show_is_read_by_its_first_and_last_line() -> None:
    index = index_of(*parts(20))
    data = recording.index_bytes(index)
    summary = recording.parse_summary(data[:200], data[-200:])
    assert summary is not None and summary.end == index.end and summary.parts == []
    assert recording.parse_summary(data[:200], data[-200:-1]) is None


def test_segments_begin_at_key_frames_and_name_all_bytes() -> None:
    text = recording.playlist(index_of(*parts(60)), "token=x")
    ranges = [(int(size), int(at)) for size, at in re.findall(r"BYTERANGE:(\d+)@(\d+)", text)]
    assert sum(size for size, _ in ranges) == 60_000
    assert [at for _, at in ranges] == [sum(size for size, _ in ranges[:n]) for n in range(len(ranges))]
    assert all(at % 4_000 == 0 for _, at in ranges)
    assert "#EXT-X-PLAYLIST-TYPE:VOD" in text and text.endswith("#EXT-X-ENDLIST\n")
    assert "#EXT-X-DISCONTINUITY\n" not in text
    assert all(line.endswith("?token=x") for line in text.splitlines() if not line.startswith("#"))


def test_a_key_frame_that_stays_away_does_not_break_the_target_duration() -> None:
    text = recording.playlist(index_of(*parts(90, key_each=80)))
    longest = max(float(length) for length in re.findall(r"EXTINF:([\d.]+)", text))
    assert round(longest) <= int(re.findall(r"TARGETDURATION:(\d+)", text)[0])
    assert "INDEPENDENT-SEGMENTS" not in text


def test_a_host_s_return_is_a_discontinuity_and_its_new_configuration_another_map() -> None:
    text = recording.playlist(index_of(*parts(20), *parts(20, from_ms=60_000, file=1, init=1)))
    before, after = text.split("#EXT-X-DISCONTINUITY\n")
    assert "init-0.mp4" in before and "init-1.mp4" in after and "media-1.m4s" in after
    assert text.count("PROGRAM-DATE-TIME") == 2


def test_a_show_under_way_is_an_event_without_what_still_grows() -> None:
    index = index_of(*parts(20))
    index.end = None
    text = recording.playlist(index)
    assert "#EXT-X-PLAYLIST-TYPE:EVENT" in text and "ENDLIST" not in text
    assert sum(float(length) for length in re.findall(r"EXTINF:([\d.]+)", text)) == 8


def test_a_clip_begins_at_the_key_frame_before_and_has_a_part_more_than_its_end() -> None:
    ((first, *_, last),) = recording.clip_parts(index_of(*parts(60)), 9_700, 15_200)
    assert first.key and first.start_ms == 9_000 and last.start_ms == 15_500


def test_a_clip_over_a_host_s_return_has_both_runs_if_their_configuration_is_one() -> None:
    again = parts(20, from_ms=60_000)
    assert [run[0].start_ms for run in recording.clip_parts(index_of(*parts(20), *again), 9_000, 65_000)] == [
        9_000,
        60_000,
    ]
    other = parts(20, from_ms=60_000, init=1)
    assert [run[0].start_ms for run in recording.clip_parts(index_of(*parts(20), *other), 9_000, 69_000)] == [60_000]


def test_a_time_that_was_not_recorded_gives_no_clip() -> None:
    assert recording.clip_parts(index_of(*parts(20)), 20_000, 30_000) == []
    assert recording.clip_parts(index_of(*parts(20)), 0, 2_000) == []
