"""Same-city couriers: every notice acts once, an answer that is lost loses nothing, a failure frees the order."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from commerce.courier import CourierProvider
from commerce.courier_dada import Dada, DadaAccount, sign
from commerce.courier_sandbox import PACE_MS, SandboxCourier
from commerce.couriers import Couriers
from commerce.domain.courier import ENDED, STATES, ask_again_ms, moves
from commerce.domain.order import Delivery
from commerce.errors import NotFound, Refused
from commerce.events import OrderDone, OrderOnItsWay
from commerce.ledger_courier import ErrandView
from tests.commerce.shop_world import MERCHANT, SKU, shop_world
from tests.commerce.stand_in_dada import KEY, SECRET, SOURCE, DadaStandIn
from tests.commerce.test_outlets import NEAR, Stores

PRICE = 9_900


class Street(Stores):
    """A shop whose store sends couriers."""

    provider: Any
    couriers: Couriers

    def send_by(self, provider: CourierProvider, **more: Any) -> None:
        self.provider = provider
        self.couriers = Couriers(self.world.store, self.shop.ledger, [provider], clock=self.world.clock, **more)

    async def paid(self, quantity: int = 1) -> str:
        """An order that is paid and waits for a courier."""
        delivery = Delivery("courier", "Ann", "13800138000", "some road 1", self.north, lat_e6=NEAR[0], lng_e6=NEAR[1])
        order = await self.order("", quantity, delivery=delivery)
        await self.pay(order)
        return str(order.order)

    async def sent(self) -> ErrandView:
        return await self.couriers.call(MERCHANT, await self.paid(), "boss")

    async def tell(self, errand: ErrandView, kind: str) -> int:
        message = self.provider.move(errand.errand, kind)
        return (await self.couriers.answer("sandbox", message.body, message.headers)).status

    async def status(self, order: str) -> tuple[str, str]:
        view = await self.shop.order(MERCHANT, order)
        return view.status, view.fulfilment


@asynccontextmanager
async def street(where: Path | str) -> AsyncIterator[Street]:
    async with shop_world(where) as world:
        made = Street(world)
        await made.open()
        await made.stock(made.north, 9)
        made.send_by(SandboxCourier(b"courier", clock=world.clock, pace_ms=0))
        yield made


@pytest.fixture
async def anyhow(anywhere: Path | str) -> AsyncIterator[Street]:
    async with street(anywhere) as made:
        yield made


@pytest.fixture
async def local(tmp_path: Path) -> AsyncIterator[Street]:
    async with street(tmp_path) as made:
        yield made


def test_an_errand_never_leaves_its_end_nor_the_riders_hands() -> None:
    for state, told in product(STATES, STATES):
        assert not (state in ENDED and moves(state, told))
        assert not (state == told and moves(state, told))
    assert not moves("carried", "waiting") and not moves("carried", "accepted") and moves("accepted", "waiting")
    assert [ask_again_ms(tries) for tries in (0, 1, 20)] == [10_000, 20_000, 300_000]


async def test_notices_move_an_order_along_each_of_them_once_in_whatever_order(anyhow: Street) -> None:
    errand = await anyhow.sent()
    assert (errand.state, errand.fee) == ("waiting", 600)
    assert await anyhow.status(errand.order) == ("paid", "open")
    with pytest.raises(Refused, match="courier is on the way"):
        await anyhow.shop.aftersale.ship(MERCHANT, errand.order, "SF", "1")
    with pytest.raises(Refused, match="on this errand"):
        await anyhow.couriers.call(MERCHANT, errand.order, "boss")
    notices = [anyhow.provider.move(errand.errand, kind) for kind in ("accepted", "carried", "delivered")]
    for message in (notices[1], notices[0], notices[1], notices[2], notices[2], notices[0]):
        assert (await anyhow.couriers.answer("sandbox", message.body, message.headers)).status == 200
    assert await anyhow.status(errand.order) == ("done", "done")
    [done] = await anyhow.couriers.errands(MERCHANT, errand.order)
    assert (done.state, done.rider, done.ended) == ("delivered", "小沙", anyhow.world.clock())
    events = await anyhow.world.told()
    assert [type(event) for event in events].count(OrderDone) == 1
    # Asked, waiting, on its way, delivered: not for what came late or twice.
    told = [(event.order.delivery or {})["courier"]["state"] for event in events if isinstance(event, OrderOnItsWay)]
    assert told == ["waiting", "carried", "delivered"]
    assert len(await anyhow.world.query("SELECT id FROM courier_event")) == 3
    assert await anyhow.row(anyhow.north) == (8, 0, 0, 1, 0)


async def test_a_failed_errand_leaves_the_order_to_be_sent_another_way(anyhow: Street) -> None:
    errand = await anyhow.sent()
    await anyhow.tell(errand, "carried")
    with pytest.raises(Refused, match="rider has the goods"):
        await anyhow.couriers.cancel(MERCHANT, errand.order, "too late")
    await anyhow.tell(errand, "back")
    assert await anyhow.status(errand.order) == ("paid", "open")
    await anyhow.tell(errand, "failed")
    assert await anyhow.row(anyhow.north) == (8, 0, 1, 0, 0)
    second = await anyhow.couriers.call(MERCHANT, errand.order, "boss")
    assert (await anyhow.couriers.cancel(MERCHANT, errand.order, "no rider")).state == "failed"
    # What the courier says of an errand that has ended changes nothing.
    await anyhow.tell(second, "delivered")
    assert await anyhow.status(errand.order) == ("paid", "open")
    await anyhow.shop.aftersale.ship(MERCHANT, errand.order, "SF", "1")
    assert await anyhow.status(errand.order) == ("fulfilled", "shipped")
    with pytest.raises(Refused, match="no courier"):
        await anyhow.couriers.cancel(MERCHANT, errand.order, "x")


async def test_only_a_paid_order_for_a_courier_gets_one(local: Street) -> None:
    order = await local.order(local.north)
    for wrong in (order.order, "nosuch"):
        with pytest.raises((Refused, NotFound)):
            await local.couriers.call(MERCHANT, wrong, "boss")
    await local.pay(order)
    with pytest.raises(Refused, match="not brought by a courier"):
        await local.couriers.call(MERCHANT, order.order, "boss")
    number = await local.paid()
    with pytest.raises(NotFound):
        await local.couriers.call("m2", number, "boss")
    quote = await local.couriers.quote(MERCHANT, number)
    assert (quote.fee, quote.distance) == (600, 604)
    with pytest.raises(Refused) as none:
        await Couriers(local.world.store, local.shop.ledger, clock=local.world.clock).call(MERCHANT, number, "boss")
    assert none.value.code == "no_provider"


async def test_what_a_courier_refuses_fails_and_what_it_does_not_answer_is_asked_about(local: Street) -> None:
    clock = local.world.clock
    local.send_by(SandboxCourier(b"courier", clock=clock, pace_ms=0, refused_amounts={PRICE}))
    refused = await local.sent()
    assert (refused.state, refused.reason) == ("failed", "the sandbox was told to refuse this amount")
    local.send_by(SandboxCourier(b"courier", clock=clock, mute_amounts={PRICE}))
    silent = await local.sent()
    assert (silent.state, silent.reason) == ("asked", "the sandbox was told to be silent")
    assert await local.couriers.chase() == 0
    clock.advance(4 * PACE_MS)
    assert await local.couriers.chase() == 1
    assert await local.status(silent.order) == ("done", "done")
    local.send_by(SandboxCourier(b"courier", clock=clock, failed_amounts={PRICE}))
    back = await local.sent()
    for _ in range(5):
        clock.advance(PACE_MS)
        await local.couriers.chase()
    [failed] = await local.couriers.errands(MERCHANT, back.order)
    assert failed.state == "failed" and await local.status(back.order) == ("paid", "open")


async def test_an_errand_of_a_refunded_order_is_called_off_or_ends_without_a_booking(local: Street) -> None:
    first, second = await local.sent(), await local.sent()
    await local.tell(second, "carried")
    for errand in (first, second):
        await local.shop.aftersale.refund(
            MERCHANT, "boss", errand.order, f"r{errand.order}", stock="sellable", reason="x"
        )
    local.world.clock.advance(ask_again_ms(0))
    await local.couriers.chase()
    assert [one.state for one in await local.couriers.errands(MERCHANT, first.order)] == ["failed"]
    await local.tell(second, "delivered")
    [done] = await local.couriers.errands(MERCHANT, second.order)
    assert done.state == "delivered" and "delivered, but" in done.reason
    assert await local.status(second.order) == ("refunded", "open")


async def test_an_errand_of_a_refunded_order_whose_notices_were_lost_ends_as_the_courier_says(local: Street) -> None:
    errand = await local.sent()
    await local.shop.aftersale.refund(MERCHANT, "boss", errand.order, "r", stock="sellable", reason="x")
    # We were not told: to us it may still be called off.
    for kind, state in (("carried", "carried"), ("delivered", "delivered")):
        local.provider.move(errand.errand, kind)
        local.world.clock.advance(ask_again_ms(20))
        await local.couriers.chase()
        assert [one.state for one in await local.couriers.errands(MERCHANT, errand.order)] == [state]


async def test_a_callback_that_is_not_the_couriers_moves_nothing(local: Street) -> None:
    errand = await local.sent()
    message = local.provider.move(errand.errand, "delivered")
    for body, headers in (
        (message.body, {}),
        (message.body + b" ", message.headers),
        (b"{}", message.headers),
        (b"x" * 20_000, message.headers),
    ):
        assert (await local.couriers.answer("sandbox", body, headers)).status == 400
    assert (await local.couriers.errands(MERCHANT, errand.order))[0].state == "waiting"
    with pytest.raises(NotFound):
        await local.couriers.answer("nobody", message.body, message.headers)


# --- Dada ------------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def at_dada(place: Street, timeout_s: float = 10.0) -> AsyncIterator[DadaStandIn]:
    stand_in = DadaStandIn()
    async with stand_in.open() as address:
        account = DadaAccount(
            "dada",
            KEY,
            SECRET,
            SOURCE,
            "021",
            "https://x/api/v1/couriers/dada",
            shops={place.north: "S-1"},
            api=address,
        )
        dada = Dada(account, clock=place.world.clock)
        place.send_by(dada, timeout_s=timeout_s)
        try:
            yield stand_in
        finally:
            await dada.aclose()


def test_a_request_is_signed_as_dadas_document_says() -> None:
    fields = {"b": "2", "a": "1"}
    # MD5 of "sa1b2s".
    assert sign(fields, "s") == "5EE29085AF57D942F21F1C5BA3C2A90A"


async def test_dada_brings_an_order_and_what_it_calls_back_is_asked_for(local: Street) -> None:
    async with at_dada(local) as dada:
        order = await local.paid()
        quote = await local.couriers.quote(MERCHANT, order)
        assert (quote.fee, quote.distance) == (735, 1_200)
        errand = await local.couriers.call(MERCHANT, order, "boss")
        kept = dada.errands[errand.errand]
        assert (kept["shop_no"], kept["cargo_price"], kept["receiver_lat"]) == ("S-1", 99.0, 31.24)
        assert (errand.state, errand.fee) == ("waiting", 735)
        for status, state in ((2, "accepted"), (3, "carried"), (4, "delivered")):
            message = dada.notice(errand.errand, status)
            assert (await local.couriers.answer("dada", message, {})).status == 200
            [now] = await local.couriers.errands(MERCHANT, order)
            assert (now.state, now.rider) == (state, "达达骑手")
        assert await local.status(order) == ("done", "done")


async def test_what_dada_asks_for_calling_off_is_charged_however_one_hears_of_it(local: Street) -> None:
    async with at_dada(local) as dada:
        for status, charged in ((1, 0), (2, 200)):
            errand = await local.sent()
            dada.errands[errand.errand]["statusCode"] = status
            assert (await local.couriers.cancel(MERCHANT, errand.order, "x")).charged == charged
        # The answer got lost, and the errand is asked about.
        errand = await local.sent()
        dada.errands[errand.errand] |= {"statusCode": 5, "deductFee": 2.0}
        local.world.clock.advance(ask_again_ms(1))
        await local.couriers.chase()
        [now] = await local.couriers.errands(MERCHANT, errand.order)
        assert (now.state, now.fee, now.charged) == ("failed", 735, 200)
        delivered = await local.sent()
        await local.couriers.answer("dada", dada.notice(delivered.errand, 4), {})
        [now] = await local.couriers.errands(MERCHANT, delivered.order)
        assert (now.state, now.charged) == ("delivered", 735)


async def test_a_forged_callback_of_dada_is_checked_at_dada(local: Street) -> None:
    async with at_dada(local) as dada:
        errand = await local.sent()
        forged = dada.notice(errand.errand, 4)
        dada.errands[errand.errand]["statusCode"] = 1
        # Its signature holds no secret: anybody who knows the number can make one.
        assert (await local.couriers.answer("dada", forged, {})).status == 200
        assert await local.status(errand.order) == ("paid", "open")
        last = b"1" if forged[-3:-2] == b"0" else b"0"
        for wrong in (
            forged.replace(b"signature", b"signaturf"),
            forged[:-3] + last + forged[-2:],
            dada.notice("nosuch", 4),
        ):
            assert (await local.couriers.answer("dada", wrong, {})).status == 500


async def test_faults_of_dada_lose_no_errand_and_make_no_second_one(local: Street) -> None:
    clock = local.world.clock
    async with at_dada(local) as dada:
        for fault, state in (("2086", "failed"), ("2012", "asked"), ("broken", "asked")):
            dada.script = {"addOrder": [fault]}
            errand = await local.sent()
            assert errand.state == state, fault
            clock.advance(ask_again_ms(1))
            await local.couriers.chase()
            [now] = await local.couriers.errands(MERCHANT, errand.order)
            assert now.state == ("failed" if state == "failed" else "waiting")
        dada.script = {"formalCancel": ["2012"]}
        with pytest.raises(Exception, match="come back"):
            await local.couriers.cancel(MERCHANT, now.order, "x")
        assert (await local.couriers.cancel(MERCHANT, now.order, "x")).state == "failed"


async def test_an_answer_of_dada_that_does_not_come_in_time_is_found_out_later(local: Street) -> None:
    async with at_dada(local, timeout_s=0.3) as dada:
        dada.script = {"addOrder": ["lost"]}
        errand = await local.sent()
        assert (errand.state, errand.reason) == ("asked", "the courier did not answer")
    async with at_dada(local) as again:
        again.errands = dada.errands
        local.world.clock.advance(ask_again_ms(1))
        await local.couriers.chase()
        [now] = await local.couriers.errands(MERCHANT, errand.order)
        assert now.state == "waiting" and again.asked == ["status/query"]
    assert await local.row(local.north, SKU) == (8, 0, 1, 0, 0)
