"""The general ledger, made of what happened: every posting is a row that some order, payment or entry left behind.

Nothing is copied into books that could differ from the shop's own: a posting is derived from the row behind it each
time, dated to the moment at which that was committed. Those rows are append-only or get each moment once, so a day that
is over reads the same for ever; closing a period keeps its balances, and the audit compares them.

Debits are positive. What each source books (accounts in domain/chart.py):

    payment     1012 at the provider              2205 contract liability
                (1122.01 of what is paid on account, also where it is given back)
    refund      2205                              2241.01 owed            (money's part, when it is booked)
    given back  2241.01                           1012
    entry       points, stored value, commission, others' goods: by ``PLACES``
    handed over 2205, coupons 6001.02/03          6001.01 sales without tax, 2221.01 tax
    kept        2205                              6301    (a deposit whose balance did not come; the other way round,
                                                          when it came after all or the deposit goes back)
    taken back  6001.04, 2221.01                  2205                    (a refund after the handing over)
                2205 freight                      6001.09, without its tax at the shop's own rate
    courier     6401.05                           2202.03   (an errand's fee, or the penalty of one called off)
    fee         6603.01                           1012
    cost        1405 goods on hand                as ``STOCK_PLACES`` says of the movement (6401.02 of what was sold)
    sent back   2202.01                           6401.02   (what a supplier is no longer owed)
    paid out    2202.01                           1002
    tills       see books_tills.py
    files       of providers, banks and couriers: see books_settled.py
    correction  as its writer says
"""

# ruff: noqa: S608 - the queries are put together of this module's constants; every value is bound.

from collections.abc import Iterable, Mapping
from typing import Any

import orjson
from sqlalchemy import Connection, text

from commerce.books_settled import banked_parts, settled_parts
from commerce.books_tills import tender_part, till_parts
from commerce.domain.chart import (
    AT_TILLS,
    BANK,
    CLAIMS,
    CONTRACT,
    COST_HEAD,
    COURIERS,
    CUSTOMERS,
    FEES,
    FREIGHT,
    FREIGHT_COST,
    GOODS,
    GOODS_COST,
    GUIDE_COUPONS,
    KEPT,
    PLACES,
    PROVIDER,
    PURCHASES,
    REFUNDS,
    RETURNS,
    REVENUE_HEAD,
    SALES,
    SHOP_COUPONS,
    STOCK_PLACES,
    TAX,
    TILL_ACCOUNTS,
)
from commerce.domain.credit import ACCOUNT, DEBT
from commerce.domain.pricing import POINT_FEN
from commerce.postings import both, posting

