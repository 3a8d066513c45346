"""AudioSpecificConfig."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.protocol import aac
from tests.stream.media import ASC


@pytest.mark.parametrize(
    ("config", "codec", "rate", "channels"),
    [
        (ASC, "mp4a.40.2", 44100, 2),
        (bytes.fromhex("1190"), "mp4a.40.2", 48000, 2),
        (bytes.fromhex("1188"), "mp4a.40.2", 48000, 1),
        (bytes.fromhex("2b920800"), "mp4a.40.5", 22050, 2),
        (bytes.fromhex("1780562210"), "mp4a.40.2", 44100, 2),
    ],
)
def test_a_config_gives_codec_rate_and_channels(config: bytes, codec: str, rate: int, channels: int) -> None:
    found = aac.parse_asc(config)
    assert (found.codec, found.channels) == (codec, channels)
    assert found.rate == rate


@given(st.binary(max_size=12))
def test_garbage_is_refused_and_nothing_else(garbage: bytes) -> None:
    try:
        found = aac.parse_asc(garbage)
    except ValueError:
        return
    assert found.rate >= 1000
