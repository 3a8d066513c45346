"""Encryption of a run: the same bytes as pylibsrtp's own, in one piece."""

import os

import pylibsrtp
import pytest
from pylibsrtp import Policy, Session

from stream.protocol.rtp import rtp_packet
from stream.srtp import RUN_BYTES_MAX, SEGMENTS_MAX, protect_run

PROFILES = [
    (Policy.SRTP_PROFILE_AEAD_AES_128_GCM, 28, 16),
    (Policy.SRTP_PROFILE_AEAD_AES_256_GCM, 44, 16),
    (Policy.SRTP_PROFILE_AES128_CM_SHA1_80, 30, 10),
]


def make_session(key: bytes, profile: int = PROFILES[0][0], *, outbound: bool = True) -> Session:
    kind = Policy.SSRC_ANY_OUTBOUND if outbound else Policy.SSRC_ANY_INBOUND
    policy = Policy(key=key, ssrc_type=kind, srtp_profile=profile)
    policy.allow_repeat_tx = True
    return Session(policy)


def run(count: int, size: int = 1200) -> list[bytes]:
    return [rtp_packet(96, False, number, 0, 7, os.urandom(size)) for number in range(count)]


@pytest.mark.parametrize(("profile", "key_bytes", "tag_bytes"), PROFILES)
def test_a_run_is_the_packets_that_pylibsrtp_makes_one_behind_the_other(
    profile: int, key_bytes: int, tag_bytes: int
) -> None:
    key, packets = os.urandom(key_bytes), [*run(5), rtp_packet(96, True, 5, 0, 7, os.urandom(33))]
    one = make_session(key, profile)
    expected = b"".join(one.protect(packet) for packet in packets)
    data, size = protect_run(make_session(key, profile), packets)
    assert bytes(data) == expected
    assert size == 12 + 1200 + tag_bytes
    peer = make_session(key, profile, outbound=False)
    assert [peer.unprotect(bytes(data[at : at + size])) for at in range(0, len(data), size)] == packets


def test_sessions_with_different_ciphers_take_turns_at_the_same_packets() -> None:
    packets = [*run(3), rtp_packet(96, True, 3, 0, 7, os.urandom(33))]
    keys = [(os.urandom(size), profile, tag) for profile, size, tag in PROFILES]
    for key, profile, tag in (*keys, *reversed(keys), *keys):
        data, size = protect_run(make_session(key, profile), packets)
        peer = make_session(key, profile, outbound=False)
        assert size == 12 + 1200 + tag
        assert [peer.unprotect(bytes(data[at : at + size])) for at in range(0, len(data), size)] == packets


def test_a_part_of_the_packets_can_be_encrypted() -> None:
    key, packets = os.urandom(28), run(4)
    one, peer = make_session(key), make_session(key, outbound=False)
    for start, end in ((0, 1), (1, 3), (3, 4)):
        data, size = protect_run(one, packets, start, end)
        assert [peer.unprotect(bytes(data[at : at + size])) for at in range(0, len(data), size)] == packets[start:end]


def test_a_packet_that_libsrtp_refuses_is_an_error() -> None:
    with pytest.raises(pylibsrtp.Error):
        protect_run(make_session(os.urandom(28)), [b"\0"])


def test_more_than_a_datagram_is_refused() -> None:
    with pytest.raises(ValueError, match="fit"):
        protect_run(make_session(os.urandom(28)), run(RUN_BYTES_MAX // 1200))
    with pytest.raises(ValueError, match="fit"):
        protect_run(make_session(os.urandom(28)), run(SEGMENTS_MAX + 1, 100))