_RATE = (
    "coalesce((SELECT t.basis_points FROM sku_tax AS t WHERE t.merchant = o.merchant AND t.sku = l.sku"
    " AND t.from_ms <= o.paid_ms ORDER BY t.from_ms DESC LIMIT 1),"
    " (SELECT t.basis_points FROM sku_tax AS t WHERE t.merchant = o.merchant AND t.sku = ''"
    " AND t.from_ms <= o.paid_ms ORDER BY t.from_ms DESC LIMIT 1), 0)"
)
SHOP_RATE = (
    "coalesce((SELECT t.basis_points FROM sku_tax AS t WHERE t.merchant = o.merchant AND t.sku = ''"
    " AND t.from_ms <= o.paid_ms ORDER BY t.from_ms DESC LIMIT 1), 0)"
)
"""What has no SKU (freight) is taxed at the shop's own rate."""
LINE_TAX = "((l.quantity * l.price - l.discount) * l.rate * 2 + 10000 + l.rate) / (2 * (10000 + l.rate))"
"""Tax in a price that has it inside, rounded half up, in integers: net·r/(1+r)."""
RATED = (
    f"SELECT l.order_id, l.n, l.sku, l.title, l.quantity, l.price, l.discount, {_RATE} AS rate"
    " FROM order_line AS l JOIN orders AS o ON o.id = l.order_id"
)
# The deposit is money for the goods as well, and no discount on them.
_WHOLE = RATED.replace(" l.discount,", " CASE WHEN o.presale <> o.id THEN 0 ELSE l.discount END AS discount,")
_SUM = "CAST(coalesce(sum({}), 0) AS bigint)"
_COUPONS_OF = "CASE WHEN k.issuer {} '' THEN c.amount ELSE 0 END"
_WITH = (
    "WITH done AS (SELECT o.*, coalesce(o.fulfilled_ms, o.done_ms) AS due_ms FROM orders AS o"
    " WHERE o.merchant = :merchant AND o.kind = 'goods' AND o.paid_ms IS NOT NULL"
    " AND coalesce(o.fulfilled_ms, o.done_ms) < :until),"
    f" carried AS (SELECT l.order_id, l.price AS freight, {LINE_TAX} AS tax FROM (SELECT f.order_id, 1 AS quantity,"
    f" f.amount AS price, 0 AS discount, {SHOP_RATE} AS rate FROM order_freight AS f JOIN done AS o"
    " ON o.id = f.order_id) AS l),"
    f" of_lines AS (SELECT l.order_id, {_SUM.format(LINE_TAX)} AS tax FROM ({_WHOLE}"
    " WHERE o.merchant = :merchant AND o.kind = 'goods' AND o.paid_ms IS NOT NULL"
    " AND coalesce(o.fulfilled_ms, o.done_ms) < :until) AS l GROUP BY l.order_id),"
    " tax AS (SELECT i.order_id, CAST(i.tax + coalesce(c.tax, 0) AS bigint) AS tax FROM of_lines AS i"
    " LEFT JOIN carried AS c ON c.order_id = i.order_id),"
    " back AS (SELECT r.id, r.order_id, r.created_ms, r.amount, r.points, CAST(sum(r.amount) OVER"
    " (PARTITION BY r.order_id ORDER BY r.created_ms, r.id) AS bigint) AS upto"
    " FROM refund AS r JOIN done ON done.id = r.order_id WHERE r.kind = 'order'),"
    f" early AS (SELECT back.order_id, {_SUM.format('back.amount')} AS amount, {_SUM.format('back.points')} AS points"
    " FROM back JOIN done ON done.id = back.order_id WHERE back.created_ms < done.due_ms GROUP BY back.order_id),"
    f" off AS (SELECT c.order_id, {_SUM.format(_COUPONS_OF.format('='))} AS shop,"
    f" {_SUM.format(_COUPONS_OF.format('<>'))} AS guide"
    " FROM order_coupon AS c JOIN done ON done.id = c.order_id JOIN coupon AS k ON k.id = c.coupon"
    " GROUP BY c.order_id),"
    " sold AS (SELECT d.id, d.due_ms, d.goods, d.amount + d.points * {0} AS worth, coalesce(tax.tax, 0) AS tax,"
    " coalesce(early.amount + early.points * {0}, 0) AS early,"
    " coalesce(tax.tax, 0) * coalesce(early.amount, 0) / d.amount AS early_tax, coalesce(off.shop, 0) AS shop,"
    " coalesce(carried.freight, 0) AS freight, coalesce(carried.tax, 0) AS freight_tax,"
    " CASE WHEN d.presale <> d.id THEN d.discount ELSE 0 END AS deposit,"
    " coalesce(off.guide, 0) AS guide FROM done AS d LEFT JOIN tax ON tax.order_id = d.id"
    " LEFT JOIN early ON early.order_id = d.id LEFT JOIN off ON off.order_id = d.id"
    " LEFT JOIN carried ON carried.order_id = d.id),"
    " late AS (SELECT back.id, back.created_ms, back.order_id, back.amount + back.points * {0} AS worth,"
    " coalesce(tax.tax, 0) * back.upto / d.amount - coalesce(tax.tax, 0) * (back.upto - back.amount) / d.amount AS tax"
    " FROM back JOIN done AS d ON d.id = back.order_id LEFT JOIN tax ON tax.order_id = d.id"
    " WHERE back.created_ms >= d.due_ms)"
).replace("{0}", str(POINT_FEN))


