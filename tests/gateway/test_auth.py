"""Tokens: what opens a door, and what does not."""

from __future__ import annotations

import jwt
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gateway.auth import AUDIENCE, Claims, TokenError, Tokens

KEY = bytes(range(32))
NOW_MS = 1_800_000_000_000


def tokens(now_ms: int = NOW_MS, key: bytes = KEY) -> Tokens:
    return Tokens(key, ttl_s=60, clock=lambda: now_ms)


def viewer_token() -> str:
    return tokens().mint(person="p1", name="小雨", role="viewer", merchant="m1", room="r1", scene="s1")[0]


def test_a_token_says_what_was_put_in() -> None:
    claims = tokens().read(viewer_token())
    assert claims == Claims("p1", "小雨", "viewer", "m1", "r1", NOW_MS + 60_000, "s1", issued_ms=NOW_MS)


def test_a_token_ends_at_its_second() -> None:
    token = viewer_token()
    assert tokens(NOW_MS + 59_999).read(token).person == "p1"
    with pytest.raises(TokenError) as caught:
        tokens(NOW_MS + 60_000).read(token)
    assert caught.value.expired


def test_a_token_of_another_server_is_refused() -> None:
    with pytest.raises(TokenError, match="not one of our"):
        tokens(key=bytes(32)).read(viewer_token())


@pytest.mark.parametrize("text", ["", "x", "a.b.c", "eyJhbGciOiJub25lIn0.e30.", "é" * 10, "x" * 100_000])
def test_text_that_is_no_token_is_refused(text: str) -> None:
    with pytest.raises(TokenError):
        tokens().read(text)


def test_an_unsigned_token_is_refused() -> None:
    body = {"aud": AUDIENCE, "sub": "p", "nam": "n", "rol": "merchant", "mer": "m", "exp": NOW_MS}
    forged = jwt.encode(body, key="", algorithm="none")
    with pytest.raises(TokenError):
        tokens().read(forged)


@given(st.integers(0, 10_000), st.sampled_from("AZaz09-_."))
def test_a_changed_letter_is_noticed(place: int, letter: str) -> None:
    token = viewer_token()
    # The last letter of base64url holds bits that do not count.
    place %= len(token) - 1
    assume(token[place] != letter)
    with pytest.raises(TokenError):
        tokens().read(token[:place] + letter + token[place + 1 :])


def test_a_viewer_stays_in_the_room_of_the_token() -> None:
    claims = tokens().read(viewer_token())
    assert claims.may_enter("r1", "m1")
    assert not claims.may_enter("r2", "m1")
    assert not claims.may_enter("r1", "m2")
    assert not claims.may_run("r1", "m1")


def test_a_merchant_runs_every_room_of_its_own_and_no_other() -> None:
    token, _ = tokens().mint(person="s", name="n", role="merchant", merchant="m1", room=None)
    claims = tokens().read(token)
    assert claims.may_run("r1", "m1") and claims.may_run("r2", "m1")
    assert not claims.may_run("r9", "m2")
