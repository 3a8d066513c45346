"""Stock and sales inside the ledger's transaction: what staff do, and what the clock does (to all that has a date)."""

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Row, text

from commerce.changes import Change
from commerce.changes_sql import note
from commerce.deadlines_sql import arm
from commerce.domain.coupon import drop_state
from commerce.domain.presale import Presale
from commerce.domain.sale import SaleMode, SaleRow, SaleState, state_of
from commerce.draws_sql import open_sale_draw, rest_draw, void_sale_draw
from commerce.drops_sql import expire_promised
from commerce.errors import Invalid, NotFound, Refused
from commerce.events import SaleView
from commerce.fulfilment_sql import finish_sent
from commerce.ledger import (
    EVENT_KEPT_MS,
    EXPIRE_BATCH_MAX,
    REQUEST_KEPT_MS,
    CreateSale,
    SteerSale,
    StockUp,
    StockView,
    Sweep,
    Swept,
    Unsettled,
)
from commerce.ledger_batch_sql import Batch, as_rows
from commerce.members_sql import sweep_points
from commerce.orders_sql import reclaim
from commerce.outbox_sql import adopt
from commerce.outlets_sql import stocked
from commerce.refunds_sql import take_due
from commerce.reminders_sql import DUE as REMIND
from commerce.reminders_sql import REMIND_MS
from commerce.repayments_sql import lapse_repayments
from commerce.stock_sql import move_stock, open_place
from commerce.unheard_sql import count_unheard, take_unheard
from commerce.units_sql import close_sale, reopen_sale
from commerce.views_sql import sale_view
from commerce.waiting_sql import serve

_STOCK = text("SELECT * FROM stock WHERE sku = :sku")
_SKU = text("SELECT 1 FROM sku WHERE id = :sku AND merchant = :merchant")
_STOCK_THERE = text("SELECT * FROM outlet_stock WHERE outlet = :outlet AND sku = :sku")
_INSERT_SALE = text(
    "INSERT INTO sale (id, merchant, room, product, sku, title, image, price, list_price, total, free, per_person,"
    " hold_ms, length_ms, created_ms, announced, mode, live_only, enter_ms, team_size, team_winners, team_ms, plan,"
    " deposit, balance_from_ms, balance_until_ms, balance_missed)"
    " VALUES (:id, :merchant, :room, :product, :sku, :title, :image,"
    " :price, :list_price, :total, :total, :per_person, :hold_ms, :length_ms, :now, '', :mode, :live_only, :enter_ms,"
    " :team_size, :team_winners, :team_ms, :plan, :deposit, :balance_from, :balance_until, :missed)"
)
_START_SALE = text("UPDATE sale SET opens_ms = :opens, closes_ms = :closes, announced = '' WHERE id = :id")
_PAUSE_SALE = text("UPDATE sale SET paused_ms = :now WHERE id = :id")
_RESUME_SALE = text(
    "UPDATE sale SET paused_ms = NULL, opens_ms = :opens, closes_ms = closes_ms + :paused WHERE id = :id"
)
_REPRICE_SALE = text("UPDATE sale SET price = :price, version = version + 1, announced = '' WHERE id = :id")
_CLOSE_DROP = text("UPDATE drop_ SET closed_ms = :now WHERE id = :id AND closed_ms IS NULL")
_LIVE_SALES = text("SELECT id FROM sale WHERE closed_ms IS NULL AND opens_ms IS NOT NULL")
_DUE_DROPS = text("SELECT id FROM drop_ WHERE closed_ms IS NULL AND ends_ms <= :now")
_UNSETTLED = text(
    # CROSS: the orders that are due first. SQLite would read all payments there are.
    "SELECT o.merchant, o.id, p.id AS payment FROM orders AS o CROSS JOIN payment AS p"
    " WHERE p.order_id = o.id AND o.status = 'pending' AND o.expires_ms <= :now AND p.state = 'started' LIMIT :limit"
)
_FIRST_DELIVERED = "(SELECT seq FROM outbox WHERE delivered_ms IS NOT NULL ORDER BY seq LIMIT 1)"
# Both ends of the range are said, so that both engines look it up in the index.
_FORGET_EVENTS = text(
    f"DELETE FROM outbox WHERE seq >= {_FIRST_DELIVERED} AND seq < {_FIRST_DELIVERED} + :limit"  # noqa: S608 - constants
    " AND created_ms < :before AND delivered_ms IS NOT NULL"
)
FORGET_MAX = 2_000
"""Old rows deleted (or looked at) in one sweep: a few milliseconds."""


