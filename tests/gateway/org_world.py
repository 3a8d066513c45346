"""A shop with an organisation of two dealers, alike in everything: what one has, the other must never see."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from commerce.domain.org import RIGHTS
from tests.commerce.people_kit import cheap_passwords
from tests.gateway.rig import Rig

PASSWORD = "a password of the tests"
DEALER_ROLES = ("owner", "manager", "accountant", "host", "moderator", "readonly")
PATIENCE_S = 60


@dataclass
class Dealer:
    """A dealer with a store, a guide, a room, goods, and a customer of the guide who has bought.

    ``ids`` are what paths name, ``tokens`` what its accounts show, ``marks`` the texts that nobody else may read.
    """

    dealer: str
    store: str
    ids: dict[str, str] = field(default_factory=dict)
    staff: dict[str, str] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)
    marks: set[str] = field(default_factory=set)


@dataclass
class World:
    """Both dealers under one group."""

    live: Rig
    group: str
    mine: Dealer
    theirs: Dealer

    async def done(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        """A request that succeeds; its answer."""
        answer = await self.live.call(method, path, body, **more)
        assert answer.status_code < 300, (method, path, answer.text)
        return answer.json()


async def org_world(live: Rig) -> World:
    """Fill a rig's first shop."""
    services, shop = live.application.services, live.shop
    services.catalogue._passwords = cheap_passwords()
    boss = shop.merchant_token
    world = World(live, "", Dealer("", ""), Dealer("", ""))
    world.group = (await world.done("POST", "/org/nodes", {"kind": "group", "name": "集团"}, token=boss))["node"]
    for side, name in ((world.mine, "甲"), (world.theirs, "乙")):
        brand = {"kind": "brand", "name": f"品牌{name}", "parent": world.group}
        brand_node = (await world.done("POST", "/org/nodes", brand, token=boss))["node"]
        dealer = {"kind": "dealer", "name": f"经销{name}", "parent": brand_node}
        side.dealer = (await world.done("POST", "/org/nodes", dealer, token=boss))["node"]
        store = {"kind": "store", "name": f"门店{name}", "parent": side.dealer}
        side.store = (await world.done("POST", "/org/nodes", store, token=boss))["node"]
        await _people(world, side, name)
        await _trade(world, side, name)
    return world


def seated_token(live: Rig, staff: str, role: str) -> str:
    """What an account shows that sits in that role."""
    tokens = live.application.services.tokens
    door = RIGHTS[role].door
    return tokens.mint(person=staff, name=role, role=door, merchant=live.shop.merchant, room=None)[0]


async def _people(world: World, side: Dealer, name: str) -> None:
    boss = world.live.shop.merchant_token
    for role in (*DEALER_ROLES, "guide"):
        node = side.store if role == "guide" else side.dealer
        login = f"{role}-{side.dealer[-6:]}"
        body = {"node": node, "role": role, "name": f"{role}{name}", "login": login, "password": PASSWORD}
        seat = await world.done("POST", "/org/members", body, token=boss)
        side.staff[role] = seat["staff"]
        side.tokens[role] = seated_token(world.live, seat["staff"], role)
        side.marks |= {seat["staff"], login}
        if role == "guide":
            side.ids["node"] = seat["node"]
    side.ids["staff"] = side.staff["readonly"]
    side.marks |= {side.store, side.dealer, side.ids["node"]}


