"""What configurations say of HEVC, AV1, VP9, Opus and FLAC; the records are those of the encoders in PyAV 18."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.protocol import codecs

HVCC = bytes.fromhex(
    "0101600000009000000000003cf000fcfdf8f800000f03200001001840010c01ffff01600000030090000003000003003c95980921000100"
    "2a42010101600000030090000003000003003ca00a080b9f796566924cae6808000003000800000300c84022000100074401c172b46240"
)
"""libx265, 320×180, without its SEI array."""
AV1C = bytes.fromhex("81000c000a0b000000043cfecc02f80040")
"""libsvtav1, 320×180."""
VPCC = bytes.fromhex("01000000000b820202020000")
OPUS = bytes.fromhex("4f707573486561640102380180bb0000000000")
FLAC = bytes.fromhex("12001200000000004a580bb802f00000000000000000000000000000000000000000")

Describe = Callable[[bytes], tuple[str, tuple[int, int] | None]]
ALL: list[tuple[Describe, bytes]] = [
    (codecs.describe_hevc, HVCC),
    (codecs.describe_av1, AV1C),
    (codecs.describe_vp9, VPCC),
    (codecs.describe_opus, OPUS),
    (codecs.describe_flac, FLAC),
]


def test_each_encoders_record_gives_codec_and_size() -> None:
    assert [describe(record) for describe, record in ALL] == [
        ("hvc1.1.6.L60.90", (320, 180)),
        ("av01.0.00M.08", (320, 180)),
        ("vp09.00.11.08", None),
        ("opus", None),
        ("flac", None),
    ]


def test_hevc_main_10_high_tier_with_more_constraints_is_written_as_annex_e_says() -> None:
    # ISO/IEC 14496-15 annex E.3: "hev1.A3.4.H120.B0.23" is profile space 1, profile 3 …
    record = bytearray(HVCC)
    record[1:13] = bytes((0x63, 0x20, 0, 0, 0, 0xB0, 0x23, 0, 0, 0, 0, 120))
    assert codecs.describe_hevc(bytes(record))[0] == "hvc1.A3.4.H120.B0.23"


def test_av1_with_ten_bits_at_high_tier() -> None:
    assert codecs.describe_av1(b"\x81\x0d\xcc\x00") == ("av01.0.13H.10", None)


def test_flac_may_come_with_its_marker_and_vp9_without_the_boxs_version() -> None:
    assert codecs.describe_flac(b"fLaC\x80\0\0\x22" + FLAC) == ("flac", None)
    assert codecs.describe_vp9(VPCC[4:]) == ("vp09.00.11.08", None)


@pytest.mark.parametrize(("describe", "record"), ALL)
def test_a_record_that_is_cut_off_or_another_is_refused(describe: Describe, record: bytes) -> None:
    for broken in (b"", record[:2], b"\xff" * 50):
        with pytest.raises(ValueError):
            describe(broken)


@given(st.sampled_from(ALL), st.data())
def test_no_bytes_break_a_description(case: tuple[Describe, bytes], data: st.DataObject) -> None:
    describe, record = case
    at = data.draw(st.integers(0, len(record) - 1))
    broken = record[:at] + data.draw(st.binary(min_size=1, max_size=8)) + record[at + 1 :]
    try:
        codec, _ = describe(broken)
    except ValueError:
        return
    assert codec