def stock_up(batch: Batch, command: StockUp) -> StockView:
    """Receive or adjust units. Raises NotFound for another merchant's SKU, Refused (sold_out) below zero."""
    outlet = stocked(batch.connection, command.merchant, command.outlet)
    if outlet and batch.one(_SKU, sku=command.sku, merchant=command.merchant) is None:
        raise NotFound("no such product", sku=command.sku)
    # A store has goods that the shop has: the warehouse's row says whose they are.
    open_place(batch, command.merchant, command.sku, "")
    _stock(batch, command.merchant, command.sku)
    if outlet:
        open_place(batch, command.merchant, command.sku, outlet)
    kind = "adjusted" if command.adjust else "received"
    units = {kind: command.quantity, "free": command.quantity}
    if not move_stock(batch, command.merchant, command.sku, kind, command.reason, outlet=outlet, **units):
        raise Refused("sold_out", "not that many units are free to be taken away")
    row = _stock(batch, command.merchant, command.sku, outlet)
    if command.by is not None:
        change = Change(row.sku, "stock", row.free - command.quantity, row.free, outlet)
        note(batch.connection, command.merchant, command.by, [change], [batch.mint()], batch.now_ms)
    return StockView(row.sku, row.received, row.adjusted, row.free, row.held, row.sold, row.shipped, row.quarantined)


def _stock(batch: Batch, merchant: str, sku: str, outlet: str = "") -> Row[Any]:
    row = batch.one(_STOCK_THERE, outlet=outlet, sku=sku) if outlet else batch.one(_STOCK, sku=sku)
    if row is None or row.merchant != merchant:
        raise NotFound("no such stock")
    return row


def create_sale(batch: Batch, command: CreateSale) -> SaleView:
    """Set units aside for a sale. Raises NotFound, Refused (sold_out) when fewer are free."""
    _stock(batch, command.merchant, command.sku)
    sale, terms = batch.mint(), command.terms
    merchant, total = command.merchant, command.total
    if not move_stock(batch, merchant, command.sku, "reserved", sale, free=-total, held=total):
        raise Refused("sold_out", "not that many units are free")
    batch.run(
        _INSERT_SALE,
        id=sale,
        merchant=command.merchant,
        room=command.room,
        product=command.product,
        sku=command.sku,
        title=command.title,
        image=command.image,
        price=command.price,
        list_price=command.list_price,
        total=command.total,
        per_person=command.per_person,
        hold_ms=command.hold_ms,
        length_ms=command.length_ms,
        now=batch.now_ms,
        mode=str(terms.mode),
        live_only=int(terms.live_only),
        enter_ms=terms.enter_ms,
        team_size=terms.team_size,
        team_winners=terms.team_winners,
        team_ms=terms.team_ms,
        plan=command.plan,
        **_presale(terms.presale),
    )
    batch.sale_moved(sale)
    return _view(batch, sale)


def _presale(presale: Presale | None) -> dict[str, Any]:
    if presale is None:
        return {"deposit": 0, "balance_from": None, "balance_until": None, "missed": ""}
    return {
        "deposit": presale.deposit,
        "balance_from": presale.from_ms,
        "balance_until": presale.until_ms,
        "missed": str(presale.missed),
    }


def _sale(batch: Batch, merchant: str, sale_id: str) -> SaleRow:
    sale = batch.sales([sale_id]).get(sale_id)
    if sale is None or sale.merchant != merchant:
        raise NotFound("no such sale")
    return sale


def _view(batch: Batch, sale: str) -> SaleView:
    return sale_view(batch.sales([sale])[sale], batch.now_ms)


