"""What tills tell: each receipt once, however late and often; same person, same points; the store that is nearest."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commerce.attribution.service import Attribution
from commerce.attribution.touches_sql import open_touch_log
from commerce.distribution import Distribution
from commerce.domain.member import Program, Tier
from commerce.domain.order import Delivery
from commerce.domain.pos import (
    AHEAD_MS_MAX,
    CODE_STEP_MS,
    LATE_MS_MAX,
    Receipt,
    ReceiptLine,
    distance_m,
    member_code,
    nearest,
    read_member_code,
    receipt_fault,
)
from commerce.errors import CommerceError, Conflict, Invalid, NotFound, Refused
from commerce.identity.phone import Vault
from commerce.pos import Buyer, Pos, Till
from tests.commerce.shop_world import MERCHANT, ROOM, World, shop_world
from tests.commerce.test_merge import ANN, KEY, Place

DAY_MS = 86_400_000
PROGRAM = Program(yuan_points=1, window_days=7, tiers=(Tier("silver", 20_000, 200),))
ANNS = Buyer(phone=ANN)


class Stores(Place):
    """A shop with a till."""

    till: Till

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.touches = open_touch_log(world.store.where, clock=world.clock)
        aliases = world.shop.aliases
        self.attribution = Attribution(
            world.store, self.touches, secret=b"links of the tests", clock=world.clock, now_person=aliases.now
        )
        ledger, vault = world.shop.ledger, Vault(KEY)
        self.pos = Pos(world.store, ledger, vault, self.attribution, secret=b"pos", clock=world.clock)
        self.distribution = Distribution(world.store, ledger, self.attribution.binder, clock=world.clock)

    async def open(self) -> None:
        outlet, key = await self.pos.add(MERCHANT, "南京路店", "南京路 1 号", "", 31_234_567, 121_474_000, pickup=True)
        self.till = await self.pos.till(key)
        assert self.till == Till(outlet, MERCHANT)
        await self.world.shop.members.set_program(MERCHANT, "boss", PROGRAM)

    async def ann(self) -> str:
        person = await self.person("wechat")
        await self.identities.show_phone(MERCHANT, person, ANN)
        return person

    def receipt(self, number: str = "R1", amount: int = 10_000, *, ago_ms: int = 0, **more: Any) -> Receipt:
        return Receipt(number, amount, self.world.clock() - ago_ms, **more)

    async def standing(self, person: str) -> tuple[int, int, int, int]:
        """Points, points pending, spent, tier."""
        found = await self.world.shop.members.member(MERCHANT, person)
        return found.points, found.points_pending, found.spent, found.tier


@pytest.fixture
async def stores(anywhere: Path | str) -> AsyncIterator[Stores]:
    async with shop_world(anywhere) as world:
        stores = Stores(world)
        await stores.open()
        yield stores
        await stores.attribution.binder.close()
        stores.touches.close()


async def test_a_sale_in_the_store_is_the_same_persons_and_earns_as_one_in_the_room(stores: Stores) -> None:
    ann = await stores.ann()
    done = await stores.pos.sell(stores.till, stores.receipt(), ANNS)
    assert (done.person, done.points, done.again) == (ann, 100, False)
    assert await stores.standing(ann) == (0, 100, 10_000, 0)
    await stores.world.shop.stock_up(MERCHANT, "k1", 2)
    order = await stores.world.shop.create_order(MERCHANT, ROOM, ann, "o", lines=[("k1", 2, None)])
    await stores.world.shop.pay_order(MERCHANT, ann, order.order, "p")
    # The order alone would not have reached the tier.
    assert await stores.standing(ann) == (0, 100 + 198, 29_800, 1)
    stores.world.clock.advance(7 * DAY_MS)
    await stores.world.shop.sweep()
    assert (await stores.standing(ann))[:2] == (100, 198)


async def test_a_receipt_told_again_counts_once_and_its_number_is_for_no_other_sale(stores: Stores) -> None:
    ann = await stores.ann()
    receipt = stores.receipt(lines=(ReceiptLine("A-1", "tea", 2, 10_000),))
    first = await stores.pos.sell(stores.till, receipt, ANNS)
    stores.world.clock.advance(60_000)
    for buyer in (ANNS, Buyer()):
        again = await stores.pos.sell(stores.till, receipt, buyer)
        assert again.again and (again.receipt, again.person, again.points) == (first.receipt, ann, 100)
    with pytest.raises(Conflict):
        await stores.pos.sell(stores.till, stores.receipt(amount=9_999), ANNS)
    assert (await stores.standing(ann))[1:3] == (100, 10_000)
    # Another store counts for itself.
    _, key = await stores.pos.add(MERCHANT, "二店", "二路", "", 0, 0, pickup=False)
    other = await stores.pos.sell(await stores.pos.till(key), stores.receipt(), Buyer())
    assert other.receipt != first.receipt and other.person is None


async def test_a_till_that_comes_online_late_counts_by_its_own_time(stores: Stores) -> None:
    ann = await stores.ann()
    await stores.pos.sell(stores.till, stores.receipt(ago_ms=10 * DAY_MS), ANNS)
    # The refund window was over before we heard of the sale.
    await stores.world.shop.sweep()
    assert (await stores.standing(ann))[:2] == (100, 0)
    for ago_ms in (LATE_MS_MAX + 1, -AHEAD_MS_MAX - 1):
        with pytest.raises(Invalid):
            await stores.pos.sell(stores.till, stores.receipt("late", ago_ms=ago_ms), ANNS)


async def test_a_seller_who_left_still_has_the_sales_from_before(stores: Stores) -> None:
    await stores.pos.set_code(MERCHANT, "007", "guide-fay", "阿飞")
    stores.world.clock.advance(DAY_MS)
    await stores.pos.end_code(MERCHANT, "007")
    done = await stores.pos.sell(stores.till, stores.receipt(ago_ms=1_000, staff_code="007"), Buyer())
    assert done.seller == "guide-fay"
    for code in ("007", "008"):
        with pytest.raises(NotFound):
            await stores.pos.sell(stores.till, stores.receipt("R2", staff_code=code), Buyer())
    with pytest.raises(Refused):
        await stores.pos.set_code(MERCHANT, "007", "guide-zoe", "Zoe")
    (row,) = await stores.pos.sums(MERCHANT, 0, stores.world.clock() + 1)
    assert (row["seller"], row["seller_name"], row["receipts"], row["amount"]) == ("guide-fay", "阿飞", 1, 10_000)


async def test_a_refund_at_the_till_takes_points_and_tier_back_once(stores: Stores) -> None:
    ann, now = await stores.ann(), stores.world.clock()
    with pytest.raises(NotFound, match="sale first"):
        await stores.pos.refund(stores.till, "F1", "R1", 1_000, now)
    await stores.pos.sell(stores.till, stores.receipt(amount=30_000), ANNS)
    assert await stores.standing(ann) == (0, 300, 30_000, 1)
    for _ in range(2):
        back = await stores.pos.refund(stores.till, "F1", "R1", 10_001, now)
        assert back.refunded == 10_001
    assert await stores.standing(ann) == (0, 199, 19_999, 0)
    with pytest.raises(Conflict):
        await stores.pos.refund(stores.till, "F1", "R1", 1, now)
    with pytest.raises(Refused) as refused:
        await stores.pos.refund(stores.till, "F2", "R1", 20_000, now)
    assert refused.value.code == "over_refund" and refused.value.extra == {"left": 19_999}
    # After the window what was spent meanwhile is owed.
    stores.world.clock.advance(8 * DAY_MS)
    await stores.world.shop.sweep()
    await stores.pos.refund(stores.till, "F2", "R1", 19_999, stores.world.clock())
    assert await stores.standing(ann) == (0, 0, 0, 0)


async def test_a_stranger_joins_at_the_till_only_when_they_want_to(stores: Stores) -> None:
    nobody = await stores.pos.sell(stores.till, stores.receipt("R1"), ANNS)
    assert nobody.person is None
    joined = await stores.pos.sell(stores.till, stores.receipt("R2"), Buyer(phone=ANN, name="安", join=True))
    assert joined.person is not None
    assert (await stores.identities.consents(joined.person))["member"]
    # They show the number later: the visitor and the member of the till are one.
    visitor = await stores.person("wechat")
    known = await stores.identities.show_phone(MERCHANT, visitor, ANN)
    assert (await stores.standing(known.person))[1:3] == (100, 10_000)
    for phone in ("12", "+1 415 555 2671 9999", "13800x38022"):
        with pytest.raises(CommerceError):
            await stores.pos.sell(stores.till, stores.receipt("R3"), Buyer(phone=phone))


async def test_a_member_code_is_good_for_minutes_of_the_sale_not_of_the_telling(stores: Stores) -> None:
    ann = await stores.ann()
    code, sold_ms = stores.pos.code_of(ann), stores.world.clock()
    stores.world.clock.advance(3 * DAY_MS)
    receipt = Receipt("R1", 10_000, sold_ms)
    assert (await stores.pos.sell(stores.till, receipt, Buyer(code=code))).person == ann
    for bad in (code[:-1], code[:-1] + ("0" if code[-1] != "0" else "1"), "x" + code[1:], "", "7" * 200):
        if bad:
            with pytest.raises(CommerceError):
                await stores.pos.sell(stores.till, Receipt("R2", 1, sold_ms), Buyer(code=bad))
    with pytest.raises(Invalid):
        await stores.pos.sell(stores.till, stores.receipt("R3"), Buyer(code=code))


async def test_a_closed_store_and_another_merchants_key_open_nothing(stores: Stores) -> None:
    with pytest.raises(NotFound):
        await stores.pos.till("guessed")
    _, key = await stores.pos.add("m2", "theirs", "x", "", 0, 0, pickup=True)
    theirs = await stores.pos.till(key)
    ann = await stores.ann()
    assert (await stores.pos.sell(theirs, stores.receipt(), ANNS)).person is None
    with pytest.raises(NotFound):
        await stores.pos.sell(theirs, stores.receipt("R2"), Buyer(code=stores.pos.code_of(ann)))
    with pytest.raises(NotFound):
        await stores.world.shop.outlets.close("m2", stores.till.outlet)
    await stores.world.shop.outlets.close("m2", theirs.outlet)
    with pytest.raises(NotFound):
        await stores.pos.till(key)


async def test_an_order_is_picked_up_in_a_store_that_there_is(stores: Stores) -> None:
    await stores.world.shop.stock_up(MERCHANT, "k1", 3)
    ann = await stores.ann()

    async def order(key: str, outlet: str) -> Any:
        delivery = Delivery("pickup", "安", ANN, outlet=outlet)
        return await stores.world.shop.create_order(
            MERCHANT, ROOM, ann, key, lines=[("k1", 1, None)], delivery=delivery
        )

    made = await order("o1", stores.till.outlet)
    assert made.delivery["outlet"] == stores.till.outlet and made.delivery["code"]
    assert "outlet" not in (await order("o2", "")).delivery
    with pytest.raises(NotFound):
        await order("o3", "nowhere")


# --- pure ------------------------------------------------------------------------------------------------------------

_PLACES = st.tuples(st.integers(-90_000_000, 90_000_000), st.integers(-180_000_000, 180_000_000))


@given(_PLACES, _PLACES)
def test_distances_are_the_same_both_ways_and_at_most_half_around_the_earth(
    one: tuple[int, int], other: tuple[int, int]
) -> None:
    assert distance_m(one, other) == distance_m(other, one)
    assert 0 <= distance_m(one, other) <= 20_015_115 and distance_m(one, one) == 0


def test_the_nearest_store_is_first() -> None:
    bund, square = (31_240_000, 121_490_000), (31_232_800, 121_475_000)
    beijing = (39_904_200, 116_407_400)
    assert 1_000 < distance_m(bund, square) < 2_000
    assert 1_050_000 < distance_m(bund, beijing) < 1_080_000
    places = [("beijing", *beijing), ("square", *square)]
    assert [name for _, name in nearest(places, bund)] == ["square", "beijing"]
    assert nearest(places, beijing)[0] == (0, "beijing")


@given(st.text("0123456789abcdefghjkmnpqrstvwxyz", min_size=20, max_size=20), st.integers(0, 2**42), st.integers(0, 12))
def test_a_code_is_good_for_five_to_ten_minutes(person: str, at_ms: int, minutes: int) -> None:
    code = member_code(b"secret", person, at_ms)
    later = at_ms + minutes * 60_000
    steps = later // CODE_STEP_MS - at_ms // CODE_STEP_MS
    assert read_member_code(b"secret", code, later) == (person if steps <= 1 else None)
    assert read_member_code(b"another", code, later) is None


@pytest.mark.parametrize(
    ("receipt", "says"),
    [
        (Receipt("", 1, 0), "number"),
        (Receipt("a\nb", 1, 0), "number"),
        (Receipt("x" * 65, 1, 0), "number"),
        (Receipt("r", 0, 0), "amount"),
        (Receipt("r", 5, 0, (ReceiptLine("a", "", 1, 4),)), "add up"),
        (Receipt("r", 5, 0, (ReceiptLine("a", "", 0, 5),)), "unit"),
    ],
)
def test_a_receipt_that_cannot_be_is_refused_in_words(receipt: Receipt, says: str) -> None:
    assert says in (receipt_fault(receipt, 0) or "")
