"""STUN: aioice's requests read, our answers read by aioice, garbage refused."""

import pytest
from aioice import stun as outside
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.errors import StunError
from stream.protocol.stun import binding_success, parse_binding_request, role_conflict


def check(
    password: str = "secret", *, controlled: bool = False, method: outside.Class = outside.Class.REQUEST
) -> bytes:
    message = outside.Message(outside.Method.BINDING, method, transaction_id=b"0123456789ab")
    message.attributes["USERNAME"] = "ours:theirs"
    message.attributes["PRIORITY"] = 1
    message.attributes["ICE-CONTROLLED" if controlled else "ICE-CONTROLLING"] = 5
    message.attributes["USE-CANDIDATE"] = None
    message.add_message_integrity(password.encode())
    return bytes(message)


def test_a_signed_check_is_read_and_its_signature_tells_a_wrong_password() -> None:
    request = parse_binding_request(check())
    assert request is not None
    assert (request.username, request.use_candidate, request.controlled) == ("ours:theirs", True, False)
    assert request.transaction == b"0123456789ab"
    assert request.authentic("secret")
    assert not request.authentic("another")


def test_a_peer_that_says_it_is_controlled_is_seen() -> None:
    request = parse_binding_request(check(controlled=True))
    assert request is not None
    assert request.controlled


@pytest.mark.parametrize(
    ("address", "told"), [("192.0.2.7", "192.0.2.7"), ("2001:db8::1", "2001:db8::1"), ("::ffff:192.0.2.7", "192.0.2.7")]
)
def test_aioice_reads_our_answer(address: str, told: str) -> None:
    answer = outside.parse_message(binding_success(b"0123456789ab", address, 4711, "secret"))
    assert answer.attributes["XOR-MAPPED-ADDRESS"] == (told, 4711)
    assert answer.check_message_integrity(b"secret")
    assert not answer.check_message_integrity(b"another")


def test_aioice_reads_a_role_conflict() -> None:
    answer = outside.parse_message(role_conflict(b"0123456789ab", "secret"))
    assert answer.error_code == 487


def test_other_messages_are_left_alone() -> None:
    assert parse_binding_request(check(method=outside.Class.INDICATION)) is None


SIGNED_BYTES = len(check()) - 8
"""The fingerprint behind the signature is not signed."""


@settings(max_examples=300, deadline=None)
@given(st.integers(0, SIGNED_BYTES - 1), st.integers(1, 255))
def test_a_changed_byte_is_never_taken_for_a_good_check(at: int, flip: int) -> None:
    data = bytearray(check())
    data[at] ^= flip
    try:
        request = parse_binding_request(bytes(data))
    except StunError:
        return
    assert request is None or not request.authentic("secret")


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_refused(body: bytes) -> None:
    body += bytes(-len(body) % 4)
    data = b"\0\1" + len(body).to_bytes(2, "big") + bytes.fromhex("2112a442") + bytes(12) + body
    for candidate in (body, data):
        try:
            assert parse_binding_request(candidate) is None
        except StunError:
            continue
