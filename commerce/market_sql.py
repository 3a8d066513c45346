"""The market inside the ledger's transaction: grants, units given over, orders passed on, debts on both sides.

    offer ─▶ application ─▶ grant ─▶ listing: a product of the channel's own, with units that the supplier gave over
    paid order of the channel with listed lines ─▶ drop order (its line, its delivery) ─▶ sent by the supplier
    what is owed of it = supply price × units, less what share of the line went back

Units change hands in one transaction (supplier free − n, channel free + n), so neither can sell the other's. What is
owed is booked on both sides' books in one transaction, as the difference to what was booked before: however often a
refund is told of, the books say what the order says. Commands here name no ``merchant``: they take the turn of all.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, text

from commerce.accounts_sql import balance, move
from commerce.domain.accounts import SHOP, Leg
from commerce.domain.commission import kept, refunded_lines
from commerce.errors import Conflict, NotFound, Refused
from commerce.events import OrderView
from commerce.ledger_batch_sql import Batch
from commerce.stock_sql import move_stock

BOOK_MAX = 500
"""Drop orders booked in one transaction."""
LIST_MAX = 200


@dataclass(frozen=True, slots=True)
class Allot:
    """A supplier gives ``units`` over to a channel, or takes them back (below 0) as far as they are unsold."""

    supplier: str
    grant: str
    units: int


@dataclass(frozen=True, slots=True)
class Allotted:
    """Units that the channel has been given and not given back."""

    grant: str
    allotted: int


@dataclass(frozen=True, slots=True)
class ListOffer:
    """A channel sells a granted SKU as its own ``product`` and ``sku``."""

    channel: str
    grant: str
    product: str
    sku: str


@dataclass(frozen=True, slots=True)
class Listed:
    """The grant is listed."""

    grant: str


@dataclass(frozen=True, slots=True)
class Revoke:
    """A supplier takes a grant back: unsold units return, orders that were made go on."""

    supplier: str
    grant: str
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class Revoked:
    """``units`` came back; ``product`` is the channel's, which is to be taken off its shelf."""

    grant: str
    channel: str
    product: str | None
    units: int


@dataclass(frozen=True, slots=True)
class BookDebts:
    """Bring both sides' books to what the drop orders say is owed."""


@dataclass(frozen=True, slots=True)
class Booked:
    """How many drop orders changed what is owed; ``more`` when a bound cut it short."""

    count: int
    more: bool


@dataclass(frozen=True, slots=True)
class SettleSupply:
    """A supplier got a channel's money, outside of this program: ``number`` says by which transfer."""

    supplier: str
    channel: str
    amount: int
    number: str
    by: str


@dataclass(frozen=True, slots=True)
class SupplySettled:
    """What is still owed."""

    settlement: str
    owed: int


_GRANT = text("SELECT * FROM market_grant WHERE id = :id")
_ALLOT = text("UPDATE market_grant SET allotted = allotted + :units WHERE id = :id")
_LIST = text(
    "UPDATE market_grant SET listed_product = :product, listed_sku = :sku WHERE id = :id AND listed_sku IS NULL"
)
_REVOKE = text(
    "UPDATE market_grant SET state = 'revoked', decided_ms = :now, decided_by = :by, reason = :reason WHERE id = :id"
)
_FREE = text("SELECT free FROM stock WHERE sku = :sku AND merchant = :merchant")
_NEW_STOCK = text("INSERT INTO stock (sku, merchant) VALUES (:sku, :merchant) ON CONFLICT (sku) DO NOTHING")
_OF_SKU = text("SELECT * FROM market_grant WHERE listed_sku = :sku AND channel = :channel")
_INSERT = text(
    "INSERT INTO drop_order (id, grant_id, supplier, channel, order_id, n, quantity, supply, owed, booked, state,"
    " created_ms) VALUES (:id, :grant, :supplier, :channel, :order, :n, :quantity, :supply, :supply, 0, 'open', :now)"
    " ON CONFLICT (order_id, n) DO NOTHING"
)
_OF_ORDER = text("SELECT * FROM drop_order WHERE order_id = :order ORDER BY n")
_PAID = text("SELECT n, quantity * price - discount AS paid FROM order_line WHERE order_id = :order ORDER BY n")
_BACK = text("SELECT n, sum(amount) AS amount FROM refund_line WHERE order_id = :order GROUP BY n")
_OWE = text("UPDATE drop_order SET owed = :owed, state = :state WHERE id = :id")
_UNBOOKED = text("SELECT * FROM drop_order WHERE booked <> owed ORDER BY id LIMIT :limit")
_BOOK = text("UPDATE drop_order SET booked = owed WHERE id = :id")
_SETTLEMENT = text(
    "SELECT * FROM market_settlement WHERE supplier = :supplier AND channel = :channel AND number = :number"
)
_SETTLE = text(
    'INSERT INTO market_settlement (id, supplier, channel, amount, number, "by", created_ms)'
    " VALUES (:id, :supplier, :channel, :amount, :number, :by, :now)"
)


