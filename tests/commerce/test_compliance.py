"""What the regulator asks, switch by switch: each refuses what it should, and keeps what it must."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text

from commerce.catalogue import Catalogue
from commerce.changes import Hand
from commerce.compliance import COMPLAINTS_OPEN_MAX, Compliance
from commerce.domain.policy import DAY_MS, KEEP_DAYS_MIN, Policy, policy_fault, policy_of
from commerce.errors import Invalid, NotFound, Refused
from commerce.goods import Goods
from commerce.identity.phone import Vault
from tests.commerce.people_kit import cheap_passwords
from tests.commerce.shop_world import MERCHANT, OTHER_SKU, ROOM, SKU, World, shop_world

NUMBER = "91310000MA1K4BX92Q"


class Office:
    """A shop with its records."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.catalogue = Catalogue(world.store, clock=world.clock, passwords=cheap_passwords())
        self.compliance = Compliance(
            world.store, world.shop, self.catalogue, Vault(b"a key of the tests, long enough"), clock=world.clock
        )
        self.goods = Goods(world.store, world.shop.ledger, self.catalogue)

    async def switch(self, policy: Policy) -> None:
        await self.compliance.set_policy(MERCHANT, "boss", policy)


@pytest.fixture
async def office(place: Path | str) -> AsyncIterator[Office]:
    async with shop_world(place) as world:
        await world.store.write(
            lambda db: db.execute(
                text(
                    "INSERT INTO room (id, merchant, title, host_name, cover, created_ms)"
                    " VALUES ('r1', 'm1', '', '', '', 0)"
                )
            )
        )
        opened = Office(world)
        yield opened
        await opened.catalogue.close()


def test_switches_have_bounds_and_survive_what_an_older_release_stored() -> None:
    assert policy_fault(Policy()) is None
    for policy in (
        Policy(return_days=6),
        Policy(keep_chat_days=KEEP_DAYS_MIN - 1),
        Policy(complaints_days=0),
        Policy(return_days=91),
    ):
        assert policy_fault(policy) is not None
    assert policy_of({"keep_chat_days": KEEP_DAYS_MIN, "gone": 1}) == Policy(keep_chat_days=KEEP_DAYS_MIN)


async def test_a_struck_through_price_needs_its_basis_where_the_shop_wants_one(office: Office) -> None:
    by = Hand("boss", "x")
    await office.catalogue.set_price(MERCHANT, "p1", 9_000, 12_000, by)
    await office.switch(Policy(list_basis_required=True))
    for refused in (
        office.catalogue.set_price(MERCHANT, "p1", 8_000, 12_000, by),
        office.catalogue.set_sku_price(MERCHANT, OTHER_SKU, 100, 200, by),
        office.catalogue.create_product(MERCHANT, "cup", 100, 200),
        office.catalogue.add_variant(MERCHANT, "p2", "blue", 100, 200, "red"),
        office.goods.import_file(MERCHANT, "boss", b"product,sku,title,price,list_price\na,a,cup,1,2\n", "x"),
    ):
        with pytest.raises(Refused) as refusal:
            await refused
        assert refusal.value.code == "no_basis"
    assert (await office.catalogue.product(MERCHANT, "p1")).price == 9_000
    await office.compliance.set_basis(MERCHANT, SKU, "2026-10 门店挂牌价")
    assert (await office.catalogue.set_price(MERCHANT, "p1", 8_000, 12_000, by)).list_price == 12_000
    sheet = "product,sku,title,price,list_price,list_basis\na,a,cup,1,2,吊牌价\n".encode()
    assert (await office.goods.import_file(MERCHANT, "boss", sheet, "x")).written
    told = await office.compliance.notice("p1")
    assert (told["skus"][0]["list_basis"], told["returns"], told["return_days"]) == (
        "2026-10 门店挂牌价",
        "seven_days",
        7,
    )


async def test_a_room_without_a_host_on_record_may_not_broadcast_where_the_shop_wants_one(office: Office) -> None:
    compliance = office.compliance
    assert await compliance.may_host(MERCHANT, ROOM)
    await office.switch(Policy(host_identity_required=True))
    assert not await compliance.may_host(MERCHANT, ROOM)
    await compliance.set_host(MERCHANT, ROOM, "李小雨", "310101199003071234", "boss")
    office.world.clock.advance(1)
    [new, old] = await compliance.set_host(MERCHANT, ROOM, "王五", "G12345678", "boss")
    assert await compliance.may_host(MERCHANT, ROOM) and old["ended_ms"] and not new["ended_ms"]
    assert old["shown"] == "李** 31…34"
    rows = await office.world.query("SELECT sealed FROM host_identity")
    assert all("310101" not in row.sealed and "李" not in row.sealed for row in rows)
    assert await compliance.open_host(MERCHANT, old["id"], "boss", "police") == {
        "name": "李小雨",
        "number": "310101199003071234",
    }
    [logged] = await office.world.query("SELECT action, reason FROM privacy_log")
    assert (logged.action, logged.reason) == ("host", "police")
    with pytest.raises(NotFound):
        await compliance.open_host("m2", old["id"], "boss", "curious")
    with pytest.raises(NotFound):
        await compliance.set_host("m2", ROOM, "x", "G12345678", "boss")


