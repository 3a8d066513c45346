"""Advice: who answers and why, questions that are handed on in time, answers whose products carry a token."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commerce.advice import Advice
from commerce.advice_sql import OPEN_MAX, WAIT_MS
from commerce.attribution.bindings_sql import Claim
from commerce.domain.advisor import Advisor, Hours, hours_fault, match, on_duty
from commerce.domain.day import DAY_MS, OFFSET_MS
from commerce.domain.org import Reach
from commerce.errors import CommerceError, Invalid, NotFound, Refused
from tests.commerce.people_kit import Shop as Kit
from tests.commerce.people_kit import newcomer, open_shop

MONDAY_MS = 4 * DAY_MS - OFFSET_MS  # 1970-01-05 in Shanghai
MORNING = Hours(0, 9 * 60, 12 * 60)


def at(hour: int, minute: int = 0, *, day: int = 0) -> int:
    """A moment of the week that began on 1970-01-05, on the shop's clock."""
    return MONDAY_MS + day * DAY_MS + (hour * 60 + minute) * 60_000


def advisor(staff: str, *skills: str, hours: tuple[Hours, ...] = (), most: int = 5, load: int = 0) -> Advisor:
    return Advisor(staff, frozenset(skills), hours, most, load)


@pytest.mark.parametrize(
    ("now_ms", "there"),
    [
        (at(8, 59), False),
        (at(9), True),
        (at(11, 59), True),
        (at(12), False),
        (at(10, day=1), False),
        (at(10, day=7), True),
    ],
)
def test_an_advisor_is_on_duty_within_their_hours_of_the_shops_week(now_ms: int, there: bool) -> None:
    assert on_duty(advisor("a", hours=(MORNING,)), now_ms) is there
    assert on_duty(advisor("always"), now_ms)


def test_the_customers_own_advisor_comes_first_whatever_the_subject_while_on_duty_and_free() -> None:
    own, skilled = advisor("own", "选茶", load=4), advisor("skilled", "冲泡")
    choice = match([skilled, own], "冲泡", 0, own="own")
    assert [(one.staff, one.word) for one in choice.verdicts] == [("own", "chosen_own"), ("skilled", "busier")]
    full = match([skilled, advisor("own", load=5)], "冲泡", 0, own="own")
    assert [(one.staff, one.word) for one in full.verdicts] == [("skilled", "chosen"), ("own", "full")]
    away = match([skilled, advisor("own", hours=(MORNING,))], "冲泡", at(13), own="own")
    assert (away.staff, away.verdicts[1].word) == ("skilled", "off_duty")


def test_of_those_who_can_the_least_loaded_answers_and_everybody_gets_a_word() -> None:
    there = [
        advisor("half", "冲泡", most=4, load=2),
        advisor("third", "冲泡", most=3, load=1),
        advisor("full", "冲泡", most=1, load=1),
        advisor("other", "选茶"),
        advisor("tried", "冲泡"),
    ]
    choice = match(there, "冲泡", 0, tried=["tried"])
    assert {one.staff: one.word for one in choice.verdicts} == {
        "third": "chosen",
        "half": "busier",
        "full": "full",
        "other": "no_skill",
        "tried": "tried",
    }
    assert match(there, "", 0).staff in {"other", "tried"}  # no skill asked for: nobody lacks it
    assert match([], "冲泡", 0).staff is None


@given(
    st.lists(
        st.builds(
            Advisor,
            st.sampled_from("abcdef"),
            st.frozensets(st.sampled_from(["x", "y"])),
            st.just(()),
            st.integers(1, 3),
            st.integers(0, 3),
            st.integers(0, 2),
        ),
        unique_by=lambda one: one.staff,
    ),
    st.sampled_from(["", "x", "y"]),
    st.sampled_from([None, "a"]),
    st.sets(st.sampled_from("abcdef")),
)
def test_whoever_is_chosen_may_answer_and_nobody_is_left_without_a_word(
    there: list[Advisor], skill: str, own: str | None, tried: set[str]
) -> None:
    choice = match(there, skill, 0, own=own, tried=tried)
    assert sorted(one.staff for one in choice.verdicts) == sorted(one.staff for one in there)
    able = {
        one.staff
        for one in there
        if one.staff not in tried and one.load < one.most and (not skill or skill in one.skills or one.staff == own)
    }
    assert (choice.staff is None) == (not able) and (choice.staff is None or choice.staff in able)
    if own in able:
        assert choice.staff == own
    assert match(list(reversed(there)), skill, 0, own=own, tried=tried) == choice


@pytest.mark.parametrize("span", [Hours(7, 0, 60), Hours(-1, 0, 60), Hours(0, 60, 60), Hours(0, 0, 1_441)])
def test_hours_that_cannot_be_are_said_to(span: Hours) -> None:
    assert hours_fault([span]) is not None and hours_fault([MORNING]) is None


class Desk:
    """A merchant's advice with two advisors and a customer."""

    def __init__(self, kit: Kit, one: str, two: str) -> None:
        self.kit = kit
        self.merchant = kit.mine.id
        self.one, self.two = one, two
        self.advice = Advice(kit.store, kit.attribution, clock=kit.clock)

    async def asked(self, person: str, body: str = "几度水？", skill: str = "冲泡") -> dict[str, Any]:
        return await self.advice.ask(self.merchant, person, body, skill, self.kit.room.id)

    async def now(self, question: str) -> dict[str, Any]:
        rows = await self.advice.page(self.merchant, "boss", None, "", None, 50)
        return next(row for row in rows if row["id"] == question)


