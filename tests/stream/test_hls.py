"""HLS timelines and playlists, without a socket."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.protocol.hls import HlsLimits, Part, Rendition, Timeline, multivariant
from tests.stream import hls_rules

LIMITS = HlsLimits(part_ms=300, segment_ms_min=1_000, window_ms=8_000)


def timeline(seconds: int, gop_parts: int = 7, limits: HlsLimits = LIMITS) -> Timeline:
    """A stream of ``seconds`` with a key frame each ``gop_parts`` parts of 300 ms."""
    made = Timeline("e1", limits)
    for index in range(seconds * 1000 // 300):
        made.add(part(index, key=index % gop_parts == 0), b"init", 1_000_000 + index * 300)
    return made


def part(index: int, *, key: bool = False, duration_ms: float = 300) -> Part:
    return Part(b"part%d;" % index, duration_ms, key)


def test_nothing_is_told_before_a_whole_segment() -> None:
    made = Timeline("e1", LIMITS)
    for index in range(7):
        made.add(part(index, key=index == 0), b"init", 0)
    assert not made.ready
    made.add(part(7, key=True), b"init", 0)
    assert made.ready and made.target_s == 2


def test_a_segment_begins_at_a_key_frame_and_is_its_parts() -> None:
    made = timeline(6)
    first = made.segments[0]
    assert first.whole and first.parts[0].independent
    assert made.media(f"e1-s{first.number}.m4s") == b"".join(piece.data for piece in first.parts)
    assert made.media(f"e1-p{first.number}_1.m4s") == first.parts[1].data
    assert made.media("e1-i0.mp4") == b"init"


def test_a_stream_without_key_frames_is_cut_at_the_target() -> None:
    made = timeline(40, gop_parts=10_000, limits=HlsLimits(window_ms=60_000))
    assert all(segment.duration_ms <= made.target_s * 1000 + 500 for segment in made.segments)
    assert len(made.segments) >= 3


def test_the_playlist_says_what_players_need() -> None:
    text = timeline(12).playlist("token=abc")
    assert text.startswith("#EXTM3U\n#EXT-X-VERSION:9\n")
    assert "CAN-BLOCK-RELOAD=YES" in text and "CAN-SKIP-UNTIL=12.0" in text
    hold_back = float(re.findall(r"PART-HOLD-BACK=([\d.]+)", text)[0])
    part_target = float(re.findall(r"PART-TARGET=([\d.]+)", text)[0])
    assert hold_back >= 3 * part_target - 0.001
    assert all(float(duration) <= part_target for duration in re.findall(r"PART:DURATION=([\d.]+)", text))
    target = int(re.findall(r"TARGETDURATION:(\d+)", text)[0])
    assert all(round(float(duration)) <= target for duration in re.findall(r"EXTINF:([\d.]+)", text))
    uris = re.findall(r'URI="([^"]+)"', text) + [line for line in text.splitlines() if not line.startswith("#")]
    assert uris and all(uri.endswith("?token=abc") for uri in uris)
    assert text.count("#EXT-X-PRELOAD-HINT:TYPE=PART") == 1
    assert "#EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:1" in text
    assert "INDEPENDENT=YES" in text


def test_the_window_slides_and_counts_what_left() -> None:
    made = timeline(60)
    held_ms = sum(segment.duration_ms for segment in made.segments)
    assert held_ms <= LIMITS.window_ms + made.target_s * 2_000
    first = made.segments[0].number
    assert first > 0 and f"#EXT-X-MEDIA-SEQUENCE:{first}\n" in made.playlist()
    assert made.media("e1-s0.m4s") is None


def test_a_host_that_returns_is_a_discontinuity_with_its_own_map() -> None:
    made = timeline(4)
    made.interrupt()
    for index in range(8):
        made.add(part(100 + index, key=index % 7 == 0), b"other", 2_000_000 + index * 300)
    text = made.playlist()
    after = text.split("#EXT-X-DISCONTINUITY\n")
    assert len(after) == 2 and 'EXT-X-MAP:URI="e1-i1.mp4"' in after[1] and 'EXT-X-MAP:URI="e1-i0.mp4"' in after[0]
    assert made.media("e1-i1.mp4") == b"other"


def test_discontinuities_that_left_the_window_are_counted() -> None:
    made = timeline(3)
    made.interrupt()
    for index in range(100):
        made.add(part(index, key=index % 7 == 0), b"init", 0)
    assert made.discontinuities == 1
    assert "#EXT-X-DISCONTINUITY-SEQUENCE:1\n" in made.playlist()


def test_a_delta_update_leaves_out_what_the_client_knows() -> None:
    limits = HlsLimits(window_ms=60_000)
    made = timeline(60, limits=limits)
    whole, delta = made.playlist(), made.playlist(skip=True)
    skipped = int(re.findall(r"SKIPPED-SEGMENTS=(\d+)", delta)[0])
    assert skipped > 0 and whole.count("#EXTINF") == delta.count("#EXTINF") + skipped
    assert whole.splitlines()[-1] == delta.splitlines()[-1]


def test_the_hint_names_the_next_part_and_nothing_else_is_awaited() -> None:
    made = timeline(4)
    last = made.segments[-1]
    name = f"e1-p{last.number}_{len(last.parts)}.m4s"
    assert f'URI="{name}"' in made.playlist()
    assert made.awaited(name) == (last.number, len(last.parts))
    assert made.awaited(f"e1-p{last.number}_{len(last.parts) + 1}.m4s") is None
    assert not made.has(last.number, len(last.parts)) and made.has(last.number, len(last.parts) - 1)


def test_a_request_too_far_ahead_is_told_so() -> None:
    made = timeline(4)
    last = made.segments[-1].number
    assert not made.too_far(last + 2) and made.too_far(last + 3)


@pytest.mark.parametrize(
    "name", ["", "e1", "e1-", "e1-s", "e1-sx.m4s", "e1-p1.m4s", "e2-s0.m4s", "e1-s99999999999999.m4s"]
)
def test_a_name_that_was_never_given_finds_nothing(name: str) -> None:
    assert timeline(4).media(name) is None


@given(
    st.lists(st.tuples(st.booleans(), st.floats(20, 500), st.sampled_from([b"a", b"b"]), st.booleans()), max_size=120)
)
def test_any_stream_makes_playlists_whose_files_exist(parts: list[tuple[bool, float, bytes, bool]]) -> None:
    made = Timeline("e1", LIMITS)
    at_ms = 0.0
    for index, (key, duration_ms, init, broken) in enumerate(parts):
        if broken and index % 9 == 0:
            made.interrupt()
        made.add(part(index, key=key, duration_ms=duration_ms), init, int(at_ms))
        at_ms += duration_ms
        numbers = [segment.number for segment in made.segments]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        if made.ready:
            text = made.playlist()
            named = re.findall(r'(?:MAP|PART:DURATION=[\d.]+,)[:]?URI="([^"]+)"', text)
            named += [line for line in text.splitlines() if line and not line.startswith("#")]
            assert named and all(made.media(name) for name in named)


def test_the_multivariant_playlist_names_codecs_and_size() -> None:
    text = multivariant(Rendition("avc1.42c01f,mp4a.40.2", 1_500_000, (540, 960), "token=x"))
    assert 'CODECS="avc1.42c01f,mp4a.40.2"' in text and "RESOLUTION=540x960" in text and "media.m3u8?token=x" in text


def test_every_reload_of_a_stream_with_breaks_keeps_the_rules() -> None:
    made = Timeline("e1", LIMITS)
    before: hls_rules.Playlist | None = None
    at_ms = 0
    for index in range(400):
        if index % 90 == 89:
            made.interrupt()
            at_ms += 700
        made.add(part(index, key=index % 90 == 0 or index % 5 == 0), b"init%d" % (index // 130), at_ms)
        at_ms += 300
        if made.ready:
            after = hls_rules.check(made.playlist("token=x"))
            hls_rules.check(made.playlist("token=x", skip=True))
            if before is not None:
                hls_rules.check_reload(before, after)
            before = after


def test_a_part_behind_a_segments_last_one_is_the_first_of_the_next_segment() -> None:
    made = timeline(4)
    made.interrupt()
    last = made.segments[-1]
    assert made.has(last.number, None) and made.has(last.number, len(last.parts) - 1)
    assert not made.has(last.number, len(last.parts))
    made.add(part(1000, key=True), b"init", 9_000_000)
    assert made.has(last.number, len(last.parts)) and made.has(last.number + 1, 0)


def test_a_part_more_than_three_seconds_ahead_is_too_far() -> None:
    made = timeline(4)
    last = made.segments[-1]
    assert not made.too_far(last.number, len(last.parts) - 1 + 10)
    assert made.too_far(last.number, len(last.parts) - 1 + 11)


def test_after_a_cut_without_a_key_frame_segments_begin_at_key_frames_again() -> None:
    made = Timeline("e1", LIMITS, timeline(4))
    for index in range(60):
        # Key frames each 2.1 s, the first one 0.9 s after the start.
        made.add(part(index, key=index == 0 or index % 7 == 3), b"init", index * 300)
    assert [segment.parts[0].independent for segment in made.segments][2:] == [True] * (len(made.segments) - 2)
    hls_rules.check(made.playlist())
