"""AMF0 values."""

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.errors import AmfError, LocalError
from stream.protocol import amf0
from stream.protocol.amf0 import AmfDate, AmfXml, EcmaArray, TypedObject, Value

NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.floats(allow_nan=False),
    st.text(st.characters(exclude_categories=["Cs"])),
    st.builds(AmfDate, st.floats(allow_nan=False), st.integers(-720, 720)),
    st.builds(AmfXml, NAMES),
)
VALUES: st.SearchStrategy[Value] = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(NAMES, inner, max_size=4),
        st.dictionaries(NAMES, inner, max_size=4).map(EcmaArray),
        st.builds(TypedObject, NAMES, st.dictionaries(NAMES, inner, max_size=4)),
    ),
    max_leaves=12,
)


@given(st.lists(VALUES, max_size=4))
def test_what_was_written_is_read_back(values: list[Value]) -> None:
    back = amf0.decode_all(amf0.encode(*values))
    assert back == values
    assert [type(value) for value in back] == [type(value) for value in values]


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused_by_an_amf_error(data: bytes) -> None:
    with contextlib.suppress(AmfError):
        amf0.decode_all(data)


@given(VALUES, st.data())
def test_a_value_cut_off_anywhere_is_read_or_refused_by_an_amf_error(value: Value, data: st.DataObject) -> None:
    whole = amf0.encode(value)
    with contextlib.suppress(AmfError):
        amf0.decode_all(whole[: data.draw(st.integers(0, len(whole)))])


@pytest.mark.parametrize("count", [0, 1, 2, 99, 0xFFFFFFFF])
def test_the_count_of_an_ecma_array_is_not_believed(count: int) -> None:
    body = b"\x08" + struct.pack(">I", count) + b"\x00\x01a\x05\x00\x01b\x01\x01\x00\x00\x09" + b"\x02\x00\x01x"
    assert amf0.decode_all(body) == [EcmaArray(a=None, b=True), "x"]


@pytest.mark.parametrize("marker", [b"\x03", b"\x08\x00\x00\x00\x02"])
@pytest.mark.parametrize("tail", [b"", b"\x00", b"\x00\x00"])
def test_an_object_without_its_end_marker_ends_with_the_data(marker: bytes, tail: bytes) -> None:
    assert amf0.decode_all(marker + b"\x00\x01a\x05\x00\x01b\x01\x01" + tail) == [{"a": None, "b": True}]


def test_a_long_string_has_a_marker_of_its_own() -> None:
    text = "x" * 70_000
    assert amf0.encode(text)[0] == 0x0C
    assert amf0.decode_all(amf0.encode(text)) == [text]


def test_text_that_is_not_utf8_is_kept_readable() -> None:
    assert amf0.decode_all(b"\x02\x00\x04" + "直播".encode("gbk")) != []


def test_undefined_and_unsupported_are_none() -> None:
    assert amf0.decode_all(b"\x05\x06\x0d") == [None, None, None]


def test_a_reference_counts_containers_in_the_order_in_which_they_open() -> None:
    # {a: {}, b: reference 1}: 0 is the outer object, 1 the inner one
    data = b"\x03\x00\x01a\x03\x00\x00\x09\x00\x01b\x07\x00\x01\x00\x00\x09"
    assert amf0.decode_all(data) == [{"a": {}, "b": {}}]


@pytest.mark.parametrize("index", [b"\x00\x00", b"\x00\x07"])
def test_a_reference_to_nothing_or_to_its_own_container_is_refused(index: bytes) -> None:
    with pytest.raises(AmfError):
        amf0.decode_all(b"\x03\x00\x01a\x07" + index + b"\x00\x00\x09")


@pytest.mark.parametrize("marker", [0x04, 0x0E, 0x11, 0x42, 0xFF])
def test_an_unknown_marker_is_refused(marker: int) -> None:
    with pytest.raises(AmfError, match=f"0x{marker:02x}"):
        amf0.decode_all(bytes((marker,)))


def test_nesting_over_the_limit_is_refused() -> None:
    with pytest.raises(AmfError, match="deeply"):
        amf0.decode_all(b"\x0a\x00\x00\x00\x01" * 1_000_000 + b"\x05")


def test_more_values_than_the_limit_are_refused() -> None:
    with pytest.raises(AmfError, match="too many"):
        amf0.decode_all(b"\x05" * 11, values_max=10)


def test_a_strict_array_longer_than_its_message_is_refused_before_it_is_made() -> None:
    with pytest.raises(AmfError, match="longer"):
        amf0.decode_all(b"\x0a\xff\xff\xff\xff\x05")


def test_what_amf0_cannot_hold_is_our_fault() -> None:
    deep: Value = None
    for _ in range(amf0.DEPTH_MAX + 1):
        deep = [deep]
    for value in (deep, {"x" * 70_000: None}, object()):
        with pytest.raises(LocalError):
            amf0.encode(value)  # type: ignore[arg-type]
