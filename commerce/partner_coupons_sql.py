# ruff: noqa: S608 (statements are put together from this module's constants alone)
"""Coupons of partners: offered to those who come by a partner's code, out of a budget that the shop gives them.

An offer is a giving (``drop_`` of the way ``partner``, issued by the partner): its coupons are promised, used and
expire as any out of a budget. What partners bear of them is in partner_bearing_sql.py.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, text

from commerce.accounts_sql import move
from commerce.domain.accounts import SHOP, Leg
from commerce.drops_sql import start_drop
from commerce.errors import NotFound, Refused
from commerce.events import DropView
from commerce.ledger_batch_sql import Batch
from commerce.ledger_partners import OfferCoupon
from commerce.views_sql import drop_view

WAY = "partner"
ROUTE = "partner_coupon"
OFFERS_MAX = 20
"""Open offers of one partner: what a visitor is shown and given at once."""
LISTED_MAX = 200

_PARTNER = text("SELECT state FROM partner WHERE id = :id AND merchant = :merchant")
_OPEN = "d.way = 'partner' AND d.closed_ms IS NULL AND d.ends_ms > :now"
_COUNT = text(f"SELECT count(*) FROM drop_ AS d WHERE d.merchant = :merchant AND d.issuer = :issuer AND {_OPEN}")
_FOR_VISITOR = text(
    "SELECT d.id FROM drop_ AS d JOIN partner AS p ON p.id = d.issuer AND p.merchant = d.merchant"
    " JOIN partner_contract AS t ON t.partner = p.id AND t.state = 'agreed' WHERE d.merchant = :merchant"
    f" AND d.room = :room AND {_OPEN} AND d.issued < d.total AND p.state = 'active' AND EXISTS"
    " (SELECT 1 FROM partner_visit AS v WHERE v.merchant = d.merchant AND v.partner = d.issuer AND v.person IN :ids"
    " AND v.last_ms + 86400000 * CAST(t.days AS bigint) >= :now) AND NOT EXISTS"
    " (SELECT 1 FROM quota AS q WHERE q.scope = d.id AND q.person IN :ids) ORDER BY d.id LIMIT :limit"
).bindparams(bindparam("ids", expanding=True))
_SHOWN = text(
    "SELECT d.title, d.reason, d.amount, d.threshold FROM drop_ AS d JOIN partner AS p ON p.id = d.issuer"
    f" AND p.merchant = d.merchant AND p.state = 'active' WHERE d.merchant = :merchant AND d.issuer = :issuer"
    f" AND d.room = :room AND {_OPEN} AND d.issued < d.total ORDER BY d.amount DESC, d.id LIMIT 1"
)
_OFFERS = text(
    "SELECT d.*, coalesce(u.used, 0) AS used, coalesce(u.took, 0) AS took, coalesce(u.borne, 0) AS borne,"
    " coalesce(u.back, 0) AS back FROM drop_ AS d LEFT JOIN (SELECT c.drop_id, count(*) AS used, sum(x.took) AS took,"
    " sum(x.borne) AS borne, sum(x.back) AS back FROM partner_coupon_use AS x JOIN coupon AS c ON c.id = x.coupon"
    " WHERE x.partner = :issuer GROUP BY c.drop_id) AS u ON u.drop_id = d.id"
    " WHERE d.merchant = :merchant AND d.issuer = :issuer AND d.issuer <> '' AND d.way = 'partner'"
    " ORDER BY d.id DESC LIMIT :limit"
)
_USED = text(
    "SELECT x.*, c.title, o.amount AS paid FROM partner_coupon_use AS x JOIN coupon AS c ON c.id = x.coupon"
    " JOIN orders AS o ON o.id = x.order_id WHERE x.partner = :partner AND x.created_ms >= :since"
    " AND x.created_ms < :until ORDER BY x.order_id, x.coupon LIMIT :limit"
)
_IS_OFFER = text("SELECT 1 FROM drop_ WHERE id = :id AND merchant = :merchant AND issuer = :issuer AND way = 'partner'")

Row = dict[str, Any]


def offer(batch: Batch, command: OfferCoupon) -> DropView:
    """Begin an offer with its budget. Raises NotFound, Conflict, Refused (not_open, limit)."""
    drop = command.drop
    stored = batch.replay(drop.merchant, command.staff, ROUTE, command.key, command.hash)
    if stored is not None:
        return drop_view(batch.drops([stored])[stored], batch.now_ms)
    row = batch.one(_PARTNER, id=drop.issuer, merchant=drop.merchant)
    if row is None:
        raise NotFound("no such partner")
    if row.state != "active":
        raise Refused("not_open", f"this partnership is {row.state}")
    asked = {"merchant": drop.merchant, "issuer": drop.issuer, "now": batch.now_ms}
    if batch.run(_COUNT, **asked).scalar_one() >= OFFERS_MAX:
        raise Refused("limit", f"a partner has at most {OFFERS_MAX} open offers")
    legs = [Leg(SHOP, "budget_source", -command.budget), Leg(drop.issuer, "budget", command.budget)]
    move(batch, drop.merchant, "funded", drop.issuer, legs)
    view = start_drop(batch, drop)
    batch.remember(drop.merchant, command.staff, ROUTE, command.key, command.hash, view.drop)
    return view


def for_visitor(db: Connection, merchant: str, room: str, ids: Sequence[str], now_ms: int) -> list[str]:
    """Offers of a room for somebody (all their ids) who came by the code of one who makes them, and has none of it."""
    asked = {"merchant": merchant, "room": room, "ids": list(ids), "now": now_ms, "limit": OFFERS_MAX}
    return list(db.execute(_FOR_VISITOR, asked).scalars())


def shown(db: Connection, merchant: str, partner: str, room: str, now_ms: int) -> Row | None:
    """The best open offer of a partner in a room, for its poster: ``title reason amount threshold``."""
    asked = {"merchant": merchant, "issuer": partner, "room": room, "now": now_ms}
    found = db.execute(_SHOWN, asked).mappings().one_or_none()
    return None if found is None else dict(found)


def offers(db: Connection, merchant: str, partner: str) -> list[Row]:
    """A partner's offers, newest first: how many were used, what that took off, what it bore and what came back."""
    asked = {"merchant": merchant, "issuer": partner, "limit": LISTED_MAX}
    sums = ("used", "took", "borne", "back")
    return [{**row, **{name: int(row[name]) for name in sums}} for row in db.execute(_OFFERS, asked).mappings()]


def used_in(db: Connection, partner: str, since_ms: int, until_ms: int, limit: int) -> list[Row]:
    """Coupons of a partner that were used in a time."""
    asked = {"partner": partner, "since": since_ms, "until": until_ms, "limit": limit}
    return [dict(row) for row in db.execute(_USED, asked).mappings()]


def find(db: Connection, merchant: str, partner: str, drop: str) -> None:
    """See that an offer is a partner's. Raises NotFound."""
    if db.execute(_IS_OFFER, {"id": drop, "merchant": merchant, "issuer": partner}).one_or_none() is None:
        raise NotFound("no such offer of this partner")


HANDLERS: Mapping[type, Callable[[Batch, Any], Any]] = {OfferCoupon: offer}
