"""The RTMP handshake."""

import hashlib
import hmac
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.errors import HandshakeError, LocalError
from stream.protocol.rtmp_handshake import ServerHandshake, find_digest
from tests.stream.rtmp_peer import C0C1, C2, ENTROPY, FFMPEG_PUBLISH

PLAYER_KEY = b"Genuine Adobe Flash Player 001"
SERVER_KEY = b"Genuine Adobe Flash Media Server 001"
LONG_SERVER_KEY = SERVER_KEY + bytes.fromhex("f0eec24a8068bee82e00d0d1029e7e576eec5d2d29806fab93b8e636cfeb31ae")


def place(part: bytes, schema: int) -> int:
    field = (772, 8)[schema]
    return sum(part[field : field + 4]) % 728 + field + 4


def digest(part: bytes, at: int, key: bytes) -> bytes:
    return hmac.new(key, part[:at] + part[at + 32 :], hashlib.sha256).digest()


def digested_c1(schema: int, noise: bytes = bytes(range(200, 8, -1)) * 8) -> bytes:
    c1 = b"\0\0\0\1" + bytes((9, 0, 124, 2)) + noise[:1528]
    at = place(c1, schema)
    return c1[:at] + digest(c1, at, PLAYER_KEY) + c1[at + 32 :]


def test_a_simple_handshake_is_answered_with_an_echo() -> None:
    handshake = ServerHandshake(ENTROPY)
    handshake.receive_data(C0C1)
    answer = handshake.data_to_send()
    assert len(answer) == 3073
    assert answer[0] == 3
    assert answer[5:9] == bytes(4)
    assert answer[1537:] == C0C1[1:]
    assert not handshake.finished
    handshake.receive_data(C2)
    assert handshake.finished
    assert handshake.data_to_send() == b""


@pytest.mark.parametrize("schema", [0, 1])
def test_a_digested_handshake_is_answered_digested_in_the_same_schema(schema: int) -> None:
    c1 = digested_c1(schema)
    handshake = ServerHandshake(ENTROPY)
    handshake.receive_data(b"\x03" + c1)
    answer = handshake.data_to_send()
    s1, s2 = answer[1:1537], answer[1537:]
    at = place(s1, schema)
    assert s1[at : at + 32] == digest(s1, at, SERVER_KEY)
    client = place(c1, schema)
    key = hmac.new(LONG_SERVER_KEY, c1[client : client + 32], hashlib.sha256).digest()
    assert s2[-32:] == hmac.new(key, s2[:-32], hashlib.sha256).digest()
    assert handshake.digested


def test_a_digest_with_one_bit_wrong_is_a_simple_handshake() -> None:
    c1 = bytearray(digested_c1(1))
    c1[place(bytes(c1), 1)] ^= 1
    assert find_digest(bytes(c1)) is None


def test_ffmpegs_digest_is_found() -> None:
    assert find_digest(FFMPEG_PUBLISH[1:1537]) is not None


@given(st.lists(st.integers(0, 3200), max_size=8))
def test_any_split_gives_the_same_answer_and_trailing_bytes(cuts: list[int]) -> None:
    data = C0C1 + C2 + b"first chunks"
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    handshake = ServerHandshake(ENTROPY)
    trailing = b""
    for start, end in itertools.pairwise(edges):
        if handshake.finished:
            trailing += data[start:end]
        else:
            handshake.receive_data(data[start:end])
            trailing = handshake.trailing
    whole = ServerHandshake(ENTROPY)
    whole.receive_data(data)
    assert whole.data_to_send() == handshake.data_to_send()
    assert whole.trailing == trailing == b"first chunks"


def test_a_c2_of_noise_is_tolerated() -> None:
    handshake = ServerHandshake(ENTROPY)
    handshake.receive_data(C0C1 + b"\xee" * 1536)
    assert handshake.finished


@pytest.mark.parametrize("first", [b"\x06", b"GET / HTTP/1.1\r\n", b"\x16\x03\x01", b"\x00"])
def test_another_protocol_is_refused_at_its_first_byte(first: bytes) -> None:
    with pytest.raises(HandshakeError, match=f"0x{first[0]:02x}"):
        ServerHandshake(ENTROPY).receive_data(first)


def test_too_little_entropy_is_our_fault() -> None:
    with pytest.raises(LocalError):
        ServerHandshake(b"x")