def _granted(batch: Batch, grant: str, *, supplier: str = "", channel: str = "") -> Row[Any]:
    """A grant that stands, of one of its two sides. Raises NotFound, Refused (not_open)."""
    row = batch.one(_GRANT, id=grant)
    if row is None or (supplier and row.supplier != supplier) or (channel and row.channel != channel):
        raise NotFound("no such grant")
    if row.state != "granted":
        raise Refused("not_open", f"the application is {row.state}")
    return row


def list_offer(batch: Batch, command: ListOffer) -> Listed:
    """Make a grant the channel's product. Raises NotFound, Refused (not_open, already)."""
    row = _granted(batch, command.grant, channel=command.channel)
    if not batch.run(_LIST, id=row.id, product=command.product, sku=command.sku).rowcount:
        raise Refused("already", "this offer is listed")
    batch.run(_NEW_STOCK, sku=command.sku, merchant=command.channel)
    return Listed(row.id)


def allot(batch: Batch, command: Allot) -> Allotted:
    """Give units over or take them back. Raises NotFound, Refused (not_open, sold_out)."""
    row = _granted(batch, command.grant, supplier=command.supplier)
    if row.listed_sku is None:
        raise Refused("not_open", "the channel has not listed this offer yet")
    _hand_over(batch, row, command.units)
    return Allotted(row.id, row.allotted + command.units)


def _hand_over(batch: Batch, row: Row[Any], units: int) -> None:
    for merchant, sku, difference in (
        (row.supplier, row.sku, -units),
        (row.channel, row.listed_sku, units),
    ):
        if not move_stock(batch, merchant, sku, "allotted", row.id, adjusted=difference, free=difference):
            raise Refused("sold_out", "not that many units are free")
    batch.run(_ALLOT, id=row.id, units=units)


def revoke(batch: Batch, command: Revoke) -> Revoked:
    """Take a grant back with what is unsold of it. Raises NotFound, Refused (not_open)."""
    row = _granted(batch, command.grant, supplier=command.supplier)
    units = 0
    if row.listed_sku is not None:
        free = batch.run(_FREE, sku=row.listed_sku, merchant=row.channel).scalar_one()
        units = min(int(free), row.allotted)
        if units:
            _hand_over(batch, row, -units)
    batch.run(_REVOKE, id=row.id, by=command.by, reason=command.reason, now=batch.now_ms)
    return Revoked(row.id, row.channel, row.listed_product, units)


# --- orders ----------------------------------------------------------------------------------------------------------


def order_paid(batch: Batch, channel: str, order: OrderView) -> None:
    """Pass listed lines of a paid order on to their suppliers; told again nothing happens."""
    for n, line in enumerate(order.lines):
        row = batch.one(_OF_SKU, sku=line.sku, channel=channel)
        if row is not None:
            batch.run(
                _INSERT,
                id=batch.mint(),
                grant=row.id,
                supplier=row.supplier,
                channel=channel,
                order=order.order,
                n=n,
                quantity=line.quantity,
                supply=line.quantity * row.supply_price,
                now=batch.now_ms,
            )


def order_refunded(batch: Batch, order: OrderView) -> None:
    """What went back is not owed, in proportion to the line; what went back whole before it was sent is not sent."""
    rows = batch.run(_OF_ORDER, order=order.order).all()
    if not rows:
        return
    paid = {row.n: int(row.paid) for row in batch.run(_PAID, order=order.order)}
    by_line = {row.n: int(row.amount) for row in batch.run(_BACK, order=order.order)}
    back = refunded_lines(paid, by_line, order.refunded)
    for row in rows:
        owed = min(row.owed, kept(row.supply, paid[row.n], back.get(row.n, 0)))
        state = "cancelled" if owed == 0 and row.state == "open" else row.state
        batch.run(_OWE, id=row.id, owed=owed, state=state)


