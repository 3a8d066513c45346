"""The attribution rule: who wins under each model, and that every other candidate is told why."""

import random
from collections.abc import Sequence

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from commerce.attribution.decision import (
    DAY_MS,
    FOREVER,
    PROTECTED_FOREVER,
    UNPROTECTED,
    WINDOW_MS,
    Binding,
    Decision,
    Model,
    Reason,
    TouchCandidate,
    decide,
)

NOW = 1_790_000_000_000
BUYER = "buyer"


def touch(name: str, ago_ms: int, issuer: str = "guide", problem: str | None = None) -> TouchCandidate:
    return TouchCandidate(name, NOW - ago_ms, f"link-{name}", issuer, "guide", "wechat", problem=problem)


def bound(
    name: str, ago_days: int, *, valid: int = FOREVER, protected: int = UNPROTECTED, issuer: str = "old"
) -> Binding:
    return Binding(name, NOW - ago_days * DAY_MS, issuer, "guide", valid, protected)


def judge(
    touches: Sequence[TouchCandidate] = (), bindings: Sequence[Binding] = (), model: Model = Model.DEFAULT
) -> Decision:
    return decide(touches, bindings, buyer=BUYER, now_ms=NOW, model=model)


def winner(decision: Decision) -> str | None:
    return decision.winner.id if decision.winner else None


def reasons(decision: Decision) -> dict[str, Reason]:
    return {loser.credit.id: loser.reason for loser in decision.losers}


def test_nobody_wins_when_nobody_came() -> None:
    decision = judge()
    assert (decision.winner, decision.losers, decision.rule) == (None, (), "no valid candidate")


def test_the_last_valid_touch_in_the_window_wins() -> None:
    decision = judge(
        [touch("a", 3 * DAY_MS), touch("b", DAY_MS), touch("c", 8 * DAY_MS), touch("d", 1, problem="expired")]
    )
    assert winner(decision) == "b"
    assert reasons(decision) == {
        "a": Reason.LATER_TOUCH_WON,
        "c": Reason.OUTSIDE_WINDOW,
        "d": Reason.BAD_LINK,
    }
    assert decision.rule == "last valid touch within 7 days"


def test_a_touch_exactly_as_old_as_the_window_still_counts() -> None:
    assert winner(judge([touch("a", WINDOW_MS)])) == "a"
    assert winner(judge([touch("a", WINDOW_MS + 1)])) is None


def test_a_touch_after_the_order_changes_nothing() -> None:
    decision = judge([touch("a", 5), touch("later", -1)])
    assert winner(decision) == "a"
    assert reasons(decision) == {"later": Reason.AFTER_ORDER}


def test_a_protected_binding_beats_every_touch() -> None:
    decision = judge([touch("a", 1)], [bound("b", 3, protected=30)])
    assert winner(decision) == "b"
    assert reasons(decision) == {"a": Reason.BINDING_PROTECTED}


def test_past_its_protection_a_binding_yields_to_a_touch_and_survives_without_one() -> None:
    old = bound("b", 31, protected=30)
    decision = judge([touch("a", 1)], [old])
    assert winner(decision) == "a"
    assert reasons(decision) == {"b": Reason.TOUCH_WON}
    alone = judge([touch("a", 9 * DAY_MS)], [old])
    assert winner(alone) == "b"
    assert "surviving binding" in alone.rule


def test_protection_may_be_for_ever_or_never() -> None:
    assert winner(judge([touch("a", 1)], [bound("b", 900, protected=PROTECTED_FOREVER)])) == "b"
    assert winner(judge([touch("a", 1)], [bound("b", 0, protected=UNPROTECTED)])) == "a"


def test_a_lapsed_binding_counts_for_nothing() -> None:
    decision = judge([], [bound("b", 10, valid=10, protected=PROTECTED_FOREVER)])
    assert winner(decision) is None
    assert reasons(decision) == {"b": Reason.BINDING_EXPIRED}


def test_the_newer_of_two_bindings_counts() -> None:
    decision = judge([], [bound("new", 1), bound("old", 9)])
    assert winner(decision) == "new"
    assert reasons(decision) == {"old": Reason.NEWER_BINDING}


