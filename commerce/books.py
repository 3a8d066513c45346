"""The accountant's side: one book per day with what is behind each figure, closed periods, corrections, rates of tax.

Days are Asia/Shanghai's. Amounts are 分; a balance is positive on the side on which its account grows.
"""

import csv
import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from commerce import books_sql as sql
from commerce import catalogue_checks as check
from commerce.catalogue_sql import sku as sku_row
from commerce.changes import WHY_CHARACTERS_MAX
from commerce.domain.chart import (
    CHART,
    COST_HEAD,
    MEMO,
    NAMED,
    REVENUE_HEAD,
    TAX_BASIS_POINTS_MAX,
    TILL_ACCOUNTS,
    ChartAccount,
    account_fault,
)
from commerce.domain.day import day_bounds_ms, day_of, rfc3339
from commerce.domain.money import AMOUNT_MAX, yuan
from commerce.errors import Invalid, Refused
from commerce.fresh_ids import fresh_id
from commerce.statement import safe_cell
from commerce.store_sql import Store

CLOSE_GRACE_MS = 3_600_000
"""A day can be closed an hour after its end: what was committed at its last moment is long there."""
DAYS_MAX = 366
"""Days in one report: a year's books."""
ENTRIES_MAX = 100_000
"""Postings in one file; a year of a busy shop is exported by the month."""
RATES_MAX = 1_000


@dataclass(frozen=True, slots=True)
class BookAccount:
    """One account's figures: ``opening ± debit ∓ credit = closing``; ``entries`` are behind ``GET …/entries``."""

    account: str
    name: str
    english: str
    kind: str
    opening: int
    debit: int
    credit: int
    closing: int
    entries: int


@dataclass(frozen=True, slots=True)
class Book:
    """The books of some days. ``debit`` equals ``credit``: every posting has its other side; ``closed``: for good.

    ``revenue`` and ``cost`` are of these days (without tax, after coupons and what came back), and ``margin`` what is
    between them: the same sums as of ``Books.margins``. ``tills`` are the same three of what tills sold, ``online`` of
    all else.
    """

    since: str
    through: str
    closed: bool
    accounts: tuple[BookAccount, ...]
    debit: int
    credit: int
    revenue: int
    cost: int
    margin: int
    online: dict[str, int]
    tills: dict[str, int]


