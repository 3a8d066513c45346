"""Bodies and answers of suppliers, purchase orders and what goods cost, as msgspec structs.

Money is integer 分, units are whole units of a SKU; days are YYYY-MM-DD in Asia/Shanghai.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from commerce.domain.cost import COST_FEN_MAX
from commerce.domain.money import AMOUNT_MAX
from commerce.domain.purchase import CONTACT_CHARACTERS_MAX, LINES_MAX, NUMBER_CHARACTERS_MAX
from gateway.schemas_base import Body, Id, Millis, Title, Units, Why

Cost = Annotated[int, Meta(ge=0, le=COST_FEN_MAX, description="分 per unit")]
Number = Annotated[str, Meta(max_length=NUMBER_CHARACTERS_MAX)]
Reason = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]*$")]


class SupplierBody(Body, kw_only=True):
    """A supplier; nothing is ordered from one that is ``closed``."""

    name: Title
    contact: Annotated[str, Meta(max_length=CONTACT_CHARACTERS_MAX)] = ""
    phone: Annotated[str, Meta(max_length=21)] = ""
    note: Annotated[str, Meta(max_length=200)] = ""
    closed: bool = False


class SupplierAnswer(Struct):
    supplier: str


class SupplierView(Struct):
    """``owed``: what came, less what went back and what was paid (below 0: they owe)."""

    supplier: str
    name: str
    contact: str
    phone: str
    note: str
    closed: bool
    owed: int
    open_orders: int


class SupplierPage(Struct):
    items: list[SupplierView]
    next: str | None


class SupplierPaymentBody(Body, kw_only=True):
    """Money that went to the supplier; the same ``number`` again is the same payment."""

    amount: Annotated[int, Meta(ge=1, le=AMOUNT_MAX)]
    number: Annotated[str, Meta(min_length=1, max_length=NUMBER_CHARACTERS_MAX)]


class SupplierPaidAnswer(Struct):
    payment: str
    owed: int


class PurchaseLineBody(Body, kw_only=True):
    sku: Id
    quantity: Units
    unit_cost: Cost


class PurchaseBody(Body, kw_only=True):
    """A draft; without a ``number`` our id is its number."""

    supplier: Id
    lines: Annotated[list[PurchaseLineBody], Meta(min_length=1, max_length=LINES_MAX)]
    number: Number = ""
    note: Annotated[str, Meta(max_length=200)] = ""
    expected: Annotated[str, Meta(pattern=r"^([0-9]{4}-[0-9]{2}-[0-9]{2})?$")] = ""


class PurchaseStepBody(Body, kw_only=True):
    """``close_short`` ends an order of which a part came: the rest is expected no longer."""

    step: Literal["order", "cancel", "close_short"]
    why: Why = ""


class ReceivedLineBody(Body, kw_only=True):
    """``unit_cost`` when the delivery note says another than was ordered."""

    sku: Id
    units: Units
    unit_cost: Cost | None = None


class ReceiptBody(Body, kw_only=True):
    lines: Annotated[list[ReceivedLineBody], Meta(min_length=1, max_length=LINES_MAX)]
    number: Number = ""
    why: Why = ""


class ReturnedLineBody(Body, kw_only=True):
    sku: Id
    units: Units


class ReturnBody(Body, kw_only=True):
    """Sends units back, of those that are free, or of those that were set apart (``quarantined``)."""

    lines: Annotated[list[ReturnedLineBody], Meta(min_length=1, max_length=LINES_MAX)]
    number: Number = ""
    why: Reason
    quarantined: bool = False


class PurchaseLineView(Struct):
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


class DeliveredView(Struct):
    sku: str
    units: int
    amount: int


class DeliveryView(Struct):
    delivery: str
    kind: Literal["receipt", "return"]
    number: str
    amount: int
    why: str
    staff: str
    created: Millis
    lines: list[DeliveredView]


class PurchaseStepView(Struct):
    step: str
    staff: str
    name: str
    why: str
    at: Millis


class PurchaseView(Struct):
    """``ordered`` is what all that was ordered costs, ``amount`` what came and stayed; ``short`` did not come."""

    purchase: str
    supplier: str
    supplier_name: str
    number: str
    state: Literal["draft", "ordered", "partly", "received", "cancelled"]
    note: str
    expected: str
    ordered: int
    amount: int
    short: int
    created: Millis
    lines: list[PurchaseLineView]
    deliveries: list[DeliveryView]
    steps: list[PurchaseStepView]


class PurchasePage(Struct):
    items: list[PurchaseView]
    next: str | None


class SheetFaultView(Struct):
    line: int
    column: str
    message: str


class PurchaseSheetAnswer(Struct):
    """The draft that a file made, or what is wrong with its lines: then nothing was written."""

    purchase: PurchaseView | None
    faults: list[SheetFaultView]


class CostBody(Body, kw_only=True):
    unit_cost: Cost
    why: Reason


class CostAnswer(Struct):
    """What all units on hand cost now (分)."""

    cost: int


class CostView(Struct):
    """``unit_cost`` is the average, rounded down; ``cost`` of all units on hand."""

    sku: str
    code: str
    title: str
    name: str
    units: int
    cost: int
    unit_cost: int
    price: int


class CostPage(Struct):
    items: list[CostView]
    next: str | None
