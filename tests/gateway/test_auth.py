"""Tokens: what opens a door, and what does not."""

from __future__ import annotations

from typing import Any

import jwt
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gateway.auth import AUDIENCE, Claims, TokenError, Tokens

KEY = bytes(range(32))
NOW_MS = 1_800_000_000_000
CLOCKLESS: Any = {"verify_exp": False, "verify_iat": False}


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


PRINTABLE = st.text(st.characters(codec="utf-8").filter(str.isprintable), max_size=20)


@given(PRINTABLE, PRINTABLE, st.booleans(), st.one_of(st.none(), st.text(max_size=8)))
def test_a_token_of_ours_reads_as_any_library_reads_it(person: str, name: str, known: bool, scene: str | None) -> None:
    token, _ = tokens().mint(person=person, name=name, role="viewer", merchant="m", room=None, known=known, scene=scene)
    body = jwt.decode(token, KEY, algorithms=["HS256"], audience=AUDIENCE, options=CLOCKLESS)
    claims = tokens().read(token)
    assert (claims.person, claims.name, claims.known) == (body["sub"], body["nam"], known)
    assert claims.expires_ms == body["exp"] * 1000


def test_a_token_that_another_library_has_signed_with_our_key_is_good() -> None:
    body = {"aud": AUDIENCE, "sub": "p", "nam": "n", "rol": "viewer", "mer": "m", "iat": 1, "exp": NOW_MS // 1000 + 5}
    token = jwt.encode(body, KEY, algorithm="HS256", headers={"kid": "7"})
    assert tokens().read(token).person == "p"


def test_a_play_token_opens_no_hub() -> None:
    token = tokens().mint_play(token="t1", merchant="m1", room="r1", expires_ms=NOW_MS + 60_000)
    assert tokens().read_play(token).token == "t1"
    with pytest.raises(TokenError):
        tokens().read(token)
