"""Somebody who did everything that a shop lets a customer do is erased: what names them is nowhere any more."""

from __future__ import annotations

import asyncio
import contextlib
import io
import logging
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.test_ban_devices import command
from tests.gateway.test_contacts import AES_KEY, TOKEN, sealed
from tests.gateway.test_outreach import Town
from tests.gateway.test_outreach import town as town
from tests.gateway.test_pos import STORE
from tests.gateway.wecom_stand_in import CORPID, SECRET

PHONE, OTHER_PHONE = "13987654321", "13712345679"
SAID = "暗号"
"""Stands in every word that the customer, or somebody about them, says."""
DEVICE = "device-of-hers-0123456789"
KEYS = ("open-0", "union-0", "external-of-hers", DEVICE, PHONE, OTHER_PHONE, "139****4321", "137****5679")
"""What they are known by elsewhere."""
DAY_MS = 86_400_000


class Life:
    """One customer, and all that they did with the shop."""

    def __init__(self, town: Town) -> None:
        self.town = town
        self.live = town.live
        self.room = town.live.shop.room
        self.person, self.token, self.orders = "", "", 0

    def said(self, what: str) -> str:
        """A word of theirs, which says where it came from."""
        return f"{SAID}{what}"

    async def boss(self, method: str, path: str, body: Any = None, status: int = 200, **more: Any) -> Any:
        return await self.town.done(method, path, body, status=status, **more)

    async def she(self, method: str, path: str, body: Any = None, status: int = 200, **more: Any) -> Any:
        return await self.town.done(method, path, body, status=status, token=self.token, **more)

    async def arrives(self) -> None:
        """By the mini-program, by a phone number, by a browser, and at WeCom: one person."""
        town = self.town
        town.wechat.logins["c"] = ("open-0", "union-0")
        town.wechat.phones["p"] = ("86", PHONE)
        body = {"room": self.room, "code": "c", "phone_code": "p", "name": self.said("名字")}
        entered = (await self.live.call("POST", "/auth/wechat", body)).json()
        self.person, self.token = entered["person"], entered["token"]
        before = await self.live.guest(name=self.said("旧名"), device=DEVICE)
        merge = {"other": before["person"], "reason": "one"}
        await self.boss("POST", f"/people/{self.person}/merges", merge, 201)
        town.wecom.know("external-of-hers", name=self.said("微信"), unionid="union-0")
        for purpose in ("member", "marketing", "profile"):
            await self.she("POST", "/me/consents", {"purpose": purpose, "granted": True})
        keys = {"corpid": CORPID, "secret": SECRET, "token": TOKEN, "aes_key": AES_KEY}
        await self.boss("PUT", "/channels/wecom", keys)
        fields = {"Event": "change_external_contact", "ChangeType": "add_external_contact", "UserID": "guide1"}
        fields |= {"ExternalUserID": "external-of-hers", "CreateTime": str(self.live.clock() // 1_000)}
        inner = "".join(f"<{name}><![CDATA[{value}]]></{name}>" for name, value in fields.items())
        query, encrypted = sealed(f"<xml>{inner}</xml>")
        envelope = f"<xml><ToUserName>{CORPID}</ToUserName><Encrypt><![CDATA[{encrypted}]]></Encrypt></xml>"
        told = await self.live.client.post(
            f"/api/v1/wecom/{self.live.shop.merchant}", params=query, content=envelope.encode()
        )
        assert told.text == "success"
        # Of several who are one the eldest goes on.
        self.person = (await self.boss("GET", f"/people/{self.person}"))["person"]

    async def goods(self, title: str, price: int = 1_000, **more: Any) -> dict[str, Any]:
        """A product of the shop's, hers to buy."""
        made = {"title": title, "price": price, "stock": 50, **more}
        found: dict[str, Any] = await self.boss("POST", f"/rooms/{self.room}/products", made, 201)
        return found

    async def buys(self, sku: str, way: str = "", status: int = 201, **more: Any) -> str:
        """Order and pay one unit of a SKU; the order's id."""
        self.orders += 1
        key = f"order-{self.orders}"
        body = {"room": self.room, "lines": [{"sku": sku, "quantity": 1}], "coupons": [], **more}
        order = (await self.she("POST", "/orders", body, status, key=key))["order"]["order"]
        await self.she("POST", f"/orders/{order}/pay", {"provider": way} if way else {}, key=f"pay-{key}")
        return str(order)

    def delivery(self) -> dict[str, str]:
        return {
            "method": "express",
            "name": self.said("收货"),
            "phone": OTHER_PHONE,
            "address": self.said("地址"),
        }

    async def sends_back(self) -> None:
        """An order that is brought, invoiced, complained of and sent back."""
        tea = await self.goods("茶")
        order = await self.buys(tea["sku"], delivery=self.delivery())
        await self.boss("POST", f"/orders/{order}/ship", {"carrier": "sf", "number": self.said("运单")})
        await self.she("POST", f"/orders/{order}/done")
        await self.she("POST", f"/orders/{order}/invoice", {"title": self.said("抬头")}, 201)
        told = {"text": self.said("投诉"), "contact": OTHER_PHONE, "order": order}
        one = await self.she("POST", "/complaints", told, 201)
        await self.boss("POST", f"/complaints/{one['id']}/answer", {"answer": self.said("答复")})
        praise = {"kind": "praise", "text": self.said("表扬"), "contact": OTHER_PHONE}
        await self.she("POST", "/complaints", praise, 201)
        asked = {"kind": "refund", "reason": "other", "lines": [{"sku": tea["sku"]}], "words": self.said("售后")}
        request = (await self.she("POST", f"/orders/{order}/after-sales", asked, 201, key="as"))["request"]
        await self.boss("POST", f"/after-sales/{request}/refuse", {"answer": self.said("不行")})
        back = {"amount": 100, "reason": self.said("退款"), "stock": "none"}
        await self.boss("POST", f"/orders/{order}/refunds", back, 201, key="rf")

    async def wishes(self) -> None:
        """Goods with a word of theirs on them, and a request for more."""
        ring = await self.goods("戒指")
        form = {"fields": [{"label": "刻字", "kind": "text", "most": 20}], "making_days": 7}
        await self.boss("PUT", f"/custom/forms/{ring['product']}", form)
        lines = [{"sku": ring["sku"], "quantity": 1, "custom": {"刻字": self.said("刻")}}]
        order = await self.buys(ring["sku"], lines=lines)
        for stage in ("confirmed", "making", "ready"):
            await self.boss("POST", f"/orders/{order}/production", {"stage": stage})
        await self.boss("POST", f"/orders/{order}/ship", {"carrier": "sf", "number": "1"})
        await self.she("POST", f"/orders/{order}/done")
        await self.boss("PUT", f"/custom/forms/{ring['product']}", form | {"asked": True})
        asked = {"room": self.room, "sku": ring["sku"], "custom": {"刻字": self.said("刻")}, "words": self.said("定制")}
        await self.she("POST", "/custom/requests", asked, 201, key="cr")

    async def belongs(self) -> None:
        """A passport for everything: card, membership, ticket, sign-in, credit, store."""
        boss, she = self.boss, self.she
        await she("POST", "/follow", {"on": True})
        await she("POST", "/member/sign-in")
        now = self.live.clock()
        event = {"title": "茶会", "starts": now + DAY_MS, "ends": now + 2 * DAY_MS, "closes": now + DAY_MS, "places": 9}
        event = await boss("POST", "/events", event, 201)
        await she("POST", f"/events/{event['event']}/ticket", {"name": self.said("签到")}, 201)
        await boss("PUT", "/policy", {"credit_sale": True, "keep_chat_days": 1_096})
        line = f"/credit/{self.person}"
        await boss("PUT", line, {"most": 15_000, "days": 30, "name": self.said("赊账")})
        rice = await self.goods("米")
        order = await self.buys(rice["sku"], "account")
        slip = {"kind": "repaid", "amount": 1_000, "reference": self.said("凭据"), "reason": self.said("还款")}
        await boss("POST", f"{line}/bookings", slip, 201, key="slip")
        await boss("POST", f"/orders/{order}/ship", {"carrier": "sf", "number": "2"})
        await she("POST", f"/orders/{order}/done")
        top_up = await self.goods("充值", kind="stored", bonus=100)
        await self.buys(top_up["sku"])
        outlet = await boss("POST", "/outlets", STORE, 201)
        seller = {"code": "007", "issuer": self.person, "name": self.said("导购")}
        await boss("POST", "/pos/sellers", seller, 201)
        sale = {
            "number": "R1",
            "amount": 990,
            "sold": now,
            "staff_code": "007",
            "phone": PHONE,
            "name": self.said("店"),
        }
        await self.town.done("POST", "/pos/receipts", {"receipts": [sale]}, token=outlet["key"])
        visit = {"phone": PHONE, "at": now, "event": "visit"}
        await self.town.done("POST", "/pos/visits", visit, token=outlet["key"])
        body = {"name": self.said("自提"), "address": self.said("家"), "leader": self.person, "capacity": 5}
        await boss("POST", "/stations", body, 201)

    async def talks(self) -> None:
        """In the room, in a group, with advisors, about them."""
        room, boss, she, host = self.room, self.boss, self.she, self.live.shop.host_token
        await command(self.live, self.token, "chat.send", text=self.said("聊天"))
        await command(self.live, self.token, "question.ask", text=self.said("提问"))
        poll = await command(self.live, host, "poll.start", title="喝哪种", options=["绿茶", "红茶"])
        await command(self.live, self.token, "poll.vote", poll=poll["poll"]["poll"], option=1)
        group = await boss("POST", "/communities", {"name": "群", "rules": "友善", "room": room}, 201)
        await she("POST", f"/communities/{group['community']}/join", {"rules": 1})
        staff = {"node": "", "role": "guide", "name": "阿飞", "login": "fay", "password": "a password of the tests"}
        node = await boss("POST", "/org/nodes", {"kind": "group", "name": "集团"}, 201)
        guide = (await boss("POST", "/org/members", staff | {"node": node["node"]}, 201))["staff"]
        await boss("PUT", f"/advisors/{guide}", {"skills": ["茶"], "person": self.person})
        await boss("PUT", f"/people/{self.person}/advisor", {"staff": guide})
        await she("POST", "/questions", {"body": self.said("请教"), "skill": "茶"}, 201)
        await boss("POST", f"/people/{self.person}/notes", {"body": self.said("笔记"), "place": self.said("地点")}, 201)
        await boss("PUT", "/tags/friend", {"kind": "manual"})
        await boss("PUT", f"/people/{self.person}/tags/friend", {})
        note = {
            "channel": "sms",
            "purpose": "service",
            "body": {"template": "SMS_1", "params": {"n": self.said("短信")}},
        }
        await boss("POST", f"/people/{self.person}/messages", note, 202, key="sms")
        await she("POST", "/me/message-grants", {"templates": ["T1"]})
        wecom = {"channel": "wecom", "purpose": "service", "body": {"text": self.said("群发")}}
        await boss("POST", f"/people/{self.person}/messages", wecom, 202, key="wecom")
        await self.town.work()
        await boss("PUT", f"/keepers/{self.person}", {"role": "moderator"})
        await command(self.live, host, "mute", person=self.person, seconds=600)
        await command(self.live, host, "ban", person=self.person, reason=self.said("封"))

    async def sells(self) -> None:
        """Brings others, and is paid for it."""
        await self.she("POST", "/me/distributor", {"name": self.said("分销")}, 201)
        await self.boss("PATCH", f"/distributors/{self.person}", {"state": "active"})
        await self.she("POST", "/links", {"room": self.room, "campaign": self.said("活动")}, 201)

    async def every_list_is_still_read(self) -> None:
        """All that staff read without naming anything more."""
        contract = (await self.live.client.get("/openapi.json")).json()
        paths = [path for path, methods in contract["paths"].items() if "get" in methods and "{" not in path]
        assert len(paths) > 100
        for path in paths:
            answer = await self.live.call("GET", path.removeprefix("/api/v1"), token=self.live.shop.merchant_token)
            assert answer.status_code < 500, (path, answer.text)


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """All that the server logs."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    logging.getLogger().addHandler(handler)
    yield stream
    logging.getLogger().removeHandler(handler)


def left(folder: Path) -> dict[str, set[str]]:
    """Columns in which a word or key of the customer stands, with the words; and files that are no database."""
    found: dict[str, set[str]] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix == ".db":
            for name, words in _left_in(path).items():
                found.setdefault(name, set()).update(words)
        elif path.is_file() and not path.name.endswith(("-wal", "-shm")):
            content = path.read_bytes()
            if any(mark.encode() in content for mark in (SAID, *KEYS)):
                found[path.name] = {"a file"}
    return found


def _left_in(path: Path) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    with contextlib.closing(sqlite3.connect(path)) as db:
        for (table,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            rows = db.execute(f"SELECT * FROM {table}")
            names = [one[0] for one in rows.description]
            for row in rows:
                for column, value in zip(names, row, strict=True):
                    words = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
                    if any(mark in words for mark in (SAID, *KEYS)):
                        found.setdefault(f"{table}.{column}", set()).add(words[:300])
    return found


KEPT = {
    "chat_line.name": "the law wants a show's chat for three years",
    "chat_line.text": "the same",
    "ban.reason": "it protects others, and says whom from",
    "credit_booking.reason": "vouchers of the books",
    "credit_booking.reference": "the same",
    "invoice.title": "invoices are kept with the books",
    "invoice.document": "the same",
    "refund.reason": "part of the transaction",
    "link.campaign": "what a link was made for: the shop's figures are by it",
    "staff_action.detail": "what staff did in rooms is kept as long as its chat",
    "outbox.body": "events on their way, gone within an hour",
}
"""Where words of theirs may stand afterwards, as docs/compliance.md has it."""


async def test_of_whoever_did_everything_and_is_erased_only_what_the_law_wants_names_them(
    town: Town, tmp_path: Path, written: io.StringIO
) -> None:
    life = Life(town)
    await life.arrives()
    for step in (life.sends_back, life.wishes, life.belongs, life.sells, life.talks):
        await step()
    # Or the search finds nothing because it is no search. What is said in rooms is written down a little later.
    said = {"orders.delivery", "identity.value", "subscribe_grant.openid", "wecom_contact.external", "station.address"}
    async with asyncio.timeout(60):
        while not left(tmp_path / "data").keys() >= {*said, *KEPT}:
            await asyncio.sleep(0.1)
    waits = await life.she("POST", "/complaints", {"text": life.said("再投诉"), "contact": OTHER_PHONE}, 201)
    refused = await life.she("DELETE", "/me/data", status=422)
    assert (refused["code"], "complaint" in refused["detail"]) == ("not_open", True)
    await life.boss("POST", f"/complaints/{waits['id']}/answer", {"answer": life.said("答复")})
    await life.she("DELETE", "/me/data")
    after = left(tmp_path / "data")
    assert {name: words for name, words in after.items() if name not in KEPT} == {}
    logged = [line for line in written.getvalue().splitlines() if any(mark in line for mark in (SAID, *KEYS))]
    assert logged == []
    await life.every_list_is_still_read()
