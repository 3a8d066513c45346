"""A simulated month: attribution under all models, commission, tiers and the board agree with a model that knows the
truth."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import pytest

from commerce.attribution.insight_sql import week_of
from commerce.attribution.reach import day_ms
from commerce.attribution.touches_sql import open_touch_log
from commerce.domain.member import Program, Tier
from tests.commerce.month import MODELS, RATE_BP, SECOND_BP, TIERS, Truth, acts, day_of, sellers, truth
from tests.commerce.shop_world import MERCHANT, START_MS, shop_world
from tests.commerce.test_distribution import DAY_MS, Market

PRICE = 9_900  # of k1
DAYS = 30
PROGRAM = Program(yuan_points=0, tiers=(Tier("银卡", TIERS[0], 100), Tier("金卡", TIERS[1], 100)), member_weekday=None)

SIZES = [
    pytest.param(40, 5, 3, 3, 0.5, id="small"),
    pytest.param(50_000, 200, 100, 40, 0.03, id="50,000 people", marks=pytest.mark.soak),
]


async def _set_up(market: Market, selling: list[Any], people: int) -> dict[str, str]:
    """Write the sellers, their links and the people; gives each seller's token."""
    await market.distribution.set_terms(MERCHANT, {"levels": 2, "renew": False, "orders_a_day": 1_000_000}, "boss")
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
        market.world.clock.now_ms = act.ms
        if act.kind == "come":
            token = tokens.get(act.issuer)
            if act.sharer:
                shared = await market.attribution.mint_link(MERCHANT, act.sharer, "viewer", parent_token=token)
                token = shared.token
            await market.attribution.touch_token(MERCHANT, token, act.person, "room_entry", room=act.room)
        elif act.kind == "click":
            await market.attribution.touch_token(MERCHANT, None, act.person, "card_click", room=act.room)
        elif act.kind == "buy":
            # An order waits a second for the log; on a machine that stalls it is judged without what is not written.
            assert await market.attribution._touches.flushed(60)
            order = await market.order(act.person, act.quantity, room=act.room)
            await market.pay(order)
            orders.append(order)
            last[act.person] = order
        elif act.person in last:
            await market.refund(last.pop(act.person), f"r{act.ms}{act.person}")
    return orders


async def _check_board(market: Market, expected: Truth, since_ms: int, until_ms: int) -> None:
    """Every figure of the month, by every model; read from sums, and once touch by touch."""
    for model in (*MODELS, "distributor", "guide"):
        board = await market.attribution.board(MERCHANT, since_ms, until_ms, model=model)
        rows = {row["issuer"] or "": row for row in board["by_issuer"]}
        sold = {name: (row["paid"], row["amount"], row["refunded"]) for name, row in rows.items() if row["orders"]}
        # Of issuers the board shows the largest 500.
        assert sold == {name: one for name, one in expected.sales(model).items() if name in sold}, model
        assert len(sold) == min(len(expected.sales(model)), 500) or len(board["by_issuer"]) == 500
        assert all(row["entries"] in (0, len(expected.came_by[name])) for name, row in rows.items() if name)
    assert board["funnel"] == expected.funnel()
    gmv = sum(one.amount for one in expected.bought)
    back = sum(one.amount for one in expected.bought if one.back)
    assert (board["gmv"], board["refunded"], board["product"]["paid"]) == (gmv, back, len(expected.bought))
    assert board["k_factor"] == round(len(expected.shared) / len(expected.visits), 4)
    rooms = {row["room"]: (row["paid"], row["amount"], row["refunded"]) for row in board["by_room"] if row["orders"]}
    assert rooms == expected.sales("room")
    assert {row["room"]: row["entries"] for row in board["by_room"]} == {
        room: len(people) for room, people in expected.came_to.items()
    }
    days = {day_of(row["at"]): (row["entries"], row["paid"], row["amount"]) for row in board["series"]["rows"]}
    sums = expected.sales("day")
    assert days == {day: (len(people), *sums.get(str(day), (0, 0, 0))[:2]) for day, people in expected.came_on.items()}
    counted = await market.attribution.board(MERCHANT, since_ms - 1, until_ms, model="guide")
    for name in ("funnel", "k_factor", "product", "by_issuer", "by_channel", "by_room", "by_campaign"):
        assert counted[name] == board[name], name


async def _check_models_and_cohorts(market: Market, expected: Truth, since_ms: int, until_ms: int) -> None:
    models = await market.attribution.models(MERCHANT, since_ms, until_ms)
    for model in MODELS:
        sold = {row["issuer"] or "": row[model] for row in models["issuers"]}
        for name, (paid, amount, back) in expected.sales(model).items():
            if name in sold and name:
                assert (sold[name]["paid"], sold[name]["amount"], sold[name]["refunded"]) == (paid, amount, back)
        nobody = expected.sales(model).get("", (0, 0, 0))
        assert (sold[""]["paid"], sold[""]["amount"], sold[""]["refunded"]) == nobody
    for role in ("distributor", "guide"):
        credited = {row["issuer"]: (row["paid"], row["amount"], row["refunded"]) for row in models[role]}
        assert credited == {name: one for name, one in expected.sales(role).items() if name}
    cohorts = await market.attribution.cohorts(MERCHANT, until_ms)
    found = {
        (week_of(row["week"]), later): week["persons"]
        for row in cohorts
        for later, week in enumerate(row["weeks"])
        if week["persons"]
    }
    assert found == expected.returned()


@pytest.mark.parametrize(("people", "distributors", "guides", "shows", "buying"), SIZES)
async def test_a_month_comes_out_as_the_model_says(
    tmp_path: Path, people: int, distributors: int, guides: int, shows: int, buying: float
) -> None:
    random = Random(20_260_101)
    selling = sellers(random, distributors, guides)
    rooms = [f"r{number}" for number in range(1, shows + 1)]
    since_ms = day_ms(day_of(START_MS))
    month = acts(random, people, selling, rooms, since_ms, DAYS, buying)
    expected = truth(month, selling, PRICE)
    assert sum(bool(one.credit["distributor"]) for one in expected.bought) > 3 < len(expected.bought)
    # What is tested is who gets what; that it is durable is tested elsewhere, and a month has 30,000 commits.
    async with shop_world(tmp_path, synchronous="OFF") as world:
        touches = open_touch_log(tmp_path, clock=world.clock)
        market = Market(world, touches)
        world.clock.now_ms = since_ms
        await world.shop.members.set_program(MERCHANT, "boss", PROGRAM)
        orders = await _live(market, month, await _set_up(market, selling, people))
        for order, bought in zip(orders, expected.bought, strict=True):
            found = {name: one["issuer"] if one else "" for name, one in order.decision["models"].items()}
            found |= {role: one["issuer"] if one else "" for role, one in order.decision["credits"].items()}
            assert found == bought.credit, order.order
        for one in selling:
            if one.role == "distributor":
                assert sum(await market.on(one.name)) == expected.earned[one.name], one
        until_ms = since_ms + (DAYS + 1) * DAY_MS
        world.clock.now_ms = START_MS + 60 * DAY_MS
        await _check_board(market, expected, since_ms, until_ms)
        await _check_models_and_cohorts(market, expected, since_ms, until_ms)
        tiers = {row.person: row.tier for row in await world.query("SELECT person, tier FROM member")}
        assert tiers == expected.tiers()
        await market.distribution.release()
        (row,) = await world.query("SELECT count(*) AS n FROM commission WHERE state = 'frozen'")
        assert row.n == 0
        assert await market.sum_of_all() == 0
        await market.attribution.binder.close()
        touches.close()
