"""The demo's shop behind its counter: links, costs, content, a group, terms, and what customers ask of its people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from commerce.domain.day import DAY_MS, day_bounds_ms, day_of

if TYPE_CHECKING:
    from gateway.demo_past import Customer, Fortnight

HOUR_MS = 3_600_000
CHANNELS = (("朋友圈", "春茶季"), ("社群", "老客回访"), ("公众号", "春茶季"), ("海报", "门店"), ("导购", ""))
COSTS = (4_200, 2_600, 1_500, 7_500)
"""分 a unit of the seed's products costs the shop."""
DELIVERED = 200
AD_COST = "120.50"
ARTICLE = (
    "水温 80 度，先温杯，再投茶 3 克。\n\n"
    "沿杯壁注水三分之一，轻摇十秒闻香，再注至七分满。第一泡 40 秒出汤，之后每泡加 15 秒。\n\n"
    "明前茶嫩，久泡会涩；喝到三分之一时续水，滋味最匀。"
)
EVENT_PLACES = 12
SELLERS = 3
"""Customers who sell along: the first of all."""


async def open_back(shop: Fortnight, now_ms: int) -> None:
    """All that the merchant sets up before the first customer comes, and some things for later days."""
    room = shop.seeded.room
    for channel, campaign in CHANNELS:
        link = await shop.boss("POST", "/links", {"room": room, "channel": channel, "campaign": campaign})
        shop.links.append(link["token"])
    await _goods(shop)
    await _library(shop)
    await _terms(shop)
    began = shop.now_ms
    for day in range(1, 13, 3):
        shop.at(began + day * DAY_MS, lambda: _advertise(shop))
    shop.at(began + 9 * DAY_MS, lambda: _invite(shop, now_ms))


