"""A simulated month: attribution under all models, commission and funnel agree with a model that knows the truth."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import pytest

from commerce.attribution.touches_sql import open_touch_log
from tests.commerce.month import RATE_BP, SECOND_BP, acts, sellers, truth
from tests.commerce.shop_world import MERCHANT, ROOM, START_MS, shop_world
from tests.commerce.test_distribution import DAY_MS, Market

PRICE = 9_900  # of k1

SIZES = [
    pytest.param(20, 5, 3, 0.35, id="small"),
    pytest.param(50_000, 200, 100, 0.03, id="50,000 people", marks=pytest.mark.soak),
]


async def _set_up(market: Market, selling: list[Any], people: int, renew: bool) -> dict[str, str]:
    """Write the sellers, their links and the people; gives each seller's token."""
    await market.distribution.set_terms(MERCHANT, {"levels": 2, "renew": renew, "orders_a_day": 1_000_000}, "boss")
    await market.distribution.set_rate(MERCHANT, "shop", "", RATE_BP, SECOND_BP)
    rows = [(f"p{number:05}", f"p{number:05}") for number in range(people)]
    rows += [(one.name, one.name) for one in selling if one.role == "distributor"]

    def write(db: Any) -> None:
        for person, name in rows:
            db.exec_driver_sql(f"INSERT INTO person VALUES ('{person}', '{MERCHANT}', '{name}', 1)")
        for one in selling:
            if one.role == "guide":
                db.exec_driver_sql(
                    "INSERT INTO staff (id, merchant, login, password_hash, role, name, created_ms)"
                    f" VALUES ('{one.name}', '{MERCHANT}', '{one.name}', 'x', 'guide', '{one.name}', 1)"
                )

    await market.world.store.write(write)
    tokens = {}
    for one in selling:
        if one.role == "distributor":
            parent = one.parent or None
            await market.distribution.enrol(MERCHANT, one.name, one.name, parent=parent, approved=True)
        tokens[one.name] = (await market.attribution.mint_link(MERCHANT, one.name, one.role)).token
    return tokens


async def _live(market: Market, month: list[Any], tokens: dict[str, str]) -> list[Any]:
    """Do what the people do; gives the orders."""
    orders: list[Any] = []
    last: dict[str, Any] = {}
    for act in month:
        market.world.clock.now_ms = START_MS + act.ms
        if act.kind == "come":
            token = tokens.get(act.issuer)
            await market.attribution.touch_token(MERCHANT, token, act.person, "room_entry", room=ROOM)
        elif act.kind == "buy":
            order = await market.order(act.person, act.quantity)
            await market.pay(order)
            orders.append(order)
            last[act.person] = order
        elif act.person in last:
            await market.refund(last.pop(act.person), f"r{act.ms}{act.person}")
    return orders


@pytest.mark.parametrize(("people", "distributors", "guides", "buying"), SIZES)
async def test_a_month_comes_out_as_the_model_says(
    tmp_path: Path, people: int, distributors: int, guides: int, buying: float
) -> None:
    random = Random(20_260_101)
    selling = sellers(random, distributors, guides)
    month = acts(random, people, selling, 30, buying)
    expected = truth(month, selling, PRICE)
    assert sum(bool(credit["distributor"]) for credit in expected.credits) > 3 < len(expected.credits)
    async with shop_world(tmp_path) as world:
        touches = open_touch_log(tmp_path, clock=world.clock)
        market = Market(world, touches)
        orders = await _live(market, month, await _set_up(market, selling, people, renew=False))
        for order, credit in zip(orders, expected.credits, strict=True):
            found = {name: one["issuer"] if one else "" for name, one in order.decision["models"].items()}
            found |= {role: one["issuer"] if one else "" for role, one in order.decision["credits"].items()}
            assert found == credit, order.order
        for one in selling:
            if one.role == "distributor":
                assert sum(await market.on(one.name)) == expected.earned[one.name], one
        world.clock.now_ms = START_MS + 60 * DAY_MS
        await market.distribution.release()
        (row,) = await world.query("SELECT count(*) AS n FROM commission WHERE state = 'frozen'")
        assert row.n == 0
        board = await market.attribution.board(MERCHANT, START_MS, START_MS + 31 * DAY_MS)
        assert board["funnel"]["visit"] == len(expected.visits)
        assert board["funnel"]["order"] == len(expected.buyers)
        assert board["gmv"] == sum(expected.amounts)
        assert await market.sum_of_all() == 0
        await market.attribution.binder.close()
        touches.close()
