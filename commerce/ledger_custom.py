"""The ledger's commands for custom orders, and what they answer."""

from dataclasses import dataclass
from typing import Any

from commerce.domain.custom import CustomForm, Offer, Wanted


@dataclass(frozen=True, slots=True)
class SetForm:
    """What can be wished of a product or SKU from now on; ``form`` None: nothing any more."""

    merchant: str
    staff: str
    target: str
    form: CustomForm | None


@dataclass(frozen=True, slots=True)
class Produce:
    """Let the making of an order come to its next stage, and/or promise another day."""

    merchant: str
    order: str
    stage: str
    due_ms: int | None


@dataclass(frozen=True, slots=True)
class CancelMade:
    """The buyer cancels a paid custom order before its making begins: all of it goes back."""

    merchant: str
    person: str
    order: str
    key: str
    hash: str


@dataclass(frozen=True, slots=True)
class AskPrice:
    """Ask what goods made to one's wishes cost."""

    merchant: str
    room: str
    person: str
    sku: str
    quantity: int
    wanted: Wanted
    words: str
    key: str
    hash: str
    pictures: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MakeOffer:
    """Answer a request with a price, or with another one as long as nothing was ordered."""

    merchant: str
    staff: str
    request: str
    offer: Offer
    answer: str


@dataclass(frozen=True, slots=True)
class EndRequest:
    """End a request: by its person (withdrawn), or by staff (None: declined) with a word why."""

    merchant: str
    person: str | None
    staff: str
    request: str
    answer: str = ""


@dataclass(frozen=True, slots=True)
class RequestView:
    """A request and its offer. ``state`` is asked, offered, expired, ordered, declined or withdrawn.

    ``price`` and ``deposit`` are 分 a unit; ``order`` is the one that was made of it last.
    """

    request: str
    person: str
    room: str
    product: str
    sku: str
    title: str
    quantity: int
    wishes: tuple[dict[str, Any], ...]
    words: str
    state: str
    version: int
    price: int
    deposit: int
    deposit_percent: int
    missed: str
    deliver: int | None
    valid: int | None
    answer: str
    order: str | None
    created: int
    answered: int | None


@dataclass(frozen=True, slots=True)
class FormView:
    """What can be wished of goods; ``returns`` is whether they go back within seven days (domain/policy.py)."""

    target: str
    fields: tuple[dict[str, Any], ...]
    making_days: int
    asked: bool
    returns: str


@dataclass(frozen=True, slots=True)
class WorkView:
    """An order on the workbench: its stage, when it is due, what is to be made, and where it goes."""

    order: str
    goods_order: str
    person: str
    stage: str
    due: int
    paid: int
    lines: tuple[dict[str, Any], ...]
    delivery: dict[str, Any] | None
    settled: bool
    """Whether all of it is paid: of a deposit, the balance too."""
