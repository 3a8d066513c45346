"""Commands on commission, and what they answer. Money is 分, times are Unix milliseconds."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Release:
    """Make available what is out of its refund window, for all merchants."""


@dataclass(frozen=True, slots=True)
class Released:
    """How many were released; ``more`` when a bound cut it short."""

    count: int
    more: bool


@dataclass(frozen=True, slots=True)
class ClearHold:
    """Somebody looked at a held commission, and it is good: with all of its order."""

    merchant: str
    commission: str
    by: str


@dataclass(frozen=True, slots=True)
class Cleared:
    """How many commissions wait no more."""

    count: int


@dataclass(frozen=True, slots=True)
class Withdraw:
    """A distributor asks for money."""

    merchant: str
    person: str
    amount: int
    key: str
    hash: str


@dataclass(frozen=True, slots=True)
class DecideWithdrawal:
    """``approved``, ``rejected``, or ``paid`` with the transfer's number."""

    merchant: str
    withdrawal: str
    decision: str
    by: str
    number: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class WithdrawalView:
    """A withdrawal: ``state`` is requested, approved, paid or rejected."""

    withdrawal: str
    person: str
    amount: int
    state: str
    created: int
    decided: int | None
    number: str | None
    reason: str
