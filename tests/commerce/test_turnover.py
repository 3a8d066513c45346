"""What counts as sold: goods and not their freight, online and at tills, alike in every report."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text

from commerce.attribution import insight_sql
from commerce.attribution.board import Period
from commerce.catalogue import Catalogue
from commerce.domain.member import Program, Tier
from commerce.domain.pos import Receipt
from commerce.org import Organisation
from commerce.pos import Buyer
from tests.commerce.shop_world import MERCHANT, ROOM, shop_world
from tests.commerce.test_freight import Brought

DAY_MS = 86_400_000
PROGRAM = Program(
    yuan_points=1, window_days=7, tiers=(Tier("silver", 10_000, 200),), gift_amount=10_000, gift_points=50
)
"""What two fees and the goods would come to is over the tier's and the gift's amount; the goods alone are not."""


class Reports(Brought):
    """All reports that say what was sold."""

    async def open(self) -> None:
        await super().open()
        self.org = Organisation(
            self.world.store, Catalogue(self.world.store, clock=self.world.clock), clock=self.world.clock
        )
        self.group = await self.org.create_node(None, MERCHANT, "group", "group", None)
        await self.shop.members.set_program(MERCHANT, "boss", PROGRAM)

    @property
    def span(self) -> tuple[int, int]:
        return self.world.clock() - DAY_MS, self.world.clock() + DAY_MS

    async def figures(self, person: str) -> dict[str, Any]:
        """(sold, given back) of goods by each report, and what a person has of it."""
        board = await self.attribution.board(MERCHANT, *self.span)
        rolled = (await self.org.figures(None, MERCHANT, self.group.id, *self.span)).total
        member = await self.shop.members.member(MERCHANT, person)
        room = await self.shop.sold(MERCHANT, ROOM, self.span[0])
        _, models = await self.world.store.read(lambda db: insight_sql.credited(db, Period(MERCHANT, *self.span)))
        online = board["sold"]["online"]
        return {
            "board": (board["gmv"], board["refunded"]),
            "online": (online["amount"], online["refunded"]),
            "rooms": (board["by_room"][0]["amount"], board["by_room"][0]["refunded"]),
            "series": sum(row["amount"] for row in board["series"]["rows"]),
            "orders": sum(one["amount"] for one in board["orders"]),
            "product": board["product"]["gmv"],
            "models": (models["amount"], models["refunded"]),
            "organisation": (rolled.gmv, rolled.refunded),
            "console": room.amount,
            "spent": member.spent,
            "tier": member.tier,
            "points": member.points_pending,
            "freight": (board["freight"], board["freight_refunded"]),
            "freight there": (rolled.freight, rolled.freight_refunded),
        }


@pytest.fixture
async def reports(anywhere: Path | str) -> AsyncIterator[Reports]:
    async with shop_world(anywhere) as world:
        opened = Reports(world)
        await opened.open()
        yield opened
        await opened.close()


@pytest.fixture
async def local(tmp_path: Path) -> AsyncIterator[Reports]:
    async with shop_world(tmp_path) as world:
        opened = Reports(world)
        await opened.open()
        yield opened
        await opened.close()


def goods(sold: int, back: int, *, points: int, freight: int = 500, freight_back: int = 0) -> dict[str, Any]:
    """What each report says of goods sold and given back."""
    both = dict.fromkeys(("board", "online", "rooms", "models", "organisation"), (sold, back))
    one = dict.fromkeys(("series", "orders", "product", "console"), sold)
    beside = dict.fromkeys(("freight", "freight there"), (freight, freight_back))
    return {**both, **one, "spent": sold - back, "tier": 0, "points": points, **beside}


async def test_a_delivery_fee_is_beside_the_goods_in_every_report_and_earns_nothing(reports: Reports) -> None:
    order = await reports.paid()
    assert (order.amount, order.freight) == (10_400, 500)
    assert await reports.figures("ann") == goods(9_900, 0, points=99)
    # Some of the goods' money, then the rest of it, then the fee: it goes back last.
    await reports.refund(order.order, "r1", "none", amount=4_900)
    assert await reports.figures("ann") == goods(9_900, 4_900, points=50)
    await reports.refund(order.order, "r2", "none", amount=5_200)
    assert await reports.figures("ann") == goods(9_900, 9_900, points=0, freight_back=200)
    await reports.refund(order.order, "r3", "none", amount=300)
    assert await reports.figures("ann") == goods(9_900, 9_900, points=0, freight_back=500)


async def test_what_an_order_earned_by_its_freight_before_it_was_told_apart_stays_earned(local: Reports) -> None:
    order = await local.paid()

    def as_before(db: Connection) -> None:
        db.execute(text("UPDATE order_freight SET counts = true"))
        db.execute(text("UPDATE member SET spent = 10400, tier = 1"))

    await local.world.store.write(as_before)
    local.world.assert_clean()
    second = await local.paid()
    member = await local.shop.members.member(MERCHANT, "ann")
    assert (member.spent, member.tier) == (10_400 + 9_900, 1)
    await local.refund(second.order, "r1", "none", amount=9_900)
    assert (await local.shop.members.member(MERCHANT, "ann")).spent == 10_400
    await local.refund(order.order, "r2", "none", amount=10_400)
    assert (await local.shop.members.member(MERCHANT, "ann")).spent == 0


async def test_board_organisation_and_guides_statement_agree_on_tills_to_the_cent(reports: Reports) -> None:
    dealer = await reports.org.create_node(None, MERCHANT, "brand", "brand", reports.group.id)
    await _place(reports, reports.north, dealer.id)
    for seller, code in (("guide1", "11"), ("guide2", "22")):
        await reports.pos.set_code(MERCHANT, code, seller, seller)
    now_ms = reports.world.clock()
    sales = (("R1", 10_001, "11", 0), ("R2", 333, "11", 3_600_000), ("R3", 77, "22", 0), ("R4", 5_000, "", 0))
    for number, amount, code, ago_ms in sales:
        sold = Receipt(number, amount, now_ms - ago_ms, staff_code=code)
        await reports.pos.sell(reports.till, sold, Buyer())
    await reports.pos.refund(reports.till, "B1", "R1", 1_000, now_ms)
    board = await reports.attribution.board(MERCHANT, *reports.span)
    tills = board["sold"]["tills"]
    assert (tills["sales"], tills["amount"], tills["refunded"]) == (4, 15_411, 1_000)
    for node in (reports.group.id, dealer.id):
        rolled = await reports.org.figures(None, MERCHANT, node, *reports.span)
        total = rolled.total
        assert (total.receipts, total.tills, total.tills_refunded) == (4, tills["amount"], tills["refunded"])
    by_seller = {row["issuer"]: row for row in board["by_seller"]}
    for guide in ("guide1", "guide2"):
        stated = await reports.attribution.guide_statement(MERCHANT, guide, *reports.span, "", 50)
        row = by_seller[guide]
        assert stated.till_receipts == row["receipts"] == len(stated.receipts)
        assert (stated.till_amount, stated.till_refunded) == (row["amount"], row["refunded"])
        assert sum(one["amount"] for one in stated.receipts) == row["amount"]
    together = board["sold"]["together"]
    assert together["amount"] == board["gmv"] + tills["amount"]


async def _place(reports: Reports, outlet: str, node: str) -> None:
    def place(db: Connection) -> None:
        db.execute(text("UPDATE outlet SET node = :node WHERE id = :id"), {"node": node, "id": outlet})

    await reports.world.store.write(place)
