"""Rules of speaking."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.errors import CommandRefused
from chat.limits import RoomLimits
from chat.member import Member
from chat.moderation import ChatGate, JoinGate, TokenBucket, clean_text, mask_words

ANN = Member("ann", "Ann", "viewer", None, 0)
HOST = Member("host", "Host", "host", "m", 0)


def code_of(gate: ChatGate, member: Member, text: object, now_ms: int) -> str:
    with pytest.raises(CommandRefused) as caught:
        gate.decide(member, text, now_ms)
    return caught.value.code


@given(st.integers(1, 50), st.integers(1, 20), st.lists(st.integers(0, 500), max_size=200))
def test_a_bucket_never_gives_more_than_burst_plus_rate(rate: int, burst: int, steps: list[int]) -> None:
    bucket = TokenBucket(rate, burst, 0)
    now_ms = taken = 0
    for step in steps:
        now_ms += step
        taken += not bucket.take(now_ms)
        assert taken <= burst + now_ms * rate / 1000 + 1e-6


def test_a_bucket_says_when_to_come_back_and_keeps_its_word() -> None:
    bucket = TokenBucket(2, 1, 0)
    assert bucket.take(0) == 0
    wait_ms = bucket.take(0)
    assert wait_ms == 500
    assert bucket.take(wait_ms) == 0


def test_a_clock_set_back_neither_fills_nor_stops_a_bucket() -> None:
    bucket = TokenBucket(1, 1, 10_000)
    assert bucket.take(10_000) == 0
    assert bucket.take(2_000) > 0
    assert bucket.take(3_000) == 0


def test_joins_refused_at_once_are_told_to_come_at_different_times() -> None:
    gate = JoinGate(100, 10, 0)
    answers = [gate.take(0) for _ in range(110)]
    assert answers[:10] == [0] * 10
    refused = answers[10:]
    assert refused == sorted(refused)
    assert refused[-1] - refused[0] == pytest.approx(990, abs=20)
    assert all(JoinGate.RETRY_MS_MIN <= wait_ms <= JoinGate.RETRY_MS_MAX for wait_ms in refused)


@pytest.mark.parametrize(
    "text",
    ["", "   ", "x" * 501, 7, None, ["a"], "a\x00b", "a\nb", "bell\x07", "\u202eevil", "\u2066x", "line\u2028two"],
)
def test_a_line_that_is_empty_long_or_has_controls_is_refused(text: object) -> None:
    with pytest.raises(CommandRefused) as caught:
        clean_text(text, 500)
    assert caught.value.code == "invalid"


@pytest.mark.parametrize("text", ["hi", "x" * 500, "你好 👨‍👩‍👧", "naïve café", "a\u3000b"])
def test_a_line_of_any_script_passes(text: str) -> None:
    assert clean_text(f"  {text}\n", 500) == text


def test_words_of_a_list_are_masked_whatever_their_case() -> None:
    mask = mask_words(["spam", "spammer", "微商", "*"])
    assert mask("SPAM and Spammer sell 微商 *") == "**** and ******* sell ** *"
    assert mask_words([])("spam") == "spam"
    # Small letters that are longer than the capitals they come from move nothing.
    assert mask("İİ👨‍👩‍👧 Spam İ微商") == "İİ👨‍👩‍👧 **** İ**"


def test_a_filter_may_refuse_a_line() -> None:
    gate = ChatGate(RoomLimits(), 0, lambda text: None if "bad" in text else text.upper())
    assert gate.decide(ANN, "good", 0).text == "GOOD"
    assert code_of(gate, ANN, "bad", 0) == "refused"


def test_a_person_is_limited_and_told_when_to_speak_again() -> None:
    gate = ChatGate(dataclasses.replace(RoomLimits(), chat_person_per_s=1, chat_person_burst=2), 0)
    gate.decide(ANN, "1", 0)
    gate.decide(ANN, "2", 0)
    assert code_of(gate, ANN, "3", 0) == "rate"
    assert gate.decide(ANN, "4", 1_000).shown


def test_lines_above_the_rooms_cap_are_for_their_sender_only_and_staff_are_never_sampled() -> None:
    gate = ChatGate(dataclasses.replace(RoomLimits(), chat_per_s=3), 0)
    people = [Member(f"p{i}", "P", "viewer", None, 0) for i in range(5)]
    assert [gate.decide(person, "x", 0).shown for person in people] == [True, True, True, False, False]
    assert all(gate.decide(HOST, "x", 0).shown for _ in range(50))


def test_a_muted_person_is_silent_until_then_or_until_it_is_lifted() -> None:
    gate = ChatGate(RoomLimits(), 0)
    gate.mute("ann", 1_000)
    assert code_of(gate, ANN, "x", 999) == "muted"
    assert gate.decide(ANN, "x", 1_000).shown
    gate.mute("ann", 9_000)
    gate.mute("ann", 0)
    assert gate.decide(ANN, "x", 2_000).shown


def test_only_so_many_people_are_remembered() -> None:
    gate = ChatGate(
        dataclasses.replace(RoomLimits(), people_tracked=2, chat_person_burst=1, chat_person_per_s=0.001), 0
    )
    for person in ("a", "b", "c"):
        gate.decide(Member(person, "", "viewer", None, 0), "x", 0)
        gate.mute(f"m{person}", 10**9)
    assert gate.decide(Member("a", "", "viewer", None, 0), "x", 0).shown
    assert gate.muted_until_ms("ma", 0) == 0
    assert gate.muted_until_ms("mc", 0) == 10**9


def test_an_address_with_many_names_is_slowed_and_others_are_not() -> None:
    limits = dataclasses.replace(RoomLimits(), chat_address_per_s=1.0, chat_address_burst=3)
    gate = ChatGate(limits, 0)

    def say(person: str, network: str, now_ms: int = 0) -> int:
        try:
            gate.decide(Member(person, "", "viewer", None, 0), "x", now_ms, network)
        except CommandRefused as refused:
            assert refused.code == "rate" and refused.retry_ms is not None
            return refused.retry_ms
        return 0

    assert [say(f"p{number}", "192.0.2.1") for number in range(3)] == [0, 0, 0]
    assert say("p3", "192.0.2.1") == 1_000
    assert say("p4", "192.0.2.2") == 0 and say("p5", "") == 0
    assert say("p6", "192.0.2.1", 1_000) == 0
