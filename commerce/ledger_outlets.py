"""The ledger's commands for stores: their terms, stock, prices, and units that move between them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from commerce.changes import Hand


@dataclass(frozen=True, slots=True)
class SetOutlet:
    """Write a store anew: ``row`` has the columns."""

    merchant: str
    outlet: str
    row: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class CloseOutlet:
    """Close a store that has no stock left."""

    merchant: str
    outlet: str


@dataclass(frozen=True, slots=True)
class OutletDone:
    """A store was changed."""

    outlet: str


@dataclass(frozen=True, slots=True)
class MoveStock:
    """Take units from one place to another; a place is a store, or (empty) the warehouse."""

    merchant: str
    staff: str
    sku: str
    quantity: int
    source: str
    target: str
    why: str
    key: str
    hash: str


@dataclass(frozen=True, slots=True)
class TransferView:
    """Units that moved. ``left`` are still free where they came from, ``there`` are free now where they went."""

    transfer: str
    sku: str
    quantity: int
    source: str
    target: str
    left: int
    there: int


@dataclass(frozen=True, slots=True)
class SetOutletPrice:
    """Give a SKU a price, or a limited-time price, in one store; None takes either away."""

    merchant: str
    outlet: str
    sku: str
    price: int | None
    offer: int | None
    from_ms: int | None
    until_ms: int | None
    by: Hand


@dataclass(frozen=True, slots=True)
class OutletPriceView:
    """What a store asks for a SKU now (分); ``version`` goes with the order."""

    outlet: str
    sku: str
    price: int
    limited: int | None
    version: int