class Books:
    """Books of all merchants of one database; ``clock`` gives Unix milliseconds."""

    def __init__(self, store: Store, *, clock: Callable[[], int]) -> None:
        self._store = store
        self._clock = clock

    async def book(self, merchant: str, since: str, through: str = "") -> Book:
        """The books from one day to another, both with all of them; of one day when only that is named."""
        since_ms, until_ms = self._span(since, through or since)

        def read(db: Any) -> Book:
            opening = sql.read_balances(db, merchant, since_ms)
            sides = sql.read_sides(db, merchant, since_ms, until_ms)
            accounts = tuple(_account(code, opening, sides) for code in sorted({*opening, *sides}))
            closed = any(row["until_ms"] >= until_ms for row in sql.read_closes(db, merchant))
            debit, credit = (sum(side[n] for side in sides.values()) for n in (0, 1))
            revenue = -_balance(sides, REVENUE_HEAD)
            cost = _balance(sides, COST_HEAD)
            of_tills = {code: side for code, side in sides.items() if code in TILL_ACCOUNTS}
            tills = _gross(-_balance(of_tills, REVENUE_HEAD), _balance(of_tills, COST_HEAD))
            online = _gross(revenue - tills["revenue"], cost - tills["cost"])
            figures = (debit, credit, revenue, cost, revenue - cost, online, tills)
            return Book(since, through or since, closed, accounts, *figures)

        return await self._store.read(read)

    async def entries(
        self, merchant: str, since: str, through: str = "", account: str = "", skip: int = 0, limit: int = 50
    ) -> list[dict[str, Any]]:
        """The postings of some days in the order of time, of one account when one is named."""
        since_ms, until_ms = self._span(since, through or since)
        if account:
            _check_account(account, "account")
        return await self._store.read(
            lambda db: sql.read_entries(db, merchant, since_ms, until_ms, account, skip, limit)
        )

    async def journal_csv(self, merchant: str, since: str, through: str = "") -> str:
        """All postings of some days as a file. Raises Invalid when there are too many."""
        rows = await self.entries(merchant, since, through, limit=ENTRIES_MAX + 1)
        if len(rows) > ENTRIES_MAX:
            raise Invalid(f"more than {ENTRIES_MAX} postings: ask for fewer days", field="through")
        heading = ("time", "account", "name", "debit", "credit", "kind", "ref", "order")
        return _sheet(
            heading,
            (
                (
                    rfc3339(row["at_ms"]), row["account"], find_account(row["account"]).name,
                    yuan(max(row["amount"], 0)), yuan(max(-row["amount"], 0)), row["kind"], row["ref"], row["order_id"],
                )
                for row in rows
            ),
        )  # fmt: skip

    async def margins(
        self, merchant: str, since: str, through: str = "", skip: int = 0, limit: int = 50
    ) -> list[dict[str, Any]]:
        """Revenue, cost and margin (分) of each order behind the book's; those of no order are under ''."""
        since_ms, until_ms = self._span(since, through or since)
        rows = await self._store.read(lambda db: sql.read_margins(db, merchant, since_ms, until_ms, skip, limit))
        return [{**row, "margin": row["revenue"] - row["cost"]} for row in rows]

    async def margins_csv(self, merchant: str, since: str, through: str = "") -> str:
        """The margin of each order of some days as a file. Raises Invalid when there are too many."""
        rows = await self.margins(merchant, since, through, limit=ENTRIES_MAX + 1)
        if len(rows) > ENTRIES_MAX:
            raise Invalid(f"more than {ENTRIES_MAX} orders: ask for fewer days", field="through")
        amounts = ("revenue", "cost", "margin")
        lines = (
            (rfc3339(row["at_ms"]), row["order_id"], *(yuan(row[name]) for name in amounts), int(row["till"]))
            for row in rows
        )
        return _sheet(("time", "order", *amounts, "till"), lines)

    async def stock(
        self, merchant: str, since: str, through: str = "", sku: str = "", after: str = "", limit: int = 50
    ) -> list[dict[str, Any]]:
        """The movements of stock of some days, of one SKU when one is named; those after the id ``after``."""
        since_ms, until_ms = self._span(since, through or since)
        return await self._store.read(lambda db: sql.read_stock(db, merchant, since_ms, until_ms, sku, after, limit))

    async def stock_csv(self, merchant: str, since: str, through: str = "") -> str:
        """All movements of stock of some days as a file. Raises Invalid when there are too many."""
        rows = await self.stock(merchant, since, through, limit=ENTRIES_MAX + 1)
        if len(rows) > ENTRIES_MAX:
            raise Invalid(f"more than {ENTRIES_MAX} movements: ask for fewer days", field="through")
        units = ("received", "adjusted", "free", "held", "sold", "shipped", "quarantined")
        return _sheet(
            ("time", "sku", "title", "kind", "ref", *units, "cost", "outlet"),
            (
                (
                    rfc3339(row["created_ms"]),
                    row["sku"],
                    f"{row['title']} {row['name']}".strip(),
                    row["kind"],
                    row["ref"],
                    *(row[name] for name in units),
                    yuan(row["cost"]),
                    row["outlet_name"],
                )
                for row in rows
            ),
        )  # fmt: skip

    async def closes(self, merchant: str) -> list[dict[str, Any]]:
        """The closed periods with their balances, newest first."""
        return await self._store.read(lambda db: sql.read_closes(db, merchant))

    async def close(self, merchant: str, through: str, staff: str) -> dict[str, Any]:
        """Close all days up to ``through`` for good; what comes later is dated forward.

        Raises Invalid, Refused (not_open: the day is not over; already: closed before).
        """
        _, until_ms = self._span(through, through)
        now_ms = self._clock()
        if now_ms < until_ms + CLOSE_GRACE_MS:
            raise Refused("not_open", "a day can be closed an hour after its end")

        # Nothing of those days changes any more: they can be added up outside the turn of those who write.
        balances = await self._store.read(lambda db: sql.read_balances(db, merchant, until_ms))

        def change(db: Any) -> dict[str, Any]:
            closes = sql.read_closes(db, merchant)
            if any(row["until_ms"] >= until_ms for row in closes):
                raise Refused("already", f"the books are closed through {closes[0]['through']}")
            sql.close(db, merchant, through, until_ms, balances, staff, now_ms)
            return sql.read_closes(db, merchant)[0]

        return await self._store.write(change)

    async def correct(
        self, merchant: str, debit: str, credit: str, amount: int, why: str, staff: str, day: str = ""
    ) -> dict[str, Any]:
        """Book ``amount`` 分 from one account to another on a day that is open; today when none is named.

        Raises Invalid, Refused (closed) with the first open day.
        """
        for code, field in ((debit, "debit"), (credit, "credit")):
            _check_account(code, field)
        if debit == credit:
            raise Invalid("a correction moves from one account to another", field="credit")
        if not 0 < amount <= AMOUNT_MAX:
            raise Invalid("an amount is at least 1 分", field="amount")
        reason = check.words(why, "why", WHY_CHARACTERS_MAX)
        now_ms = self._clock()
        at_ms = now_ms if not day else min(now_ms, self._span(day, day)[1] - 1)
        row = {"id": fresh_id(now_ms), "merchant": merchant, "debit": debit, "credit": credit, "amount": amount}
        row |= {"why": reason, "staff": staff, "at": at_ms, "now": now_ms}

        def change(db: Any) -> dict[str, Any]:
            open_ms = max((closed["until_ms"] for closed in sql.read_closes(db, merchant)), default=0)
            if at_ms < open_ms:
                first = day_of(open_ms)
                raise Refused("closed", f"that day is closed: date it to {first} or later", day=first)
            sql.correct(db, **row)
            return {"id": row["id"], "day": day_of(at_ms)}

        return await self._store.write(change)

    async def rates(self, merchant: str) -> list[dict[str, Any]]:
        """The rates of tax that hold now; SKU '' is the shop's own."""
        return await self._store.read(lambda db: sql.read_rates(db, merchant, RATES_MAX))

    async def set_rate(self, merchant: str, sku: str, basis_points: int, staff: str) -> None:
        """Set a SKU's rate of value added tax (0.01 %), or the shop's (``sku`` ''), for orders paid from now on."""
        if not 0 <= basis_points <= TAX_BASIS_POINTS_MAX:
            raise Invalid(f"a rate is 0 to {TAX_BASIS_POINTS_MAX} basis points", field="basis_points")
        now_ms = self._clock()

        def change(db: Any) -> None:
            if sku:
                sku_row(db, merchant, sku)
            sql.set_rate(db, merchant=merchant, sku=sku, rate=basis_points, staff=staff, now=now_ms)

        await self._store.write(change)

    def _span(self, since: str, through: str) -> tuple[int, int]:
        return day_span(since, through, self._clock())


