"""Settlements as the accountant sees them: files taken in, clearing accounts with their open items, what is closed.

One part of the shop's facade; ``Shop.settlements`` is one. Everything is dated to when it was taken in or closed: a
closed period stays as it was reported.
"""

import asyncio
import csv
import io
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import orjson

from commerce import catalogue_checks as check
from commerce import settlement_sql as sql
from commerce.books import find_account
from commerce.changes import WHY_CHARACTERS_MAX
from commerce.domain.chart import BANK_CLEARING, BILLED, COURIERS, CUSTOMERS, LIABILITIES, SETTLED, account_fault
from commerce.domain.clearing import AGES, Item, age, is_clearing, todo
from commerce.domain.day import DAY_MS, day_bounds_ms, day_of, rfc3339
from commerce.domain.ids import AFTER_ALL
from commerce.domain.money import yuan
from commerce.errors import Busy, Invalid, NotFound, Refused
from commerce.payment import BILL_TIMEOUT_S, NAME_CHARACTERS_MAX
from commerce.payments import Payments
from commerce.reconciliation import READY_MS
from commerce.settlement_files import SOURCES, digest, opening_of, read_file
from commerce.settlement_sql import Taken, Told
from commerce.sheet import FAULTS_SHOWN_MAX
from commerce.statement import safe_cell
from commerce.store_sql import Store

DAYS_BACK = 30
"""Days after the last fetched file that are fetched by themselves, one look after the other."""
CLOSED_AT_ONCE = 10_000
"""Items in one match by hand."""


@dataclass(frozen=True, slots=True)
class ClearingAccount:
    """A clearing account: ``open`` 分 (debits positive) in ``items`` items, by age; ``oldest`` in Unix ms."""

    account: str
    name: str
    english: str
    open: int
    items: int
    ages: dict[str, int]
    oldest: int