async def _goods(shop: Fortnight) -> None:
    supplier = await shop.boss(
        "POST", "/suppliers", {"name": "西湖梅家坞茶厂", "contact": "王厂长", "phone": "0571-8709"}
    )
    for product, cost in zip(shop.seeded.products, COSTS, strict=True):
        await shop.boss("PUT", f"/costs/{product['sku']}", {"unit_cost": cost, "why": "期初库存"})
    tea, honey = (str(product["sku"]) for product in shop.seeded.products[:2])
    for sku, cost, came in ((tea, 4_000, DELIVERED), (honey, 2_500, DELIVERED // 2)):
        line = {"sku": sku, "quantity": DELIVERED, "unit_cost": cost}
        made = await shop.boss("POST", "/purchases", {"supplier": supplier["supplier"], "lines": [line]})
        path = f"/purchases/{made['purchase']}"
        await shop.boss("POST", f"{path}/steps", {"step": "order"})
        await shop.boss("POST", f"{path}/receipts", {"number": "D-1", "lines": [{"sku": sku, "units": came}]})


async def _library(shop: Fortnight) -> None:
    room, skus = shop.seeded.room, [str(product["sku"]) for product in shop.seeded.products]
    article = {
        "kind": "article",
        "title": "三步泡好一杯明前龙井",
        "category": "冲泡",
        "summary": "水温、投茶、出汤，一次讲清。",
    }
    piece = await shop.boss("POST", "/contents", {**article, "body": ARTICLE, "room": room, "skus": skus[:1]})
    shop.piece = piece["content"]
    await shop.boss("POST", f"/contents/{shop.piece}/publish", {"version": 1})
    shop.piece_link = (await shop.boss("POST", f"/contents/{shop.piece}/links", {"channel": "公众号"}))["token"]
    picture = {"kind": "picture", "title": "一只柴烧杯的七天", "category": "器物", "pictures": ["/static/img/cup.svg"]}
    second = await shop.boss("POST", "/contents", {**picture, "room": room, "skus": skus[3:]})
    await shop.boss("POST", f"/contents/{second['content']}/publish", {"version": 1})
    rules = "1. 只聊茶。\n2. 不发广告。\n3. 每周二晚八点主播答疑。"
    group = await shop.boss("POST", "/communities", {"name": "茶友群", "rules": rules, "room": room})
    shop.group = group["community"]


async def _terms(shop: Fortnight) -> None:
    room, cake = shop.seeded.room, shop.seeded.products[2]["sku"]
    await shop.boss("PUT", f"/mall/{cake}", {"points": 300, "cash": 990, "per_person": 1})
    await shop.boss("PUT", "/distribution/rates", {"scope": "shop", "first_bp": 800, "second_bp": 200})
    twice = {"all": [{"event": "room_entry", "at_least": 2, "days": 7}, {"measure": "orders", "at_most": 0}]}
    await shop.boss("POST", "/segments", {"name": "来过没买", "condition": twice})
    await shop.boss("PUT", "/tags/常客", {"kind": "rule", "condition": {"measure": "orders", "at_least": 2}})
    coupon = {
        "kind": "coupon",
        "room": room,
        "title": "回头见",
        "reason": "常来看看",
        "amount": 800,
        "threshold": 5_000,
        "total": 50,
    }
    await shop.boss("POST", "/automations", {"name": "来过没买送券", "condition": twice, "action": coupon})
    await shop.boss("PUT", "/crm/terms", {"helping": 1})
    licence = {"company": "茶山小铺（演示）", "number": "91310000MA00000000", "address": "上海市静安区（演示地址）"}
    await shop.boss("PUT", "/licence", licence)


async def _advertise(shop: Fortnight) -> None:
    await shop.boss("POST", "/board/costs", f"date,campaign,cost\n{day_of(shop.now_ms)},春茶季,{AD_COST}\n")


async def _invite(shop: Fortnight, now_ms: int) -> None:
    """An event to come, and a helper task that runs."""
    starts = day_bounds_ms(day_of(now_ms + 6 * DAY_MS))[0] + 14 * HOUR_MS
    times = {"starts": starts, "ends": starts + 2 * HOUR_MS, "closes": starts - DAY_MS}
    event = {"title": "春茶品鉴会", "detail": "六款明前茶，配桂花糕", "place": "静安店二楼", "places": EVENT_PLACES}
    shop.event = (await shop.boss("POST", "/events", {**event, **times}))["event"]
    task = {"title": "三位好友助力，得 15 元券", "reason": "春茶季", "needed": 3, "amount": 1_500, "threshold": 6_000}
    await shop.boss(
        "POST", "/help-tasks", {"room": shop.seeded.room, **task, "until": now_ms + 5 * DAY_MS, "budget": 30_000}
    )


async def people_of_the_shop(shop: Fortnight, who: Customer) -> None:
    """Something beside buying, each once a customer: read, join the group, sign up, sell along, complain, follow."""
    ways = [name for name in ("read", "follow", "join", "sign_up", "sell", "complain") if name not in who.met]
    if not ways:
        return
    way = "sell" if "sell" in ways and who.number < SELLERS else shop.random.choice(ways)
    who.met.add(way)
    if way == "read":
        opened = {"name": who.name, "device": who.device, "scene": shop.piece_link}
        await shop.ask("POST", f"/contents/{shop.piece}/open", opened)
    elif way == "follow":
        await shop.ask("POST", "/follow", {"on": True}, who.token)
    elif way == "join":
        await shop.ask("POST", f"/communities/{shop.group}/join", {"rules": 1}, who.token)
    elif way == "sign_up" and shop.event:
        await shop.ask("POST", f"/events/{shop.event}/ticket", {"name": who.name}, who.token)
    elif way == "sell" and who.number < SELLERS:
        await shop.ask("POST", "/me/distributor", {"name": who.name}, who.token)
        shop.at(shop.now_ms + HOUR_MS, lambda: shop.boss("PATCH", f"/distributors/{who.person}", {"state": "active"}))
    elif way == "complain" and who.orders:
        praised = who.number % 2 == 0
        body = {
            "kind": "praise" if praised else "complaint",
            "text": "茶很新，下次还来" if praised else "纸箱有点压坏了",
        }
        made = await shop.ask("POST", "/complaints", {**body, "room": shop.seeded.room}, who.token)
        answer = {"answer": "谢谢你的话，已经转告仓库。"}
        path = f"/complaints/{made['id']}/answer"
        shop.at(shop.now_ms + 20 * HOUR_MS, lambda: shop.boss("POST", path, answer))