@asynccontextmanager
async def desk(place: Path | str) -> AsyncIterator[Desk]:
    async with open_shop(place) as kit:
        one, two = [
            (await kit.catalogue.create_staff(kit.mine.id, name, "a long password", "guide", name)).id
            for name in ("advisor-1", "advisor-2")
        ]
        made = Desk(kit, one, two)
        for staff in (one, two):
            await made.advice.set_advisor(kit.mine.id, staff, ["冲泡"], [], 2, active=True)
        yield made


async def test_a_question_that_is_not_answered_in_time_goes_to_the_next_and_then_round_again(
    place: Path | str,
) -> None:
    async with desk(place) as world:
        person = await newcomer(world.kit, "customer")
        question = (await world.asked(person))["id"]
        first = (await world.now(question))["advisor"]
        assert first in {world.one, world.two} and await world.advice.hand_on() == 0
        world.kit.clock.advance(WAIT_MS)
        assert await world.advice.hand_on() == 1
        row = await world.now(question)
        assert row["advisor"] == ({world.one, world.two} - {first}).pop() and row["tried"] == [first]
        words = {one["staff"]: one["word"] for one in row["choice"]["verdicts"]}
        assert words[first] == "tried"
        world.kit.clock.advance(WAIT_MS)
        await world.advice.hand_on()
        assert (await world.now(question))["state"] == "waiting"  # both let it lie
        world.kit.clock.advance(WAIT_MS)
        await world.advice.hand_on()
        assert (await world.now(question))["state"] == "given"  # and may be asked again


async def test_an_answer_carries_the_advisors_token_and_stays_if_the_asker_lets_it(place: Path | str) -> None:
    async with desk(place) as world:
        kit, advice, merchant = world.kit, world.advice, world.merchant
        person, other = await newcomer(kit, "customer"), await newcomer(kit, "other")
        question = (await world.asked(person))["id"]
        whose = (await world.now(question))["advisor"]
        part = Reach("nowhere")
        stranger = ({world.one, world.two} - {whose}).pop()
        with pytest.raises(NotFound):
            await advice.answer(merchant, question, stranger, "guide", part, "80 度", [])
        with pytest.raises(NotFound):
            await advice.answer(merchant, question, whose, "guide", part, "80 度", [kit.other_product.sku])
        assert (await world.now(question))["answers"] == []  # nothing half done
        await advice.answer(merchant, question, whose, "guide", part, "80 度", [kit.product.sku])
        [mine] = await advice.mine(merchant, person)
        [reply] = mine["answers"]
        [goods] = reply["goods"]
        assert (mine["state"], reply["body"], goods["price"]) == ("answered", "80 度", kit.product.price)
        link = await kit.attribution.link(merchant, goods["token"])
        assert (link.link.issuer, link.link.sku, link.link.channel) == (whose, kit.product.sku, "advice")
        kit.clock.advance(WAIT_MS)
        assert await advice.hand_on() == 0
        with pytest.raises(NotFound):
            await advice.accept(merchant, question, other, public=True)
        assert await advice.public(merchant, "") == []
        await advice.accept(merchant, question, person, public=True)
        assert [row["body"] for row in await advice.public(merchant, "冲泡")] == ["几度水？"]
        assert await advice.public(merchant, "选茶") == await advice.public(kit.other.id, "") == []
        with pytest.raises(Refused):
            await advice.answer(merchant, question, whose, "guide", part, "再说", [])


async def test_a_guides_customer_asks_their_guide_and_one_with_an_advisor_named_asks_that_one(
    tmp_path: Path,
) -> None:
    async with desk(tmp_path) as world:
        kit, advice = world.kit, world.advice
        person = await newcomer(kit, "customer")
        kit.attribution.binder.claim(Claim(world.merchant, person, world.two, "guide", "", "", registered=False))
        await kit.attribution.binder.flushed(60)
        await advice.set_advisor(world.merchant, world.two, ["选茶"], [], 5, active=True)
        if await advice.own_of(world.merchant, person) is None:
            pytest.fail("the binding of a guide was not made")
        row = await world.asked(person)
        assert (row["advisor"], row["choice"]["verdicts"][0]["word"]) == (world.two, "chosen_own")
        await advice.set_own(world.merchant, person, world.one)
        assert (await world.asked(person))["advisor"] == world.one
        with pytest.raises(NotFound):
            await advice.set_own(world.merchant, person, "nobody")
        await advice.set_own(world.merchant, person, None)
        assert await advice.own_of(world.merchant, person) == world.two


async def test_who_asks_too_much_or_writes_nothing_is_told_so(tmp_path: Path) -> None:
    async with desk(tmp_path) as world:
        person = await newcomer(world.kit, "customer")
        for _ in range(OPEN_MAX):
            await world.asked(person)
        with pytest.raises(CommerceError) as refused:
            await world.asked(person)
        assert refused.value.code == "limit"
        with pytest.raises(Invalid):
            await world.asked(await newcomer(world.kit, "other"), " ")
        rows = await world.advice.advisors(world.merchant)
        assert sum(row["load"] for row in rows) == 4  # two each at most: the fifth waits
        with pytest.raises(NotFound):
            await world.advice.set_advisor(world.kit.other.id, world.one, [], [], 5, active=True)


async def test_the_advisor_hands_a_question_on_and_nobody_else_does(tmp_path: Path) -> None:
    async with desk(tmp_path) as world:
        row = await world.asked(await newcomer(world.kit, "customer"))
        other = ({world.one, world.two} - {row["advisor"]}).pop()
        with pytest.raises(NotFound):
            await world.advice.pass_on(world.merchant, row["id"], other)
        assert (await world.advice.pass_on(world.merchant, row["id"], row["advisor"]))["advisor"] == other