class Settlements:
    """Settlements of all merchants of one database; ``clock`` gives Unix milliseconds."""

    def __init__(self, store: Store, payments: Payments, *, clock: Callable[[], int]) -> None:
        self._store = store
        self._payments = payments
        self._clock = clock

    async def take(
        self,
        merchant: str,
        staff: str,
        source: str,
        name: str,
        raw: bytes,
        form: str = "csv",
        *,
        try_only: bool = False,
    ) -> Taken:
        """Take a file in, all of it or nothing; the same file again changes nothing.

        Raises Invalid for what is no such file; what is wrong with single lines is in the answer.
        """
        if source not in SOURCES:
            raise Invalid(f"source is one of {', '.join(SOURCES)}", field="source")
        name = check.words(name, "name", NAME_CHARACTERS_MAX)
        if source == "provider" and account_fault(f"{SETTLED}.{name}") is not None:
            raise Invalid("a provider's name has up to 20 letters, digits and underscores", field="name")
        lines, faults = read_file(source, form, raw)
        if faults or try_only:
            return Taken("", False, len(lines), 0, 0, tuple(faults[:FAULTS_SHOWN_MAX]))
        return await self._take(Told(merchant, source, name, "", raw, digest(raw), lines, opening_of(lines), staff))

    async def fetch(self, merchant: str, provider: str, day: str) -> Taken | None:
        """Fetch what a provider says it moved on a day; None while it has no file.

        Raises NotFound, Invalid, Busy, Refused (shared: the account there is of several merchants).
        """
        try:
            day_bounds_ms(day)
        except ValueError as error:
            raise Invalid(str(error), field="day") from error
        try:
            async with asyncio.timeout(2 * BILL_TIMEOUT_S):
                funds = await self._payments.named(provider).funds(day)
        except TimeoutError as error:
            raise Busy("the payment provider did not answer") from error
        if funds is None:
            return None
        lines, raw = list(funds.lines), funds.raw
        if not self._payments.alone(provider, merchant):
            if any(not line.merchant for line in lines):
                raise Refused("shared", "this provider's account is of several shops: take each one's part in as CSV")
            lines = [line for line in lines if line.merchant == merchant]
            raw = orjson.dumps([asdict(line) for line in lines])
        # A day without a movement is kept as well: the next one is asked for.
        sha256 = digest(f"{provider} {day}\n".encode() + raw)
        return await self._take(Told(merchant, "provider", provider, day, raw, sha256, lines, opening_of(lines), ""))

    async def _take(self, told: Told) -> Taken:
        now_ms = self._clock()
        return await self._store.write(lambda db: sql.take_file(db, told, now_ms))

    async def missing(self) -> list[tuple[str, str, str]]:
        """(merchant, provider, day) of files that should be here by now: of those whose first was fetched by hand."""
        ready_ms = self._clock() - READY_MS
        wanted = []
        for provider, merchant, last in await self._store.read(sql.last_fetched):
            first_ms = day_bounds_ms(last)[1]
            days = [day_of(first_ms + n * DAY_MS) for n in range(DAYS_BACK)]
            wanted += [(merchant, provider, day) for day in days if day_bounds_ms(day)[1] <= ready_ms]
        return [one for one in wanted if one[1] in self._payments.names]

    async def match(self, merchant: str) -> int:
        """Match what belongs together now; how many items that were."""
        now_ms = self._clock()

        def change(db: Any) -> int:
            sql.take_turn(db, merchant)
            return sql.match_all(db, merchant, now_ms)

        return await self._store.write(change)

    async def accounts(self, merchant: str) -> list[ClearingAccount]:
        """The clearing accounts that have open items, with their ages."""
        items, now_ms = await self._items(merchant), self._clock()
        found = []
        for account in sorted({item.account for item in items}):
            here = [item for item in items if item.account == account]
            ages: Counter[str] = Counter(dict.fromkeys(AGES, 0))
            for item in here:
                ages[age(item, now_ms)] += item.amount
            named = find_account(account)
            oldest = min(item.when_ms for item in here)
            found.append(
                ClearingAccount(
                    account, named.name, named.english, sum(one.amount for one in here), len(here), dict(ages), oldest
                )
            )
        return found

    async def items(self, merchant: str, account: str, skip: int = 0, limit: int = 50) -> list[dict[str, Any]]:
        """The open items of one account, the oldest first, each with what to do about it."""
        _check_clearing(account)
        rows = await self._told(merchant, account)
        return rows[skip : skip + limit]

    async def items_csv(self, merchant: str) -> str:
        """All open items of all clearing accounts as a file."""
        sheet = io.StringIO()
        writer = csv.writer(sheet, lineterminator="\r\n")
        names = ("account", "when", "kind", "ref", "key", "order", "debit", "credit", "age", "todo", "text")
        writer.writerow(names)
        for row in await self._told(merchant, ""):
            sides = (yuan(max(row["amount"], 0)), yuan(max(-row["amount"], 0)))
            texts = [safe_cell(row[name]) for name in ("kind", "ref", "key", "order")]
            last = (row["age"], row["todo"], safe_cell(row["text"]))
            writer.writerow((row["account"], rfc3339(row["when_ms"]), *texts, *sides, *last))
        return sheet.getvalue()

    async def _told(self, merchant: str, account: str) -> list[dict[str, Any]]:
        items, now_ms = await self._items(merchant, account), self._clock()
        have = await self._store.read(lambda db: sql.imported(db, merchant))
        twins = Counter((item.account, item.family, item.key) for item in items if item.key)
        return [
            {
                **asdict(item),
                "age": age(item, now_ms),
                "todo": todo(
                    item, now_ms, imported=_imported(item.account, have),
                    twin=twins[item.account, item.family, item.key] > 1,
                ),
            }
            for item in items
        ]  # fmt: skip

    async def _items(self, merchant: str, account: str = "") -> list[Item]:
        return await self._store.read(lambda db: sql.open_items(db, merchant, account))

    async def close(
        self,
        merchant: str,
        staff: str,
        account: str,
        why: str,
        *,
        items: Sequence[tuple[str, str]] = (),
        through: str = "",
        against: str = "",
    ) -> dict[str, Any]:
        """Close open items (kind, ref) of an account together, or all up to a day; what is left goes to ``against``.

        Raises Invalid, NotFound, Refused (difference, with what is left).
        """
        _check_clearing(account)
        reason = check.words(why, "why", WHY_CHARACTERS_MAX)
        if bool(items) == bool(through):
            raise Invalid("name items, or the day through which all are closed", field="items")
        if against:
            _check_against(against, account)
        until_ms = _until(through) if through else 0
        now_ms = self._clock()

        def change(db: Any) -> dict[str, Any]:
            sql.take_turn(db, merchant)
            chosen = _chosen(sql.open_items(db, merchant, account), set(items), until_ms)
            left = sum(one.amount for one in chosen)
            if left and not against:
                raise Refused("difference", f"{yuan(left)} are left: say which account they belong to", left=left)
            match = sql.close_items(db, merchant, account, chosen, against if left else "", reason, staff, now_ms)
            # What it brought to another clearing account may be what was waited for there.
            sql.match_all(db, merchant, now_ms)
            return {"id": match, "items": len(chosen), "amount": left}

        return await self._store.write(change)

    async def closed(self, merchant: str, after: str | None, limit: int) -> list[dict[str, Any]]:
        """What was closed by hand, newest first."""
        return await self._store.read(lambda db: sql.list_closed(db, merchant, after or AFTER_ALL, limit))

    async def files(self, merchant: str, after: str | None, limit: int) -> list[dict[str, Any]]:
        """The files that were taken in, newest first."""
        return await self._store.read(lambda db: sql.list_files(db, merchant, after or AFTER_ALL, limit))

    async def raw(self, merchant: str, file: str) -> tuple[str, bytes]:
        """A file's name and its bytes as they came. Raises NotFound."""
        found = await self._store.read(lambda db: sql.read_raw(db, merchant, file))
        if found is None:
            raise NotFound("no such file")
        return found


def _chosen(there: Iterable[Item], wanted: set[tuple[str, str]], until_ms: int) -> list[Item]:
    chosen = [one for one in there if (one.kind, one.ref) in wanted or one.when_ms < until_ms]
    if not chosen or len(chosen) < len(wanted):
        raise NotFound("not all of these are open: look at the account again")
    if len(chosen) > CLOSED_AT_ONCE:
        raise Invalid(f"at most {CLOSED_AT_ONCE} items at once: name an earlier day", field="through")
    return chosen


def _until(day: str) -> int:
    try:
        return day_bounds_ms(day)[1]
    except ValueError as error:
        raise Invalid(str(error), field="through") from error


def _check_clearing(account: str) -> None:
    fault = account_fault(account)
    if fault is not None or not is_clearing(account):
        raise Invalid(fault or f"{account} is no clearing account", field="account")


def _check_against(against: str, account: str) -> None:
    """What people hold, and providers' balances, are moved by what happens there, and by nobody's word."""
    fault = account_fault(against)
    if fault is not None:
        raise Invalid(fault, field="against")
    if against in (account, CUSTOMERS, *LIABILITIES) or against.startswith(f"{SETTLED}."):
        raise Invalid(f"{against} cannot take what is left of {account}", field="against")


def _imported(account: str, have: set[tuple[str, str]]) -> bool:
    if account == BANK_CLEARING:
        return any(source == "bank" for source, _ in have)
    if account in (COURIERS, BILLED):
        return any(source == "courier" for source, _ in have)
    return ("provider", account.partition(".")[2]) in have