def steer_sale(batch: Batch, command: SteerSale) -> SaleView:
    """Start, pause, resume, close, reopen or reprice a sale; doing twice what is done changes nothing.

    Raises NotFound, Refused (already, closed, not_open, sold_out), Invalid for an unknown verb.
    """
    sale = _sale(batch, command.merchant, command.sale)
    state = state_of(sale, batch.now_ms)
    verb = _VERBS.get(command.verb)
    if verb is None:
        raise Invalid(f"a sale has no {command.verb!r}")
    if state is SaleState.CLOSED and command.verb not in ("close", "reopen"):
        raise Refused("closed", "the sale has closed")
    verb(batch, sale, state, command.value)
    batch.sale_moved(sale.id)
    return _view(batch, sale.id)


def _start(batch: Batch, sale: SaleRow, state: SaleState, countdown_ms: int) -> None:
    _start_at(batch, sale, state, batch.now_ms + countdown_ms)


def _start_at(batch: Batch, sale: SaleRow, state: SaleState, opens_ms: int) -> None:
    """Open at a moment; one that is scheduled for another is moved."""
    if state is not SaleState.SCHEDULED:
        raise Refused("already", "the sale was started")
    _open_at(batch, sale, opens_ms)
    arm(batch, REMIND, sale.id, max(batch.now_ms, opens_ms - REMIND_MS))


def _open_at(batch: Batch, sale: SaleRow, opens_ms: int, task: str = "none", word: str = "") -> None:
    closes_ms = opens_ms + sale.enter_ms + sale.length_ms
    batch.run(_START_SALE, id=sale.id, opens=opens_ms, closes=closes_ms)
    if sale.enter_ms:
        open_sale_draw(batch, sale, opens_ms, task, word)


def open_bag_draw(batch: Batch, sale_id: str, task: str, word: str) -> str:
    """Open the entries of a lucky bag's sale now; the draw's id."""
    _open_at(batch, batch.sales([sale_id])[sale_id], batch.now_ms, task, word)
    draw = batch.sales([sale_id])[sale_id].draw
    assert draw is not None
    return draw


def _pause(batch: Batch, sale: SaleRow, state: SaleState, _value: int) -> None:
    if state is SaleState.SCHEDULED:
        raise Refused("not_open", "the sale was not started")
    if state is not SaleState.PAUSED:
        batch.run(_PAUSE_SALE, id=sale.id, now=batch.now_ms)
        rest_draw(batch, sale)


def _resume(batch: Batch, sale: SaleRow, state: SaleState, _value: int) -> None:
    if state is not SaleState.PAUSED or sale.paused_ms is None or sale.opens_ms is None:
        return
    # A pause stops the clock: what was left of the countdown or of the sale is left again.
    paused_ms = batch.now_ms - sale.paused_ms
    moves = sale.paused_ms < sale.opens_ms + (sale.enter_ms if sale.drawn_ms is None else 0)
    opens_ms = sale.opens_ms + paused_ms if moves else sale.opens_ms
    batch.run(_RESUME_SALE, id=sale.id, opens=opens_ms, paused=paused_ms)
    if sale.enter_ms and sale.drawn_ms is None:
        open_sale_draw(batch, sale, opens_ms)
    serve(batch, batch.sales([sale.id])[sale.id])


def _close(batch: Batch, sale: SaleRow, _state: SaleState, _value: int) -> None:
    if close_sale(batch, sale):
        void_sale_draw(batch, sale)


def _reopen(batch: Batch, sale: SaleRow, state: SaleState, length_ms: int) -> None:
    if state is not SaleState.CLOSED:
        raise Refused("already", "the sale has not closed")
    if sale.opens_ms is None or (sale.enter_ms and sale.drawn_ms is None) or sale.mode == SaleMode.BAG:
        raise Refused("closed", "this sale cannot be reopened: plan another one")
    _close(batch, sale, state, 0)
    reopen_sale(batch, batch.sales([sale.id])[sale.id], batch.now_ms + length_ms)


def _reprice(batch: Batch, sale: SaleRow, _state: SaleState, price: int) -> None:
    if price <= sale.deposit:
        raise Invalid("the price is more than the deposit", field="price")
    batch.run(_REPRICE_SALE, id=sale.id, price=price)


_VERBS: Mapping[str, Callable[[Batch, SaleRow, SaleState, int], None]] = {
    "start": _start,
    "start_at": _start_at,
    "reopen": _reopen,
    "pause": _pause,
    "resume": _resume,
    "close": _close,
    "reprice": _reprice,
}


