"""Sale on account (赊销): who may owe how much for how long, what lowers a debt first, and how old debts are.

A debt is one order's. It is due so many days after the order; one that is overdue closes the account to new orders.
What comes in is taken for the oldest debt first, unless it names an order. What is paid through a provider beyond what
is owed when it comes goes back to the payer.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from commerce.domain.day import DAY_MS
from commerce.domain.money import AMOUNT_MAX

ACCOUNT = "account"
"""The name under which orders are paid on account, where others name a payment provider."""
DEBT = "debt"
"""What a payment is for that pays no order, but what is owed (``payment.kind``)."""
REPAY_MS = 30 * 60_000
"""How long a provider is waited for with a repayment: nothing is held by it, so it is as long as their codes last."""
REPAYMENT_TITLE = "赊销还款"
"""What the payer reads at the provider."""
DAYS_MAX = 365
NAME_CHARACTERS_MAX = 60
REFERENCE_CHARACTERS_MAX = 60
NOTICE_AHEAD_MS = DAY_MS
"""A debt is told of a day before it is due: long enough to pay it, short enough not to be put aside."""
DUE, OVERDUE, REMINDED = "due", "overdue", "reminded"
"""Why a debtor is told something."""
MESSAGE_PREFIX = "debt/"
"""What the keys of messages about debts begin with."""
BUCKETS = ("not_due", "to_30", "to_60", "to_90", "over_90")
"""Ages of debts: days past due."""


@dataclass(frozen=True, slots=True)
class CreditTerms:
    """``most`` 分 may be owed, each order for ``days``; ``name`` is the business's, where it is one.

    ``open`` False: what is owed stays owed, nothing is added.
    """

    most: int
    days: int
    name: str = ""
    open: bool = True


@dataclass(frozen=True, slots=True)
class Debt:
    """What is left of one order's debt."""

    order: str
    left: int
    due_ms: int


@dataclass(frozen=True, slots=True)
class RepaymentView:
    """What a debtor pays through a provider: ``amount`` 分, of which ``applied`` lowered debts.

    ``state`` is open, paid or ended (lapsed, declined, given up; money that comes for it still counts). ``order`` names
    the debt that is meant, if one is. ``back`` of the amount was more than was owed when it came and goes back,
    ``returned`` of it has, ``failed`` of it the provider would not give.
    """

    repayment: str
    person: str
    amount: int
    applied: int
    order: str | None
    state: str
    provider: str
    created: int
    expires: int
    paid: int | None
    back: int
    returned: int
    failed: int


@dataclass(frozen=True, slots=True)
class DebtNotice:
    """What a debtor is told of: ``amount`` 分 of ``order``, due then; of a reminder all that is overdue, since then."""

    order: str | None
    amount: int
    due: int


def terms_fault(terms: CreditTerms) -> tuple[str, str] | None:
    """The field at fault and why, or None."""
    if not 0 <= terms.most <= AMOUNT_MAX:
        return "most", f"a limit is 0 to {AMOUNT_MAX} 分"
    if not 1 <= terms.days <= DAYS_MAX:
        return "days", f"orders are due within 1 to {DAYS_MAX} days"
    if len(terms.name) > NAME_CHARACTERS_MAX or not (terms.name or "-").isprintable():
        return "name", f"a name has at most {NAME_CHARACTERS_MAX} printable characters"
    return None


def refuse_credit(
    terms: CreditTerms | None, owed: int, oldest_due_ms: int | None, amount: int, now_ms: int
) -> str | None:
    """None when ``amount`` more may be owed, else a code: no_credit, overdue, insufficient."""
    if terms is None or not terms.open:
        return "no_credit"
    if oldest_due_ms is not None and oldest_due_ms < now_ms:
        return "overdue"
    return "insufficient" if owed + amount > terms.most else None


def shared(debts: Sequence[Debt], amount: int) -> list[tuple[str, int]]:
    """(order, 分) that ``amount`` takes off debts, what is due first before others; what is over is left out."""
    taken = []
    for debt in sorted(debts, key=lambda one: (one.due_ms, one.order)):
        part = min(amount, debt.left)
        if part:
            taken.append((debt.order, part))
            amount -= part
    return taken


def bucket(due_ms: int, now_ms: int) -> str:
    """How old a debt is."""
    if now_ms <= due_ms:
        return BUCKETS[0]
    days = (now_ms - due_ms) // DAY_MS
    return BUCKETS[1] if days <= 30 else BUCKETS[2] if days <= 60 else BUCKETS[3] if days <= 90 else BUCKETS[4]


def notice_ms(created_ms: int, due_ms: int) -> int:
    """When a debtor is told that a debt comes due; of a short one not before half its time is over."""
    return due_ms - min(NOTICE_AHEAD_MS, (due_ms - created_ms) // 2)


def debt_key(why: str, person: str, day: str) -> str:
    """The key of a message about what a person owes by the end of a day."""
    return f"{MESSAGE_PREFIX}{why}/{person}/{day}"


def why_of_key(key: str) -> str:
    """Why a message with a key of ``debt_key`` was written."""
    return key.split("/", 2)[1]


def day_of_key(key: str) -> str:
    """The day that a key of ``debt_key`` is about."""
    return key.rpartition("/")[2]
