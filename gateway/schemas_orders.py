"""What orders are made of in the JSON API: lines, wishes, steps of the price, presales, the making."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct, field

from commerce.domain.custom import FIELDS_MAX, LABEL_CHARACTERS_MAX, TEXT_CHARACTERS_MAX
from gateway.schemas_base import Body, Id, Quantity

Wishes = Annotated[
    dict[
        Annotated[str, Meta(min_length=1, max_length=LABEL_CHARACTERS_MAX)],
        Annotated[str, Meta(max_length=TEXT_CHARACTERS_MAX)],
    ],
    Meta(max_length=FIELDS_MAX, description="what goods are made to: labels of the form, and what was filled in"),
]


class AgreedBody(Body, kw_only=True):
    """An offer to be ordered: of which request, and which version of it was seen."""

    request: Id
    version: Annotated[int, Meta(ge=1, le=10_000_000)]


class OrderLineBody(Body, kw_only=True):
    sku: Id
    quantity: Quantity
    version: Annotated[int, Meta(ge=1, le=10_000_000)] | None = None
    custom: Wishes = field(default_factory=dict)


class WishView(Struct):
    """A wish as it was granted; ``amount`` 分 a unit are in the price.

    Of ``pictures``, each at ``/custom/pictures/{picture}``, ``value`` says how many; with no label they came beside a
    request.
    """

    label: str
    value: str
    amount: int
    pictures: list[str] = field(default_factory=list)


class ProductionView(Struct):
    """How far the making is: paid, confirmed, making, ready, sent, with the time of each; ``due`` was promised."""

    stage: str
    due: int
    paid: int
    confirmed: int | None
    making: int | None
    ready: int | None
    sent: int | None
    ended: int | None


class OrderLineView(Struct):
    product: str
    sku: str
    title: str
    quantity: int
    price: int
    discount: int
    wishes: list[WishView] | None = None
    category: str = ""


class PriceStep(Struct):
    step: str
    amount: int
    why: str


class PresaleView(Struct):
    """A presale's two orders; ``part`` says which of them this is. The balance is paid from ``opens`` to ``until``.

    ``missed`` is what becomes of the deposit otherwise; ``ended`` when it was decided about.
    """

    part: str
    deposit_order: str
    balance_order: str | None
    deposit: int
    opens: int
    until: int
    missed: str
    ended: int | None