def sweep(batch: Batch, command: Sweep) -> Swept:
    """Do what is due: holds, orders, sales, drops, refunds, delivered events."""
    if command.delivered:
        batch.run(batch.texts.mark_delivered, rows=as_rows(command.delivered), now=batch.now_ms)
    if command.marks_only:
        return Swept(0, (), (), False)
    expired = reclaim(batch, EXPIRE_BATCH_MAX)
    live = batch.run(_LIVE_SALES).scalars().all()
    for sale in batch.sales(live).values():
        state = state_of(sale, batch.now_ms)
        if state is SaleState.CLOSED:
            _close(batch, sale, state, 0)
        if state != sale.announced:
            batch.sale_moved(sale.id)
    for drop in batch.drops(batch.run(_DUE_DROPS, now=batch.now_ms).scalars().all()).values():
        batch.run(_CLOSE_DROP, id=drop.id, now=drop.ends_ms)
        if drop_state(drop, batch.now_ms) != drop.announced:
            batch.drop_moved(drop.id)
    batch.run(_FORGET_EVENTS, before=batch.now_ms - EVENT_KEPT_MS, limit=FORGET_MAX)
    unsettled = tuple(
        Unsettled(row.merchant, row.id, row.payment)
        for row in batch.run(_UNSETTLED, now=batch.now_ms, limit=EXPIRE_BATCH_MAX)
    )
    refunds = take_due(batch, command.providers, EXPIRE_BATCH_MAX)
    finish_sent(batch, FORGET_MAX)
    more = sweep_points(batch, EXPIRE_BATCH_MAX)
    more = expire_promised(batch, EXPIRE_BATCH_MAX) or more or expired >= EXPIRE_BATCH_MAX
    more = lapse_repayments(batch, EXPIRE_BATCH_MAX) or more
    adopted = () if batch.writer is None else tuple(adopt(batch.connection, batch.writer, batch.now_ms))
    unheard = take_unheard(batch, command.providers, EXPIRE_BATCH_MAX)
    return Swept(expired, unsettled, refunds, more, adopted, unheard, count_unheard(batch))


_OLD_REQUESTS = text(
    "SELECT merchant, route, person, key FROM (SELECT * FROM request WHERE (merchant, route, person, key) >"
    " (:merchant, :route, :person, :key) ORDER BY merchant, route, person, key LIMIT :limit) AS page"
    " WHERE created_ms < :before"
)
_FORGET_REQUEST = text(
    "DELETE FROM request WHERE merchant = :merchant AND route = :route AND person = :person AND key = :key"
)
_REQUEST_AFTER = text(
    "SELECT merchant, route, person, key FROM request WHERE (merchant, route, person, key) >"
    " (:merchant, :route, :person, :key) ORDER BY merchant, route, person, key LIMIT 1 OFFSET :limit"
)


class RequestSweeper:
    """Walks the request keys in their own order, some rows at a time, and forgets the old ones.

    A walk costs the hot path nothing, where an index on the time would cost every hold a page write.
    """

    def __init__(self) -> None:
        self._position = {"merchant": "", "route": "", "person": "", "key": ""}

    def step(self, batch: Batch) -> None:
        """Look at the next rows."""
        position = self._position
        after = batch.one(_REQUEST_AFTER, limit=FORGET_MAX, **position)
        old = batch.run(_OLD_REQUESTS, before=batch.now_ms - REQUEST_KEPT_MS, limit=FORGET_MAX, **position)
        batch.run_many(_FORGET_REQUEST, [dict(row) for row in old.mappings()])
        self._position = dict.fromkeys(position, "") if after is None else dict(zip(position, after, strict=True))


def handlers() -> Mapping[type, Callable[[Batch, Any], Any]]:
    """The handlers of this module, with a walk over old request keys of their own."""
    walk = RequestSweeper()

    def sweep_all(batch: Batch, command: Sweep) -> Swept:
        if not command.marks_only:
            walk.step(batch)
        return sweep(batch, command)

    return {
        StockUp: stock_up,
        CreateSale: create_sale,
        SteerSale: steer_sale,
        Sweep: sweep_all,
    }