def _cleared_parts() -> Iterable[str]:
    """All that is posted on clearing accounts, with its other side: none of it needs the orders' sums."""
    provider = f"'{PROVIDER}.' || "
    at_provider = f"CASE WHEN {{0}}.provider = '{ACCOUNT}' THEN '{CUSTOMERS}' ELSE {provider}{{0}}.provider END"
    mine = "p.merchant = :merchant AND e.kind = 'paid'"
    notices = "payment_event AS e JOIN payment AS p ON p.id = e.payment AND p.provider = e.provider"
    # What pays a debt takes it off what customers owe; whatever else comes is owed to them until they have the goods.
    bought = f"CASE p.kind WHEN '{DEBT}' THEN '{CUSTOMERS}' ELSE '{CONTRACT}' END"
    yield from both(
        "payment", "e.received_ms", at_provider.format("p"), bought, "e.amount", "e.id", "p.order_id", notices, mine,
    )  # fmt: skip
    yield from both("given back", "r.done_ms", f"'{REFUNDS}'", at_provider.format("r"), *_REFUND)
    yield from both(
        "courier", "c.ended_ms", f"'{FREIGHT_COST}'", f"'{COURIERS}'", "c.charged", "c.id", "c.order_id",
        "courier_errand AS c", "c.merchant = :merchant AND c.charged > 0",
    )  # fmt: skip
    yield from both(
        "fee", "f.known_ms", f"'{FEES}'", f"{provider}f.provider", "f.fee", "f.number", "''", "provider_fee AS f",
        "f.merchant = :merchant",
    )  # fmt: skip
    yield tender_part()
    yield from banked_parts()
    yield from settled_parts()
    yield from both(
        "correction", "c.at_ms", "c.debit", "c.credit", "c.amount", "c.id", "''", "book_correction AS c",
        "c.merchant = :merchant",
    )  # fmt: skip


_REFUND = ("r.amount - r.stored", "r.id", "r.order_id", "refund AS r", "r.merchant = :merchant AND r.amount > r.stored")


def _parts() -> Iterable[str]:
    yield from _cleared_parts()
    over = "r.kind = 'late' AND EXISTS (SELECT 1 FROM repayment AS y WHERE y.id = r.order_id)"
    given = f"CASE WHEN {over} THEN '{CUSTOMERS}' ELSE '{CONTRACT}' END"
    yield from both("refund", "r.created_ms", given, f"'{REFUNDS}'", *_REFUND)
    places = " ".join(f"WHEN '{kind}' THEN '{place}'" for kind, place in PLACES.items())
    kinds = ", ".join(f"'{kind}'" for kind in PLACES)
    claims = ", ".join(f"'{kind}'" for kind in sorted(CLAIMS))
    worth = (
        f"e.amount * CASE WHEN e.kind IN ({claims}) THEN 1 ELSE -1 END"
        f" * CASE e.unit WHEN 'points' THEN {POINT_FEN} ELSE 1 END"
    )
    yield posting(
        "entry", "e.created_ms", f"CASE e.kind {places} END", worth, "e.id", "e.ref", "entry AS e",
        f"e.merchant = :merchant AND e.kind IN ({kinds})",
    )  # fmt: skip
    for account, amount in (
        (SALES, "tax - freight_tax - goods + freight"),
        (FREIGHT, "freight_tax - freight"),
        (TAX, "early_tax - tax"),
        (RETURNS, "early - early_tax"),
        (SHOP_COUPONS, "shop"),
        (GUIDE_COUPONS, "guide"),
        (CONTRACT, "worth + deposit - early"),
    ):
        yield posting("handed over", "due_ms", f"'{account}'", amount, "id", "id", "sold")
    yield from both(
        "kept", "k.at_ms", f"'{CONTRACT}'", f"'{KEPT}'", "k.amount", "k.id", "k.deposit", "kept_deposit AS k",
        "k.merchant = :merchant",
    )  # fmt: skip
    for account, amount in ((RETURNS, "worth - tax"), (TAX, "tax"), (CONTRACT, "-worth")):
        yield posting("taken back", "created_ms", f"'{account}'", amount, "id", "order_id", "late")
    yield from _costs()
    yield from till_parts()


def _costs() -> Iterable[str]:
    """What goods cost: each movement's value against where its kind stands, and what suppliers are paid."""
    kept = " ".join(f"WHEN m.kind = '{kind}' THEN '{place}'" for kind, place in STOCK_PLACES.items())
    # What came back without a refund of ours came back at a till.
    places = f"CASE WHEN m.kind = 'returned' AND r.id IS NULL THEN '{AT_TILLS}' {kept} END"
    kinds = ", ".join(f"'{kind}'" for kind in STOCK_PLACES)
    order = "coalesce(r.order_id, CASE WHEN m.kind IN ('shipped', 'till') THEN m.ref ELSE '' END)"
    # A refund's id is the ref of what it brought back.
    moved = "stock_entry AS m LEFT JOIN refund AS r ON r.id = m.ref AND m.kind = 'returned'"
    yield from both(
        "cost", "m.created_ms", f"'{GOODS}'", places, "m.cost", "m.id", order, moved,
        f"m.merchant = :merchant AND m.cost <> 0 AND m.kind IN ({kinds})",
    )  # fmt: skip
    yield from both(
        "sent back", "b.created_ms", f"'{PURCHASES}'", f"'{GOODS_COST}'", "b.amount", "b.id", "''",
        "purchase_delivery AS b", "b.merchant = :merchant AND b.kind = 'return'",
    )  # fmt: skip
    yield from both(
        "paid out", "y.created_ms", f"'{PURCHASES}'", f"'{BANK}'", "y.amount", "y.id", "''",
        "supplier_payment AS y", "y.merchant = :merchant",
    )  # fmt: skip


