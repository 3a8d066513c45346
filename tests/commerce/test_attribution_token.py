"""Link tokens: what is minted is read again, and nothing else is."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commerce.attribution.token import ALPHABET, TOKEN_CHARACTERS, TokenProblem, mint, new_link_id, parse

SECRET = b"sixteen bytes or more"
SCENE_CHARACTERS = set(string.ascii_letters + string.digits + "!#$&'()*+,/:;=?@-._~")

times = st.integers(0, (1 << 42) - 1)
entropies = st.integers(0, 1 << 64)
secrets = st.binary(min_size=16, max_size=64)


@given(times, entropies, secrets)
def test_a_minted_token_gives_its_link_again(now_ms: int, entropy: int, secret: bytes) -> None:
    link = new_link_id(now_ms, entropy)
    assert parse(mint(link, secret), secret).link == link


@given(times, entropies)
def test_a_token_fits_a_mini_program_scene(now_ms: int, entropy: int) -> None:
    token = mint(new_link_id(now_ms, entropy), SECRET)
    assert len(token) == TOKEN_CHARACTERS <= 22
    assert set(token) <= SCENE_CHARACTERS


@given(times, entropies, st.integers(1, TOKEN_CHARACTERS - 1), st.sampled_from(ALPHABET))
def test_a_token_with_one_character_changed_is_forged(now_ms: int, entropy: int, at: int, character: str) -> None:
    token = mint(new_link_id(now_ms, entropy), SECRET)
    changed = token[:at] + character + token[at + 1 :]
    if changed != token:
        assert parse(changed, SECRET).problem is TokenProblem.FORGED


@given(times, entropies, secrets, secrets)
def test_a_token_of_another_secret_is_forged(now_ms: int, entropy: int, ours: bytes, theirs: bytes) -> None:
    token = mint(new_link_id(now_ms, entropy), theirs)
    if ours != theirs and ours.rstrip(b"\0") != theirs.rstrip(b"\0"):  # HMAC pads a short key with zeros
        assert parse(token, ours).problem is TokenProblem.FORGED


@given(times, entropies, st.integers(0, TOKEN_CHARACTERS - 1))
def test_a_token_cut_short_is_truncated(now_ms: int, entropy: int, length: int) -> None:
    token = mint(new_link_id(now_ms, entropy), SECRET)[:length]
    assert parse(token, SECRET).problem is TokenProblem.TRUNCATED


@given(st.text(max_size=40))
def test_whatever_text_comes_it_gives_a_reason_and_never_raises(text: str) -> None:
    parsed = parse(text, SECRET)
    assert parsed.link is None
    assert parsed.problem is not None


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda token: "2" + token[1:], TokenProblem.FOREIGN_VERSION),
        (lambda token: token + "0", TokenProblem.TOO_LONG),
        (lambda token: token[:-1] + "-", TokenProblem.BAD_CHARACTERS),
        (lambda token: token[:-1] + "é", TokenProblem.BAD_CHARACTERS),
        (lambda token: " " + token, TokenProblem.BAD_CHARACTERS),
        (lambda token: "", TokenProblem.TRUNCATED),
    ],
)
def test_each_fault_has_its_reason(change: object, problem: TokenProblem) -> None:
    assert callable(change)
    assert parse(change(mint(new_link_id(1, 1), SECRET)), SECRET).problem is problem


@given(st.lists(st.tuples(times, st.integers(0, (1 << 22) - 1)), min_size=2, max_size=20))
def test_link_ids_sort_as_their_times(moments: list[tuple[int, int]]) -> None:
    assert [new_link_id(*one) for one in sorted(moments)] == sorted(new_link_id(*one) for one in moments)


def test_a_short_secret_and_a_malformed_id_are_our_own_faults() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        mint(new_link_id(1, 1), b"short")
    with pytest.raises(ValueError, match="base62"):
        mint("x", SECRET)
    with pytest.raises(ValueError, match="42 bits"):
        new_link_id(1 << 42, 0)


def test_a_token_stays_what_it_was_when_it_was_printed() -> None:
    assert mint("0Axd2IEEsnR", b"\x01" * 32) == "10Axd2IEEsnRUhe0xK"
