"""Sale on account for clients: limits, what is owed and since when, what staff book, what debtors pay back.

One part of the shop's facade; ``Shop.credit`` is one. Orders are paid on account by the provider ``account``; what is
owed is paid back through a provider of payments, or past them and booked by staff.
"""

import csv
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from commerce import credit_notice_sql
from commerce.basket import check_key, within
from commerce.credit_reads_sql import (
    failed_refunds,
    read_accounts,
    read_debts,
    read_dunning,
    read_reminders,
    read_repayments,
    read_statement,
    repayment_row,
    repayment_view,
    sells_to,
)
from commerce.domain.credit import (
    BUCKETS,
    REFERENCE_CHARACTERS_MAX,
    REPAYMENT_TITLE,
    CreditTerms,
    RepaymentView,
    terms_fault,
)
from commerce.domain.money import AMOUNT_MAX
from commerce.domain.refund import REASON_CHARACTERS_MAX
from commerce.errors import Busy, Invalid, NotFound, Refused
from commerce.ledger import Ledger, RetryRefund, fingerprint
from commerce.ledger_credit import (
    BookCredit,
    CreditEntry,
    CreditView,
    DebtView,
    DunningView,
    EndRepayment,
    RemindDebtor,
    ReminderView,
    RepaymentStarted,
    SetCreditLine,
    StartRepayment,
)
from commerce.payment import PaymentOpened, PaymentRequest
from commerce.payments import PAYER_CHARACTERS_MAX, Payments
from commerce.statement import safe_cell
from commerce.store_sql import Store

KINDS = ("repaid", "lost", "given")
NOTE_CHARACTERS_MAX = 200
REPAY_TRIES = 4
"""Times that another repayment is closed to begin this one: a debtor has a phone and a desk, and taps twice."""


@dataclass(frozen=True, slots=True)
class Repaying:
    """A repayment after a try to pay it: paid, or open with ``opened``, by which the debtor's client goes on."""

    repayment: RepaymentView
    opened: PaymentOpened | None


class Credit:
    """Accounts of sale on account of all merchants of one database."""

    def __init__(self, store: Store, ledger: Ledger, payments: Payments, *, clock: Callable[[], int]) -> None:
        self._store = store
        self._ledger = ledger
        self._payments = payments
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

    async def repay(
        self,
        merchant: str,
        person: str,
        amount: int,
        key: str,
        *,
        order: str | None = None,
        provider: str = "",
        method: str = "",
        payer: str = "",
    ) -> Repaying:
        """Pay ``amount`` 分 of what a person owes through a provider, of one order's debt or of the oldest first.

        Safe to repeat with the same key: the provider is asked again, and what became of it is the answer. Another one
        that is still open is closed at its provider first; was that one paid meanwhile, it is the answer.
        Raises Refused (already: nothing is owed; over_payment: less is; declined, expired, no_provider), Conflict,
        Busy, Invalid.
        """
        check_key(key)
        within(amount, 1, AMOUNT_MAX, "amount")
        if len(payer) > PAYER_CHARACTERS_MAX:
            raise Invalid(f"a payer has at most {PAYER_CHARACTERS_MAX} characters", field="payer")
        chosen, method = self._payments.choose(merchant, provider, method)
        body = fingerprint("repay", amount, order, *((chosen.name, method) if provider or method else ()))
        command = StartRepayment(merchant, person, amount, order, key, body, chosen.name, method)
        for _ in range(REPAY_TRIES):
            started = await self._start(command)
            if not started.other:
                break
            assert started.payment is not None
            settled = await self._payments.end(started.repayment.provider, started.payment)
            if settled is not None and settled.effect != "declined":
                assert settled.repayment is not None
                return Repaying(settled.repayment, None)
            await self._ledger.submit(EndRepayment(merchant, started.repayment.repayment))
        else:
            raise Busy("other repayments were begun at the same time")
        if started.payment is None:
            return Repaying(started.repayment, None)
        owed = started.repayment
        payer = payer or await self._payments.payer(merchant, owed.person, chosen)
        request = PaymentRequest(
            started.payment, merchant, owed.amount, owed.expires, REPAYMENT_TITLE, started.method, payer
        )
        opened, settled = await self._payments.open(self._payments.named(owed.provider), request)
        if settled is None:
            return Repaying(owed, opened)
        if settled.effect == "declined":
            raise Refused("declined", "the payment was declined", repayment=owed.repayment)
        assert settled.repayment is not None
        return Repaying(settled.repayment, None)

    async def _start(self, command: StartRepayment) -> RepaymentStarted:
        started = await self._ledger.submit(command)
        assert isinstance(started, RepaymentStarted)
        return started

    async def give_back_again(self, merchant: str, person: str, repayment: str) -> list[RepaymentView]:
        """Ask the provider again for what of a repayment was too much and could not be given back.

        Under the same numbers, so it is given once. Raises NotFound (nothing of it failed).
        """
        failed = await self._store.read(lambda db: failed_refunds(db, merchant, person, repayment))
        if not failed:
            raise NotFound("nothing of this repayment failed to go back")
        for refund in failed:
            await self._ledger.submit(RetryRefund(merchant, repayment, refund))
        return await self.repayments(merchant, person)

    async def remind(self, merchant: str, staff: str, person: str, note: str, key: str) -> list[ReminderView]:
        """Ask a debtor for what is overdue, on their page and by a message where the shop has a template for it.

        Gives all reminders of theirs.
        Raises Refused (already: nothing is overdue), Conflict, Invalid.
        """
        check_key(key)
        if len(note) > NOTE_CHARACTERS_MAX or not (note or "-").isprintable():
            raise Invalid(f"a note has at most {NOTE_CHARACTERS_MAX} printable characters", field="note")
        body = fingerprint("remind", person, note)
        await self._ledger.submit(RemindDebtor(merchant, staff, person, note.strip(), key, body))
        return await self.reminders(merchant, person)

    async def reminders(self, merchant: str, person: str, limit: int = 20) -> list[ReminderView]:
        """What a debtor was reminded of, newest first."""
        return await self._store.read(lambda db: read_reminders(db, merchant, person, limit))

    async def notice(self, merchant: str) -> dict[str, Any] | None:
        """How a shop tells debtors outside the page; None when it does not."""
        return await self._store.read(lambda db: credit_notice_sql.notice(db, merchant))

    async def set_notice(self, merchant: str, given: Mapping[str, Any]) -> None:
        """Set how a shop tells debtors outside the page."""
        row = {**given, "merchant": merchant, "now": self._clock()}
        await self._store.write(lambda db: credit_notice_sql.set_notice(db, row))

    async def repayment(self, merchant: str, repayment: str) -> RepaymentView | None:
        """One repayment to a merchant, or None."""
        row = await self._store.read(lambda db: repayment_row(db, repayment))
        return None if row is None or row.merchant != merchant else repayment_view(row)

    async def repayments(self, merchant: str, person: str, limit: int = 20) -> list[RepaymentView]:
        """What a person paid or tried to pay through providers, newest first."""
        return await self._store.read(lambda db: read_repayments(db, merchant, person, limit))

    async def dunning(self, merchant: str, limit: int = 200, since_ms: int = 0, person: str = "") -> list[DunningView]:
        """Who has something overdue, what is overdue the longest first; behind the last one seen."""
        now_ms = self._clock()
        return await self._store.read(lambda db: read_dunning(db, merchant, now_ms, limit, (since_ms, person)))

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

    async def debts(self, merchant: str, person: str, limit: int = 200) -> list[DebtView]:
        """What a person's orders owe, what is due soonest first; then what they owed, newest first."""
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
