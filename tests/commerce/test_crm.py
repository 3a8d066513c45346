"""Customers sorted: conditions, tags, stages of life, segments; and what a merge and its undoing do to them."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from commerce.attribution.touch import Touch, TouchKind
from commerce.attribution.touches_sql import TouchLog, open_touch_log
from commerce.basket import DropTerms
from commerce.crm import automations_sql, tags_sql
from commerce.crm.days_sql import SPAN_MS_MAX, next_reading
from commerce.crm.service import Crm
from commerce.domain.condition import DEPTH_MAX, BadCondition, read_condition
from commerce.domain.day import DAY_MS
from commerce.errors import CommerceError, Invalid, NotFound, Refused
from commerce.identity.aliases import Aliases
from commerce.identity.phone import Vault
from commerce.identity.service import Identities
from tests.commerce.shop_world import MERCHANT, OTHER_SKU, ROOM, World, shop_world

KEY = b"the key of the tests' vault, long"
TWICE: dict[str, Any] = {"event": "room_entry", "at_least": 2, "days": 7}
NEVER_BOUGHT: dict[str, Any] = {"measure": "orders", "at_most": 0}


class Place:
    """A shop's world with its touch log and what sorts its customers."""

    def __init__(self, world: World, touches: TouchLog) -> None:
        self.world = world
        self.touches = touches
        self.crm = Crm(world.store, touches, clock=world.clock)
        self.identities = Identities(world.store, world.shop.ledger, Aliases(), Vault(KEY), clock=world.clock)
        world.shop.listen(self.crm.hear)
        self._numbers = itertools.count(1)

    async def person(self, kind: str = "device", merchant: str = MERCHANT) -> str:
        name = f"p{next(self._numbers):04}"
        row = {"id": name, "merchant": merchant, "kind": kind}

        def write(db: Any) -> None:
            db.execute(text("INSERT INTO person (id, merchant, name, created_ms) VALUES (:id, :merchant, '', 0)"), row)
            db.execute(
                text(
                    "INSERT INTO identity (merchant, kind, value, person, created_ms)"
                    " VALUES (:merchant, :kind, :id, :id, 0)"
                ),
                row,
            )

        await self.world.store.write(write)
        return name

    def enter(self, person: str, times: int = 1, merchant: str = MERCHANT) -> None:
        for _ in range(times):
            self.touches.record(Touch(merchant, person, TouchKind.ROOM_ENTRY, room=ROOM))

    async def buy(self, person: str, key: str = "o") -> str:
        """A paid order of 20 yuan."""
        shop = self.world.shop
        await shop.stock_up(MERCHANT, OTHER_SKU, 1)
        order = (await shop.create_order(MERCHANT, ROOM, person, key, lines=[(OTHER_SKU, 1, None)])).order
        await shop.pay_order(MERCHANT, person, order, key)
        async with asyncio.timeout(60):
            while (await shop.order(MERCHANT, order)).status == "pending":
                await asyncio.sleep(0.005)
        return order

    async def reckon(self) -> None:
        """Let the log settle, and reckon everything."""
        self.world.clock.advance(5_000)
        self.crm.touched(MERCHANT)
        await self.crm.reckon()

    async def who(self, condition: Any) -> set[str]:
        found = await self.crm.members(MERCHANT, read_condition(condition), "", 100)
        return {person for person, _ in found}

    async def tags(self, person: str) -> list[str]:
        return [one["tag"] for one in (await self.crm.profile(MERCHANT, person))["tags"]]


@asynccontextmanager
async def open_place(where: Path | str) -> AsyncIterator[Place]:
    async with shop_world(where) as world:
        touches = open_touch_log(where, clock=world.clock)
        try:
            yield Place(world, touches)
        finally:
            touches.close()


async def code_of(awaitable: Any) -> str:
    try:
        await awaitable
    except CommerceError as error:
        return error.code
    return "ok"