def day_span(since: str, through: str, now_ms: int) -> tuple[int, int]:
    """From the beginning of one day to the end of another (Unix ms). Raises Invalid for days that cannot be told of."""
    try:
        (since_ms, _), (last_ms, until_ms) = day_bounds_ms(since), day_bounds_ms(through)
    except ValueError as error:
        raise Invalid(str(error), field="day") from error
    if not 0 <= last_ms - since_ms < DAYS_MAX * 86_400_000:
        raise Invalid(f"1 to {DAYS_MAX} days, the first before the last", field="through")
    if since_ms > now_ms:
        raise Invalid("that day has not begun", field="day")
    return since_ms, until_ms


def find_account(code: str) -> ChartAccount:
    """The account of the chart that a code belongs to; ``1012.NAME`` belongs to 1012."""
    head = code.partition(".")[0]
    wanted = head if head in NAMED else code
    return next(account for account in CHART if account.code == wanted)


def _account(code: str, opening: dict[str, int], sides: sql.Sides) -> BookAccount:
    found = find_account(code)
    sign = 1 if found.normal == "debit" else -1
    debit, credit, entries = sides.get(code, (0, 0, 0))
    before = opening.get(code, 0)
    after = before + debit - credit
    return BookAccount(
        code, found.name, found.english, found.kind, sign * before, debit, credit, sign * after, entries
    )  # fmt: skip


def _gross(revenue: int, cost: int) -> dict[str, int]:
    return {"revenue": revenue, "cost": cost, "margin": revenue - cost}


def _balance(sides: sql.Sides, head: str) -> int:
    """Debits less credits of the accounts that begin so."""
    return sum(side[0] - side[1] for code, side in sides.items() if code.startswith(head))


def _check_account(code: str, field: str) -> None:
    fault = account_fault(code)
    if fault is not None:
        raise Invalid(fault, field=field)


def _sheet(heading: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    sheet = io.StringIO()
    writer = csv.writer(sheet, lineterminator="\r\n")
    writer.writerow(heading)
    for row in rows:
        writer.writerow([safe_cell(cell) if isinstance(cell, str) else cell for cell in row])
    return sheet.getvalue()


def book_csv(book: Book) -> str:
    """The books of some days as a file: one line per account, in yuan, and the totals."""
    heading = ("account", "name", "english", "kind", "opening", "debit", "credit", "closing", "entries")
    lines: list[tuple[Any, ...]] = []
    for one in book.accounts:
        amounts = map(yuan, (one.opening, one.debit, one.credit, one.closing))
        lines.append((one.account, one.name, one.english, one.kind, *amounts, one.entries))
    total = (
        "",
        "合计",
        "total",
        "",
        "",
        yuan(book.debit),
        yuan(book.credit),
        "",
        sum(one.entries for one in book.accounts),
    )
    margin = ("", "毛利", "gross margin", "", "", yuan(book.cost), yuan(book.revenue), yuan(book.margin), "")
    parts = [
        ("", label, english, "", "", *(yuan(part[name]) for name in ("cost", "revenue", "margin")), "")
        for label, english, part in (
            ("其中：线上", "of it online", book.online),
            ("其中：门店", "of it tills", book.tills),
        )
    ]
    return _sheet(heading, [*lines, total, margin, *parts])


def chart_csv() -> str:
    """The chart of accounts as a file; promises inside the shop (budgets) stand beside it."""
    rows = [(one.code, one.name, one.english, one.kind, one.normal) for one in CHART]
    return _sheet(
        ("account", "name", "english", "kind", "normal"),
        [*rows, *((kind, kind, kind, "memo", "") for kind in sorted(MEMO))],
    )