def book_debts(batch: Batch, command: BookDebts) -> Booked:
    """Write the difference between what is owed and what was booked into both sides' books."""
    rows = batch.run(_UNBOOKED, limit=BOOK_MAX).all()
    for row in rows:
        amount = row.owed - row.booked
        legs = [Leg(SHOP, "supply_cost", -amount), Leg(row.supplier, "supply_owed", amount)]
        move(batch, row.channel, "supplied", row.order_id, legs)
        legs = [Leg(SHOP, "supply_income", -amount), Leg(row.channel, "supply_due", amount)]
        move(batch, row.supplier, "supplied", row.order_id, legs)
        batch.run(_BOOK, id=row.id)
    return Booked(len(rows), len(rows) == BOOK_MAX)


def settle(batch: Batch, command: SettleSupply) -> SupplySettled:
    """Write a payment into both sides' books; its number counts once. Raises Refused (insufficient), Conflict."""
    sides = {"supplier": command.supplier, "channel": command.channel}
    known = batch.one(_SETTLEMENT, number=command.number, **sides)
    if known is not None and known.amount != command.amount:
        raise Conflict("this number was used for another amount")
    owed = balance(batch.connection, command.supplier, command.channel, "supply_due")
    if known is not None:
        return SupplySettled(known.id, owed)
    if command.amount > owed:
        raise Refused("insufficient", "that is more than is owed", owed=owed)
    identifier = batch.mint()
    batch.run(
        _SETTLE,
        id=identifier,
        amount=command.amount,
        number=command.number,
        by=command.by,
        now=batch.now_ms,
        **sides,
    )
    legs = [Leg(command.supplier, "supply_owed", -command.amount), Leg(SHOP, "supply_paid", command.amount)]
    move(batch, command.channel, "settled", identifier, legs)
    legs = [Leg(command.channel, "supply_due", -command.amount), Leg(SHOP, "supply_received", command.amount)]
    move(batch, command.supplier, "settled", identifier, legs)
    return SupplySettled(identifier, owed - command.amount)


HANDLERS: Mapping[type, Callable[[Batch, Any], Any]] = {
    ListOffer: list_offer,
    Allot: allot,
    Revoke: revoke,
    BookDebts: book_debts,
    SettleSupply: settle,
}


# --- outside the ledger ----------------------------------------------------------------------------------------------

_OFFER = text("SELECT * FROM market_offer WHERE id = :id AND closed_ms IS NULL")
_INSERT_OFFER = text(
    "INSERT INTO market_offer (id, supplier, sku, supply_price, least_price, note, created_ms)"
    " SELECT :id, s.merchant, s.id, :supply_price, :least_price, :note, :now FROM sku AS s"
    " WHERE s.id = :sku AND s.merchant = :supplier AND s.kind = 'goods'"
)
_CLOSE_OFFER = text(
    "UPDATE market_offer SET closed_ms = :now WHERE id = :id AND supplier = :supplier AND closed_ms IS NULL"
)
_OFFERS = text(
    "SELECT o.*, m.name AS supplier_name, p.title, p.image, p.detail FROM market_offer AS o JOIN merchant AS m"
    " ON m.id = o.supplier JOIN sku AS s ON s.id = o.sku JOIN product AS p ON p.id = s.product"
    " WHERE o.closed_ms IS NULL AND o.id < :before ORDER BY o.id DESC LIMIT :limit"
)
_APPLY = text(
    "INSERT INTO market_grant (id, offer, supplier, channel, state, sku, supply_price, least_price, allotted,"
    " applied_ms, reason) VALUES (:id, :offer, :supplier, :channel, 'applied', :sku, :supply_price, :least_price, 0,"
    " :now, '') ON CONFLICT DO NOTHING"
)
_DECIDE = text(
    "UPDATE market_grant SET state = :state, decided_ms = :now, decided_by = :by, reason = :reason"
    " WHERE id = :id AND supplier = :supplier AND state = 'applied'"
)
_GRANTS = text(
    "SELECT g.*, s.name AS supplier_name, c.name AS channel_name, p.title, p.image, p.category,"
    " coalesce(t.free, 0) AS free"
    " FROM market_grant AS g JOIN merchant AS s ON s.id = g.supplier JOIN merchant AS c ON c.id = g.channel"
    " JOIN sku AS k ON k.id = g.sku JOIN product AS p ON p.id = k.product LEFT JOIN stock AS t ON t.sku = g.listed_sku"
    " WHERE (g.supplier = :merchant OR g.channel = :merchant) ORDER BY g.id DESC LIMIT :limit"
)
_DROPS = text(
    "SELECT d.*, o.delivery, o.status, l.title FROM drop_order AS d JOIN orders AS o ON o.id = d.order_id"
    " JOIN order_line AS l ON l.order_id = d.order_id AND l.n = d.n"
    " WHERE (d.supplier = :merchant OR d.channel = :merchant) AND d.id < :before ORDER BY d.id DESC LIMIT :limit"
)
_DROP = text("SELECT * FROM drop_order WHERE id = :id AND supplier = :supplier")
_OTHERS = text(
    "SELECT count(*) FROM order_line AS l LEFT JOIN drop_order AS d ON d.order_id = l.order_id AND d.n = l.n"
    " AND d.state <> 'open' WHERE l.order_id = :order AND d.id IS NULL"
)
_SENT = text(
    "UPDATE drop_order SET state = 'sent', carrier = :carrier, number = :number, sent_ms = :now"
    " WHERE id = :id AND supplier = :supplier AND state = 'open'"
)
_DEBTS = text(
    "SELECT a.merchant, a.owner, a.kind, a.balance, m.name FROM account AS a JOIN merchant AS m ON m.id = a.owner"
    " WHERE a.merchant = :merchant AND a.kind IN ('supply_owed', 'supply_due') ORDER BY a.kind, a.owner"
)


