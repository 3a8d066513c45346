"""What clients send: frames to commands, addresses to join requests."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat import message
from chat.errors import BadFrame, CommandRefused
from chat.message import Command, JoinRequest, decode, parse_join

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def test_one_command_and_an_array_of_them_are_both_frames() -> None:
    assert decode(b'{"id":7,"cmd":"like","n":3}', 9) == [Command(7, "like", {"n": 3})]
    assert decode(b'[{"cmd":"like"},{"id":0,"cmd":"ack","to":1}]', 9) == [
        Command(None, "like", {}),
        Command(0, "ack", {"to": 1}),
    ]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"hello",
        b"\xff\xfe",
        b"null",
        b"7",
        b'"like"',
        b"[]",
        b"[[]]",
        b"[1]",
        b"{}",
        b'{"cmd":7}',
        b'{"cmd":""}',
        b'{"cmd":"' + b"x" * 65 + b'"}',
        b'{"cmd":"like","id":"7"}',
        b'{"cmd":"like","id":true}',
        b'{"cmd":"like","id":-1}',
        b'{"cmd":"like","id":1.5}',
        b'{"cmd":"like","id":9007199254740992}',
        b'{"cmd":"like","n":NaN}',
        b'{"cmd":"\\ud800"}',
    ],
)
def test_what_is_no_frame_of_commands_is_refused(data: bytes) -> None:
    with pytest.raises(BadFrame):
        decode(data, 9)


def test_a_frame_holds_at_most_so_many_commands() -> None:
    assert len(decode(orjson.dumps([{"cmd": "like"}] * 9), 9)) == 9
    with pytest.raises(BadFrame):
        decode(orjson.dumps([{"cmd": "like"}] * 10), 9)


@given(st.binary(max_size=200) | JSON.map(orjson.dumps) | st.lists(JSON).map(orjson.dumps))
def test_any_bytes_give_commands_or_a_bad_frame_and_nothing_else(data: bytes) -> None:
    try:
        commands = decode(data, 5)
    except BadFrame:
        return
    assert 1 <= len(commands) <= 5
    assert all(type(c.name) is str and (c.id is None or c.id >= 0) and type(c.args) is dict for c in commands)


def test_answers_carry_the_id_and_the_fields_or_the_error() -> None:
    assert orjson.loads(message.answer(7, {"hold": "h"})) == {"re": 7, "ok": True, "hold": "h"}
    error = CommandRefused("sold_out", "all gone", retry_ms=250, left=0)
    assert orjson.loads(message.refusal(8, error)) == {
        "re": 8,
        "error": {"code": "sold_out", "message": "all gone", "retry_ms": 250, "left": 0},
    }


@pytest.mark.parametrize(
    ("target", "authorization", "expected"),
    [
        ("/ws/r1?token=t", None, JoinRequest("r1", "t", None)),
        ("/ws/r1?since=e-1:42&token=t", None, JoinRequest("r1", "t", ("e-1", 42))),
        ("/ws/r1?token=a%2Bb%3D&since=e%3A1", None, JoinRequest("r1", "a+b=", ("e", 1))),
        ("/ws/r1", "Bearer abc", JoinRequest("r1", "abc", None)),
        ("/ws/r1", "bearer  abc", JoinRequest("r1", "abc", None)),
        ("/ws/r1?token=t", "Bearer abc", JoinRequest("r1", "t", None)),
        ("/ws/r1", "Basic abc", JoinRequest("r1", "", None)),
        ("/ws/", None, JoinRequest("", "", None)),
        ("/ws/a/b", None, JoinRequest("", "", None)),
        ("/ws/a%2Fb", None, JoinRequest("", "", None)),
        ("/other/r1", None, JoinRequest("", "", None)),
        ("/ws/" + "x" * 65, None, JoinRequest("", "", None)),
        ("/ws/r1?token=" + "x" * 5000, None, JoinRequest("r1", "", None)),
        ("/ws/r1?since=1", None, JoinRequest("r1", "", None)),
        ("/ws/r1?since=e:x", None, JoinRequest("r1", "", None)),
        ("/ws/r1?since=e:-1", None, JoinRequest("r1", "", None)),
        ("/ws/r1?since=e:%D9%A3", None, JoinRequest("r1", "", None)),
        ("/ws/r1?since=e:" + "9" * 5000, None, JoinRequest("r1", "", None)),
    ],
)
def test_the_address_says_room_token_and_where_to_resume(
    target: str, authorization: str | None, expected: JoinRequest
) -> None:
    assert parse_join(target, authorization) == expected


@given(st.text(max_size=80), st.none() | st.text(max_size=20))
def test_any_address_is_read_without_an_error(target: str, authorization: str | None) -> None:
    request = parse_join(target, authorization)
    assert "/" not in request.room
