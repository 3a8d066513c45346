"""The daily reconciliation: fetch what providers say they did, keep it, and report what differs from our books.

One part of the shop's facade; ``Shop.reconciliation`` is one.
"""

import asyncio
import csv
import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from functools import partial
from typing import Any

from commerce import reconcile_sql
from commerce.domain.bill import Reconciliation
from commerce.domain.day import DAY_MS, OFFSET_MS, day_bounds_ms, day_of
from commerce.errors import Busy, Invalid, NotFound
from commerce.payment import BILL_TIMEOUT_S
from commerce.payments import Payments
from commerce.statement import safe_cell
from commerce.store_sql import Store

READY_MS = 10 * 3_600_000 + 1_800_000
"""Files of a day are asked for from half past ten of the next: WeChat promises ten, Alipay nine."""
DAYS_BACK = 7
"""Days that are looked after by itself: a provider may be out of reach over a holiday. Older ones by hand."""


class Reconciliations:
    """Files and reports of all providers."""

    def __init__(self, store: Store, payments: Payments, *, clock: Callable[[], int]) -> None:
        self._store = store
        self._payments = payments
        self._clock = clock

    async def missing(self) -> list[tuple[str, str]]:
        """(provider, day) of files that should be here by now and are not, oldest first."""
        today_ms = self._clock()
        last_ms = today_ms - DAY_MS if (today_ms + OFFSET_MS) % DAY_MS >= READY_MS else today_ms - 2 * DAY_MS
        days = [day_of(last_ms - back * DAY_MS) for back in reversed(range(DAYS_BACK))]
        wanted = []
        for name in self._payments.names:
            kept = await self._store.read(partial(_kept_days, provider=name, since=days[0]))
            wanted += [(name, day) for day in days if day not in kept]
        return wanted

    async def fetch(self, provider: str, day: str) -> bool:
        """Fetch and keep a day's file, also in place of an earlier one; False while the provider has none.

        Raises NotFound, Invalid, Busy, Refused.
        """
        _bounds(day)
        try:
            async with asyncio.timeout(2 * BILL_TIMEOUT_S):
                bill = await self._payments.named(provider).bill(day)
        except TimeoutError as error:
            raise Busy("the payment provider did not answer") from error
        if bill is None:
            return False
        now_ms = self._clock()
        await self._store.write(lambda connection: reconcile_sql.keep_bill(connection, provider, day, bill, now_ms))
        return True

    async def reports(self, day: str, merchant: str | None = None) -> list[Reconciliation]:
        """The reports of a day, of each provider whose file is here; of one merchant or of all. Raises Invalid."""
        _bounds(day)
        names = await self._store.read(lambda connection: reconcile_sql.kept_providers(connection, day))
        return [await self.report(name, day, merchant) for name in names]

    async def report(self, provider: str, day: str, merchant: str | None = None) -> Reconciliation:
        """One report. Raises NotFound while there is no file."""
        alone = merchant is not None and self._payments.alone(provider, merchant)
        found = await self._store.read(
            lambda connection: reconcile_sql.read_reconciliation(connection, provider, day, merchant, alone=alone)
        )
        if found is None:
            raise NotFound("the provider's file of this day is not here")
        return found


def _kept_days(connection: Any, *, provider: str, since: str) -> set[str]:
    return reconcile_sql.kept_days(connection, provider, since)


def _bounds(day: str) -> tuple[int, int]:
    try:
        return day_bounds_ms(day)
    except ValueError as error:
        raise Invalid(str(error), field="day") from error


_FIGURES = ("paid", "paid_amount", "refunded", "refunded_amount", "fees", "net", "matched")
_COLUMNS = ("what", "kind", "number", "payment", "refund", "order", "merchant", "there", "here")


def reconciliation_csv(reports: Iterable[Reconciliation]) -> str:
    """Reports as CSV: the figures of each provider, then each difference. Amounts in 分."""
    sheet = io.StringIO()
    writer = csv.writer(sheet, lineterminator="\r\n")
    writer.writerow(("day", "provider", *_COLUMNS))
    for row in _rows(reports):
        writer.writerow([safe_cell(cell) if isinstance(cell, str) else cell for cell in row])
    return sheet.getvalue()


def _rows(reports: Iterable[Reconciliation]) -> Iterator[tuple[Any, ...]]:
    for report in reports:
        for name in _FIGURES:
            yield (report.day, report.provider, name, "figure", "", "", "", "", "", getattr(report, name), "")
        for difference in report.differences:
            line = asdict(difference)
            yield (report.day, report.provider, *(line[column] for column in _COLUMNS))