async def test_who_came_twice_and_did_not_buy_is_found_on_both_engines(place: Path | str) -> None:
    async with open_place(place) as here:
        once, twice, buyer, old = [await here.person() for _ in range(4)]
        here.enter(old, 2)
        here.world.clock.advance(8 * DAY_MS)
        here.enter(once)
        here.enter(twice, 2)
        here.enter(buyer, 2)
        await here.buy(buyer)
        await here.reckon()
        assert await here.who({"all": [TWICE, NEVER_BOUGHT]}) == {twice}
        assert await here.who(TWICE) == {twice, buyer}
        assert await here.who({"event": "room_entry", "at_least": 2}) == {twice, buyer, old}
        assert await here.who({"event": "any", "at_most": 1, "days": 7}) == {once, old}
        assert await here.who({"event": "room_entry", "room": "elsewhere"}) == set()
        assert await here.who({"measure": "spent", "at_least": 2_000}) == {buyer}
        assert await here.who({"bought": OTHER_SKU, "days": 1}) == {buyer}
        assert await here.who({"bought": "p2", "at_least": 2}) == set()
        assert await here.who({"not": {"any": [TWICE, {"stage": "loyal"}]}}) == {once, old}
        assert (await here.crm.preview(MERCHANT, TWICE))["count"] == 2
        assert await here.crm.members("m2", read_condition(TWICE), "", 10) == []


async def test_stages_of_life_follow_what_people_do(place: Path | str) -> None:
    async with open_place(place) as here:
        passer, fan, known, customer, loyal = [await here.person() for _ in range(5)]
        here.enter(passer, 9)
        for _ in range(3):
            here.enter(fan)
            here.world.clock.advance(DAY_MS)
        await here.identities.show_phone(MERCHANT, known, "13800138022")
        await here.buy(customer)
        for n in range(3):
            await here.buy(loyal, f"o{n}")
        await here.reckon()
        stages = {
            one: (await here.crm.profile(MERCHANT, one))["stage"] for one in (passer, fan, known, customer, loyal)
        }
        assert list(stages.values()) == ["passer", "fan", "fan", "customer", "loyal"]
        assert await here.crm.stages(MERCHANT) == {"passer": 1, "fan": 2, "customer": 1, "loyal": 1}
        await here.crm.set_terms(MERCHANT, "boss", {"loyal_orders": 4, "fan_days": 1})
        await here.reckon()
        assert await here.crm.stages(MERCHANT) == {"fan": 3, "customer": 2}


async def test_a_rules_tag_stays_and_a_computed_one_goes_with_its_condition(anywhere: Path | str) -> None:
    async with open_place(anywhere) as here:
        crm, one = here.crm, await here.person()
        await crm.put_tag(MERCHANT, "boss", "来过两次", "rule", TWICE)
        await crm.put_tag(MERCHANT, "boss", "近期活跃", "computed", TWICE)
        await crm.put_tag(MERCHANT, "boss", "茶友", "manual", None)
        here.enter(one, 2)
        await here.reckon()
        await crm.mark(MERCHANT, one, "茶友", "boss", on=True)
        assert sorted(await here.tags(one)) == ["来过两次", "茶友", "近期活跃"]
        here.world.clock.advance(8 * DAY_MS)
        await here.reckon()
        assert sorted(await here.tags(one)) == ["来过两次", "茶友"]
        assert [row["people"] for row in await crm.tags(MERCHANT)] == [1, 1, 0]
        assert await code_of(crm.mark(MERCHANT, one, "近期活跃", "boss", on=True)) == "computed"
        assert await code_of(crm.mark("m2", one, "茶友", "boss", on=True)) == "not_found"
        await crm.drop_tag(MERCHANT, "茶友")
        assert await here.tags(one) == ["来过两次"]


async def test_a_tags_rule_cannot_wait_for_itself_or_another_computed_one(anywhere: Path | str) -> None:
    async with open_place(anywhere) as here:
        put = here.crm.put_tag
        await put(MERCHANT, "boss", "a", "computed", TWICE)
        assert await code_of(put(MERCHANT, "boss", "b", "computed", {"tag": "b"})) == "invalid"
        assert await code_of(put(MERCHANT, "boss", "b", "rule", {"not": {"tag": "a"}})) == "invalid"
        assert await code_of(put(MERCHANT, "boss", "a", "manual", None)) == "already"
        for name in ("", "two words", "a:b", "x" * 21):
            assert await code_of(put(MERCHANT, "boss", name, "manual", None)) == "invalid"
        assert await code_of(put(MERCHANT, "boss", "b", "rule", None)) == "invalid"


