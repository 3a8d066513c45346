"""The board: funnel, totals and share tree of a period, against the same figures counted by hand."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import Connection, text

from commerce.attribution import board_sql
from tests.commerce.board_kit import DAY_MS, END_MS, Evening, an_evening, enter, order
from tests.commerce.people_kit import START_MS, Shop, newcomer, open_shop


@pytest.fixture
async def shop(anywhere: Path | str) -> AsyncIterator[Shop]:
    async with open_shop(anywhere) as opened:
        yield opened


@pytest.fixture
async def evening(shop: Shop) -> Evening:
    return await an_evening(shop)


def counts(row: dict[str, Any]) -> tuple[int, ...]:
    return tuple(row[name] for name in ("visits", "entries", "clicks", "orders", "paid", "amount"))


async def test_the_funnel_counts_persons_and_not_touches(evening: Evening) -> None:
    assert evening.board["funnel"] == {"visit": 4, "entry": 4, "click": 2, "order": 3, "paid": 2, "repeat": 1}


async def test_money_is_of_paid_orders_of_this_merchant(evening: Evening) -> None:
    assert evening.board["gmv"] == 1_800
    assert evening.board["orders_total"] == {"all": 4, "paid": 3}
    assert evening.board["basket"] == 600
    assert evening.board["conversion"] == 0.5


async def test_the_k_factor_counts_those_brought_by_somebody_else(evening: Evening) -> None:
    assert evening.board["k_factor"] == 0.5


async def test_each_order_shows_the_link_the_issuer_and_the_rule(evening: Evening) -> None:
    rows = evening.board["orders"]
    assert [row["order"] for row in rows] == evening.orders[::-1]
    dan, bob = rows[0], rows[-1]
    assert (bob["link"], bob["issuer"], bob["issuer_name"]) == (evening.shared.link.id, evening.ann, "ann")
    assert (bob["name"], bob["channel"], bob["role"], bob["losers"]) == ("bob", "wechat", "viewer", 1)
    assert bob["rule"] == "last valid touch within 7 days"
    assert (dan["link"], dan["issuer"], dan["rule"]) == (None, None, "no valid candidate")


async def test_totals_per_link_issuer_and_channel_add_up(evening: Evening) -> None:
    links = {row["link"]: row for row in evening.board["by_link"]}
    assert counts(links[evening.shared.link.id]) == (3, 3, 0, 3, 2, 1_500)
    assert counts(links[evening.poster.link.id]) == (1, 1, 0, 0, 0, 0)
    assert counts(links[None])[3:] == (1, 1, 300)
    assert links[evening.shared.link.id]["token"] == evening.shared.token
    issuers = {row["issuer"]: row for row in evening.board["by_issuer"]}
    assert issuers[evening.ann]["name"] == "ann"
    assert counts(issuers[evening.ann])[3:] == (3, 2, 1_500)
    channels = {row["channel"]: row for row in evening.board["by_channel"]}
    assert counts(channels["wechat"])[3:] == (3, 2, 1_500)
    assert counts(channels[None])[3:] == (1, 1, 300)
    for table in ("by_link", "by_issuer", "by_channel"):
        assert sum(row["amount"] for row in evening.board[table]) == evening.board["gmv"]
        assert sum(row["orders"] for row in evening.board[table]) == 4


async def test_the_tree_shows_each_link_below_its_parent(evening: Evening) -> None:
    root, child = evening.board["tree"]
    assert (root["link"], root["parent"], root["depth"]) == (evening.poster.link.id, None, 0)
    assert (child["link"], child["parent"], child["root"]) == (
        evening.shared.link.id,
        evening.poster.link.id,
        evening.poster.link.id,
    )
    assert (child["entries"], child["orders"], child["amount"]) == (3, 3, 1_500)


async def test_the_tree_holds_a_silent_parent_of_a_busy_child(shop: Shop) -> None:
    ann, bob = await newcomer(shop, "ann"), await newcomer(shop, "bob")
    root = await shop.attribution.mint_link(shop.mine.id, shop.mine.id, "merchant")
    child = await shop.attribution.mint_link(shop.mine.id, ann, "viewer", parent_token=root.token)
    await enter(shop, bob, child)
    board = await shop.attribution.board(shop.mine.id, START_MS, END_MS)
    assert [node["token"] for node in board["tree"]] == [root.token, child.token]


async def test_a_period_takes_its_first_moment_and_leaves_its_last(shop: Shop) -> None:
    ann = await newcomer(shop, "ann")
    await order(shop, ann, 100, "paid")
    at_ms = shop.clock()
    assert (await shop.attribution.board(shop.mine.id, at_ms, at_ms + 1))["gmv"] == 100
    assert (await shop.attribution.board(shop.mine.id, at_ms - 1, at_ms))["gmv"] == 0
    assert (await shop.attribution.board(shop.mine.id, at_ms + 1, at_ms + 2))["gmv"] == 0


async def test_an_order_without_a_stored_decision_counts_as_nobodys(shop: Shop) -> None:
    ann = await newcomer(shop, "ann")
    await order(shop, ann, 100, "paid")
    await shop.store.write(lambda db: db.execute(text("DELETE FROM order_credit")).rowcount)
    await shop.store.write(lambda db: db.execute(text("UPDATE orders SET decision = NULL")).rowcount)
    board = await shop.attribution.board(shop.mine.id, START_MS, END_MS)
    assert board["by_link"][0]["link"] is None
    assert board["orders"][0]["losers"] == 0


async def test_an_empty_period_is_all_zeros_and_json(shop: Shop) -> None:
    board = orjson.loads(orjson.dumps(await shop.attribution.board(shop.mine.id, 0, DAY_MS)))
    assert (board["gmv"], board["basket"], board["conversion"], board["k_factor"]) == (0, 0, 0.0, 0.0)
    assert board["orders"] == board["by_link"] == board["tree"] == []


async def test_the_boards_queries_use_indexes(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as shop:
        await _look_at_plans(shop)


async def _look_at_plans(shop: Shop) -> None:
    def plan(db: Connection, query: str, asked: dict[str, object]) -> str:
        return " ".join(row.detail for row in db.execute(text(f"EXPLAIN QUERY PLAN {query}"), asked))

    period = {"merchant": "m", "since": 0, "until": 1, "lowest": "0", "highest": "1", "model": "default"}
    touches = await shop.touches.read(lambda db: plan(db, str(board_sql._ALL), period))
    assert "COVERING INDEX ix_touch_merchant_ms" in touches
    orders = await shop.store.read(lambda db: plan(db, str(board_sql._SALES), period))
    assert "SEARCH o USING COVERING INDEX ix_orders_board" in orders
    assert "SEARCH c USING PRIMARY KEY" in orders
