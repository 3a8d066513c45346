"""RTMP messages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.errors import AmfError, MessageLimitError, ProtocolError
from stream.protocol import amf0
from stream.protocol.rtmp_message import (
    AGGREGATE_TAGS_MAX,
    COMMAND_BYTES_MAX,
    TimestampUnwrapper,
    parse_command,
    script_body,
    split_aggregate,
)


def tag(kind: int, time: int, body: bytes) -> bytes:
    head = bytes((kind,)) + len(body).to_bytes(3, "big") + (time & 0xFFFFFF).to_bytes(3, "big") + bytes((time >> 24,))
    return head + bytes(3) + body + (len(body) + 11).to_bytes(4, "big")


def test_a_command_is_read_in_both_envelopes() -> None:
    body = amf0.encode("publish", 3, None, "ROOM", "live")
    plain = parse_command(20, body)
    assert (plain.name, plain.transaction, plain.text(1)) == ("publish", 3.0, "ROOM")
    assert parse_command(17, b"\0" + body) == plain == parse_command(17, body)


def test_a_command_without_a_transaction_wants_no_answer() -> None:
    assert parse_command(20, amf0.encode("onBWDone", None)).transaction == 0


def test_arguments_of_another_type_read_as_empty() -> None:
    command = parse_command(20, amf0.encode("connect", 1, "not an object", 5))
    assert command.mapping(0) == {}
    assert command.text(1) == command.text(7) == ""


@pytest.mark.parametrize("body", [b"", amf0.encode(5.0, 1.0), b"\x02\x00\x09publ"])
def test_a_command_without_a_name_is_refused(body: bytes) -> None:
    with pytest.raises(AmfError):
        parse_command(20, body)


def test_a_command_over_the_limit_is_refused_unread() -> None:
    with pytest.raises(MessageLimitError):
        parse_command(20, bytes(COMMAND_BYTES_MAX + 1))


def test_set_data_frame_is_taken_off_script_data() -> None:
    script = amf0.encode("onMetaData", amf0.EcmaArray(width=640.0))
    assert script_body(18, amf0.encode("@setDataFrame") + script) == script
    assert script_body(15, b"\0" + amf0.encode("@setDataFrame") + script) == script
    assert script_body(18, script) == script


def test_clear_data_frame_and_empty_script_data_are_nothing() -> None:
    assert script_body(18, amf0.encode("@clearDataFrame", "onMetaData")) is None
    assert script_body(18, b"") is script_body(18, amf0.encode("@setDataFrame")) is None


def test_an_aggregate_gives_its_tags_with_times_counted_from_its_own() -> None:
    body = tag(8, 5000, b"a") + tag(9, 5010, b"v") + tag(18, 5020, b"d")
    assert list(split_aggregate(100, body)) == [(8, 100, b"a"), (9, 110, b"v"), (18, 120, b"d")]


def test_times_in_an_aggregate_wrap() -> None:
    body = tag(8, 0xFFFFFFF0, b"a") + tag(9, 0x10, b"v")
    assert [time for _, time, _ in split_aggregate(0xFFFFFFF0, body)] == [0xFFFFFFF0, 0x10]


def test_the_last_tag_of_an_aggregate_may_lack_its_trailing_size() -> None:
    assert len(list(split_aggregate(0, tag(8, 0, b"a")[:-4]))) == 1


def test_an_aggregate_that_is_cut_off_is_refused() -> None:
    for end in range(1, 12):
        with pytest.raises(ProtocolError):
            list(split_aggregate(0, tag(8, 0, b"abcd")[:end]))


def test_an_aggregate_of_too_many_tags_is_refused() -> None:
    with pytest.raises(MessageLimitError):
        list(split_aggregate(0, tag(8, 0, b"") * (AGGREGATE_TAGS_MAX + 1)))


def test_timestamps_go_on_over_the_wrap_and_a_step_back_stays_small() -> None:
    clock = TimestampUnwrapper()
    wire = [0xFFFFFF00, 0xFFFFFFF0, 0x10, 0x05, 0x20]
    assert [clock.unwrap(value) - 2**32 for value in wire] == [-256, -16, 16, 5, 32]


def test_a_step_back_below_zero_stays_at_zero() -> None:
    clock = TimestampUnwrapper()
    assert [clock.unwrap(value) for value in (5, 0xFFFFFFF0, 0xFFFFFFFF, 40)] == [5, 0, 0, 40]


def test_script_data_at_zero_does_not_turn_the_clock() -> None:
    clock = TimestampUnwrapper()
    clock.unwrap(0x80000010)
    assert clock.near(0) == 2**32
    assert clock.unwrap(0x80000020) == 0x80000020


@given(st.integers(0, 2**32 - 1), st.lists(st.integers(-5_000, 60_000), max_size=50))
def test_unwrapped_steps_are_the_true_steps(start: int, steps: list[int]) -> None:
    clock = TimestampUnwrapper()
    true = start
    last = clock.unwrap(start)
    for step in steps:
        true = max(0, true + step)
        now = clock.unwrap(true & 0xFFFFFFFF)
        assert now == true
        last = now
    assert last >= 0
