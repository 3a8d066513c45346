"""Sale on account for clients: limits, what is owed and since when, what staff book.

One part of the shop's facade; ``Shop.credit`` is one. Orders are paid on account by the provider ``account``.
"""

import csv
import io
from collections.abc import Callable

from commerce.basket import check_key, within
from commerce.credit_reads_sql import read_accounts, read_debts, read_statement, sells_to
from commerce.domain.credit import BUCKETS, REFERENCE_CHARACTERS_MAX, CreditTerms, terms_fault
from commerce.domain.money import AMOUNT_MAX
from commerce.domain.refund import REASON_CHARACTERS_MAX
from commerce.errors import Invalid, NotFound
from commerce.ledger import Ledger, fingerprint
from commerce.ledger_credit import BookCredit, CreditEntry, CreditView, DebtView, SetCreditLine
from commerce.statement import safe_cell
from commerce.store_sql import Store

KINDS = ("repaid", "lost", "given")


class Credit:
    """Accounts of sale on account of all merchants of one database."""

    def __init__(self, store: Store, ledger: Ledger, *, clock: Callable[[], int]) -> None:
        self._store = store
        self._ledger = ledger
        self._clock = clock

    async def set_line(self, merchant: str, staff: str, person: str, terms: CreditTerms) -> CreditView:
        """Grant or change a limit. Raises NotFound, Refused (closed), Invalid."""
        fault = terms_fault(terms)
        if fault is not None:
            raise Invalid(fault[1], field=fault[0])
        await self._ledger.submit(SetCreditLine(merchant, staff, person, terms))
        return await self.account(merchant, person)

    async def book(
        self,
        merchant: str,
        staff: str,
        person: str,
        kind: str,
        key: str,
        *,
        amount: int = 0,
        order: str | None = None,
        reference: str = "",
        reason: str = "",
    ) -> CreditView:
        """Book that money came (``repaid``), a debt is given up (``lost``), money was given back (``given``).

        Raises NotFound, Refused (already, over_payment, insufficient), Conflict, Invalid.
        """
        check_key(key)
        if kind not in KINDS:
            raise Invalid(f"kind is one of {', '.join(KINDS)}", field="kind")
        if kind == "lost":
            if order is None or not reason.strip():
                raise Invalid(
                    "a debt is given up order by order, for a reason", field="order" if order is None else "reason"
                )
        else:
            within(amount, 1, AMOUNT_MAX, "amount")
        if len(reference) > REFERENCE_CHARACTERS_MAX or len(reason) > REASON_CHARACTERS_MAX:
            raise Invalid("reference or reason is too long", field="reference")
        body = fingerprint("credit", person, kind, amount, order, reference, reason)
        await self._ledger.submit(
            BookCredit(merchant, staff, person, kind, amount, order, reference, reason, key, body)
        )
        return await self.account(merchant, person)

    async def account(self, merchant: str, person: str) -> CreditView:
        """One person's account. Raises NotFound."""
        now_ms = self._clock()
        found = await self._store.read(lambda db: read_accounts(db, merchant, now_ms, person))
        if not found:
            raise NotFound("this person has no account here")
        return found[0]

    async def accounts(self, merchant: str, after: str = "", limit: int = 50) -> list[CreditView]:
        """A shop's accounts with their ages, by person."""
        now_ms = self._clock()
        return await self._store.read(lambda db: read_accounts(db, merchant, now_ms, "", after, limit))

    async def debts(self, merchant: str, person: str, limit: int = 50) -> list[DebtView]:
        """What a person's orders owe and owed, newest first."""
        return await self._store.read(lambda db: read_debts(db, merchant, person, limit))

    async def statement(self, merchant: str, person: str) -> list[CreditEntry]:
        """All that made a person's account what it is, oldest first."""
        return await self._store.read(lambda db: read_statement(db, merchant, person))

    async def sells_to(self, merchant: str, person: str) -> bool:
        """Whether a person may be offered to pay on account."""
        return await self._store.read(lambda db: sells_to(db, merchant, person))

    async def ageing(self, merchant: str) -> str:
        """The ageing report as CSV: an account a row, in yuan; all of them."""
        out = io.StringIO()
        rows = csv.writer(out)
        rows.writerow(("person", "name", "limit", "owed", "spare", *BUCKETS))
        after = ""
        while page := await self.accounts(merchant, after, 200):
            for one in page:
                amounts = (one.most, one.owed, one.spare, *(one.ages[name] for name in BUCKETS))
                rows.writerow([one.person, safe_cell(one.name), *(f"{fen // 100}.{fen % 100:02}" for fen in amounts)])
            after = page[-1].person
        return out.getvalue()
