"""The shop's facade: what the gateway may ask of stock, sales, coupons, orders and payments.

Everything that changes something goes to the group-commit ledger and is answered after a synced commit; queries run on
reader threads. ``hold`` and ``claim_coupon`` return the ledger's future itself: no Task is made for them.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from commerce import (
    drops_sql,
    partner_coupons_sql,
    views_sql,
)
from commerce.aftersale import AfterSale
from commerce.aftersale_requests import AfterSaleRequests
from commerce.attribution.links_sql import Transaction
from commerce.basket import (
    KEY_RULE,
    TITLE_CHARACTERS_MAX,
    Basket,
    DropTerms,
    drop_command,
    key_fits,
    order_command,
    wanted_lines,
    within,
)
from commerce.changes import Hand
from commerce.credit import Credit
from commerce.custom import Custom
from commerce.domain.custom import Wanted
from commerce.domain.money import AMOUNT_MAX
from commerce.domain.order import Delivery, WantedLine
from commerce.domain.org import Reach
from commerce.domain.sale import COUNTDOWN_S_MAX, QUANTITY_MAX, UNITS_MAX
from commerce.duty import Duty, OnlyProcess
from commerce.errors import CommerceError, Invalid, NotFound, Refused
from commerce.events import (
    CouponView,
    DropView,
    Event,
    OrderView,
    SaleView,
    SoldView,
)
from commerce.handlers_sql import HANDLERS, ON_FINISH
from commerce.identity.aliases import Aliases
from commerce.identity.merge_sql import aliases_of
from commerce.ledger import (
    CancelOrder,
    Claim,
    Clock,
    CloseDrop,
    CouponGranted,
    Hold,
    HoldGranted,
    Settled,
    SteerSale,
    StockUp,
    StockView,
    Sweep,
    Swept,
)
from commerce.ledger_front_sql import LedgerFront
from commerce.ledger_process import ProcessLedger
from commerce.ledger_sql import GroupCommitLedger
from commerce.members import Members
from commerce.memberships import Memberships
from commerce.moments import Moments, Offer
from commerce.outbox_follow_sql import OutboxFollower
from commerce.outbox_sql import Answerer, Dispatcher, Heard, read_undelivered
from commerce.outlets import Outlets
from commerce.passes import Passes
from commerce.payment import PaymentProvider
from commerce.payments import Payments
from commerce.reconciliation import Reconciliations
from commerce.settlements import Settlements
from commerce.signups import Signups
from commerce.stations import Stations
from commerce.store_sql import Store

log = logging.getLogger(__name__)

T = TypeVar("T")

SWEEP_S = 1.0
"""How often due holds and orders are looked for when nobody buys."""
ENTRY_KEY = "entry"
"""The request key of what comes on entry: one of each giving, however often somebody comes in."""
ALARMS_MAX = 1_000
"""Sales whose opening or closing has its own timer; others are told of by the next sweep."""


class Shop:
    """Stock, flash sales, coupon drops, orders and payments of all merchants of one database."""

    def __init__(
        self,
        store: Store,
        *,
        clock: Clock,
        provider: PaymentProvider,
        providers: Sequence[PaymentProvider] = (),
        sweep_s: float = SWEEP_S,
        duty: Duty | None = None,
        database_time: bool = False,
        writer_process: bool = False,
    ) -> None:
        """``providers``: those besides ``provider``. ``duty``: who sweeps; without one we do.

        ``database_time``: a shared database's clock decides, not ``clock``. ``writer_process``: the ledger writes in a
        process of its own, by the system's clock.
        """
        self._store = store
        self._duty: Duty = duty or OnlyProcess()
        self._sweep_s = sweep_s
        self._dispatcher = Dispatcher()
        self.aliases = Aliases()
        # Where there are other processes, the follower tells of this one's events, too: in the order of commits.
        on_events = _nothing if store.shared else self._dispatcher.dispatch
        database_time = database_time and store.shared
        self.ledger: LedgerFront
        if writer_process:
            self.ledger = ProcessLedger(
                store,
                HANDLERS,
                clock=clock,
                on_events=on_events,
                on_loss=self._writer_lost,
                database_time=database_time,
                now_person=self.aliases.now,
            )
        else:
            self.ledger = GroupCommitLedger(
                store,
                HANDLERS,
                clock=clock,
                on_events=on_events,
                on_finish=ON_FINISH,
                database_time=database_time,
                now_person=self.aliases.now,
            )
        self._clock = self.ledger.now
        self.aftersale = AfterSale(store, self.ledger, clock=self._clock)
        self.requests = AfterSaleRequests(store, self.ledger)
        self.payments = Payments(store, self.ledger, (provider, *providers))
        self.reconciliation = Reconciliations(store, self.payments, clock=self._clock)
        self.settlements = Settlements(store, self.payments, clock=self._clock)
        self.members = Members(store, self.ledger, clock=self._clock)
        self.passes = Passes(store, self.ledger, clock=self._clock)
        self.memberships = Memberships(store, self.ledger, clock=self._clock)
        self.credit = Credit(store, self.ledger, self.payments, clock=self._clock)
        self.custom = Custom(store, self.ledger, clock=self._clock)
        self.signups = Signups(store, self.ledger, clock=self._clock)
        self.stations = Stations(store, self.ledger, clock=self._clock)
        self.outlets = Outlets(store, self.ledger, clock=self._clock)
        self.moments = Moments(store, self.ledger, clock=self._clock, steer=self._steer)
        self._dispatcher.answer(self.payments.act)
        self._follower = OutboxFollower(store, self._dispatcher.follow) if store.shared else None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._catching_up: asyncio.Task[None] | None = None
        self._alarms: set[asyncio.TimerHandle] = set()

    # --- life ----------------------------------------------------------------------------------------------------

    async def start(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        """Start the writer's thread and the sweeper, and deliver what a crash left in the outbox."""
        self._loop = loop or asyncio.get_running_loop()
        self.ledger.start(self._loop)
        self._duty.start()
        self.payments.start(self._loop)
        if self._follower is None:
            self._dispatcher.dispatch(await self._store.read(read_undelivered))
        else:
            # What another process left is adopted by a sweep, which can tell that it is gone.
            await self._follower.start(self._loop)
        if self._sweep_s > 0:
            self._timer = self._loop.call_later(self._sweep_s, self._tick)

    def _writer_lost(self) -> None:
        # What it committed and could not tell of; a follower finds that by itself.
        if self._follower is None and self._loop is not None:
            self._catching_up = self._loop.create_task(self._tell_undelivered())

    async def _tell_undelivered(self) -> None:
        try:
            self._dispatcher.dispatch(await self._store.read(read_undelivered))
        except CommerceError as error:
            log.warning("what a lost writer committed is told after the next start: %s", error)

    async def close(self) -> None:
        """Answer what is queued, mark delivered events, end the thread; the store stays open."""
        for timer in (self._timer, *self._alarms):
            if timer is not None:
                timer.cancel()
        self._timer = None
        self._alarms.clear()
        if self._catching_up is not None:
            self._catching_up.cancel()
        await self.payments.close()
        if self._loop is not None:
            try:
                await self.told()
                # Only marks what was delivered: told again after the next start when the disk refuses now.
                await self.sweep()
            except CommerceError as error:
                log.warning("the last sweep was refused: %s", error)
            finally:
                await asyncio.to_thread(self._duty.close)
                await self.ledger.close()
                if self._follower is not None:
                    await self._follower.close()

    async def told(self) -> None:
        """Wait until the listeners were told of all that is committed; some seconds at most."""
        if self._follower is not None and not await self._follower.caught_up():
            log.warning("not all events were told of in time")

    def listen(self, listener: Callable[[Event], None]) -> None:
        """Call ``listener`` on the loop with each committed event: at least once, with an id to drop repeats by.

        Also with those of the other processes on the same database; ``answer`` leaves these out.
        """
        self._dispatcher.listen(listener)

    def answer(self, listener: Answerer) -> None:
        """Call ``listener`` with the events that this process committed, and those it tells of for one that ended.

        It may give a future: the event counts as told when that is done.
        """
        self._dispatcher.answer(listener)

    # --- the rush ------------------------------------------------------------------------------------------------

    def hold(
        self, merchant: str, room: str, person: str, sale: str, quantity: int, key: str, version: int | None = None
    ) -> "asyncio.Future[HoldGranted]":
        """Take units of a sale. Fails with NotFound, Refused, Conflict, Busy, Invalid."""
        if not 0 < quantity <= QUANTITY_MAX:
            return self._failed(Invalid(f"1 to {QUANTITY_MAX} units"))
        if not key_fits(key):
            return self._failed(Invalid(KEY_RULE))
        return self.ledger.submit(Hold(merchant, room, person, sale, quantity, key, f"{quantity}/{version}", version))

    def latched(self, merchant: str, room: str, person: str, scope: str, key: str) -> str | None:
        """The code with which `hold` or `claim_coupon` would fail at once, as nothing is left; None: ask them."""
        return self.ledger.latched(merchant, room, person, scope) if key_fits(key) else None

    def claim_coupon(
        self, merchant: str, room: str, person: str, drop: str, key: str
    ) -> "asyncio.Future[CouponGranted]":
        """Take a coupon of a drop. Fails with NotFound, Refused, Conflict, Busy, Invalid."""
        if not key_fits(key):
            return self._failed(Invalid(KEY_RULE))
        return self.ledger.submit(Claim(merchant, room, person, drop, key, ""))

    async def entry_coupons(self, merchant: str, room: str, person: str) -> list[CouponGranted]:
        """Give a person what the room gives on entry (进店送券), and to a partner's visitors what the partner has for
        them: those coupons that are new to them. Raises Busy.
        """
        now_ms = self._clock()

        def look(db: Transaction) -> tuple[list[str], list[str]]:
            ids = aliases_of(db, person)
            by_partners = partner_coupons_sql.for_visitor(db, merchant, room, ids, now_ms)
            return drops_sql.entry_givings(db, merchant, room, person, now_ms), by_partners

        wanted, by_partners = await self._store.read(look)
        way = partner_coupons_sql.WAY
        claims = [self.claim_coupon(merchant, room, person, drop, ENTRY_KEY) for drop in wanted]
        claims += [self.ledger.submit(Claim(merchant, room, person, drop, ENTRY_KEY, "", way)) for drop in by_partners]
        answers = await asyncio.gather(*claims, return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException) and not isinstance(answer, Refused):
                raise answer
        return [answer for answer in answers if isinstance(answer, CouponGranted)]

    def _failed(self, error: CommerceError) -> "asyncio.Future[Any]":
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        future.set_exception(error)
        return future

    # --- staff ---------------------------------------------------------------------------------------------------

    async def stock_up(
        self, merchant: str, sku: str, quantity: int, reason: str = "received", staff: str | None = None
    ) -> StockView:
        """Receive units (``reason`` received) or correct a count (any other reason; may be negative).

        ``staff``: whose doing it is, for the trail of manual changes; None for a program's.
        """
        adjust = reason != "received"
        within(quantity, -UNITS_MAX if adjust else 0, UNITS_MAX, "quantity")
        by = None if staff is None else Hand(staff, reason)
        return await self._do(StockUp(merchant, sku, quantity, adjust, reason[:TITLE_CHARACTERS_MAX], by), StockView)

    async def create_sale(
        self,
        merchant: str,
        room: str,
        sku: str,
        price: int,
        list_price: int,
        total: int,
        per_person: int,
        hold_s: int,
        length_s: int,
    ) -> SaleView:
        """Set ``total`` units of a SKU aside for a sale to who comes first. Raises NotFound, Refused, Invalid."""
        offer = Offer(sku, price, list_price, total, per_person, hold_s, length_s)
        return await self.moments.create_sale(merchant, room, offer)

    async def start_sale(self, merchant: str, sale: str, countdown_s: int) -> SaleView:
        """Begin the countdown; the sale opens by itself when it ends."""
        within(countdown_s, 0, COUNTDOWN_S_MAX, "countdown_s")
        return await self._steer(SteerSale(merchant, sale, "start", countdown_s * 1000))

    async def pause_sale(self, merchant: str, sale: str) -> SaleView:
        """Take no more holds until resumed; the clock of the sale stops."""
        return await self._steer(SteerSale(merchant, sale, "pause"))

    async def resume_sale(self, merchant: str, sale: str) -> SaleView:
        """Go on with what was left of the time."""
        return await self._steer(SteerSale(merchant, sale, "resume"))

    async def close_sale(self, merchant: str, sale: str) -> SaleView:
        """End a sale; its free units go back to the shelf, its holds stay good until they expire."""
        return await self._steer(SteerSale(merchant, sale, "close"))

    async def reprice_sale(self, merchant: str, sale: str, price: int) -> SaleView:
        """Change the price; who shows the old version is refused with the new one."""
        within(price, 1, AMOUNT_MAX, "price")
        return await self._steer(SteerSale(merchant, sale, "reprice", price))

    async def _steer(self, command: SteerSale) -> SaleView:
        view = await self._do(command, SaleView)
        self._alarm(view.opens)
        self._alarm(view.closes)
        return view

    async def start_drop(
        self,
        merchant: str,
        room: str,
        title: str,
        reason: str,
        amount: int,
        threshold: int,
        total: int,
        per_person: int,
        seconds: int,
        valid_s: int,
        template: str | None = None,
        more: DropTerms | None = None,
    ) -> DropView:
        """Begin a coupon drop, or a giving, now. Raises Invalid, NotFound (a store)."""
        terms = (title, reason, amount, threshold, total, per_person, seconds, valid_s, template)
        command = drop_command(merchant, room, *terms, DropTerms() if more is None else more)
        view = await self._do(command, DropView)
        self._alarm(view.ends)
        return view

    async def close_drop(self, merchant: str, drop: str) -> DropView:
        """End a drop; coupons that were taken stay good."""
        return await self._do(CloseDrop(merchant, drop), DropView)

    # --- orders and payments -------------------------------------------------------------------------------------

    async def create_order(
        self,
        merchant: str,
        room: str,
        person: str,
        key: str,
        hold: str | None = None,
        lines: Iterable[WantedLine | Sequence[Any]] = (),
        coupon: str | None = None,
        decision: Mapping[str, Any] | None = None,
        entered_ms: int | None = None,
        card: str | None = None,
        delivery: Delivery | None = None,
        coupons: Sequence[str] = (),
        points: int = 0,
        stored: int = 0,
        node: str = "",
        mall: bool = False,
        wanted: Wanted = (),
        offer: tuple[str, int] | None = None,
    ) -> OrderView:
        """Make an order of a hold and/or lines (WantedLine or (sku, quantity, version)), with coupons.

        It counts for ``node`` of the organisation, empty for the merchant's own. Up to ``points`` points and ``stored``
        分 of stored value are spent on it, as the shop's terms allow. ``wanted`` are wishes of the hold's goods; with
        ``offer`` (request, version) what was agreed is ordered.
        Raises NotFound, Refused (gone, already, price_changed, sold_out, coupon_invalid, insufficient), Conflict, Busy,
        Invalid.
        """
        basket = Basket(
            hold,
            wanted_lines(lines),
            coupon,
            tuple(coupons),
            points,
            stored,
            delivery,
            mall,
            wanted=wanted,
            offer=offer,
        )
        command = order_command(merchant, room, person, key, basket, decision, entered_ms, card, node)
        return await self._do(command, OrderView)

    async def cancel_order(self, merchant: str, person: str | None, order: str) -> OrderView:
        """End a pending order. Raises NotFound, Refused (already) when it is paid."""
        return await self._do(CancelOrder(merchant, person, order), OrderView)

    async def pay_order(self, merchant: str, person: str, order: str, key: str) -> OrderView:
        """Pay through the merchant's first provider; what ``Payments.pay`` says of the order."""
        return (await self.payments.pay(merchant, person, order, key)).order

    async def settle(self, provider: str, raw: bytes, headers: Mapping[str, str]) -> Settled:
        """Take a provider's callback: ``Payments.settle``."""
        return await self.payments.settle(provider, raw, headers)

    # --- queries -------------------------------------------------------------------------------------------------

    async def sales(self, room: str) -> list[SaleView]:
        """Sales of a room, newest first."""
        return await self._store.read(lambda connection: views_sql.read_sales(connection, room, self._clock()))

    async def drops(self, room: str) -> list[DropView]:
        """Coupon drops of a room, newest first."""
        return await self._store.read(lambda connection: views_sql.read_drops(connection, room, self._clock()))

    async def givings(self, room: str) -> list[DropView]:
        """Givings of a room (coupons on entry, with a sign-in, with a payment), newest first."""
        return await self._store.read(lambda connection: views_sql.read_givings(connection, room, self._clock()))

    async def sale(self, sale: str) -> SaleView:
        """One sale. Raises NotFound."""
        row = await self._store.read(lambda connection: views_sql.read_sale(connection, sale))
        return views_sql.sale_view(_found(row, "sale"), self._clock())

    async def drop(self, drop: str) -> DropView:
        """One coupon drop. Raises NotFound."""
        row = await self._store.read(lambda connection: views_sql.read_drop(connection, drop))
        return views_sql.drop_view(_found(row, "coupon drop"), self._clock())

    async def orders(
        self,
        merchant: str,
        person: str | None = None,
        room: str | None = None,
        after: str | None = None,
        limit: int = 50,
        reach: Reach | None = None,
    ) -> list[OrderView]:
        """Orders of a merchant, or of a part of it, newest first; ``after`` is the last order of the page before."""
        return await self._store.read(
            lambda connection: views_sql.read_orders(connection, merchant, person, room, after, limit, reach)
        )

    async def sold(self, merchant: str, room: str, since_ms: int) -> SoldView:
        """Count and sum of the paid orders of a room that were made since ``since_ms``."""
        return await self._store.read(lambda connection: views_sql.read_sold(connection, merchant, room, since_ms))

    async def order(self, merchant: str, order: str, person: str | None = None) -> OrderView:
        """One order. Raises NotFound, also for another merchant's or person's."""
        view = await self._store.read(lambda connection: views_sql.read_order(connection, merchant, order, person))
        return _found(view, "order")

    async def coupons(self, merchant: str, person: str) -> list[CouponView]:
        """A person's coupons, newest first."""
        return await self._store.read(
            lambda connection: views_sql.read_coupons(connection, merchant, person, self._clock())
        )

    # --- housekeeping --------------------------------------------------------------------------------------------

    async def sweep(self, *, now: bool = False) -> Swept:
        """Do what is due; the sweeper does this every second. ``now``: also without the duty."""
        delivered = self._dispatcher.take_delivered()
        marks_only = not (now or self._duty.held())
        try:
            swept = await self._do(Sweep(delivered, self.payments.names, marks_only), Swept)
        except CommerceError:
            self._dispatcher.give_back(delivered)
            raise
        self._dispatcher.follow([(event, Heard.ADOPTED) for event in swept.adopted])
        return swept

    def _tick(self, *, now: bool = False) -> None:
        begun = self.payments.call("sweep", partial(self._sweep_and_follow, now=now))
        if not begun and self._timer is not None and self._loop is not None:
            # Too much is under way: a sweep that was not begun must not be the last one.
            self._timer.cancel()
            self._timer = self._loop.call_later(self._sweep_s, self._tick)

    async def _sweep_and_follow(self, *, now: bool = False) -> None:
        delay_s = self._sweep_s
        try:
            self._dispatcher.retry()
            swept = await self.sweep(now=now)
            delay_s = 0.0 if swept.more else delay_s
            self.payments.follow(swept)
        finally:
            if self._timer is not None and self._loop is not None:
                self._timer.cancel()
                self._timer = self._loop.call_later(delay_s, self._tick)

    def _alarm(self, at_ms: int | None) -> None:
        """Sweep at a moment at which a sale or drop changes by the clock, so that it is told of without delay."""
        if at_ms is None or self._timer is None or self._loop is None or len(self._alarms) >= ALARMS_MAX:
            return
        delay_s = (at_ms - self._clock()) / 1000 + 0.002
        if delay_s <= 0:
            return

        def ring() -> None:
            self._alarms.discard(handle)
            # Who started it tells of it in time, whoever has the duty.
            self._tick(now=True)

        handle = self._loop.call_later(delay_s, ring)
        self._alarms.add(handle)

    async def _do(self, command: Any, kind: type[T]) -> T:
        result = await self.ledger.submit(command)
        assert isinstance(result, kind)
        return result


def _nothing(_events: Sequence[Event]) -> None:
    """For a ledger whose events are told of by the follower."""


def _found(value: T | None, what: str) -> T:
    if value is None:
        raise NotFound(f"no such {what}")
    return value
