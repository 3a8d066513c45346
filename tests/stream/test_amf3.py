"""AMF3 in commands of type 17."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.errors import AmfError
from stream.protocol import amf0, amf3
from stream.protocol.rtmp_message import parse_command


def one(data: bytes) -> amf0.Value:
    value, end = amf3.decode_one(data, 0, 100)
    assert end == len(data)
    return value


def text(value: str) -> bytes:
    return bytes((len(value.encode()) << 1 | 1,)) + value.encode()


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"\x00", None),
        (b"\x01", None),
        (b"\x02", False),
        (b"\x03", True),
        (b"\x04\x7f", 127.0),
        (b"\x04\x81\x00", 128.0),
        (b"\x04\xff\xff\xff\xff", -1.0),
        (b"\x04\xbf\xff\xff\xff", 2.0**28 - 1),
        (b"\x05" + struct.pack(">d", 1.5), 1.5),
        (b"\x06" + text("直播"), "直播"),
        (b"\x08\x01" + struct.pack(">d", 7.0), amf0.AmfDate(7.0)),
        (b"\x07" + text("<a/>"), amf0.AmfXml("<a/>")),
        (b"\x0c" + text("abc"), "abc"),
        (b"\x09\x05\x01\x04\x01\x04\x02", [1.0, 2.0]),
        (b"\x09\x03" + text("k") + b"\x03\x01\x04\x05", amf0.EcmaArray({"k": True, "0": 5.0})),
        (b"\x0a\x0b\x01" + text("app") + b"\x06" + text("live") + b"\x01", {"app": "live"}),
        (b"\x0a\x13" + text("C") + text("x") + b"\x04\x09", amf0.TypedObject("C", {"x": 9.0})),
    ],
)
def test_each_value_is_read(data: bytes, value: amf0.Value) -> None:
    assert one(data) == value


def test_strings_objects_and_traits_can_be_said_again_by_number() -> None:
    point = b"\x0a\x13\x01" + text("x") + b"\x04\x01"
    again = b"\x0a\x01\x04\x02"  # the same traits, another value
    data = b"\x09\x09\x01" + point + again + b"\x0a\x02" + b"\x06\x00"
    assert one(data) == [{"x": 1.0}, {"x": 2.0}, {"x": 1.0}, "x"]


def test_a_flash_players_connect_is_read() -> None:
    avm = b"\x11\x0a\x0b\x01" + text("app") + b"\x06" + text("live") + b"\x01"
    command = parse_command(17, b"\x00" + amf0.encode("connect", 1.0) + avm + amf0.encode("after"))
    assert command.mapping(0) == {"app": "live"}
    assert command.text(1) == "after"


def test_amf3_is_refused_where_only_amf0_belongs() -> None:
    with pytest.raises(AmfError, match="0x11"):
        parse_command(20, amf0.encode("connect", 1.0) + b"\x11\x01")


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"", "cut off"),
        (b"\x06\x0bab", "cut off"),
        (b"\x06\x02", "nothing"),
        (b"\x0a\x02", "nothing"),
        (b"\x0a\x05", "nothing"),
        (b"\x09\x03\x01\x09\x00", "cycle"),
        (b"\x09\xff\xff\xff\xff\x01", "longer"),
        (b"\x0a\x07" + text("C"), "itself"),
        (b"\x0a\xff\xff\xff\x73\x01", "too many"),
        (b"\x09\x03\x01" * 60 + b"\x01", "deep"),
        (b"\x11\x01\x00", "not supported"),
    ],
)
def test_what_is_broken_or_too_much_is_refused(data: bytes, word: str) -> None:
    with pytest.raises(AmfError, match=word):
        amf3.decode_one(data, 0, 1000)


def test_values_are_counted() -> None:
    with pytest.raises(AmfError, match="too many values"):
        amf3.decode_one(b"\x09\x15\x01" + b"\x01" * 10, 0, 5)


@given(st.binary(max_size=60))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    try:
        amf3.decode_one(data, 0, 100)
    except AmfError:
        return
