"""The ledger's commands for after-sale requests: one for each step that a person takes.

``staff`` is who decides for the shop, ``person`` the buyer.
"""

from dataclasses import dataclass

from commerce.domain.aftersale import Counted


@dataclass(frozen=True, slots=True)
class AskAfterSale:
    """Ask for money (and to send goods back) of ``lines`` (sku, units); ``amount`` None: all that they come to."""

    merchant: str
    person: str
    order: str
    key: str
    hash: str
    kind: str
    reason: str
    lines: tuple[tuple[str, int], ...]
    amount: int | None
    words: str


@dataclass(frozen=True, slots=True)
class ApproveAfterSale:
    """Give what is asked for: the money at once, or the goods back first."""

    merchant: str
    staff: str
    request: str
    answer: str = ""


@dataclass(frozen=True, slots=True)
class RefuseAfterSale:
    """Say no, and why."""

    merchant: str
    staff: str
    request: str
    answer: str


@dataclass(frozen=True, slots=True)
class OfferLess:
    """Offer ``amount`` 分 instead; with ``keeps`` the goods stay where they are."""

    merchant: str
    staff: str
    request: str
    amount: int
    keeps: bool
    answer: str


@dataclass(frozen=True, slots=True)
class TakeOffer:
    """The buyer takes the offer of ``amount`` 分 that they saw."""

    merchant: str
    person: str
    request: str
    amount: int


@dataclass(frozen=True, slots=True)
class LeaveOffer:
    """The buyer leaves the offer: what was asked for is asked for still."""

    merchant: str
    person: str
    request: str


@dataclass(frozen=True, slots=True)
class WithdrawAfterSale:
    """The buyer does not want it any more."""

    merchant: str
    person: str
    request: str


@dataclass(frozen=True, slots=True)
class SendBack:
    """The goods are on their way back, or their number is put right."""

    merchant: str
    person: str
    request: str
    carrier: str
    number: str


@dataclass(frozen=True, slots=True)
class ReceiveBack:
    """The shop counted what came back: the money of that goes back."""

    merchant: str
    staff: str
    request: str
    came: tuple[Counted, ...]
    answer: str = ""
