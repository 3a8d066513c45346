"""A partner's statement of a month, for both sides: sums from the journal of its accounts, and sale by sale why.

Opening and closing are sums of entries (commission_statement_sql.py), so they add up by construction; the sales are
those that were credited in the month, with what each gave and what went back of it since. The partner reads no person:
a name is shown as its first character, and nothing of them that is not a name.
"""

import csv
import io
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from commerce.commission_statement_sql import CommissionStatement, journal
from commerce.distribution_sql import withdrawals
from commerce.domain.day import day_bounds_ms, local
from commerce.domain.ids import AFTER_ALL, time_prefix
from commerce.domain.money import yuan
from commerce.domain.withholding import month_begins_ms
from commerce.errors import Invalid, Refused
from commerce.partner_coupons_sql import used_in
from commerce.statement import safe_cell

SALES_MAX = 5_000
"""Sales of one month that are listed: more is what the sums are for."""
DAY_MS = 86_400_000

_SALES = text(
    "SELECT s.*, p.id AS who, p.name AS person_name, coalesce(c.amount, 0) AS amount,"
    " coalesce(c.reversed, 0) AS reversed, c.state,"
    " coalesce(c.held, '') AS held, c.release_ms, coalesce(l.title, '') AS title, coalesce(o.status, '') AS status,"
    " r.number AS receipt FROM partner_sale AS s"
    " LEFT JOIN (SELECT order_id, sum(amount) AS amount, sum(reversed) AS reversed, max(state) AS state,"
    " max(held) AS held, max(release_ms) AS release_ms FROM commission WHERE person = :partner AND contract <> ''"
    " AND merchant = :merchant GROUP BY order_id) AS c ON c.order_id = s.id"
    # Who the buyer is now, should they have been found to be somebody else.
    " LEFT JOIN person_alias AS i ON i.alias = s.person LEFT JOIN person AS p ON p.id = coalesce(i.person, s.person)"
    " LEFT JOIN orders AS o ON o.id = s.id"
    " LEFT JOIN order_line AS l ON l.order_id = s.id AND l.n = 0 LEFT JOIN pos_receipt AS r ON r.id = s.id"
    " WHERE s.partner = :partner AND s.created_ms >= :since AND s.created_ms < :until ORDER BY s.id LIMIT :limit"
)
_VISITORS = text(
    "SELECT count(*) FROM (SELECT min(v.first_ms) AS first_ms FROM partner_visit AS v LEFT JOIN person_alias AS i"
    " ON i.alias = v.person WHERE v.partner = :partner GROUP BY coalesce(i.person, v.person)) AS visitor"
    " WHERE first_ms >= :since AND first_ms < :until"
)
_SHARE = text(
    "SELECT s.*, coalesce(sum(c.amount), 0) AS amount, coalesce(sum(c.reversed), 0) AS reversed,"
    " coalesce(max(c.held), '') AS held FROM partner_sale AS s LEFT JOIN commission AS c ON c.order_id = s.id"
    " AND c.contract <> '' WHERE s.id = :id AND s.merchant = :merchant"
    " GROUP BY s.id, s.merchant, s.partner, s.contract, s.person, s.base, s.why, s.created_ms"
)


@dataclass(frozen=True, slots=True)
class Sale:
    """One sale: what of it earns (``base``), what it gave, what went back of that, and why; 分.

    ``person`` is the buyer's id for the shop and empty for the partner; ``name`` is masked for the partner.
    """

    sale: str
    receipt: str
    at_ms: int
    title: str
    person: str
    name: str
    base: int
    amount: int
    reversed: int
    state: str
    held: bool
    why: str
    release_ms: int | None


@dataclass(frozen=True, slots=True)
class Used:
    """A coupon of the partner's that an order was paid with: what it took off, what of that the partner bore, what of
    that is back since the goods are; 分.
    """

    sale: str
    at_ms: int
    title: str
    took: int
    borne: int
    back: int


@dataclass(frozen=True, slots=True)
class PartnerStatement:
    """A month ``YYYY-MM``; ``sales`` and ``coupons`` are None for a partner who reads sums alone.

    ``discount`` is what coupons took off in the month, ``borne`` what of it the partner bears, ``borne_back`` what of
    that came back since. What moved in the month is in the balances: so is what came back of an earlier one's.
    """

    partner: str
    name: str
    month: str
    visitors: int
    orders: int
    base: int
    amount: int
    reversed: int
    opening: dict[str, int]
    closing: dict[str, int]
    sales: tuple[Sale, ...] | None
    settlements: tuple[dict[str, Any], ...]
    coupons: tuple[Used, ...] | None
    discount: int
    borne: int
    borne_back: int


def month_days(month: str) -> tuple[str, str]:
    """The first and the last day of a month ``YYYY-MM``. Raises Invalid."""
    try:
        since_ms = day_bounds_ms(f"{month}-01")[0]
    except ValueError as error:
        raise Invalid("a month is written YYYY-MM", field="month") from error
    last_ms = next(ms for ms in (since_ms + n * DAY_MS for n in range(28, 32)) if month_begins_ms(ms) != since_ms)
    return f"{month}-01", f"{local(last_ms - DAY_MS):%Y-%m-%d}"


