"""Invoices for buyers: asked for once, issued by an adapter, taken back by red-letter ones when money goes back.

What is to be issued is written down first and asked for under that id until it is there: a crash in between, or an
issuer that is away, loses nothing and issues nothing twice.
"""

import asyncio
import logging
import re
from collections.abc import Callable
from typing import Any

from commerce import catalogue_checks as check
from commerce import invoices_sql as sql
from commerce.errors import CommerceError, Invalid, NotFound
from commerce.events import Event, OrderRefunded
from commerce.invoice import InvoiceIssuer
from commerce.invoice_sandbox import SandboxInvoices
from commerce.store_sql import Store

log = logging.getLogger(__name__)

TITLE_CHARACTERS_MAX = 100
ISSUE_TIMEOUT_S = 20.0
"""How long an issuer may take: then it is asked again, under the same id."""
_TAX_NUMBER = re.compile(r"[0-9A-Z]{15,20}")


class Invoices:
    """Invoices of all merchants of one database. Without an ``issuer`` the sandbox's."""

    def __init__(self, store: Store, *, clock: Callable[[], int], issuer: InvoiceIssuer | None = None) -> None:
        self._store = store
        self._clock = clock
        self._issuer: InvoiceIssuer = issuer or SandboxInvoices(self._number)
        self._one_by_one = asyncio.Lock()

    async def ask(
        self, merchant: str, order: str, title: str, tax_number: str, person: str | None = None
    ) -> list[dict[str, Any]]:
        """Invoice an order to ``title`` (a company with its ``tax_number``, or a person); the order's invoices.

        Repeats give the same. ``person``: the buyer who asks. Raises NotFound, Refused (not_open, already), Invalid.
        """
        name, number = check.words(title, "title", TITLE_CHARACTERS_MAX), tax_number.strip().upper()
        if number and not _TAX_NUMBER.fullmatch(number):
            raise Invalid("a tax number has 15 to 20 digits and capital letters", field="tax_number")
        now_ms, issuer = self._clock(), self._issuer.name
        await self._store.write(
            lambda db: sql.ask_blue(db, sql.find_order(db, merchant, order, person), issuer, name, number, now_ms)
        )
        await self._settle(order)
        return await self.of_order(merchant, order)

    def hear(self, event: Event) -> "asyncio.Future[None] | None":
        """A refund of an invoiced order asks for its red-letter invoice: a listener for ``Shop.answer``."""
        if isinstance(event, OrderRefunded):
            return asyncio.ensure_future(self._settle(event.order.order))
        return None

    async def of_order(self, merchant: str, order: str, person: str | None = None) -> list[dict[str, Any]]:
        """An order's invoices, newest first. Raises NotFound."""

        def read(db: Any) -> list[dict[str, Any]]:
            sql.find_order(db, merchant, order, person)
            return sql.listed(db, merchant, order, None, sql.INVOICES_PAGE_MAX)

        return await self._store.read(read)

    async def listed(self, merchant: str, before: str | None, limit: int) -> list[dict[str, Any]]:
        """A merchant's invoices, newest first."""
        return await self._store.read(lambda db: sql.listed(db, merchant, "", before, limit))

    async def document(self, merchant: str, invoice: str, person: str | None = None) -> tuple[str, bytes, str]:
        """Number, document and media type of an issued invoice. Raises NotFound."""

        def read(db: Any) -> Any:
            row = sql.one(db, merchant, invoice)
            sql.find_order(db, merchant, row.order_id, person)
            return row

        row = await self._store.read(read)
        if row.document is None:
            raise NotFound("this invoice is not issued yet")
        return row.number, bytes(row.document), row.media_type

    async def retry(self, merchant: str) -> int:
        """Ask for all of a shop's that was asked for and is not there; how many are still not."""
        for invoice in await self._store.read(lambda db: sql.unfinished(db, merchant=merchant)):
            await self._issue(invoice)
        return len(await self._store.read(lambda db: sql.unfinished(db, merchant=merchant)))

    async def _settle(self, order: str) -> None:
        """Issue what an order needs: its blue invoice, and the red ones of its refunds."""
        if not await self._store.read(lambda db: sql.invoiced(db, order)):
            return
        async with self._one_by_one:
            now_ms = self._clock()
            await self._store.write(lambda db: sql.ask_reds(db, order, now_ms))
        for invoice in await self._store.read(lambda db: sql.unfinished(db, order=order)):
            await self._issue(invoice)

    async def _issue(self, invoice: str) -> None:
        asked = await self._store.read(lambda db: sql.request_of(db, invoice))
        if asked is None or asked[0] != self._issuer.name:
            return
        try:
            async with asyncio.timeout(ISSUE_TIMEOUT_S):
                issued = await self._issuer.issue(asked[1])
        except (CommerceError, TimeoutError) as error:
            why = str(error) or f"no answer within {ISSUE_TIMEOUT_S:.0f} s"
            log.warning("invoice %s was not issued: %s", invoice, why)
            await self._store.write(lambda db: sql.keep_failure(db, invoice, why))
            return
        now_ms = self._clock()
        await self._store.write(lambda db: sql.keep_issued(db, invoice, issued, now_ms))

    async def _number(self, issuer: str, year: int, invoice: str) -> int:
        return await self._store.write(lambda db: sql.next_number(db, issuer, year, invoice))