async def test_chat_is_kept_for_three_years_and_forgotten_after_them(office: Office) -> None:
    compliance, clock = office.compliance, office.world.clock
    await office.switch(Policy(keep_chat_days=KEEP_DAYS_MIN))
    line = {"merchant": MERCHANT, "room": ROOM, "person": "one", "role": "viewer", "name": "小雨", "text": "好茶"}
    await compliance.keep_lines([{**line, "id": "a", "at": clock()}, {**line, "id": "b", "at": clock() + 1}])
    await compliance.keep_lines([{**line, "id": "a", "at": clock()}])
    clock.advance(KEEP_DAYS_MIN * DAY_MS)
    assert await compliance.forget_lines() == 0
    assert len(await compliance.lines(MERCHANT, ROOM, "one", 0, 1 << 52, "", 9)) == 2
    clock.advance(1)
    assert await compliance.forget_lines() == 1
    assert [one["id"] for one in await compliance.lines(MERCHANT, "", "", 0, 1 << 52, "", 9)] == ["b"]
    assert await compliance.lines("m2", "", "", 0, 1 << 52, "", 9) == []


async def test_a_licence_is_shown_unless_the_shop_shows_it_elsewhere(office: Office) -> None:
    compliance = office.compliance
    assert await compliance.shown_licence(MERCHANT) is None
    permits = [{"name": "食品经营许可证", "number": "JY13101"}]
    made = await compliance.set_licence(
        MERCHANT, "boss", "思语科技", NUMBER.lower(), "上海", "/static/icon.svg", permits
    )
    assert made is not None and (made["number"], made["permits"]) == (NUMBER, permits)
    assert await compliance.shown_licence(MERCHANT) == made
    await office.switch(Policy(licence_shown=False))
    assert await compliance.shown_licence(MERCHANT) is None
    for number in ("1" * 17, "91310000MA1K4BX92I", ""):
        with pytest.raises(Invalid):
            await compliance.set_licence(MERCHANT, "boss", "x", number, "", "", [])


async def test_a_complaint_is_answered_once_within_its_days_and_nobody_floods_the_inbox(office: Office) -> None:
    compliance = office.compliance
    await office.switch(Policy(complaints_days=3))
    made = await compliance.complain(MERCHANT, "one", "complaint", "碎了", "", ROOM, "")
    assert made["due_ms"] - made["created_ms"] == 3 * DAY_MS
    await compliance.answer(MERCHANT, made["id"], "boss", "补发")
    with pytest.raises(NotFound):
        await compliance.answer(MERCHANT, made["id"], "boss", "again")
    assert (await compliance.complaints(MERCHANT, "one"))[0]["answer"] == "补发"
    assert await compliance.complaints(MERCHANT, "two") == []
    for n in range(COMPLAINTS_OPEN_MAX):
        await compliance.complain(MERCHANT, "one", "report", f"{n}", "", "", "")
    with pytest.raises(Refused) as flood:
        await compliance.complain(MERCHANT, "one", "report", "more", "", "", "")
    assert flood.value.code == "limit"
    with pytest.raises(NotFound):
        await compliance.complain(MERCHANT, "two", "complaint", "x", "", "", "not-theirs")
    # Praise waits for no answer, and keeps nobody from complaining.
    for n in range(COMPLAINTS_OPEN_MAX):
        await compliance.complain(MERCHANT, "two", "praise", f"{n}", "", "", "")
    assert (await compliance.complain(MERCHANT, "two", "complaint", "x", "", "", ""))["kind"] == "complaint"


async def test_what_was_taken_down_stays_down_until_that_is_lifted(office: Office) -> None:
    compliance = office.compliance
    made = await compliance.take_down(MERCHANT, "product", "p1", "fake brand", "商标法 57", "boss")
    assert not (await office.catalogue.product(MERCHANT, "p1")).on_shelf
    sheet = f"product,sku,on_shelf\np1,{SKU},yes\n".encode()
    for refused in (
        office.catalogue.update_product(MERCHANT, "p1", on_shelf=True),
        office.goods.import_file(MERCHANT, "boss", sheet, "x"),
        compliance.take_down(MERCHANT, "product", "p1", "again", "", "boss"),
    ):
        with pytest.raises(Refused):
            await refused
    with pytest.raises(NotFound):
        await compliance.take_down("m2", "product", "p1", "x", "", "boss")
    await compliance.lift(MERCHANT, made["id"], "boss")
    assert (await office.catalogue.update_product(MERCHANT, "p1", on_shelf=True)).on_shelf
    await compliance.take_down(MERCHANT, "room", ROOM, "court order", "", "boss")
    assert (await office.catalogue.room(ROOM)).closed_ms is not None
    assert len(await compliance.takedowns(MERCHANT, None, 9)) == 2
