"""A debtor is told where they are: in the rooms of the shop, and by WeChat where they granted a message."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from pathlib import Path
from typing import Any

import orjson
import pytest

from commerce.domain.day import DAY_MS
from gateway.hub_contract import EVENTS
from tests.gateway.test_hub_contract import conforms
from tests.gateway.test_outreach import HOUR_MS, Town, town

__all__ = ["town"]
NOTICE = {
    "channel": "subscribe", "due_template": "T_DUE", "overdue_template": "T_LATE", "page": "my/wallet/wallet",
    "fields": {"amount1": "amount", "date2": "due"},
}  # fmt: skip


class Debtor:
    """A customer with an openid who owes 100 yuan that were due a moment ago, or will be."""

    def __init__(self, town: Town) -> None:
        self.town = town

    async def owes(self) -> None:
        town, room = self.town, self.town.live.shop.room
        self.who = await town.customer()
        self.path = f"/credit/{self.who['person']}"
        made = {"title": "大米", "price": 10_000, "stock": 5}
        sku = (await town.done("POST", f"/rooms/{room}/products", made, status=201))["sku"]
        await town.done("PUT", "/policy", {"credit_sale": True})
        await town.done("PUT", self.path, {"most": 15_000, "days": 2, "name": "思语餐饮"})
        basket = {"room": room, "lines": [{"sku": sku, "quantity": 1}], "coupons": []}
        made = await town.done("POST", "/orders", basket, token=self.who["token"], key="o", status=201)
        self.order = made["order"]["order"]
        way = {"provider": "account"}
        await town.done("POST", f"/orders/{self.order}/pay", way, token=self.who["token"], key="p")

    async def grants(self, *templates: str) -> None:
        """Agree to one message of each, as the mini-program asks."""
        body = {"templates": list(templates)}
        await self.town.done("POST", "/me/message-grants", body, token=self.who["token"])
        for template in templates:
            self.town.wechat.grants["open-0", template] = 1

    async def waits(self, ms: int) -> None:
        self.town.live.clock.ahead_ms += ms
        await self.town.live.application.services.shop.sweep(now=True)
        await self.town.work()

    async def asked(self, key: str = "ask", note: str = "安小姐，请还款") -> None:
        await self.town.done("POST", f"{self.path}/reminders", {"note": note}, key=key, status=201)
        await self.town.work()

    async def boxes(self, shop: Path, count: int) -> dict[str, list[dict[str, Any]]]:
        """What waits for them by room, when that is ``count`` events about debts."""
        async with asyncio.timeout(60):
            while len(found := _written(shop)) < count:
                await asyncio.sleep(0.02)
        boxes: dict[str, list[dict[str, Any]]] = {}
        for box, body in found:
            boxes.setdefault(box.split("/")[0], []).append(orjson.loads(body))
        return boxes


def _written(shop: Path) -> list[tuple[str, str]]:
    with contextlib.closing(sqlite3.connect(shop)) as db:
        return db.execute("SELECT box, body FROM personal WHERE body LIKE '%debt%' ORDER BY box, seq").fetchall()


async def test_a_debtor_hears_of_the_day_and_of_the_delay_by_wechat_once_each(town: Town) -> None:
    debtor = Debtor(town)
    await town.done("PUT", "/credit-notice", NOTICE)
    await debtor.owes()
    await debtor.grants("T_DUE", "T_LATE")
    for ms in (DAY_MS, HOUR_MS, DAY_MS, HOUR_MS):
        await debtor.waits(ms)
    assert [one["template_id"] for one in town.wechat.messages] == ["T_DUE", "T_LATE"]
    said = town.wechat.messages[0]
    assert "'amount1': {'value': '100.00'}" in str(said["data"]) and said["page"] == NOTICE["page"]
    assert await town.states() == [("sent", ""), ("sent", "")]


async def test_a_consent_to_marketing_is_not_asked_for_but_a_grant_that_was_taken_back_is_none(town: Town) -> None:
    debtor = Debtor(town)
    await town.done("PUT", "/credit-notice", NOTICE)
    await debtor.owes()
    token = debtor.who["token"]
    await town.done("POST", "/me/consents", {"purpose": "marketing", "granted": False}, token=token)
    await debtor.grants("T_DUE")
    await debtor.waits(DAY_MS)
    await debtor.waits(DAY_MS + HOUR_MS)
    assert await town.states() == [("sent", ""), ("dropped", "no_grant")]
    assert [one["template_id"] for one in town.wechat.messages] == ["T_DUE"]


async def test_who_is_asked_hears_it_in_whichever_room_they_are_and_reads_the_words_in_their_account(
    town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    debtor = Debtor(town)
    await debtor.owes()
    other = (await town.done("POST", "/rooms", {"title": "第二间"}, status=201))["id"]
    hub = town.live.application.services.hub
    monkeypatch.setattr(hub, "is_present", lambda room, person: room == other and person == debtor.who["person"])
    await debtor.waits(2 * DAY_MS + HOUR_MS)
    await debtor.asked()
    boxes = await debtor.boxes(tmp_path / "data" / "shop.db", 4)
    assert {room: [one["why"] for one in events] for room, events in boxes.items()} == {
        town.live.shop.room: ["overdue", "reminded"], other: ["overdue", "reminded"]
    }  # fmt: skip
    for event in boxes[other]:
        conforms({**event, "a": 1}, EVENTS["debt"])
    assert boxes[other][0]["debt"]["order"] == debtor.order and boxes[other][1]["debt"]["amount"] == 10_000
    assert "安小姐" not in str(boxes)
    mine = await town.done("GET", debtor.path)
    assert mine["reminders"][0]["note"] == "安小姐，请还款"


async def test_another_shop_reads_and_changes_nothing_of_how_debtors_are_told(town: Town) -> None:
    assert (await town.done("GET", "/credit-notice"))["channel"] is None
    await town.done("PUT", "/credit-notice", NOTICE)
    other = town.live.other.merchant_token
    assert (await town.done("GET", "/credit-notice", token=other))["channel"] is None
    assert await town.done("GET", "/credit-notice") == NOTICE
    for wrong in ({"channel": "pigeon"}, {"fields": {"x": "note"}}, {"due_template": "模板"}, {"page": "p" * 129}):
        await town.done("PUT", "/credit-notice", {**NOTICE, **wrong}, status=400)
    await town.done("PUT", "/credit-notice", NOTICE, token=town.live.shop.host_token, status=403)