def add_offer(db: Connection, **row: Any) -> None:
    """Write an offer of the supplier's own goods. Raises NotFound."""
    if not db.execute(_INSERT_OFFER, row).rowcount:
        raise NotFound("no such SKU of yours that can be offered", field="sku")


def close_offer(db: Connection, supplier: str, offer: str, now_ms: int) -> None:
    """Take no more applications; grants stand. Raises NotFound."""
    if not db.execute(_CLOSE_OFFER, {"id": offer, "supplier": supplier, "now": now_ms}).rowcount:
        raise NotFound("no such offer")


def offers(db: Connection, before: str, limit: int) -> list[dict[str, Any]]:
    """What suppliers publish to all merchants, newest first."""
    return [dict(row) for row in db.execute(_OFFERS, {"before": before, "limit": limit}).mappings()]


def apply(db: Connection, channel: str, offer: str, identifier: str, now_ms: int) -> str:
    """Apply for an offer on the terms that it has now. Raises NotFound, Refused (already, not_open)."""
    row = db.execute(_OFFER, {"id": offer}).one_or_none()
    if row is None:
        raise NotFound("no such offer")
    if row.supplier == channel:
        raise Refused("not_open", "this is an offer of your own")
    terms = {"offer": row.id, "supplier": row.supplier, "sku": row.sku, "channel": channel, "now": now_ms}
    terms |= {"id": identifier, "supply_price": row.supply_price, "least_price": row.least_price}
    if not db.execute(_APPLY, terms).rowcount:
        raise Refused("already", "you have applied for this offer, or sell it")
    return identifier


def decide(db: Connection, supplier: str, grant: str, state: str, by: str, reason: str, now_ms: int) -> None:
    """Grant or refuse an application. Raises NotFound."""
    row = {"id": grant, "supplier": supplier, "state": state, "by": by, "reason": reason, "now": now_ms}
    if not db.execute(_DECIDE, row).rowcount:
        raise NotFound("no such application that waits")


def grants(db: Connection, merchant: str) -> list[dict[str, Any]]:
    """A merchant's grants, as supplier and as channel, newest first; ``free``: units that the channel can sell."""
    return [dict(row) for row in db.execute(_GRANTS, {"merchant": merchant, "limit": LIST_MAX}).mappings()]


def drops(db: Connection, merchant: str, before: str, limit: int) -> list[dict[str, Any]]:
    """Drop orders of both sides, newest first, with where to send them."""
    asked = {"merchant": merchant, "before": before, "limit": limit}
    return [dict(row) for row in db.execute(_DROPS, asked).mappings()]


def sent(db: Connection, supplier: str, drop: str, carrier: str, number: str, now_ms: int) -> tuple[str, str, bool]:
    """Note that a line went out: channel, order, and whether the whole order has by now. Raises NotFound, Refused."""
    row = db.execute(_DROP, {"id": drop, "supplier": supplier}).one_or_none()
    if row is None:
        raise NotFound("no such order to send")
    asked = {"id": drop, "supplier": supplier, "carrier": carrier, "number": number, "now": now_ms}
    if not db.execute(_SENT, asked).rowcount:
        raise Refused("already", f"this order is {row.state}")
    whole = db.execute(_OTHERS, {"order": row.order_id}).scalar_one() == 0
    return row.channel, row.order_id, whole


def debts(db: Connection, merchant: str) -> list[dict[str, Any]]:
    """What a merchant owes suppliers, and channels owe it."""
    return [dict(row) for row in db.execute(_DEBTS, {"merchant": merchant}).mappings()]
