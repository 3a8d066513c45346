"""The client's address and token, behind proxies and without."""

from __future__ import annotations

import pytest

from gateway.client import Clients, bearer_token
from gateway.config import Settings

PROXY = Settings(forwarded_allow_ips=("10.0.0.0/8",))


def forwarded(*values: str) -> list[tuple[bytes, bytes]]:
    return [(b"x-forwarded-for", value.encode()) for value in values]


def test_a_stranger_cannot_name_its_own_address() -> None:
    assert Clients(PROXY).address("203.0.113.9", forwarded("1.2.3.4")) == "203.0.113.9"


@pytest.mark.parametrize(
    ("headers", "address"),
    [
        (forwarded("198.51.100.7"), "198.51.100.7"),
        (forwarded("6.6.6.6, 198.51.100.7"), "198.51.100.7"),
        (forwarded("6.6.6.6, 198.51.100.7, 10.2.0.1"), "198.51.100.7"),
        (forwarded("198.51.100.7", "10.2.0.1"), "198.51.100.7"),
        (forwarded("nonsense"), "10.0.0.1"),
        (forwarded("2001:db8::1"), "2001:db8::1"),
        ([], "10.0.0.1"),
    ],
)
def test_a_trusted_proxy_names_the_nearest_stranger(headers: list[tuple[bytes, bytes]], address: str) -> None:
    assert Clients(PROXY).address("10.0.0.1", headers) == address


def test_loopback_and_trusted_proxies_are_exempt_from_the_bound() -> None:
    clients = Clients(PROXY)
    assert clients.exempt("127.0.0.1") and clients.exempt("10.9.9.9") and not clients.exempt("203.0.113.9")
    assert not Clients(Settings(loopback_exempt=False)).exempt("127.0.0.1")


@pytest.mark.parametrize(
    ("peer", "said", "scheme"),
    [
        ("10.0.0.1", b"https", "https"),
        ("10.0.0.1", b"HTTPS ", "https"),
        ("10.0.0.1", b"javascript", "http"),
        ("10.0.0.1", None, "http"),
        ("203.0.113.9", b"https", "http"),
    ],
)
def test_a_trusted_proxy_says_how_the_client_came(peer: str, said: bytes | None, scheme: str) -> None:
    headers = [] if said is None else [(b"x-forwarded-proto", said)]
    assert Clients(PROXY).scheme(peer, headers, "http") == scheme


def test_the_header_goes_before_the_query() -> None:
    assert bearer_token([(b"authorization", b"Bearer abc")], b"token=xyz") == "abc"
    assert bearer_token([(b"authorization", b"Basic abc")], b"token=xyz") == "xyz"
    assert bearer_token([], b"a=1") == ""


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("127.0.0.1", ""),
        ("10.9.9.9", ""),
        ("nonsense", ""),
    ],
)
def test_lines_are_counted_by_address_and_by_the_network_of_one_subscriber(address: str, network: str) -> None:
    assert Clients(PROXY).network(address) == network