def read(db: Connection, partner: dict[str, Any], month: str, *, whole: bool, sees: str) -> PartnerStatement:
    """A partner's month; ``whole`` for the shop, which reads who bought. Raises Invalid, Refused (limit)."""
    since, until = month_days(month)
    merchant, identifier = partner["merchant"], partner["id"]
    moved: CommissionStatement = journal(db, merchant, identifier, partner["name"], "share", since, until)
    span = {"since": day_bounds_ms(since)[0], "until": day_bounds_ms(until)[1], "partner": identifier}
    rows = db.execute(_SALES, {**span, "merchant": merchant, "limit": SALES_MAX + 1}).all()
    if len(rows) > SALES_MAX:
        raise Refused("limit", f"more than {SALES_MAX} sales in a month")
    sales = tuple(_sale(row, whole=whole) for row in rows)
    found = used_in(db, identifier, span["since"], span["until"], SALES_MAX + 1)
    if len(found) > SALES_MAX:
        raise Refused("limit", f"more than {SALES_MAX} coupons in a month")
    coupons = tuple(
        Used(row["order_id"], row["created_ms"], row["title"], row["took"], row["borne"], row["back"]) for row in found
    )
    single = whole or sees == "rows"
    return PartnerStatement(
        partner=identifier,
        name=partner["name"],
        month=month,
        visitors=int(db.execute(_VISITORS, span).scalar_one()),
        orders=len(sales),
        base=sum(sale.base for sale in sales),
        amount=sum(sale.amount for sale in sales),
        reversed=sum(sale.reversed for sale in sales),
        opening=moved.opening,
        closing=moved.closing,
        sales=sales if single else None,
        settlements=tuple(_settlements(db, merchant, identifier, span["since"], span["until"])),
        coupons=coupons if single else None,
        discount=sum(one.took for one in coupons),
        borne=sum(one.borne for one in coupons),
        borne_back=sum(one.back for one in coupons),
    )


def _sale(row: Any, *, whole: bool) -> Sale:
    name = row.person_name or ""
    return Sale(
        sale=row.id,
        receipt=row.receipt or "",
        at_ms=row.created_ms,
        title=row.title,
        person=(row.who or row.person) if whole else "",
        name=name if whole else masked(name),
        base=row.base,
        amount=int(row.amount),
        reversed=int(row.reversed),
        state=row.state or "none",
        held=bool(row.held),
        why=row.why,
        release_ms=row.release_ms,
    )


def masked(name: str) -> str:
    """A name as a partner reads it: its first character."""
    return f"{name[:1]}**" if name else "**"


def _settlements(db: Connection, merchant: str, partner: str, since_ms: int, until_ms: int) -> list[dict[str, Any]]:
    """Settlements that were asked for or decided in the month."""
    low, high = time_prefix(since_ms), time_prefix(until_ms)
    return [
        row
        for row in withdrawals(db, merchant, partner, AFTER_ALL, 200)
        if low <= row["id"] < high or since_ms <= (row["decided_ms"] or 0) < until_ms
    ]


def share_of(db: Connection, merchant: str, sale: str) -> dict[str, Any] | None:
    """What a sale gave its partner, for the explanation; None when no partner was credited."""
    row = db.execute(_SHARE, {"id": sale, "merchant": merchant}).mappings().one_or_none()
    return None if row is None else {**row, "amount": int(row["amount"]), "reversed": int(row["reversed"])}


def as_csv(statement: PartnerStatement) -> str:
    """For a spreadsheet: times as the shop's clock shows them, money in yuan."""
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\r\n")
    names = tuple(statement.opening)
    table.writerow(["partner", "month", "new visitors", "sales", "base", "share", "given back"])
    sums = (statement.base, statement.amount, statement.reversed)
    head = [safe_cell(statement.name), statement.month, statement.visitors, statement.orders]
    table.writerow([*head, *map(yuan, sums)])
    table.writerow(["balances", *names])
    table.writerow(["opening", *map(yuan, statement.opening.values())])
    table.writerow(["closing", *map(yuan, statement.closing.values())])
    table.writerow(
        ["sale", "receipt", "time", "goods", "person", "base", "share", "given back", "state", "held", "why"]
    )
    for sale in statement.sales or ():
        told = [sale.sale, safe_cell(sale.receipt), local(sale.at_ms), safe_cell(sale.title), safe_cell(sale.name)]
        money = [yuan(sale.base), yuan(sale.amount), yuan(sale.reversed)]
        table.writerow([*told, *money, sale.state, "yes" if sale.held else "", sale.why])
    table.writerow(["coupons", "taken off", "borne by the partner", "back"])
    table.writerow(["together", *map(yuan, (statement.discount, statement.borne, statement.borne_back))])
    for coupon in statement.coupons or ():
        told = [coupon.sale, local(coupon.at_ms), safe_cell(coupon.title)]
        table.writerow([*told, *map(yuan, (coupon.took, coupon.borne, coupon.back))])
    table.writerow(["settlement", "amount", "state", "asked", "decided", "number"])
    for row in statement.settlements:
        decided = "" if row["decided_ms"] is None else local(row["decided_ms"])
        told = [row["id"], yuan(row["amount"]), row["state"], local(row["created_ms"]), decided]
        table.writerow([*told, safe_cell(row["number"] or "")])
    return out.getvalue()
