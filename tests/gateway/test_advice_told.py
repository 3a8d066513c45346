"""Advisors are told of questions and askers of answers, by the channels that a shop has, as they want it."""

from __future__ import annotations

from typing import Any

from tests.gateway.test_outreach import HOUR_MS, Town, town

__all__ = ["town"]
NOTICE = {"channel": "sms", "template": "SMS_ASKED", "answer_template": "SMS_ANSWERED", "fields": {"q": "question"}}


class Bureau:
    """A shop with two advisors, each with a number of their own, and a customer who asks."""

    def __init__(self, town: Town) -> None:
        self.town = town
        self.tokens: dict[str, str] = {}

    async def open(self, **notice: Any) -> None:
        await self.town.done("PUT", "/advice-notice", {**NOTICE, **notice})
        for n, name in enumerate(("ann", "bea")):
            await self.advisor(name, f"1380013800{n}")
        self.asker = await self.town.customer("13911112222")

    async def advisor(self, name: str, number: str) -> None:
        live = self.town.live
        staff = await live.application.services.catalogue.create_staff(
            live.shop.merchant, f"{name}-login", "a long password", "guide", name
        )
        self.tokens[name] = live.application.services.tokens.mint(
            person=staff.id, name=name, role="guide", merchant=live.shop.merchant, room=None
        )[0]
        person = (await self.town.customer(number, consents=False))["person"]
        await self.town.done("PUT", f"/advisors/{staff.id}", {"person": person})

    async def ask(self, body: str = "几度水？") -> dict[str, Any]:
        asked: dict[str, Any] = await self.town.done(
            "POST", "/questions", {"body": body}, token=self.asker["token"], status=201
        )
        await self.town.work()
        return asked

    def told(self) -> list[tuple[str, str]]:
        """Number and template of every text message so far."""
        return [(str(one["PhoneNumbers"]), str(one["TemplateCode"])) for one in self.town.sms.sent]

    async def look(self, minutes: int) -> None:
        """Time passes, and it is looked for what nobody opened."""
        self.town.live.clock.ahead_ms += minutes * 60_000
        await self.town.live.application.services.advice.hand_on()
        await self.town.work()

    async def whose(self, question: str) -> str:
        rows = (await self.town.done("GET", "/questions"))["items"]
        return next(str(one["advisor"]) for one in rows if one["question"] == question)


async def test_a_question_nobody_opens_goes_on_to_the_next_who_is_told_and_so_is_the_asker(town: Town) -> None:
    bureau = Bureau(town)
    await bureau.open(open_minutes=3)
    question = (await bureau.ask())["question"]
    assert bureau.told() == [("13800138000", "SMS_ASKED")]
    assert await bureau.whose(question) == "ann"
    await bureau.look(2)
    assert await bureau.whose(question) == "ann"
    await bureau.look(2)
    assert await bureau.whose(question) == "bea"
    assert bureau.told()[1:] == [("13800138001", "SMS_ASKED")]
    path = f"/questions/{question}"
    await town.done("POST", f"{path}/open", token=bureau.tokens["bea"])
    await bureau.look(8)
    assert await bureau.whose(question) == "bea"  # whoever opened it has ten minutes to answer
    await town.done("POST", f"{path}/answers", {"body": "80 度"}, token=bureau.tokens["bea"], status=201)
    await town.work()
    assert bureau.told()[2:] == [("13911112222", "SMS_ANSWERED")]


async def test_an_advisor_is_not_told_who_does_not_want_to_be_nor_more_often_than_agreed(town: Town) -> None:
    bureau = Bureau(town)
    await bureau.open(most_hour=1)
    await town.done("PUT", "/me/advisor", {"told": False}, token=bureau.tokens["ann"])
    for n in range(4):
        await bureau.ask(f"{n}?")
    assert bureau.told() == [("13800138001", "SMS_ASKED")]
    town.live.clock.ahead_ms += HOUR_MS + 1
    await bureau.ask("later?")
    await bureau.look(11)
    assert {number for number, _ in bureau.told()} == {"13800138001"}


async def test_at_night_an_advisor_without_hours_sleeps(town: Town) -> None:
    bureau = Bureau(town)
    await bureau.open()
    town.live.clock.ahead_ms += 11 * HOUR_MS
    await bureau.ask()
    assert bureau.told() == []


async def test_another_shop_reads_and_changes_nothing_of_it(town: Town) -> None:
    bureau = Bureau(town)
    await bureau.open()
    question = (await bureau.ask())["question"]
    other = town.live.other.merchant_token
    assert (await town.done("GET", "/advice-notice", token=other))["channel"] is None
    await town.done("POST", f"/questions/{question}/open", token=other, status=404)
    await town.done("POST", f"/questions/{question}/open", token=bureau.tokens["bea"], status=404)
    [row] = (await town.done("GET", "/questions"))["items"]
    assert row["opened"] is None
    await town.done("PUT", "/advice-notice", {**NOTICE, "channel": "pigeon"}, status=400)
