"""Takings of tills as the gateway asks: by store and day, what waits, drawers and their counts."""

import csv
import io
from collections.abc import Callable
from typing import Any

from commerce import catalogue_checks as check
from commerce import takings_reads_sql as sql
from commerce.books import day_span
from commerce.changes import WHY_CHARACTERS_MAX
from commerce.domain.day import DAY_MS, OFFSET_MS, day_of
from commerce.domain.money import yuan
from commerce.domain.takings import TENDERS, Takings
from commerce.ledger import Ledger
from commerce.pos_takings_sql import CloseTill, TakingsDone, TellTakings, TillCloseView
from commerce.statement import safe_cell
from commerce.store_sql import Store

SUMS = ("gross", "discount", "amount", "refunded", "tax", "revenue", "cost", "margin")


class TillTakings:
    """Takings of all merchants of one database; ``clock`` gives Unix milliseconds."""

    def __init__(self, store: Store, ledger: Ledger, *, clock: Callable[[], int]) -> None:
        self._store = store
        self._ledger = ledger
        self._clock = clock

    async def days(self, merchant: str, since: str, through: str = "") -> list[dict[str, Any]]:
        """What was booked for each store on each of some days. Raises Invalid."""
        since_ms, until_ms = day_span(since, through or since, self._clock())
        rows = await self._store.read(lambda db: sql.read_takings(db, merchant, since_ms, until_ms))
        return [{**row, "day": day_of(row["day"] * DAY_MS - OFFSET_MS)} for row in rows]

    async def days_csv(self, merchant: str, since: str, through: str = "") -> str:
        """The same as a file, in yuan."""
        sheet = io.StringIO()
        writer = csv.writer(sheet, lineterminator="\r\n")
        writer.writerow(("day", "outlet", "name", "receipts", "refunds", *SUMS, *TENDERS))
        for row in await self.days(merchant, since, through):
            head = (row["day"], row["outlet"], safe_cell(row["name"]), row["receipts"], row["refunds"])
            sums = (yuan(row[name]) for name in SUMS)
            writer.writerow((*head, *sums, *(yuan(row["tenders"][name]) for name in TENDERS)))
        return sheet.getvalue()

    async def waiting(self, merchant: str, after: str, limit: int) -> list[dict[str, Any]]:
        """Sales and refunds whose takings were never told, oldest first; ``age_ms`` is since we heard of them."""
        now_ms = self._clock()
        rows = await self._store.read(lambda db: sql.read_waiting(db, merchant, after, limit))
        return [{**row, "age_ms": max(0, now_ms - row["received_ms"])} for row in rows]

    async def drawers(self, merchant: str) -> list[dict[str, Any]]:
        """What should be in each store's drawer now."""
        return await self._store.read(lambda db: sql.read_drawers(db, merchant))

    async def closes(self, merchant: str, outlet: str, before: str | None, limit: int) -> list[dict[str, Any]]:
        """Counts of drawers, newest first."""
        return await self._store.read(lambda db: sql.read_till_closes(db, merchant, outlet, before, limit))

    async def tell(self, merchant: str, staff: str, ref: str, takings: Takings, why: str) -> TakingsDone:
        """Write by hand how a sale or refund was paid that waits.

        Raises NotFound, Refused (already, not_open), Invalid.
        """
        reason = check.words(why, "why", WHY_CHARACTERS_MAX)
        done = await self._ledger.submit(TellTakings(merchant, staff, ref, takings, reason))
        assert isinstance(done, TakingsDone)
        return done

    async def close(
        self, merchant: str, outlet: str, staff: str, day: str, counted: int, banked: int = 0, why: str = ""
    ) -> TillCloseView:
        """Count a store's drawer at the end of a day (today when none is named); told again alike it answers as before.

        Raises NotFound, Conflict, Refused (already, difference), Invalid.
        """
        reason = check.words(why, "why", WHY_CHARACTERS_MAX) if why else ""
        day = day or day_of(self._clock())
        done = await self._ledger.submit(CloseTill(merchant, outlet, staff, day, counted, banked, reason))
        assert isinstance(done, TillCloseView)
        return done
