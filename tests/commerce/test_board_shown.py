"""What was shown is on the board beside who brought whom: hosts by what their rooms sold, clips by who had watched."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

import pytest

from commerce.attribution.board import Period
from commerce.attribution.reach import day_ms, day_of
from commerce.attribution.service import CLIP_WINDOW_MS, Attribution
from commerce.store_sql import migrate, sqlite_engine
from tests.commerce.board_kit import END_MS, write_order
from tests.commerce.people_kit import SECRET, START_MS, Shop, newcomer, open_shop
from tests.commerce.shop_world import seed_catalogue
from tests.commerce.test_clips import add

BY_SUMS_AND_TOUCH_BY_TOUCH = (day_ms(day_of(START_MS) - 20), START_MS - 1)
"""Beginnings of a period that is read from sums of days, and of one that is counted anew."""


@dataclass
class Stage:
    """A shop whose rooms have hosts."""

    shop: Shop
    hosts: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shop = self.shop
        self.attribution = Attribution(
            shop.store, shop.touches, secret=SECRET, clock=shop.clock, host_of=lambda room: self.hosts.get(room, "")
        )

    async def enter(self, person: str, room: str) -> None:
        self.shop.clock.advance(1)
        await self.attribution.touch_token(self.shop.mine.id, None, person, "room_entry", room=room)

    async def watch(self, person: str, clip: str) -> None:
        self.shop.clock.advance(1)
        await self.attribution.touch_token(self.shop.mine.id, None, person, "clip_view", room=self.room, clip=clip)

    async def order(self, person: str, amount: int, room: str, *skus: str) -> str:
        self.shop.clock.advance(1)
        merchant, now_ms = self.shop.mine.id, self.shop.clock()
        decision = await self.attribution.decision_json(merchant, person, now_ms, room=room, skus=skus)
        return await write_order(self.shop, merchant, room, person, "paid", amount, decision)

    async def table(self, name: str, since_ms: int) -> dict[str, tuple[int, int, int]]:
        """Persons, paid orders and their amount by what names a row."""
        board = await self.attribution.board(self.shop.mine.id, since_ms, END_MS)
        rows = board[f"by_{name}"]
        return {row[name]: (row["visits"], row["paid"], row["amount"]) for row in rows}

    async def opened(self, name: str, key: str, since_ms: int) -> tuple[int, int]:
        """How many persons and orders a row opens to."""
        period, rows = Period(self.shop.mine.id, since_ms, END_MS), self.attribution.rows
        people = await rows.people(period, "visit", name, key, "", 50)
        return len(people), len(await rows.orders(period, "paid", name, key, "", 50))

    @property
    def room(self) -> str:
        return self.shop.room.id


@pytest.fixture
async def stage(anywhere: Path | str) -> AsyncIterator[Stage]:
    async with open_shop(anywhere) as shop:
        yield Stage(shop)


async def test_a_host_has_what_their_rooms_sold_while_they_were_theirs(stage: Stage) -> None:
    shop, studio = stage.shop, await stage.shop.catalogue.create_room(stage.shop.mine.id, "studio")
    ann, bob = await newcomer(shop, "ann"), await newcomer(shop, "bob")
    stage.hosts = {stage.room: "小语", studio.id: "小语"}
    await stage.enter(ann, stage.room)
    await stage.enter(ann, studio.id)
    await stage.order(ann, 700, stage.room)
    await stage.order(ann, 200, studio.id)
    stage.hosts[studio.id] = "大山"
    await stage.enter(bob, studio.id)
    await stage.order(bob, 50, studio.id)
    for since_ms in BY_SUMS_AND_TOUCH_BY_TOUCH:
        # Ann met one host in two rooms: that is one person.
        assert await stage.table("host", since_ms) == {"小语": (1, 2, 900), "大山": (1, 1, 50)}
        assert await stage.opened("host", "小语", since_ms) == (1, 2)
    models = await stage.attribution.models(shop.mine.id, START_MS, END_MS)
    assert [row["issuer"] for row in models["issuers"]] == [None]


async def test_an_explanation_has_what_was_bought_of_its_product_by_who_had_watched_it(stage: Stage) -> None:
    shop = stage.shop
    other = await shop.catalogue.create_product(shop.mine.id, "毛刷", 500)
    towel, brush = shop.product.sku, other.sku
    for clip in ("c1", "c2"):
        await add(shop, clip)
    await add(shop, "c3", product=other.product)
    ann, bob, cat = [await newcomer(shop, name) for name in ("ann", "bob", "cat")]
    await stage.watch(ann, "c1")
    await stage.watch(ann, "c2")
    await stage.watch(ann, "c3")
    await stage.watch(bob, "c3")
    await stage.order(ann, 700, stage.room, towel)  # the last that she watched of it
    await stage.order(bob, 90, stage.room, towel)  # he watched that of another
    await stage.order(cat, 80, stage.room, towel, brush)  # she watched none
    for since_ms in BY_SUMS_AND_TOUCH_BY_TOUCH:
        assert await stage.table("clip", since_ms) == {"c1": (1, 0, 0), "c2": (1, 1, 700), "c3": (2, 0, 0)}
        assert await stage.opened("clip", "c2", since_ms) == (1, 1)
    shop.clock.advance(CLIP_WINDOW_MS)
    decision = await stage.attribution.decision_json(
        shop.mine.id, ann, shop.clock(), room=stage.room, skus=(towel, brush)
    )
    assert "clip" not in decision["credits"]
    board = await stage.attribution.board(shop.mine.id, START_MS, END_MS)
    assert {row["clip"]: row["title"] for row in board["by_clip"]} == {
        "c1": shop.product.title,
        "c2": shop.product.title,
        "c3": "毛刷",
    }
    await shop.catalogue.delete_clip(shop.mine.id, stage.room, "c2")
    board = await stage.attribution.board(shop.mine.id, START_MS, END_MS)
    assert [(row["title"], row["amount"]) for row in board["by_clip"] if row["clip"] == "c2"] == [(None, 700)]


async def test_entries_and_explanations_count_while_the_log_waits_for_its_disk(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as shop:
        stage = Stage(shop, {shop.room.id: "小语"})
        ann = await newcomer(shop, "ann")
        await add(shop, "c1")
        await stage.enter(ann, stage.room)
        entered_ms = shop.clock()
        await shop.touches.flushed(10)
        with closing(sqlite3.connect(tmp_path / "touches.db", isolation_level=None)) as holder:
            holder.execute("BEGIN IMMEDIATE")
            await stage.enter(ann, stage.room)
            again_ms = shop.clock()
            await stage.watch(ann, "c1")
            found = await stage.attribution.entries(shop.mine.id, ann, stage.room)
            skus = (shop.product.sku,)
            decision = await stage.attribution.decision_json(shop.mine.id, ann, shop.clock(), skus=skus)
            assert shop.touches.stats().written == 1
            holder.execute("ROLLBACK")
        assert (found.first_ms, found.last_ms) == (entered_ms, again_ms)
        assert decision["credits"]["clip"]["issuer"] == "c1"
        assert await shop.touches.flushed(10)
        assert await stage.attribution.entries(shop.mine.id, ann, stage.room) == found


async def test_a_click_carries_the_link_that_its_person_came_by_and_a_bad_one_is_told_once(stage: Stage) -> None:
    shop = stage.shop
    ann, bob = await newcomer(shop, "ann"), await newcomer(shop, "bob")
    link = await stage.attribution.mint_link(shop.mine.id, ann, "viewer", stage.room)
    for token in (link.token, "no-token-of-ours"):
        for kind in ("room_entry", "card_click", "card_click"):
            await stage.attribution.touch_token(shop.mine.id, token, bob, kind, room=stage.room, sku=shop.product.sku)
    board = await stage.attribution.board(shop.mine.id, START_MS - 1, END_MS)
    assert [(row["issuer"], row["entries"], row["clicks"]) for row in board["by_link"]] == [(ann, 1, 1)]
    assert sum(board["rejected"].values()) == 1


def test_orders_of_before_stand_under_who_hosts_their_room_now(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    migrate(path, to=import_module("commerce.migrations.versions.0080_hosts_credit").down_revision)
    engine = sqlite_engine(path, writing=True)
    with engine.begin() as connection:
        seed_catalogue(connection)
        for room, host in (("r1", "小语"), ("r2", "")):
            connection.exec_driver_sql(
                "INSERT INTO room (id, merchant, title, host_name, cover, created_ms)"
                f" VALUES ('{room}', 'm1', 't', '{host}', '', 0)"
            )
            connection.exec_driver_sql(
                "INSERT INTO orders (id, merchant, room, person, status, goods, discount, amount, steps, created_ms,"
                f" expires_ms) VALUES ('o-{room}', 'm1', '{room}', 'ann', 'pending', 5, 0, 5, '[]', 1, 9)"
            )
    migrate(path)
    with engine.begin() as connection:
        found = connection.exec_driver_sql("SELECT order_id, model, issuer, role FROM order_credit").all()
    engine.dispose()
    assert [tuple(row) for row in found] == [("o-r1", "host", "小语", "host")]
