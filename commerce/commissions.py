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
class StartTransfer:
    """Pay an approved withdrawal through ``provider``; ``payee`` is the person there."""

    merchant: str
    withdrawal: str
    by: str
    provider: str
    payee: str


@dataclass(frozen=True, slots=True)
class SettleTransfer:
    """What a provider says of a transfer: ``kind`` is open, waiting, paid or failed; ``amount`` 分 it moves.

    ``confirm`` is what the person's client needs to take the money, while it waits for that.
    """

    merchant: str
    withdrawal: str
    provider: str
    kind: str
    amount: int
    number: str = ""
    reason: str = ""
    confirm: str = ""


@dataclass(frozen=True, slots=True)
class WithdrawalView:
    """A withdrawal of ``amount`` 分, of which ``tax`` is kept back for the tax office and the rest is paid.

    ``state`` is requested, approved, transferring, paid, rejected or failed (the last two gave the money back).
    """

    withdrawal: str
    person: str
    amount: int
    state: str
    created: int
    decided: int | None
    number: str | None
    reason: str
    tax: int = 0
    provider: str = ""
