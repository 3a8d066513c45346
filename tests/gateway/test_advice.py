"""What hosts are told to do better."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.advice import advise
from stream.meter import Reading
from stream.relay import StreamInfo

INFO = StreamInfo(True, 0, "avc1.64001f", "mp4a.40.2", 1280, 720, 60_000)
GOOD = Reading(30.0, 2_500_000, 128_000, 2_000, False, 1.0, 10)
STRINGS = (Path(__file__).resolve().parents[2] / "gateway" / "web" / "host_strings.js").read_text("utf-8")


def codes(info: StreamInfo = INFO, reading: Reading = GOOD, **line: Any) -> list[str]:
    return [
        advice.code for advice in advise(info, reading, protocol=line.get("protocol", "rtmp"), rtt_ms=line.get("rtt"))
    ]


def test_a_good_stream_gets_no_advice() -> None:
    assert codes(rtt=40) == []


def test_nothing_is_advised_before_anything_is_known_or_while_nobody_is_live() -> None:
    assert codes(reading=Reading()) == []
    assert codes(replace(INFO, live=False), Reading(silent_ms=60_000)) == []


CASES = [
    ({"gop_ms": 8_000}, "key_frames", "key frames every 8 s: set 2 s in OBS"),
    ({"b_frames": True}, "b_frames", "set B-frames to 0 in OBS"),
    ({"video_bps": 9_000_000}, "rate_high", "9.0 Mbps is more than"),
    ({"video_bps": 200_000}, "rate_low", "0.2 Mbps is too little for 1280×720"),
    ({"fps": 9.0}, "few_pictures", "only 9 pictures a second"),
    ({"pace": 0.8}, "slow_line", "keeps up only 80 %: viewers pause; set 1.6 Mbps"),
    ({"audio_bps": 0}, "sound_stopped", "the sound has stopped"),
    ({"silent_ms": 5_000}, "silent", "for 5 s"),
]


@pytest.mark.parametrize(("change", "code", "words"), CASES, ids=[case[1] for case in CASES])
def test_each_fault_has_its_sentence(change: dict[str, Any], code: str, words: str) -> None:
    (advice,) = advise(INFO, replace(GOOD, **change), protocol="rtmp", rtt_ms=40)
    assert advice.code == code
    assert words in advice.text


@pytest.mark.parametrize(
    ("info", "code"),
    [
        (replace(INFO, audio_codec=None), "no_sound"),
        (replace(INFO, video_codec=None, width=None, height=None), "no_picture"),
        (replace(INFO, video_codec="hvc1.1.6.L93.B0"), "codec"),
    ],
)
def test_a_missing_track_and_a_codec_for_few_are_told(info: StreamInfo, code: str) -> None:
    assert codes(info) == [code]


def test_a_far_host_is_told() -> None:
    assert codes(rtt=420) == ["far"]


def test_a_browser_is_not_told_of_key_frames_which_it_makes_when_asked() -> None:
    assert codes(reading=replace(GOOD, gop_ms=30_000), protocol="whip") == []


def test_what_viewers_suffer_from_now_comes_first() -> None:
    reading = replace(GOOD, gop_ms=8_000, b_frames=True, pace=0.7, audio_bps=0)
    assert codes(reading=reading, rtt=500) == ["slow_line", "sound_stopped", "far", "key_frames", "b_frames"]


@pytest.mark.parametrize("code", [case[1] for case in CASES] + ["no_sound", "no_picture", "codec", "far"])
def test_the_console_says_it_in_both_languages(code: str) -> None:
    assert f'"health.{code}": [' in STRINGS
