"""The ledger's commands for purchase orders and what goods cost, and what they answer."""

from dataclasses import dataclass

from commerce.domain.purchase import PurchaseLine, PurchaseStep


@dataclass(frozen=True, slots=True)
class SavePurchase:
    """Write a draft: a new one (``purchase`` None), or other lines into one that is there."""

    merchant: str
    staff: str
    purchase: str | None
    supplier: str
    number: str
    note: str
    expected: str
    lines: tuple[PurchaseLine, ...]


@dataclass(frozen=True, slots=True)
class StepPurchase:
    """Order, cancel, or close short."""

    merchant: str
    staff: str
    purchase: str
    step: PurchaseStep
    why: str = ""


@dataclass(frozen=True, slots=True)
class ReceivePurchase:
    """Goods came: of each SKU so many units, at 分 per unit (None: as ordered). ``number``: the delivery note's."""

    merchant: str
    staff: str
    purchase: str
    came: tuple[tuple[str, int, int | None], ...]
    number: str
    why: str
    key: str
    hash: str


@dataclass(frozen=True, slots=True)
class SendBack:
    """Goods went back to their supplier, out of what is free, or (``quarantined``) of what was set apart."""

    merchant: str
    staff: str
    purchase: str
    went: tuple[tuple[str, int], ...]
    quarantined: bool
    number: str
    why: str
    key: str
    hash: str


@dataclass(frozen=True, slots=True)
class PaySupplier:
    """Money went to a supplier, outside of this program; ``number`` says by which transfer."""

    merchant: str
    staff: str
    supplier: str
    amount: int
    number: str


@dataclass(frozen=True, slots=True)
class SetCost:
    """Say what a unit of the goods on hand costs, as of opening stock that came without a purchase."""

    merchant: str
    staff: str
    sku: str
    unit_cost: int
    why: str


@dataclass(frozen=True, slots=True)
class PurchaseLineView:
    """A line with the goods' names; ``grams`` of one unit of goods by weight, else 0."""

    sku: str
    code: str
    title: str
    name: str
    grams: int
    quantity: int
    unit_cost: int
    received: int
    returned: int
    amount: int


@dataclass(frozen=True, slots=True)
class DeliveredView:
    """Units of a SKU in one delivery or return, and what they cost."""

    sku: str
    units: int
    amount: int


@dataclass(frozen=True, slots=True)
class DeliveryView:
    """A delivery (``kind`` receipt) or a return, with who wrote it down."""

    delivery: str
    kind: str
    number: str
    amount: int
    why: str
    staff: str
    created: int
    lines: tuple[DeliveredView, ...]


@dataclass(frozen=True, slots=True)
class PurchaseStepView:
    """What somebody did to the order, when and why."""

    step: str
    staff: str
    name: str
    why: str
    at: int


@dataclass(frozen=True, slots=True)
class PurchaseView:
    """A purchase order. ``ordered`` is what all that was ordered costs, ``amount`` what came and stayed (分).

    ``short`` are units that did not come; they are expected no longer once the order is received or cancelled.
    """

    purchase: str
    supplier: str
    supplier_name: str
    number: str
    state: str
    note: str
    expected: str
    ordered: int
    amount: int
    short: int
    created: int
    lines: tuple[PurchaseLineView, ...]
    deliveries: tuple[DeliveryView, ...]
    steps: tuple[PurchaseStepView, ...]


@dataclass(frozen=True, slots=True)
class SupplierPaid:
    """A payment that was written down, and what is still owed."""

    payment: str
    owed: int


@dataclass(frozen=True, slots=True)
class CostView:
    """Units of a SKU on hand, what they cost, and what one of them costs on average (分, rounded down)."""

    sku: str
    code: str
    title: str
    name: str
    units: int
    cost: int
    unit_cost: int
    price: int
