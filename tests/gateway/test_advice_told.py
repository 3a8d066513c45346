"""Advisors are told of questions and askers of answers, by the channels that a shop has, as they want it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.gateway import wecom_stand_in as wecom
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

    async def join_wecom(self, *, app_url: str = "", **members: str) -> None:
        """The shop's application at WeCom tells these advisors, by their userids there."""
        account = {"corpid": wecom.CORPID, "agentid": wecom.AGENT, "secret": wecom.AGENT_SECRET}
        await self.town.done("PUT", "/channels/wecomapp", account)
        await self.town.done("PUT", "/advice-notice", {**NOTICE, "template": "", "by_app": True, "app_url": app_url})
        rows = {row["name"]: row for row in (await self.town.done("GET", "/advisors"))["advisors"]}
        for name, user in members.items():
            self.town.wecom.members[user.lower()] = True
            await self.town.done("PUT", f"/advisors/{rows[name]['staff']}", {"wecom_user": user})

    def cards(self) -> list[tuple[str, str]]:
        """Userid and kind of every message of the application so far."""
        return [(one["touser"], one["msgtype"]) for one in self.town.wecom.cards]

    async def journal(self) -> list[tuple[str, str]]:
        """State and cause of the application's messages, oldest first."""
        items = (await self.town.done("GET", "/messages"))["items"]
        return [(one["state"], one["why"]) for one in reversed(items) if one["channel"] == "wecomapp"]

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


async def test_the_shops_application_at_wecom_tells_its_members_with_a_card_that_leads_to_the_question(
    town: Town,
) -> None:
    bureau = Bureau(town)
    await bureau.open()
    await bureau.join_wecom(app_url="https://shop.example/merchant", ann="Ann.W", bea="bea")
    question = await bureau.ask("几度水？" + "烫" * 300)
    assert bureau.cards() == [("Ann.W", "textcard")] and bureau.told() == []
    card = town.wecom.cards[0]["textcard"]
    assert card["url"] == "https://shop.example/merchant" and card["description"].startswith("几度水？烫")
    # What the customer wrote stands in the question alone.
    [row] = (await town.done("GET", "/messages"))["items"]
    assert row["person"] == "" and row["body"] == {"staff": row["body"]["staff"], "question": question["question"]}
    await bureau.look(11)
    assert bureau.cards() == [("Ann.W", "textcard"), ("bea", "textcard")]
    how = await town.done("GET", "/advice-notice")
    assert how["by_app"] and how["app"] == {"corpid": wecom.CORPID, "agentid": wecom.AGENT}
    await town.done("PUT", "/me/advisor", {"told": False}, token=bureau.tokens["ann"])
    assert await town.done("GET", "/me/advisor", token=bureau.tokens["ann"]) == {"advisor": True, "told": False}
    await bureau.ask("another?")
    assert bureau.cards()[2:] == []


async def test_an_application_whose_token_lapsed_fetches_one_once_and_waits_out_a_limit(town: Town) -> None:
    bureau = Bureau(town)
    await bureau.open()
    await bureau.join_wecom(ann="ann", bea="bea")
    await bureau.ask("one?")
    town.wecom.lapse()
    town.wecom.asked.clear()
    await bureau.ask("two?")
    send, token = "/cgi-bin/message/send", "/cgi-bin/gettoken"
    assert town.wecom.asked == [send, token, send]
    assert bureau.cards() == [("ann", "text"), ("bea", "text")]
    town.wecom.errors = [45009]
    await bureau.ask("three?")
    assert (await bureau.journal())[2] == ("waiting", "rate: WeCom's limit for this corporation is reached")
    town.live.clock.ahead_ms += 61_000
    await town.work()
    assert await bureau.journal() == [("sent", "")] * 3


@pytest.mark.parametrize("names_only", [False, True])
async def test_a_userid_that_wecom_does_not_know_ends_the_message_and_the_question_goes_on_all_the_same(
    town: Town, *, names_only: bool
) -> None:
    bureau = Bureau(town)
    await bureau.open()
    await bureau.join_wecom(ann="Gone", bea="bea")
    del town.wecom.members["gone"]
    town.wecom.names_only = names_only
    question = (await bureau.ask())["question"]
    [(state, why)] = await bureau.journal()
    assert state == "failed" and why.startswith("no_member")
    assert await bureau.whose(question) == "ann"
    await bureau.look(11)
    assert await bureau.whose(question) == "bea" and bureau.cards() == [("bea", "text")]


async def test_a_message_that_waited_says_nothing_of_a_question_that_went_on_or_was_seen(town: Town) -> None:
    bureau = Bureau(town)
    await bureau.open()
    await bureau.join_wecom(ann="ann", bea="bea")
    town.wecom.errors = [45009, 45009]
    question = (await bureau.ask("gone on?"))["question"]
    seen = (await bureau.ask("seen?"))["question"]
    await town.done("POST", f"/questions/{seen}/open", token=bureau.tokens["bea"])
    await town.done("POST", f"/questions/{question}/pass", token=bureau.tokens["ann"])
    town.live.clock.ahead_ms += 61_000
    await town.work()
    assert (await bureau.journal())[:2] == [("dropped", "gone_on"), ("dropped", "seen")]
    assert bureau.cards() == [("bea", "text")]


async def test_no_member_is_told_at_night_and_another_shop_reads_no_account(town: Town) -> None:
    bureau = Bureau(town)
    await bureau.open()
    await bureau.join_wecom(ann="ann", bea="bea")
    other = town.live.other.merchant_token
    await town.done("GET", "/channels/wecomapp", token=other, status=404)
    assert "secret" not in (await town.done("GET", "/channels/wecomapp"))["settings"]
    town.live.clock.ahead_ms += 11 * HOUR_MS
    await bureau.ask()
    assert bureau.cards() == [] and await bureau.journal() == []


async def test_bad_accounts_of_an_application_are_refused_with_what_is_wrong(town: Town) -> None:
    account = {"corpid": wecom.CORPID, "agentid": wecom.AGENT, "secret": wecom.AGENT_SECRET}
    for wrong in ({"agentid": 0}, {"agentid": "7"}, {"secret": ""}):
        await town.done("PUT", "/channels/wecomapp", {**account, **wrong}, status=400)
    for url in ("http://shop.example", "javascript:alert(1)"):
        await town.done("PUT", "/advice-notice", {**NOTICE, "by_app": True, "app_url": url}, status=400)
