"""An evening of a shop for the board's tests: who came by whose link, and what they ordered."""

from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, text

from commerce.attribution.links import LinkView
from commerce.attribution.order_credits_sql import INSERT, order_credits
from commerce.attribution.touch import Touch, TouchKind
from commerce.domain.ids import new_id
from tests.commerce.people_kit import START_MS, Shop, newcomer

DAY_MS = 86_400_000
END_MS = START_MS + DAY_MS


async def enter(shop: Shop, person: str, link: LinkView | None, *, click: bool = False) -> None:
    shop.clock.advance(1)
    token = link.token if link else None
    await shop.attribution.touch_token(shop.mine.id, token, person, "room_entry", room=shop.room.id)
    if click:
        shop.attribution.record(Touch(shop.mine.id, person, TouchKind.CARD_CLICK, room=shop.room.id))


async def order(shop: Shop, person: str, amount: int, status: str, *, merchant: str | None = None) -> str:
    """Write an order as the ledger does, with the decision of this moment."""
    shop.clock.advance(1)
    whose = merchant or shop.mine.id
    decision = await shop.attribution.decision_json(whose, person, shop.clock())
    return await write_order(shop, whose, shop.room.id, person, status, amount, decision)


async def write_order(
    shop: Shop, merchant: str, room: str, person: str, status: str, amount: int, decision: dict[str, Any]
) -> str:
    """Write an order of this moment with whom it credits."""
    now_ms = shop.clock()
    row = {
        "id": new_id(now_ms, now_ms.to_bytes(7, "big")),
        "merchant": merchant,
        "room": room,
        "person": person,
        "status": status,
        "amount": amount,
        "decision": orjson.dumps(decision).decode(),
        "now": now_ms,
    }

    def insert(db: Connection) -> None:
        db.execute(
            text(
                "INSERT INTO orders (id, merchant, room, person, status, goods, discount, amount, steps, decision,"
                " created_ms, expires_ms) VALUES (:id, :merchant, :room, :person, :status, :amount, 0, :amount, '[]',"
                " :decision, :now, :now)"
            ),
            row,
        )
        credits = order_credits(str(row["id"]), decision)
        if credits:
            db.execute(INSERT, credits)

    await shop.store.write(insert)
    return str(row["id"])


@dataclass
class Evening:
    ann: str
    bob: str
    cat: str
    dan: str
    poster: LinkView
    shared: LinkView
    orders: list[str]
    board: dict[str, Any]


async def an_evening(shop: Shop) -> Evening:
    """Ann comes by the poster and shares; Bob and Cat come by Ann; Dan comes by himself."""
    ann, bob, cat, dan = [await newcomer(shop, name) for name in ("ann", "bob", "cat", "dan")]
    poster = await shop.attribution.mint_link(shop.mine.id, shop.mine.id, "merchant", shop.room.id, channel="poster")
    await enter(shop, ann, poster)
    shared = await shop.attribution.mint_link(shop.mine.id, ann, "viewer", parent_token=poster.token, channel="wechat")
    await enter(shop, ann, shared)
    await enter(shop, bob, shared, click=True)
    await enter(shop, bob, shared)
    await enter(shop, cat, shared, click=True)
    await enter(shop, dan, None)
    orders = [
        await order(shop, bob, 1_000, "paid"),
        await order(shop, bob, 500, "paid"),
        await order(shop, cat, 700, "pending"),
        await order(shop, dan, 300, "paid"),
    ]
    stranger = await newcomer(shop, "stranger", merchant=shop.other.id)
    await order(shop, stranger, 9_999, "paid", merchant=shop.other.id)
    board = await shop.attribution.board(shop.mine.id, START_MS, END_MS)
    return Evening(ann, bob, cat, dan, poster, shared, orders, board)