async def test_a_merge_carries_tags_and_visits_and_unmerging_gives_them_back(place: Path | str) -> None:
    async with open_place(place) as here:
        crm, elder, younger = here.crm, await here.person(), await here.person()
        await crm.put_tag(MERCHANT, "boss", "来过两次", "computed", TWICE)
        for tag in ("茶友", "老乡"):
            await crm.put_tag(MERCHANT, "boss", tag, "manual", None)
            await crm.mark(MERCHANT, younger, tag, "boss", on=True)
        await crm.mark(MERCHANT, elder, "茶友", "boss", on=True)
        here.enter(elder)
        here.enter(younger)
        await here.reckon()
        joined = await here.identities.merge(MERCHANT, elder, younger, "boss", "the same face")
        await here.crm.reckon()
        assert sorted(await here.tags(younger)) == ["来过两次", "老乡", "茶友"]
        assert await here.who(TWICE) == {elder}
        assert await here.who({"event": "any", "at_most": 0}) == set()
        assert joined.merged is not None
        await here.identities.undo(MERCHANT, joined.merged, "boss")
        await here.reckon()
        assert (await here.tags(elder), sorted(await here.tags(younger))) == (["茶友"], ["老乡", "茶友"])


async def test_a_coupon_for_a_tag_is_for_those_who_have_it(place: Path | str) -> None:
    async with open_place(place) as here:
        friend, stranger = await here.person(), await here.person()
        await here.crm.put_tag(MERCHANT, "boss", "茶友", "manual", None)
        await here.crm.mark(MERCHANT, friend, "茶友", "boss", on=True)
        more = DropTerms(audience="tag:茶友")
        drop = await here.world.shop.start_drop(MERCHANT, ROOM, "券", "老朋友", 500, 0, 9, 1, 60, 3_600, more=more)
        assert drop.audience == "tag:茶友"
        assert await code_of(here.world.shop.claim_coupon(MERCHANT, ROOM, stranger, drop.drop, "k")) == "not_for_you"
        assert await code_of(here.world.shop.claim_coupon(MERCHANT, ROOM, friend, drop.drop, "k")) == "ok"
        assert (await here.world.shop.drops(ROOM))[0].audience == "tag:茶友"


async def test_what_a_person_did_is_forgotten_with_them(anywhere: Path | str) -> None:
    async with open_place(anywhere) as here:
        one = await here.person()
        await here.crm.put_tag(MERCHANT, "boss", "茶友", "manual", None)
        await here.crm.mark(MERCHANT, one, "茶友", "boss", on=True)
        here.enter(one)
        await here.reckon()
        await here.identities.erase(MERCHANT, one, "boss", "asked for it")
        for table in ("person_tag", "person_day", "person_stage"):
            assert await here.world.query(f"SELECT * FROM {table}") == []


async def test_a_log_that_was_not_read_for_days_is_caught_up_and_read_twice_changes_nothing(
    anywhere: Path | str,
) -> None:
    async with open_place(anywhere) as here:
        one = await here.person()
        for _ in range(3):
            here.enter(one, 2)
            here.world.clock.advance(DAY_MS)
        await here.reckon()
        days = "SELECT n FROM person_day ORDER BY day"
        assert [row.n for row in await here.world.query(days)] == [2, 2, 2]
        await here.world.store.write(lambda db: db.exec_driver_sql("DELETE FROM crm_cursor"))
        here.crm = Crm(here.world.store, here.touches, clock=here.world.clock)
        await here.reckon()
        assert [row.n for row in await here.world.query(days)] == [2, 2, 2]


async def test_consent_is_the_newest_word_under_any_id(anywhere: Path | str) -> None:
    async with open_place(anywhere) as here:
        elder, younger, other = [await here.person() for _ in range(3)]
        for person, granted in ((elder, True), (younger, True), (other, True), (younger, False)):
            here.world.clock.advance(1_000)
            await here.identities.consent(MERCHANT, person, "marketing", granted, "test")
        assert await here.who({"consent": "marketing"}) == {elder, other}
        await here.identities.merge(MERCHANT, elder, younger, "boss", "the same face")
        assert await here.who({"consent": "marketing"}) == {other}