CLEARED = " UNION ALL ".join(_cleared_parts())
"""Postings on clearing accounts, and others: ``SELECT at_ms, account, amount, kind, ref, order_id``."""
_POSTINGS = " UNION ALL ".join(_parts())
_BALANCES = text(
    f"{_WITH} SELECT account, CAST(sum(CASE WHEN amount > 0 THEN amount ELSE 0 END) AS bigint) AS debit,"
    f" CAST(sum(CASE WHEN amount < 0 THEN -amount ELSE 0 END) AS bigint) AS credit, count(*) AS entries"
    f" FROM ({_POSTINGS}) AS posted WHERE amount <> 0 GROUP BY account ORDER BY account"
)
_ENTRIES = text(
    f"{_WITH} SELECT at_ms, account, amount, kind, ref, order_id FROM ({_POSTINGS}) AS posted WHERE amount <> 0"
    " AND (:account = '' OR account = :account) ORDER BY at_ms, kind, ref, account LIMIT :limit OFFSET :skip"
)
_TILL_ACCOUNTS = ", ".join(f"'{account}'" for account in TILL_ACCOUNTS)
_MARGIN_SIDE = "CAST(sum(CASE WHEN account LIKE '{}%' THEN {} ELSE 0 END) AS bigint)"
_MARGINS = text(
    f"{_WITH} SELECT order_id, min(at_ms) AS at_ms, {_MARGIN_SIDE.format(REVENUE_HEAD, '-amount')} AS revenue,"
    f" {_MARGIN_SIDE.format(COST_HEAD, 'amount')} AS cost,"
    f" max(CASE WHEN account IN ({_TILL_ACCOUNTS}) THEN 1 ELSE 0 END) AS till"
    f" FROM ({_POSTINGS}) AS posted WHERE amount <> 0"
    f" AND (account LIKE '{REVENUE_HEAD}%' OR account LIKE '{COST_HEAD}%') GROUP BY order_id ORDER BY order_id"
    " LIMIT :limit OFFSET :skip"
)
_CLOSES = text("SELECT through, until_ms, balances, staff, closed_ms FROM book_close WHERE merchant = :merchant")
_CLOSED = text(
    "SELECT through, until_ms, balances FROM book_close WHERE merchant = :merchant AND until_ms <= :before"
    " ORDER BY until_ms DESC LIMIT 1"
)
_CLOSE = text(
    "INSERT INTO book_close (merchant, through, until_ms, balances, staff, closed_ms)"
    " VALUES (:merchant, :through, :until, :balances, :staff, :now)"
)
_CORRECT = text(
    "INSERT INTO book_correction (id, merchant, debit, credit, amount, why, staff, at_ms, created_ms)"
    " VALUES (:id, :merchant, :debit, :credit, :amount, :why, :staff, :at, :now)"
)
_SET_RATE = text(
    "INSERT INTO sku_tax (merchant, sku, from_ms, basis_points, staff) VALUES (:merchant, :sku, :now, :rate, :staff)"
    " ON CONFLICT (merchant, sku, from_ms) DO UPDATE SET basis_points = excluded.basis_points, staff = excluded.staff"
)
_RATES = text(
    "SELECT t.sku, t.from_ms, t.basis_points, t.staff, coalesce(p.title, '') AS title, coalesce(k.name, '') AS name"
    " FROM sku_tax AS t LEFT JOIN sku AS k ON k.id = t.sku LEFT JOIN product AS p ON p.id = k.product"
    " WHERE t.merchant = :merchant AND t.from_ms = (SELECT max(n.from_ms) FROM sku_tax AS n"
    " WHERE n.merchant = t.merchant AND n.sku = t.sku) ORDER BY t.sku LIMIT :limit"
)
_STOCK = text(
    "SELECT e.id, e.sku, coalesce(p.title, '') AS title, coalesce(k.name, '') AS name, e.kind, e.ref, e.received,"
    " e.adjusted, e.free, e.held, e.sold, e.shipped, e.quarantined, e.cost, e.created_ms,"
    " e.outlet, coalesce(x.name, '') AS outlet_name FROM stock_entry AS e"
    " LEFT JOIN outlet AS x ON x.id = e.outlet"
    " LEFT JOIN sku AS k ON k.id = e.sku LEFT JOIN product AS p ON p.id = k.product WHERE e.merchant = :merchant"
    " AND e.created_ms >= :since AND e.created_ms < :until AND (:sku = '' OR e.sku = :sku) AND e.id > :after"
    " ORDER BY e.id LIMIT :limit"
)
Sides = dict[str, tuple[int, int, int]]
"""Account → debit, credit (分), entries."""


