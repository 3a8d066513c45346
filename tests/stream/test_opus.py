"""Lengths of Opus packets and the stream's header."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.protocol import codecs, opus


@pytest.mark.parametrize(
    ("packet", "milliseconds"),
    [
        ("08", 20),  # SILK, narrow, 20 ms, one frame
        ("1801", 60),
        ("78", 20),  # hybrid
        ("80", 2.5),  # CELT
        ("fc", 20),  # full band, stereo, as browsers send it
        ("fd", 40),
        ("fe", 40),
        ("ff03", 60),
        ("1b02", 120),
    ],
)
def test_the_first_bytes_tell_how_long_a_packet_lasts(packet: str, milliseconds: float) -> None:
    assert opus.samples(bytes.fromhex(packet)) == milliseconds * 48


def test_a_packet_that_is_empty_cut_off_or_too_long_lasts_nothing() -> None:
    assert [opus.samples(bytes.fromhex(packet)) for packet in ("", "ff", "1b03", "ff00")] == [0, 0, 0, 0]


@given(st.binary(max_size=4))
def test_any_bytes_last_between_nothing_and_120_ms(packet: bytes) -> None:
    assert 0 <= opus.samples(packet) <= opus.SAMPLES_MAX


def test_the_header_is_one_that_players_take() -> None:
    assert codecs.describe_opus(opus.head()) == ("opus", None)
