"""Bodies and answers of the distribution market."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from commerce.market import NUMBER_CHARACTERS_MAX, TEXT_CHARACTERS_MAX, UNITS_MAX
from gateway.schemas import Body, Id, Price

Note = Annotated[str, Meta(max_length=TEXT_CHARACTERS_MAX)]


class OfferBody(Body, kw_only=True):
    """A SKU of ours for others to sell: 分 that they owe us for a unit, and the least that they may ask for it."""

    sku: Id
    supply_price: Price
    least_price: Price
    note: Note = ""


class OfferView(Struct):
    offer: str
    supplier: str
    supplier_name: str
    sku: str
    title: str
    image: str
    supply_price: int
    least_price: int
    note: str
    created: int


class OfferAnswer(Struct):
    offer: str


class GrantAnswer(Struct):
    grant: str


class GrantBody(Body, kw_only=True):
    decision: Literal["granted", "refused", "revoked"]
    reason: Note = ""


class ListBody(Body, kw_only=True):
    price: Price


class ListedAnswer(Struct):
    product: str


class AllotBody(Body, kw_only=True):
    """Units given over to the channel; below 0 they are taken back as far as they are unsold."""

    units: Annotated[int, Meta(ge=-UNITS_MAX, le=UNITS_MAX)]


class AllottedAnswer(Struct):
    allotted: int


class GrantView(Struct):
    """``side`` is ours: supplier or channel. ``free``: units that the channel can sell now."""

    grant: str
    side: str
    state: str
    supplier_name: str
    channel: str
    channel_name: str
    title: str
    image: str
    supply_price: int
    least_price: int
    product: str | None
    allotted: int
    free: int
    applied: int
    reason: str


class ShelfView(Struct):
    """A product on our shelf; of another's the supplier's name and the grant."""

    product: str
    sku: str
    title: str
    price: int
    image: str
    stock: int
    on_shelf: bool
    supplier: str | None
    grant: str | None


class DropView(Struct):
    """A line of a channel's order that its supplier sends; ``delivery`` for the supplier only while it has to."""

    drop: str
    side: str
    order: str
    title: str
    quantity: int
    supply: int
    owed: int
    state: str
    delivery: dict[str, Any] | None
    carrier: str
    number: str
    created: int


class SendBody(Body, kw_only=True):
    carrier: Annotated[str, Meta(min_length=1, max_length=40)]
    number: Annotated[str, Meta(min_length=1, max_length=64)]


class DebtView(Struct):
    """``kind`` is supply_owed (we owe them) or supply_due (they owe us); 分."""

    kind: str
    merchant: str
    name: str
    amount: int


class SettleBody(Body, kw_only=True):
    """A channel's money came, by a transfer with this number, which counts once."""

    channel: Id
    amount: Price
    number: Annotated[str, Meta(min_length=1, max_length=NUMBER_CHARACTERS_MAX)]


class SettledAnswer(Struct):
    settlement: str
    owed: int
