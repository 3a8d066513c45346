"""What an order's price is made of, read inside a transaction: prices of SKUs, coupons, what a person may spend.

The same functions price an order (in the ledger's transaction) and a quote (on a reader).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, bindparam, text

from commerce.domain.coupon import unusable
from commerce.domain.custom import Wanted, Wish
from commerce.domain.offer import OwnPrice, price_at, price_in_store
from commerce.domain.order import LINES_MAX, WantedLine, sum_lines
from commerce.domain.pricing import CouponTerms, PricedLine, best_coupons, stack_fault
from commerce.domain.sale import QUANTITY_MAX
from commerce.errors import Invalid, NotFound, Refused
from commerce.ledger_batch_sql import as_rows
from commerce.ledger_text_sql import TEXTS

HAND_MAX = 100
"""Coupons of one person that are looked through for the best choice."""

_COUPONS = text("SELECT * FROM coupon WHERE id IN :ids AND merchant = :merchant AND person = :person").bindparams(
    bindparam("ids", expanding=True)
)
_HAND = text(
    "SELECT * FROM coupon WHERE merchant = :merchant AND person = :person AND state = 'unused' AND expires_ms > :now"
    " ORDER BY expires_ms LIMIT :limit"
)
_OWN = text("SELECT * FROM outlet_price WHERE outlet = :outlet AND sku IN :skus").bindparams(
    bindparam("skus", expanding=True)
)
_BOUND = text("SELECT drop_id, outlet FROM drop_outlet WHERE drop_id IN :drops").bindparams(
    bindparam("drops", expanding=True)
)
_HOLD = text("SELECT * FROM hold WHERE id = :id")
_SALE = text(
    "SELECT s.product, s.title, s.list_price, s.room, coalesce(k.kind, 'goods') AS kind, coalesce(k.bonus, 0) AS bonus,"
    " s.deposit, s.balance_until_ms FROM sale AS s LEFT JOIN sku AS k ON k.id = s.sku WHERE s.id = :id"
)


@dataclass(frozen=True, slots=True)
class Line:
    """A line on its way into an order; ``hold`` is None until its units are taken."""

    priced: PricedLine
    hold: str | None
    sale: str | None
    product: str
    title: str
    kind: str = "goods"
    bonus: int = 0
    presale_price: int = 0
    """Of a deposit: 分 per unit in all."""
    wanted: Wanted = ()
    """What its buyer filled in; ``wishes`` what was granted of it, None of goods that are as they are."""
    wishes: tuple[Wish, ...] | None = None
    request: str = ""
    """Of an offer: the request that it answers."""


def line_of_hold(
    connection: Connection, merchant: str, room: str, person: str, hold_id: str, now_ms: int, wanted: Wanted = ()
) -> tuple[Line, int]:
    """The line of a hold of a sale, and when it ends. Raises NotFound, Refused (already, gone)."""
    hold = connection.execute(_HOLD, {"id": hold_id}).one_or_none()
    if hold is None or hold.merchant != merchant or hold.person != person or hold.sale is None:
        raise NotFound("no such hold")
    sale = connection.execute(_SALE, {"id": hold.sale}).one_or_none()
    if sale is None or sale.room != room:
        raise NotFound("no such hold in this room")
    if hold.order_id is not None:
        raise Refused("already", "the hold is in an order", order=hold.order_id)
    if hold.state != "held" or hold.expires_ms <= now_ms:
        raise Refused("gone", "the hold has ended")
    # A struck-through price below the flash price would make the flash a surcharge.
    shelf = max(sale.list_price, hold.price)
    priced = PricedLine(hold.sku, hold.quantity, shelf, hold.price)
    presale_price = hold.price if sale.deposit else 0
    if presale_price:
        if now_ms >= sale.balance_until_ms:
            raise Refused("closed", "the time of this presale is over")
        # The deposit is what is ordered now; the price itself is the balance order's.
        priced = PricedLine(hold.sku, hold.quantity, sale.deposit)
    line = Line(priced, hold_id, hold.sale, sale.product, sale.title, sale.kind, sale.bonus, presale_price, wanted)
    return line, hold.expires_ms


def lines_of_skus(
    connection: Connection, merchant: str, lines: Sequence[WantedLine], now_ms: int, outlet: str = ""
) -> list[Line]:
    """One line per SKU at its price now, in a store when one is named.

    Raises Invalid, NotFound, Refused (gone, closed, price_changed).
    """
    wanted = sum_lines(lines)
    if len(lines) > LINES_MAX or any(not 0 < line.quantity <= QUANTITY_MAX for line in wanted):
        raise Invalid(f"an order has up to {LINES_MAX} lines of 1 to {QUANTITY_MAX} units")
    if not wanted:
        return []
    rows = as_rows(line.sku for line in wanted)
    found = connection.execute(TEXTS[connection.dialect.name].prices, {"rows": rows, "merchant": merchant})
    prices = {row.id: row for row in found}
    own = own_prices(connection, outlet, list(prices)) if outlet else {}
    made = []
    for line in wanted:
        row = prices.get(line.sku)
        if row is None:
            raise NotFound("no such product", sku=line.sku)
        if not row.on_shelf:
            raise Refused("gone", "the product is off the shelf", sku=line.sku)
        made.append(_line(row, line, own.get(line.sku), now_ms))
    return made


def own_prices(connection: Connection, outlet: str, skus: Sequence[str]) -> dict[str, OwnPrice]:
    """What a store asks for SKUs, where it has prices or offers of its own."""
    found = connection.execute(_OWN, {"outlet": outlet, "skus": ["", *skus]})
    return {row.sku: own_price(row) for row in found}


def own_price(row: Row[Any]) -> OwnPrice:
    """A row of ``outlet_price`` as the pricing function takes it."""
    return OwnPrice(row.price, row.offer_price, row.offer_from_ms, row.offer_until_ms, row.version)


def _line(row: Row[Any], line: WantedLine, own: OwnPrice | None, now_ms: int) -> Line:
    if row.slot_ms is not None and row.slot_ms <= now_ms:
        raise Refused("closed", "this time has begun: it cannot be booked any more", sku=line.sku)
    shop = price_at(row.price, row.version, row.offer_price, row.offer_from_ms, row.offer_until_ms, now_ms)
    now = price_in_store(shop, own, now_ms)
    if line.version is not None and line.version != now.version:
        raise Refused("price_changed", "the price has changed", sku=line.sku, price=now.price, version=now.version)
    title = f"{row.title} {row.name}".strip()
    priced = PricedLine(line.sku, line.quantity, now.shelf, None, now.limited)
    return Line(priced, None, None, row.product, title, row.kind, row.bonus, wanted=line.wishes)


def lines_fault(lines: Sequence[Line], coupons: Sequence[object], spends: bool) -> str | None:
    """Why these lines cannot be one order, as a sentence, or None: stored value is bought alone, and with money."""
    if any(line.request for line in lines) and (len(lines) > 1 or coupons):
        return "an offer is ordered alone, without coupons: its price is what was agreed"
    if any(line.presale_price for line in lines):
        if len(lines) > 1:
            return "a presale is ordered alone"
        if coupons or spends:
            return "a deposit is paid with money alone: no coupons, points or stored value"
    kinds = {line.kind for line in lines}
    if "stored" not in kinds:
        return None
    if len(kinds) > 1:
        return "stored value is bought alone"
    if coupons or spends:
        return "stored value is bought with money alone: no coupons, points or stored value"
    return None


def find_coupons(
    connection: Connection, merchant: str, person: str, ids: Sequence[str], goods: int, now_ms: int, outlet: str = ""
) -> list[CouponTerms]:
    """The coupons of an order worth ``goods`` 分 that are in the person's hand. Raises NotFound, Refused.

    Coupons of certain stores are good for what one of these hands over (``outlet``).
    """
    if not ids:
        return []
    asked = {"ids": list(ids), "merchant": merchant, "person": person}
    rows = {row.id: row for row in connection.execute(_COUPONS, asked)}
    if any(coupon not in rows for coupon in ids):
        raise NotFound("no such coupon")
    for coupon in ids:
        row = rows[coupon]
        why = unusable(row.state, row.expires_ms, row.threshold, goods, now_ms)
        if why is not None:
            raise Refused("coupon_invalid", why, coupon=coupon)
    elsewhere = _elsewhere(connection, rows.values(), outlet)
    if elsewhere:
        raise Refused(
            "coupon_invalid", "this coupon counts in certain stores: choose one of them", coupon=min(elsewhere)
        )
    terms = [coupon_terms(rows[coupon]) for coupon in ids]
    why = stack_fault(terms)
    if why is not None:
        raise Refused("coupon_invalid", why)
    return terms


def choose_coupons(
    connection: Connection, merchant: str, person: str, goods: int, now_ms: int, outlet: str = ""
) -> list[CouponTerms]:
    """The best choice of what is in a person's hand for goods worth ``goods`` 分."""
    asked = {"merchant": merchant, "person": person, "now": now_ms, "limit": HAND_MAX}
    rows = [row for row in connection.execute(_HAND, asked) if row.threshold <= goods]
    elsewhere = _elsewhere(connection, rows, outlet)
    return best_coupons(goods, (coupon_terms(row) for row in rows if row.id not in elsewhere))


def _elsewhere(connection: Connection, coupons: Collection[Row[Any]], outlet: str) -> set[str]:
    """Those of some coupons that count in certain stores, none of which is ``outlet``."""
    drops = {row.drop_id for row in coupons}
    bound: dict[str, set[str]] = {}
    for row in connection.execute(_BOUND, {"drops": ["", *sorted(drops)]}):
        bound.setdefault(row.drop_id, set()).add(row.outlet)
    return {row.id for row in coupons if outlet not in bound.get(row.drop_id, {outlet})}


def coupon_terms(row: Row[Any]) -> CouponTerms:
    """A ``SELECT *`` row of ``coupon`` as the pricing function takes it."""
    return CouponTerms(row.id, row.title, row.amount, row.percent, row.stack)
