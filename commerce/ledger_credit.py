"""The ledger's commands for sale on account, and what they answer."""

from dataclasses import dataclass

from commerce.domain.credit import CreditTerms, RepaymentView


@dataclass(frozen=True, slots=True)
class SetCreditLine:
    """Grant a person a limit, or change it."""

    merchant: str
    staff: str
    person: str
    terms: CreditTerms


@dataclass(frozen=True, slots=True)
class BookCredit:
    """Staff's word on an account: money came (repaid), a debt is given up (lost), money was given back (given).

    ``order`` names the debt; without one money is taken for the oldest.
    """

    merchant: str
    staff: str
    person: str
    kind: str
    amount: int
    order: str | None
    reference: str
    reason: str
    key: str
    hash: str


@dataclass(frozen=True, slots=True)
class StartRepayment:
    """Open a payment of ``amount`` 分 of what a person owes, of one ``order`` or of the oldest."""

    merchant: str
    person: str
    amount: int
    order: str | None
    key: str
    hash: str
    provider: str
    method: str


@dataclass(frozen=True, slots=True)
class RepaymentStarted:
    """``payment`` is to be asked of ``provider``; None when there is nothing to ask any more.

    It may be another one than was asked for, which is open: that has to end first.
    """

    repayment: RepaymentView
    payment: str | None
    method: str
    other: bool = False


@dataclass(frozen=True, slots=True)
class EndRepayment:
    """open → ended: its provider was told to close it. One that was paid meanwhile stays paid."""

    merchant: str
    repayment: str


@dataclass(frozen=True, slots=True)
class RemindDebtor:
    """Staff asks for what is overdue."""

    merchant: str
    staff: str
    person: str
    note: str
    key: str
    hash: str


@dataclass(frozen=True, slots=True)
class ReminderView:
    """What a debtor was told when: ``overdue`` 分 at that time."""

    at: int
    overdue: int
    note: str
    staff: str


@dataclass(frozen=True, slots=True)
class DunningView:
    """Somebody with something overdue: since ``since``, for ``days``; when they last paid and were last reminded."""

    person: str
    name: str
    owed: int
    overdue: int
    orders: int
    since: int
    days: int
    repaid: int | None
    reminders: int
    reminded: int | None
    note: str
    open: bool


@dataclass(frozen=True, slots=True)
class DebtView:
    """What one order owes: ``left`` of ``amount``, due at ``due``."""

    order: str
    amount: int
    repaid: int
    returned: int
    lost: int
    left: int
    due: int
    created: int
    closed: int | None


@dataclass(frozen=True, slots=True)
class CreditEntry:
    """A line of a statement: ``amount`` 分 more (or less) owed, and what was owed after it."""

    at: int
    why: str
    ref: str
    amount: int
    owed: int


@dataclass(frozen=True, slots=True)
class CreditView:
    """A person's account. ``owed`` less ``spare`` (the shop owes it) is its balance; ``free`` may be ordered for.

    Ages (domain/credit.BUCKETS) are days past due.
    """

    person: str
    name: str
    most: int
    days: int
    open: bool
    owed: int
    spare: int
    free: int
    overdue: int
    ages: dict[str, int]
