"""Each figure of the board opens to its rows here; and what advertisements cost comes in."""

from collections.abc import Callable, Sequence
from typing import Any

from commerce.attribution import board_rows_sql as rows_sql
from commerce.attribution import links_sql
from commerce.attribution.ad_list import CostReport, read_costs
from commerce.attribution.board import Period, order_row
from commerce.attribution.insight_sql import week_of
from commerce.attribution.links_sql import Transaction
from commerce.attribution.reach import day_of
from commerce.attribution.touches_sql import TouchLog
from commerce.domain.ids import AFTER_ALL, time_prefix
from commerce.errors import Invalid
from commerce.sheet import FAULTS_SHOWN_MAX
from commerce.store_sql import Store

LATER_MAX = 520
"""Weeks: ten years of a customer."""


class BoardRows:
    """Rows of one merchant and period at a time; ``clock`` gives Unix milliseconds."""

    def __init__(self, store: Store, touches: TouchLog, *, clock: Callable[[], int]) -> None:
        self._store = store
        self._touches = touches
        self._clock = clock

    async def people(
        self, period: Period, step: str, dimension: str, key: str, after: str, limit: int
    ) -> list[dict[str, Any]]:
        """The persons of a step (visit, entry, click), of everybody or under one key. Raises ``Invalid``."""
        _one_of("step", step, rows_sql.STEPS)
        _one_of("dimension", dimension, rows_sql.TOUCHED)
        found = await self._touches.report(lambda db: rows_sql.people(db, period, step, dimension, key, after, limit))
        return await self._named(period.merchant, found)

    async def orders(
        self, period: Period, state: str, dimension: str, key: str, before: str, limit: int
    ) -> list[dict[str, Any]]:
        """The orders of a state (all, paid, repeat), of everybody or under one key. Raises ``Invalid``."""
        _one_of("state", state, rows_sql.STATES)
        _one_of("dimension", dimension, rows_sql.ORDERED)

        def look(db: Transaction) -> list[dict[str, Any]]:
            found = rows_sql.orders(db, period, state, dimension, key, before or AFTER_ALL, limit)
            ids = {one.person for one in found} | {one.issuer for one in found if one.issuer}
            names = links_sql.names(db, period.merchant, sorted(ids))
            return [order_row(one, names) for one in found]

        return await self._store.read(look)

    async def returned(
        self, merchant: str, until_ms: int, week_ms: int, later: int, after: str, limit: int
    ) -> list[dict[str, Any]]:
        """Those whose first paid order lies in the week of ``week_ms`` and who bought ``later`` weeks after it."""
        if not 0 <= later <= LATER_MAX:
            raise Invalid(f"later is 0 to {LATER_MAX} weeks", field="later")
        found = await self._store.read(
            lambda db: rows_sql.returned(db, merchant, time_prefix(until_ms), week_of(week_ms), later, after, limit)
        )
        return await self._named(merchant, found)

    async def costs(self, period: Period) -> list[dict[str, Any]]:
        """What advertisements cost, by day and campaign."""
        first, last = day_of(period.since_ms), day_of(period.until_ms - 1)
        return await self._store.read(lambda db: rows_sql.costs(db, period.merchant, first, last))

    async def import_costs(self, merchant: str, staff: str, raw: bytes, *, try_only: bool) -> CostReport:
        """Take in a list, whole or not at all. Raises ``Invalid`` when it is no list."""
        costs, faults = read_costs(raw)
        now_ms = self._clock()
        total = sum(one.cost for one in costs)
        count = len(costs) + len(faults)
        if faults or try_only or not costs:
            return CostReport(False, count, total, tuple(faults[:FAULTS_SHOWN_MAX]))
        await self._store.write(lambda db: rows_sql.write_costs(db, merchant, staff, costs, now_ms))
        return CostReport(True, count, total, ())

    async def _named(self, merchant: str, found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        names = await self._store.read(lambda db: links_sql.names(db, merchant, [row["person"] for row in found]))
        return [{"person": row["person"], "name": names.get(row["person"]), **row} for row in found]


def _one_of(name: str, value: str, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise Invalid(f"{name} is one of {', '.join(one for one in allowed if one)}", field=name)
