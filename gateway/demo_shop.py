"""What stands in the demo's shop beside goods and a room: people who sell, those next door, and what customers asked.

All of it goes through the services that a person's click would go through, so nothing here can be what a page could not
have made.
"""

from __future__ import annotations

import secrets

from commerce.ledger import StartDrop
from commerce.partner_coupons_sql import WAY
from gateway.seed import Seeded
from gateway.services import Services

CATEGORIES = ("茶", "蜜与点心", "蜜与点心", "器物")
"""Of the seeded products, in their order."""
DAY_MS = 86_400_000
CONTRACT = {
    "since": "",
    "until": "",
    "days": 30,
    "first_only": False,
    "cap_order": 5_000,
    "cap_month": 500_000,
    "sees": "rows",
    "coupon_bp": 5_000,
    "rates": [{"scope": "shop", "target": "", "bp": 500}, {"scope": "category", "target": CATEGORIES[0], "bp": 800}],
}
CUSTOMERS = ("小满", "阿木", "青禾")
RULES = "每人每天最多发三条；只聊茶和山里的事；不加好友推销。"


async def furnish(services: Services, seeded: Seeded) -> None:
    """File the goods; bring a guide, a partner with its visitors, two questions and a group. Raises CommerceError."""
    merchant, room = seeded.merchant, seeded.room
    for product, category in zip(seeded.products, CATEGORIES, strict=True):
        await services.catalogue.set_category(merchant, str(product["product"]), category)
    boss = next(one.id for one in await services.catalogue.staff(merchant) if one.role == "merchant")
    guide = await services.catalogue.create_staff(
        merchant, f"guide-{merchant[-6:].lower()}", secrets.token_urlsafe(12), "guide", "小林", room=room
    )
    customers = [(await services.people.identify(merchant, "device", name, name)).person.id for name in CUSTOMERS]
    await _partner(services, merchant, room, boss, customers[:2])
    await _questions(services, seeded, guide.id, customers)
    await _group(services, merchant, room, guide.id, customers)


async def _partner(services: Services, merchant: str, room: str, boss: str, visitors: list[str]) -> None:
    partners = services.partners
    inn = await partners.add(merchant, boss, "山脚客栈", "民宿", CONTRACT, note="前台摆码，月结")
    link = await partners.link(merchant, inn["id"], room, None, "前台")
    terms = ("客栈住客专享", "住下就送一杯茶钱", 1_000, 5_000, 200, 1)
    drop = StartDrop(merchant, room, *terms, 30 * DAY_MS, 7 * DAY_MS, issuer=inn["id"], way=WAY)
    await partners.offer(drop, 100_000, boss, "demo")
    for person in visitors:
        await services.attribution.touch_token(merchant, link.token, person, "scan", room=room)


async def _questions(services: Services, seeded: Seeded, guide: str, customers: list[str]) -> None:
    advice, merchant = services.advice, seeded.merchant
    await advice.set_advisor(merchant, guide, ["选茶", "冲泡"], [], 5, active=True)
    asked = await advice.ask(merchant, customers[0], "送长辈选哪款茶合适？", "选茶", seeded.room)
    tea = str(seeded.products[0]["sku"])
    said = "长辈口味淡，明前龙井合适，用八十度的水。"
    await advice.answer(merchant, asked["id"], guide, "guide", None, said, [tea], seeded.room)
    await advice.accept(merchant, asked["id"], customers[0], public=True)
    await advice.ask(merchant, customers[1], "龙井用几度的水泡？", "冲泡", seeded.room)


async def _group(services: Services, merchant: str, room: str, guide: str, members: list[str]) -> None:
    groups = services.communities
    made = await groups.add(merchant, guide, "guide", "", "春茶同好会", RULES, room)
    for person in members:
        await groups.join(merchant, made["id"], person, made["rules_version"])
    await groups.set_member(merchant, made["id"], guide, None, members[0], "leader")
