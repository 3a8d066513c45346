"""Makes those who come by a distributor's or guide's link their customers, without a viewer waiting for it.

A room that fills up by one link is hundreds of claims a second and few writes: claims wait in a bounded queue, are
written in batches in one transaction each, and the claim that a person's last link made a moment ago is not made again.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable

from commerce.attribution import bindings_sql
from commerce.attribution.bindings_sql import Claim
from commerce.attribution.links_sql import Transaction
from commerce.errors import CommerceError
from commerce.fresh_ids import fresh_ids
from commerce.store_sql import Store

log = logging.getLogger(__name__)

WAITING_MAX = 5_000
"""Claims waiting to be written: more than a second of joins; what is over is refused and counted."""
BATCH_MAX = 200
"""One transaction of some 50 ms."""
RECENT_MAX = 20_000
"""Claims remembered so that opening a card of the same link again asks the database nothing."""
RECENT_MS = 600_000
"""For so long: a binding may lapse, or be handed to another, and the same link counts anew."""


class Binder:
    """The queue and its one writer. ``clock`` gives Unix milliseconds."""

    def __init__(self, store: Store, *, clock: Callable[[], int]) -> None:
        self._store = store
        self._clock = clock
        self._waiting: list[tuple[Claim, int]] = []
        self._recent: OrderedDict[tuple[str, str], tuple[str, int]] = OrderedDict()
        """Who claimed a person in a role last, and when."""
        self._writer: asyncio.Task[None] | None = None
        self.refused = 0

    def claim(self, claim: Claim) -> None:
        """Queue a claim; never waits."""
        key, now_ms = (claim.person, claim.role), self._clock()
        issuer, at_ms = self._recent.get(key, ("", 0))
        if not claim.registered and issuer == claim.issuer and now_ms < at_ms + RECENT_MS:
            return
        if len(self._waiting) >= WAITING_MAX:
            self.refused += 1
            return
        self._recent[key] = (claim.issuer, now_ms)
        self._recent.move_to_end(key)
        if len(self._recent) > RECENT_MAX:
            self._recent.popitem(last=False)
        self._waiting.append((claim, now_ms))
        if self._writer is None:
            self._writer = asyncio.get_running_loop().create_task(self._write())

    def forget(self) -> None:
        """Ask the database again: terms, distributors or bindings have changed."""
        self._recent.clear()

    async def flushed(self, timeout_s: float) -> bool:
        """Wait until what was claimed is written; says whether that came in time."""
        if self._writer is not None:
            await asyncio.wait([self._writer], timeout=timeout_s)
        return self._writer is None

    async def close(self) -> None:
        """Write what waits."""
        if self._writer is not None:
            await self._writer

    async def _write(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:BATCH_MAX], self._waiting[BATCH_MAX:]
                ids = fresh_ids(self._clock(), len(batch))

                def write(db: Transaction, batch: list[tuple[Claim, int]] = batch, ids: list[str] = ids) -> None:
                    for (claim, at_ms), identifier in zip(batch, ids, strict=True):
                        bindings_sql.claim(db, claim, identifier, at_ms)

                try:
                    await self._store.write(write)
                except CommerceError as error:
                    self.refused += len(batch)
                    log.error("%d claims to customers were not written: %r", len(batch), error)
        finally:
            self._writer = None