def read_sides(db: Connection, merchant: str, since_ms: int, until_ms: int) -> Sides:
    """What was booked on each account in ``[since_ms, until_ms)``."""
    asked = {"merchant": merchant, "since": since_ms, "until": until_ms}
    return {row.account: (int(row.debit), int(row.credit), row.entries) for row in db.execute(_BALANCES, asked)}


def read_balances(db: Connection, merchant: str, before_ms: int, *, from_closed: bool = True) -> dict[str, int]:
    """The balance of each account at a moment, debits positive, from the last closed period on (or from the start)."""
    closed = db.execute(_CLOSED, {"merchant": merchant, "before": before_ms}).one_or_none() if from_closed else None
    balances: dict[str, int] = {} if closed is None else orjson.loads(closed.balances)
    since_ms = 0 if closed is None else closed.until_ms
    for account, (debit, credit, _) in read_sides(db, merchant, since_ms, before_ms).items():
        balances[account] = balances.get(account, 0) + debit - credit
    return {account: amount for account, amount in sorted(balances.items()) if amount}


def read_entries(
    db: Connection, merchant: str, since_ms: int, until_ms: int, account: str, skip: int, limit: int
) -> list[dict[str, Any]]:
    """The postings behind the figures in the order of time; of one account when one is named."""
    asked = {"merchant": merchant, "since": since_ms, "until": until_ms, "account": account}
    found = db.execute(_ENTRIES, {**asked, "skip": skip, "limit": limit}).mappings()
    return [{**row, "amount": int(row["amount"])} for row in found]


def read_margins(
    db: Connection, merchant: str, since_ms: int, until_ms: int, skip: int, limit: int
) -> list[dict[str, Any]]:
    """Revenue and cost (分) of each order that some days sold or took back; order '' has what is of none."""
    asked = {"merchant": merchant, "since": since_ms, "until": until_ms, "skip": skip, "limit": limit}
    return [{**row, "till": bool(row["till"])} for row in db.execute(_MARGINS, asked).mappings()]


def read_stock(
    db: Connection, merchant: str, since_ms: int, until_ms: int, sku: str, after: str, limit: int
) -> list[dict[str, Any]]:
    """The movements of stock behind the figures, by their ids."""
    asked = {"merchant": merchant, "since": since_ms, "until": until_ms, "sku": sku, "after": after, "limit": limit}
    return [dict(row) for row in db.execute(_STOCK, asked).mappings()]


def read_closes(db: Connection, merchant: str) -> list[dict[str, Any]]:
    """The closed periods, newest first."""
    found = db.execute(_CLOSES, {"merchant": merchant}).mappings()
    rows = [{**row, "balances": orjson.loads(row["balances"])} for row in found]
    return sorted(rows, key=lambda row: str(row["through"]), reverse=True)


def close(
    db: Connection, merchant: str, through: str, until_ms: int, balances: Mapping[str, int], staff: str, now_ms: int
) -> None:
    """Keep the balances at the end of a period."""
    kept = orjson.dumps(dict(balances)).decode()
    row = {"merchant": merchant, "through": through, "until": until_ms, "balances": kept, "staff": staff}
    db.execute(_CLOSE, {**row, "now": now_ms})


def correct(db: Connection, **row: Any) -> None:
    """Write a correction."""
    db.execute(_CORRECT, row)


def set_rate(db: Connection, **row: Any) -> None:
    """Write a rate of tax, from a moment on."""
    db.execute(_SET_RATE, row)


def read_rates(db: Connection, merchant: str, limit: int) -> list[dict[str, Any]]:
    """The rates that hold now."""
    return [dict(row) for row in db.execute(_RATES, {"merchant": merchant, "limit": limit}).mappings()]
