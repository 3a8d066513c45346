"""What the board opens to: as many rows as a figure says; models side by side; who came back; what ads cost."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from commerce.attribution.ad_list import day_text, read_costs
from commerce.attribution.board import Period
from commerce.attribution.insight_sql import week_ms, week_of
from commerce.attribution.reach import day_of
from commerce.errors import Invalid
from tests.commerce.board_kit import DAY_MS, END_MS, Evening, an_evening, enter, order
from tests.commerce.people_kit import START_MS, Shop, newcomer, open_shop


@pytest.fixture
async def shop(anywhere: Path | str) -> AsyncIterator[Shop]:
    async with open_shop(anywhere) as opened:
        yield opened


@pytest.fixture
async def evening(shop: Shop) -> Evening:
    return await an_evening(shop)


def period(shop: Shop, model: str = "default") -> Period:
    return Period(shop.mine.id, START_MS, END_MS, model)


async def visitors(shop: Shop, step: str, dimension: str = "", key: str = "", after: str = "") -> list[str]:
    found = await shop.attribution.rows.people(period(shop), step, dimension, key, after, 50)
    return [row["person"] for row in found]


async def sold(shop: Shop, state: str, dimension: str = "", key: str = "") -> list[str]:
    found = await shop.attribution.rows.orders(period(shop), state, dimension, key, "", 50)
    return [row["order"] for row in found]


async def test_every_figure_of_traffic_opens_to_as_many_people(shop: Shop, evening: Evening) -> None:
    board = evening.board
    for step in ("visit", "entry", "click"):
        assert len(await visitors(shop, step)) == board["funnel"][step]
    names = {"visits": "visit", "entries": "entry", "clicks": "click"}
    tables = {"by_link": "link", "by_issuer": "issuer", "by_channel": "channel", "by_room": "room"}
    for table, dimension in tables.items():
        for row in board[table]:
            for count, step in names.items():
                if row[dimension] is not None:
                    assert len(await visitors(shop, step, dimension, row[dimension])) == row[count], (table, row)
    assert len(await visitors(shop, "entry", "shared")) == board["k_factor"] * board["funnel"]["entry"]


async def test_every_figure_of_sales_opens_to_as_many_orders(shop: Shop, evening: Evening) -> None:
    board = evening.board
    assert len(await sold(shop, "all")) == board["orders_total"]["all"]
    assert len(await sold(shop, "paid")) == board["orders_total"]["paid"]
    assert await sold(shop, "repeat") == evening.orders[1::-1]
    tables = {"by_link": "link", "by_issuer": "issuer", "by_channel": "channel", "by_room": "room"}
    for table, dimension in tables.items():
        for row in board[table]:
            assert len(await sold(shop, "all", dimension, row[dimension] or "")) == row["orders"], (table, row)
            assert len(await sold(shop, "paid", dimension, row[dimension] or "")) == row["paid"], (table, row)


async def test_rows_are_paged_by_their_last_id_and_carry_names(shop: Shop, evening: Evening) -> None:
    rows = shop.attribution.rows
    first = await rows.people(period(shop), "visit", "", "", "", 3)
    rest = await rows.people(period(shop), "visit", "", "", first[-1]["person"], 3)
    assert {row["name"] for row in (*first, *rest)} == {"ann", "bob", "cat", "dan"}
    assert {row["touches"] for row in (*first, *rest) if row["name"] == "bob"} == {3}
    page = await rows.orders(period(shop), "all", "", "", "", 2)
    assert [row["order"] for row in page] == evening.orders[:1:-1]
    next_page = await rows.orders(period(shop), "all", "", "", page[-1]["order"], 2)
    assert [row["order"] for row in next_page] == evening.orders[1::-1]


async def test_a_figure_of_no_step_state_or_dimension_is_refused(shop: Shop) -> None:
    for step, dimension in (("walk", ""), ("visit", "person; DROP")):
        with pytest.raises(Invalid):
            await visitors(shop, step, dimension)
    for state, dimension in (("lost", ""), ("paid", "reason")):
        with pytest.raises(Invalid):
            await sold(shop, state, dimension)


async def test_the_product_of_its_factors_is_what_was_sold(evening: Evening) -> None:
    product = evening.board["product"]
    assert product == {
        "traffic": 4,
        "payers": 2,
        "paid": 3,
        "gmv": 1_800,
        "conversion": 0.5,
        "repurchase": 1.5,
        "basket": 600.0,
    }
    assert product["traffic"] * product["conversion"] * product["repurchase"] * product["basket"] == product["gmv"]


async def test_the_steps_of_a_day_add_up_to_its_sales(shop: Shop, evening: Evening) -> None:
    series = evening.board["series"]
    assert series["unit_ms"] == 3_600_000
    assert sum(row["amount"] for row in series["rows"]) == 1_800
    month = await shop.attribution.board(shop.mine.id, START_MS - 20 * DAY_MS, END_MS)
    (day,) = month["series"]["rows"]
    assert month["series"]["unit_ms"] == DAY_MS
    assert (day["visits"], day["entries"], day["clicks"], day["paid"], day["amount"]) == (4, 4, 2, 3, 1_800)
    assert day["at"] <= START_MS < day["at"] + DAY_MS


async def test_models_stand_side_by_side_and_each_sums_to_all_orders(shop: Shop) -> None:
    ann, bob = await newcomer(shop, "ann"), await newcomer(shop, "bob")
    buyer = await newcomer(shop, "cat")
    for sharer in (ann, bob):
        await enter(shop, buyer, await shop.attribution.mint_link(shop.mine.id, sharer, "viewer"))
    await order(shop, buyer, 700, "paid")
    await order(shop, await newcomer(shop, "dan"), 300, "paid")
    found = await shop.attribution.models(shop.mine.id, START_MS, END_MS)
    rows = {row["name"]: row for row in found["issuers"]}
    assert rows["bob"]["default"]["amount"] == rows["bob"]["last_touch"]["amount"] == 700
    assert rows["ann"]["first_touch"]["amount"] == 700
    assert rows["ann"]["default"]["amount"] == rows["bob"]["first_touch"]["amount"] == 0
    for model in ("default", "binding_first", "last_touch", "first_touch"):
        assert sum(row[model]["amount"] for row in found["issuers"]) == found["total"]["amount"] == 1_000
    board = await shop.attribution.board(shop.mine.id, START_MS, END_MS, model="first_touch")
    assert {row["name"]: row["amount"] for row in board["by_issuer"] if row["amount"]} == {"ann": 700, None: 300}


async def test_who_came_back_stands_under_the_week_of_their_first_order(shop: Shop) -> None:
    ann, bob = await newcomer(shop, "ann"), await newcomer(shop, "bob")
    for person in (ann, bob):
        await order(shop, person, 100, "paid")
    shop.clock.advance(14 * DAY_MS)
    await order(shop, ann, 50, "paid")
    await order(shop, bob, 70, "cancelled")
    until_ms = shop.clock() + 1
    (cohort,) = await shop.attribution.cohorts(shop.mine.id, until_ms)
    assert cohort["week"] == week_ms(week_of(START_MS))
    assert cohort["weeks"] == [
        {"persons": 2, "amount": 200},
        {"persons": 0, "amount": 0},
        {"persons": 1, "amount": 50},
    ]
    (row,) = await shop.attribution.rows.returned(shop.mine.id, until_ms, cohort["week"], 2, "", 10)
    assert (row["person"], row["name"], row["amount"]) == (ann, "ann", 50)
    assert await shop.attribution.cohorts(shop.mine.id, START_MS) == []


def costs(*lines: str) -> bytes:
    return "\n".join(("日期,计划,消耗", *lines)).encode("utf-8-sig")


async def test_an_ads_cost_stands_beside_what_it_brought(shop: Shop) -> None:
    link = await shop.attribution.mint_link(shop.mine.id, shop.mine.id, "merchant", channel="douyin", campaign="spring")
    buyer = await newcomer(shop, "ann")
    await enter(shop, buyer, link)
    paid = await order(shop, buyer, 60_000, "paid")
    today = day_text(day_of(START_MS))
    rows = shop.attribution.rows
    report = await rows.import_costs(
        shop.mine.id, "boss", costs(f"{today},spring,200", f'{today},silent,"1,000.50"'), try_only=False
    )
    assert (report.written, report.rows, report.cost) == (True, 2, 120_050)
    campaigns = {row["campaign"]: row for row in (await board_of(shop))["by_campaign"]}
    assert (campaigns["spring"]["entries"], campaigns["spring"]["cost"], campaigns["spring"]["roi"]) == (1, 20_000, 3.0)
    assert (campaigns["silent"]["visits"], campaigns["silent"]["cost"], campaigns["silent"]["roi"]) == (0, 100_050, 0)
    await shop.store.write(
        lambda db: (
            db.execute(
                text("UPDATE orders SET refunded = 20000, status = 'partly_refunded' WHERE id = :id"), {"id": paid}
            ).rowcount
        )
    )
    assert (await board_of(shop))["by_campaign"][0]["roi"] == 2.0
    await rows.import_costs(shop.mine.id, "boss", costs(f"{today},spring,100"), try_only=False)
    assert {row["campaign"]: row["cost"] for row in await rows.costs(period(shop))} == {
        "silent": 100_050,
        "spring": 10_000,
    }


async def board_of(shop: Shop) -> dict[str, Any]:
    return await shop.attribution.board(shop.mine.id, START_MS - DAY_MS, END_MS)


async def test_a_list_of_costs_with_a_broken_row_is_reported_row_by_row_and_writes_nothing(shop: Shop) -> None:
    broken = costs("2026-02-30,a,1", "2026-02-01,,1", "2026-02-01,a,1.234", "2026-02-01,a,-1", "2026-02-01,b,2", "x")
    report = await shop.attribution.rows.import_costs(shop.mine.id, "boss", broken, try_only=False)
    assert not report.written
    assert [(fault.line, fault.column) for fault in report.faults] == [
        (2, "date"),
        (3, "campaign"),
        (4, "cost"),
        (5, "cost"),
        (7, ""),
    ]
    twice = costs("2026-02-01,a,1", "2026-02-01,a,2")
    (fault,) = (await shop.attribution.rows.import_costs(shop.mine.id, "boss", twice, try_only=False)).faults
    assert (fault.line, fault.message) == (3, "the same day and campaign as in line 2")
    tried = await shop.attribution.rows.import_costs(shop.mine.id, "boss", costs("2026-02-01,a,1"), try_only=True)
    assert (tried.written, tried.rows, tried.faults) == (False, 1, ())
    assert await shop.attribution.rows.costs(Period(shop.mine.id, 0, END_MS)) == []


@pytest.mark.parametrize("cost", ["", "NaN", "inf", "1e99", "abc", "1.001", "-0.01", "٣x"])
def test_a_cost_that_is_no_sum_of_yuan_is_named(cost: str) -> None:
    found, (fault,) = read_costs(costs(f"2026-02-01,a,{cost}"))
    assert not found
    assert fault.column == "cost"


def test_a_sheet_without_its_columns_is_refused() -> None:
    for raw in (b"day,campaign,cost\n", b"date,campaign,cost,cost\n", b"\xff\xfe", b'date,campaign,cost\n"'):
        with pytest.raises(Invalid):
            read_costs(raw)