async def _trade(world: World, side: Dealer, name: str) -> None:
    """A room with goods, a customer who bought and got something back, and whatever else a path can name."""
    live, host = world.live, side.tokens["owner"]
    services, done = live.application.services, world.done
    room = (await done("POST", "/rooms", {"title": f"直播间{name}", "node": side.store}, token=host))["id"]
    base = f"/rooms/{room}"
    goods = {"title": f"货{name}", "price": 1_000, "stock": 100}
    card = await done("POST", f"{base}/products", goods, token=host)
    buyer = await live.guest(room, name=f"客户{name}", device=f"device-{name}-0123456789")
    await services.distribution.bind(live.shop.merchant, buyer["person"], side.staff["guide"], "guide", "test")
    lines = {"room": room, "lines": [{"sku": card["sku"], "quantity": 2, "version": 1}]}
    address = {"method": "express", "name": f"收货人{name}", "phone": "13800138000", "address": f"地址{name}路一号"}
    order = await done("POST", "/orders", lines | {"delivery": address}, token=buyer["token"], key=f"o{room}")
    number = order["order"]["order"]
    await done("POST", f"/orders/{number}/pay", token=buyer["token"], key=f"p{room}")
    back = {"lines": [{"sku": card["sku"], "quantity": 1}], "reason": "退一件"}
    refund = await done("POST", f"/orders/{number}/refunds", back, token=host, key=f"r{room}")
    async with asyncio.timeout(PATIENCE_S):
        # The provider says in its own time that the money went back.
        while (await done("GET", f"/orders/{number}/refunds", token=host))[0]["state"] != "done":
            await asyncio.sleep(0.02)
    sale = {"sku": card["sku"], "price": 500, "total": 5}
    drop = {"title": f"券{name}", "reason": "店庆", "amount": 100, "threshold": 0, "total": 5, "seconds": 600}
    plan = sale | {"rule": "FREQ=DAILY;BYHOUR=20;BYMINUTE=0"}
    link = await done("POST", "/links", {"room": room, "channel": f"渠道{name}"}, token=side.tokens["guide"])
    told = {"text": f"投诉{name}", "contact": f"联系{name}", "order": number}
    complaint = await done("POST", "/complaints", told, token=buyer["token"])
    asked = {"kind": "refund", "reason": "mind", "lines": [{"sku": card["sku"]}], "words": f"售后{name}"}
    request = await done("POST", f"/orders/{number}/after-sales", asked, token=buyer["token"], key=f"a{room}")
    key = await done("POST", f"{base}/keys", {"name": f"密钥{name}"}, token=host)
    outlet = await _outlet(world, side, name, card["sku"])
    side.ids |= {
        "outlet": outlet,
        "room": room,
        "product": card["product"],
        "sku": card["sku"],
        "person": buyer["person"],
        "order": number,
        "refund": refund["refund"]["refund"],
        "sale": (await done("POST", f"{base}/sales", sale, token=host))["sale"],
        "drop": (await done("POST", f"{base}/drops", drop, token=host))["drop"],
        "plan": (await done("POST", f"{base}/plans", plan, token=host))["plan"],
        "token": link["token"],
        "key": key["key"],
        "issuer": side.staff["guide"],
        "complaint": complaint["id"],
        "request": request["request"],
    }
    side.ids |= await _people_of(world, side, name, buyer)
    side.ids |= await _partner(world, side, name)
    side.tokens["viewer"] = buyer["token"]
    await services.shop.members.fund_budget(live.shop.merchant, "boss", side.staff["guide"], 5_000, f"fund-{room}")
    side.marks |= {f"{word}{name}" for word in ("客户", "收货人", "密钥", "渠道", "投诉", "联系", "售后")} | {
        f"地址{name}路一号"
    }
    side.marks |= {side.ids[mark] for mark in ("person", "order", "refund", "key", "token", "complaint", "request")}
    side.marks |= {side.ids[mark] for mark in ("community", "question", "note")} | {f"群{name}", f"笔记{name}"}
    side.marks |= {side.ids[mark] for mark in ("partner", "contract", "offer")} | {f"邻居{name}", f"邻里{name}"}


async def _outlet(world: World, side: Dealer, name: str, sku: str) -> str:
    """A store of the dealer's own with stock, a price, and a unit that moved; its id."""
    done, boss = world.done, world.live.shop.merchant_token
    store = {"name": f"实体店{name}", "address": f"{name}街", "lat": 31.2, "lng": 121.4, "stocked": True}
    outlet = (await done("POST", "/outlets", store | {"node": side.store}, token=boss))["outlet"]
    await done("POST", f"/outlets/{outlet}/stock", {"sku": sku, "quantity": 7}, token=side.tokens["owner"])
    price = {"price": 900, "why": f"改价{name}"}
    await done("PUT", f"/outlets/{outlet}/prices/{sku}", price, token=side.tokens["manager"])
    move = {"sku": sku, "quantity": 1, "source": outlet, "target": "", "why": f"调拨{name}"}
    await done("POST", "/stock/moves", move, token=boss, key=f"move-{outlet}")
    side.marks |= {f"调拨{name}", f"改价{name}"}
    return str(outlet)


async def _people_of(world: World, side: Dealer, name: str, buyer: dict[str, Any]) -> dict[str, str]:
    """A group of the store with the customer in it, their question to their guide, and a note about them."""
    done, boss, owner = world.done, world.live.shop.merchant_token, side.tokens["owner"]
    group = await done(
        "POST", "/communities", {"name": f"群{name}", "rules": "友善", "room": side.ids["room"]}, token=owner
    )
    await done("POST", f"/communities/{group['community']}/join", {"rules": 1}, token=buyer["token"])
    await done("PUT", f"/advisors/{side.staff['guide']}", {"skills": ["茶"]}, token=boss)
    question = await done("POST", "/questions", {"body": f"问题{name}", "skill": "茶"}, token=buyer["token"])
    note = await done("POST", f"/people/{buyer['person']}/notes", {"body": f"笔记{name}"}, token=side.tokens["guide"])
    return {"community": group["community"], "question": question["question"], "note": note["note"]}


async def _partner(world: World, side: Dealer, name: str) -> dict[str, str]:
    """A neighbour of the dealer's with a contract, a code, a coupon for its visitors, and its own key signed in."""
    done, boss, room = world.done, world.live.shop.merchant_token, side.ids["room"]
    contract = {"rates": [{"scope": "shop", "bp": 500}], "coupon_bp": 5_000}
    made = await done("POST", "/partners", {"name": f"邻居{name}", "contract": contract}, token=boss)
    path = f"/partners/{made['partner']}"
    await done("POST", f"{path}/links", {"room": room, "channel": f"邻里{name}"}, token=boss)
    coupon = {"room": room, "title": f"邻里{name}", "reason": "店庆", "amount": 100, "total": 5, "budget": 500}
    offer = await done("POST", f"{path}/coupons", coupon, token=boss, key=f"offer-{room}")
    key = (await done("POST", f"{path}/key", token=boss))["key"]
    side.tokens["partner"] = (await done("POST", "/auth/partner", {"key": key}))["token"]
    return {"partner": made["partner"], "contract": made["contracts"][0]["contract"], "offer": offer["offer"]}
