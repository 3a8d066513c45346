"""A made-up month for the board's benchmark, seeded: touches and orders written as the shop writes them, in batches.

Half of the people come by somebody's link, a third of these by a link shared on; who comes clicks up to eight cards;
each thirtieth touch is followed by an order, most of them paid.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

import orjson
from sqlalchemy import Engine, text

from commerce.attribution.order_credits_sql import INSERT as INSERT_CREDIT
from commerce.attribution.order_credits_sql import order_credits
from commerce.attribution.reach_sql import Reach
from commerce.attribution.touches_sql import Row, append
from commerce.domain.ids import ENTROPY_BYTES, new_id

DAYS = 30
DAY_MS = 86_400_000
PEOPLE, LINKS, ROOMS = 50_000, 300, 40
BATCH = 5_000
SEED = 20_261_122
TOUCHES_PER_ORDER = 30
LOSERS = 8
"""Candidates that lost, in each stored decision."""
HOSTS = 13
AFTER_EXPLANATION = 0.2
"""Share of orders whose buyer had watched the product's explanation."""
CHANNELS = ("wechat", "poster", "wecom", "douyin", "")


def person_name(number: int) -> str:
    """The id of a person of the month."""
    return f"p{number:019}"


def room_name(number: int) -> str:
    """The id of a room of the month."""
    return f"r{number:019}"


def host_name(room: str) -> str:
    """Who hosts a room."""
    return f"host {int(room[1:]) % HOSTS}"


def clip_name(room: str) -> str:
    """The explanation that is watched in a room."""
    return f"c{room[-2:]}"


ISSUER = f"i{1:019}"
"""One of those who bring people."""

_ORDER = text(
    "INSERT INTO orders (id, merchant, room, person, status, goods, discount, amount, steps, decision, created_ms,"
    " expires_ms, refunded) VALUES (:id, :merchant, :room, :person, :status, :amount, 0, :amount, '[]', :decision, :ms,"
    " :ms, 0)"
)


@dataclass(frozen=True, slots=True)
class MadeLink:
    """A link of the month: nobody looks it up but the share tree."""

    link: str
    issuer: str
    role: str
    channel: str
    depth: int


def links(random: Random) -> list[MadeLink]:
    """Who brings people."""
    roles = ("guide", "distributor", "viewer")
    return [
        MadeLink(f"l{n:010}", f"i{n // 2:019}", random.choice(roles), random.choice(CHANNELS), n % 3 // 2)
        for n in range(LINKS)
    ]


def touches(random: Random, made: list[MadeLink], merchant: str, start_ms: int, count: int) -> Iterator[Row]:
    """The month's touches in the order of time."""
    left = 0
    person = room = ""
    link: MadeLink | None = None
    for number in range(count):
        ms = start_ms + number * DAYS * DAY_MS // count
        kind = "card_click"
        if not left:
            left, kind = random.randint(1, 9), "room_entry"
            person, room = person_name(random.randrange(PEOPLE)), room_name(random.randrange(ROOMS))
            link = random.choice(made) if random.random() < 0.5 else None
        left -= 1
        by = ("", None, "", "", "", 0) if link is None else _by(link)
        channel, token, issuer, role, root, depth = by
        identifier = new_id(ms, random.randbytes(ENTROPY_BYTES))
        yield (
            *(identifier, ms, merchant, person, kind, channel, room, "", token),
            *(issuer, role, root, depth, "{}", None, "ad" if channel == "douyin" else ""),
            *(host_name(room), clip_name(room) if kind == "card_click" and number % 20 == 0 else "", ""),
        )


def _by(link: MadeLink) -> tuple[str, str, str, str, str, int]:
    return link.channel, link.link, link.issuer, link.role, link.link, link.depth


def write_month(shop: Engine, log: Engine, merchant: str, start_ms: int, count: int) -> int:
    """Write the month; gives how many orders it has."""
    random = Random(SEED)  # noqa: S311 - a model, no secret
    made, reach, orders = links(random), Reach(), 0
    batch: list[Row] = []
    for row in touches(random, made, merchant, start_ms, count):
        batch.append(row)
        if len(batch) == BATCH:
            with log.begin() as db:
                append(db, reach, batch)
            reach.committed()
            orders += _write_orders(shop, random, batch[::TOUCHES_PER_ORDER])
            batch = []
    return orders


def _write_orders(shop: Engine, random: Random, after: list[Row]) -> int:
    rows, credits = [], []
    for _, ms, merchant, person, _, channel, room, _, link, issuer, role, root, depth, *_ in after:
        winner = {"source": "touch", "touch": "t", "ms": ms, "link": link, "issuer": issuer, "role": role}
        winner |= {"channel": channel, "root": root, "depth": depth}
        lost = {**winner, "reason": "later_touch_won", "why": "a later touch counts"}
        brief = None if link is None else {name: winner[name] for name in ("link", "issuer", "role", "channel")}
        models = dict.fromkeys(("default", "binding_first", "last_touch", "first_touch"), brief)
        decision = {"winner": brief and winner, "rule": "last valid touch within 7 days", "losers": [lost] * LOSERS}
        credited = {role: brief} if role in ("guide", "distributor") else {}
        shown = {"host": {"issuer": host_name(room)}}
        if random.random() < AFTER_EXPLANATION:
            shown["clip"] = {"issuer": clip_name(room)}
        decision |= {"models": models, "credits": {**credited, **shown}}
        order = new_id(ms + 1, random.randbytes(ENTROPY_BYTES))
        status = "paid" if random.random() < 0.9 else "cancelled"
        rows.append(
            {
                "id": order,
                "merchant": merchant,
                "room": room,
                "person": person,
                "status": status,
                "amount": random.randint(1, 300) * 100,
                "decision": orjson.dumps(decision).decode(),
                "ms": ms + 1,
            }
        )
        credits += order_credits(order, decision)
    with shop.begin() as db:
        db.execute(_ORDER, rows)
        db.execute(INSERT_CREDIT, credits)
    return len(rows)
