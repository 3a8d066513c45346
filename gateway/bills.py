"""Fetches payment providers' daily files, each morning and after a start, until all that should be here are."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from commerce.errors import CommerceError
from commerce.reconciliation import Reconciliations
from commerce.settlements import Settlements

logger = logging.getLogger("siyu.bills")

LOOK_S = 1_800.0
"""Half an hour: a file that a provider is late with is no emergency."""
FIRST_LOOK_S = 20.0


class BillFetcher:
    """Looks for missing files until closed. Several processes may do so: the later file replaces the same one."""

    def __init__(
        self,
        reconciliations: Reconciliations,
        settlements: Settlements,
        *,
        look_s: float = LOOK_S,
        first_s: float = FIRST_LOOK_S,
    ) -> None:
        self._reconciliations = reconciliations
        self._settlements = settlements
        self._look_s = look_s
        self._first_s = first_s
        self._task: asyncio.Task[None] | None = None
        self.differences = 0

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """Stop; what is missing is looked for after the next start."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        await asyncio.sleep(self._first_s)
        while True:
            try:
                await self.look()
            except Exception:
                # Whatever the store has: tomorrow's file must not wait for the next start.
                logger.exception("the payment providers' files cannot be looked after; trying again")
            await asyncio.sleep(self._look_s)

    async def look(self) -> None:
        """Fetch what is missing, and say in the log what differs."""
        for provider, day in await self._reconciliations.missing():
            try:
                if not await self._reconciliations.fetch(provider, day):
                    continue
                report = await self._reconciliations.report(provider, day)
            except CommerceError as error:
                logger.warning("the file of %s for %s cannot be had: %s", provider, day, error.message)
                continue
            differences = sum(report.counts.values())
            self.differences += differences
            level = logging.WARNING if differences else logging.INFO
            logger.log(level, "%s of %s: %d matched, %d differences", provider, day, report.matched, differences)
        await self._look_for_funds()

    async def _look_for_funds(self) -> None:
        """Fetch what providers say of our accounts there: behind the files above, whose fees it is held against."""
        stopped = set()
        for merchant, provider, day in await self._settlements.missing():
            if (merchant, provider) in stopped:
                # Each day begins with the balance of the one before.
                continue
            try:
                taken = await self._settlements.fetch(merchant, provider, day)
            except CommerceError as error:
                logger.warning("the settlement file of %s for %s cannot be had: %s", provider, day, error.message)
                taken = None
            if taken is None or taken.faults:
                stopped.add((merchant, provider))
            if taken is not None and taken.faults:
                logger.warning("the settlement file of %s for %s: %s", provider, day, taken.faults[0].message)
            elif taken is not None:
                logger.info("%s of %s: %d movements, %d items settled", provider, day, taken.lines, taken.matched)
