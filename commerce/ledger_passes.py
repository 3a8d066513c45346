"""The ledger's commands for passes, and what they answer."""

from dataclasses import dataclass

from commerce.domain.passes import PassTerms


@dataclass(frozen=True, slots=True)
class SetPassTerms:
    """Sell a SKU as passes from now on; ``terms`` None: as what it was."""

    merchant: str
    staff: str
    sku: str
    terms: PassTerms | None


@dataclass(frozen=True, slots=True)
class PassTermsView:
    """What a unit of a SKU is good for."""

    sku: str
    uses: int
    days: int
    opens: int | None
    until: int | None
    place: str


@dataclass(frozen=True, slots=True)
class UsePass:
    """Take ``units`` uses off the pass with a code, at a place."""

    merchant: str
    staff: str
    code: str
    units: int
    place: str
    key: str
    hash: str


@dataclass(frozen=True, slots=True)
class RefundPass:
    """Give the money of a pass's unused part back, and end it."""

    merchant: str
    staff: str
    card: str
    key: str
    hash: str
    reason: str


@dataclass(frozen=True, slots=True)
class PassUseView:
    """One use: how many units, where, when."""

    units: int
    place: str
    at: int


@dataclass(frozen=True, slots=True)
class PassView:
    """A pass: ``left`` of ``uses`` are there, good from ``opens`` to ``until``.

    ``state`` is active, used, expired or refunded.
    """

    card: str
    person: str
    order: str
    sku: str
    title: str
    code: str
    uses: int
    left: int
    place: str
    opens: int
    until: int
    state: str
    history: tuple[PassUseView, ...] = ()