async def test_segments_are_kept_and_forgotten_each_by_its_own_shop(anywhere: Path | str) -> None:
    async with open_place(anywhere) as here:
        made = await here.crm.add_segment(MERCHANT, "boss", "来过两次", TWICE)
        assert [row["condition"] for row in await here.crm.segments(MERCHANT)] == [TWICE]
        with pytest.raises(NotFound):
            await here.crm.segment("m2", made)
        with pytest.raises(NotFound):
            await here.crm.drop_segment("m2", made)
        await here.crm.drop_segment(MERCHANT, made)
        assert await here.crm.segments(MERCHANT) == []
        with pytest.raises(Invalid):
            await here.crm.add_segment(MERCHANT, "boss", "x", {"event": "flying"})
        with pytest.raises(Refused):
            await here.crm.put_tag(MERCHANT, "boss", "a", "manual", None)
            await here.crm.put_tag(MERCHANT, "boss", "a", "rule", TWICE)


@pytest.mark.parametrize(
    ("condition", "where"),
    [
        (None, "condition"),
        ({}, "condition"),
        ({"event": "room_entry", "sql": "1=1"}, "'sql'"),
        ({"event": "room_entry", "at_least": True}, "at_least"),
        ({"event": "room_entry", "at_least": 3, "at_most": 2}, "at_most"),
        ({"event": "room_entry", "days": 0}, "days"),
        ({"measure": "age"}, "measure"),
        ({"all": []}, "condition.all"),
        ({"all": [{"tag": "x"}, {"tier": 10}]}, r"condition\.all\[1\]\.tier"),
        ({"not": [{"tag": "x"}]}, "condition.not"),
        ({"follows": False}, "follows"),
        ({"tag": "x" * 65}, "tag"),
        ({"all": [{"tag": str(n)} for n in range(20)] + [{"tag": "x"}]}, "20"),
        ({"any": [{"all": [{"tag": "x"}] * 11}, {"all": [{"tag": "x"}] * 10}]}, "at most 20"),
    ],
)
def test_a_condition_that_makes_no_sense_is_refused_with_the_place(condition: Any, where: str) -> None:
    with pytest.raises(BadCondition, match=where):
        read_condition(condition)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["all", "any", "not", "event", "tag", "days", "x"]), inner, max_size=3)
        ),
        max_leaves=8,
    )
)
def test_anything_at_all_is_a_condition_or_refused(given_: Any) -> None:
    try:
        read_condition(given_)
    except BadCondition as error:
        assert str(error)


def test_a_condition_is_bounded_in_depth() -> None:
    deep: Any = {"tag": "x"}
    for _ in range(DEPTH_MAX):
        deep = {"not": deep}
    with pytest.raises(BadCondition, match="levels"):
        read_condition(deep)


def test_a_reading_is_bounded_and_goes_over_yesterday_once() -> None:
    now = 1_800_000_000_000
    assert next_reading(None, None, now) is None
    first = next_reading(None, now - 10 * DAY_MS, now)
    assert first is not None and first.until_ms == now - 10 * DAY_MS + SPAN_MS_MAX
    midnight = 1_799_942_400_000
    crossing = next_reading(midnight - 1_000, None, midnight + 60_000)
    assert crossing is not None and crossing.since_ms == midnight - DAY_MS
    assert next_reading(now, None, now) is None


def once(db: Any, query: str, values: dict[str, Any], table: str) -> bool:
    """Whether SQLite goes through a table once, or by an index, and not as a whole again for each person."""
    plan = {row.id: row for row in db.execute(text(f"EXPLAIN QUERY PLAN {query}"), values)}
    for row in plan.values():
        if f"SCAN {table} LEFT-JOIN" in row.detail:
            return False
        above = row
        while f" {table} " in f"{row.detail} " and above.parent:
            above = plan[above.parent]
            if above.detail.startswith("CORRELATED"):
                return False
    return True


async def test_stages_and_automations_of_many_people_are_found_without_going_through_all_for_each(
    tmp_path: Path,
) -> None:
    async with open_place(tmp_path) as here:
        who = {"merchant": MERCHANT, "limit": 10}
        starts = f"SELECT p.id FROM person AS p WHERE p.merchant = :merchant{automations_sql._UNLESS}"
        runs = {**who, "automation": "a", "since": 0}

        def look(db: Any) -> list[bool]:
            return [
                once(db, str(tags_sql._MOVED), {**who, "loyal": 3, "fan": 3}, "v"),
                once(db, starts, runs, "r"),
            ]

        assert await here.world.store.read(look) == [True, True]