def test_a_buyers_own_link_and_binding_win_nothing_unless_allowed() -> None:
    own = [touch("mine", 1, issuer=BUYER)]
    decision = judge(own, [bound("b", 1, issuer=BUYER)])
    assert winner(decision) is None
    assert set(reasons(decision).values()) == {Reason.SELF_REFERRAL}
    assert winner(decide(own, [], buyer=BUYER, now_ms=NOW, allow_self=True)) == "mine"


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (Model.DEFAULT, "last"),
        (Model.BINDING_FIRST, "binding"),
        (Model.LAST_TOUCH, "last"),
        (Model.FIRST_TOUCH, "first"),
    ],
)
def test_the_models_answer_differently_from_one_log(model: Model, expected: str) -> None:
    decision = judge([touch("first", 3), touch("middle", 2), touch("last", 1)], [bound("binding", 5)], model)
    assert winner(decision) == expected
    assert len(decision.losers) == 3


def test_the_stored_form_is_json_and_explains_itself() -> None:
    decision = judge([touch("a", 2, problem="forged"), touch("b", 1)])
    stored = orjson.loads(orjson.dumps(decision.to_json()))
    assert stored["winner"] == {
        "source": "touch",
        "touch": "b",
        "ms": NOW - 1,
        "link": "link-b",
        "issuer": "guide",
        "role": "guide",
        "channel": "wechat",
        "root": "link-b",
        "depth": 0,
    }
    assert stored["losers"][0]["why"] == "its link was not valid: forged"
    assert (stored["model"], stored["rule"]) == ("default", "last valid touch within 7 days")


touches = st.lists(
    st.builds(
        TouchCandidate,
        touch=st.sampled_from("abcdefgh"),
        ms=st.integers(NOW - 9 * DAY_MS, NOW + 5),
        link=st.sampled_from("LM"),
        issuer=st.sampled_from(["g1", "g2", BUYER]),
        role=st.just("guide"),
        problem=st.sampled_from([None, None, "expired"]),
    ),
    max_size=10,
)
bindings = st.lists(
    st.builds(
        Binding,
        binding=st.sampled_from("xyz"),
        bound_ms=st.integers(NOW - 40 * DAY_MS, NOW + 5),
        issuer=st.sampled_from(["g1", "g2", BUYER]),
        role=st.just("guide"),
        valid_days=st.sampled_from([FOREVER, 0, 10, 100]),
        protection_days=st.sampled_from([UNPROTECTED, PROTECTED_FOREVER, 5, 30]),
        problem=st.sampled_from([None, None, "disabled"]),
    ),
    max_size=4,
)
models = st.sampled_from(list(Model))


@given(touches, bindings, models, st.booleans(), st.randoms(use_true_random=False))
def test_the_order_and_repeats_of_the_input_do_not_matter(
    some: list[TouchCandidate], ties: list[Binding], model: Model, own: bool, dice: random.Random
) -> None:
    first = decide(some, ties, buyer=BUYER, now_ms=NOW, model=model, allow_self=own)
    shuffled, mixed = some * 2, ties * 2
    dice.shuffle(shuffled)
    dice.shuffle(mixed)
    assert decide(shuffled, mixed, buyer=BUYER, now_ms=NOW, model=model, allow_self=own) == first


@given(touches, bindings, models, st.booleans())
def test_every_candidate_is_the_winner_or_a_loser_with_a_reason_and_never_both(
    some: list[TouchCandidate], ties: list[Binding], model: Model, own: bool
) -> None:
    decision = decide(some, ties, buyer=BUYER, now_ms=NOW, model=model, allow_self=own)
    lost = [(loser.credit.source, loser.credit.id) for loser in decision.losers]
    won = [(decision.winner.source, decision.winner.id)] if decision.winner else []
    everyone = {("touch", one.touch) for one in some} | {("binding", one.binding) for one in ties}
    assert sorted(lost + won) == sorted(everyone)
    assert all(loser.why for loser in decision.losers)


@given(touches, bindings, models)
def test_a_winner_is_always_valid(some: list[TouchCandidate], ties: list[Binding], model: Model) -> None:
    decision = judge(some, ties, model)
    if decision.winner is None:
        return
    assert decision.winner.issuer != BUYER
    assert decision.winner.ms <= NOW
    if decision.winner.source == "touch":
        assert decision.winner.ms >= NOW - WINDOW_MS


@given(touches, bindings)
def test_somebody_wins_by_default_whenever_a_touch_or_a_binding_would(
    some: list[TouchCandidate], ties: list[Binding]
) -> None:
    others = [judge(some, ties, model).winner for model in (Model.BINDING_FIRST, Model.LAST_TOUCH, Model.FIRST_TOUCH)]
    assert (judge(some, ties).winner is not None) == any(others)
