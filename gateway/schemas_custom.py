"""Bodies and answers of custom orders, as msgspec structs. Money is integer 分, times are Unix milliseconds."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from commerce.domain.custom import (
    DEPOSIT_PERCENT_MAX,
    FIELDS_MAX,
    LABEL_CHARACTERS_MAX,
    MAKING_DAYS_MAX,
    NUMBER_MAX,
    OPTIONS_MAX,
    PICTURES_MAX,
    WORDS_CHARACTERS_MAX,
)
from gateway.schemas_base import Body, Cents, Id, Millis, Price, Quantity
from gateway.schemas_orders import Wishes, WishView

Text = Annotated[str, Meta(min_length=1, max_length=LABEL_CHARACTERS_MAX)]
Words = Annotated[str, Meta(max_length=WORDS_CHARACTERS_MAX)]
Pictures = Annotated[list[Id], Meta(max_length=PICTURES_MAX, description="ids of those that it has no field for")]
Number = Annotated[int, Meta(ge=0, le=NUMBER_MAX)]


class OptionBody(Body, kw_only=True):
    value: Text
    amount: Cents = 0


class FieldBody(Body, kw_only=True):
    """``most`` characters of a text, or pictures; ``least`` to ``most`` of a number, which costs ``amount`` 分 each."""

    label: Text
    kind: Literal["text", "choice", "number", "picture"]
    required: bool = False
    least: Number = 0
    most: Number = 0
    amount: Cents = 0
    options: Annotated[list[OptionBody], Meta(max_length=OPTIONS_MAX)] = field(default_factory=list)


class FormBody(Body, kw_only=True):
    """What can be wished, and how many days the making takes. ``asked``: the price is asked for, not on the shelf."""

    fields: Annotated[list[FieldBody], Meta(max_length=FIELDS_MAX)] = field(default_factory=list)
    making_days: Annotated[int, Meta(ge=0, le=MAKING_DAYS_MAX)] = 0
    asked: bool = False


class OptionView(Struct):
    value: str
    amount: int


class FieldView(Struct):
    label: str
    kind: str
    required: bool
    least: int
    most: int
    amount: int
    options: list[OptionView]


class FormView(Struct):
    """``returns`` says whether such goods go back within seven days: told before they are paid for."""

    target: str
    fields: list[FieldView]
    making_days: int
    asked: bool
    returns: str


class ProduceBody(Body, kw_only=True):
    """The next stage, another day, or both."""

    stage: Literal["", "confirmed", "making", "ready"] = ""
    due: Millis | None = None


class WorkLine(Struct):
    title: str
    quantity: int
    wishes: list[WishView]


class AddressView(Struct):
    """Where it goes; what a delivery has beside this is on the order."""

    method: str = ""
    name: str = ""
    phone: str = ""
    address: str = ""


class WorkView(Struct):
    """An order on the workbench; ``goods_order`` is the one that is sent, ``settled`` whether all of it is paid."""

    order: str
    goods_order: str
    person: str
    stage: str
    due: int
    paid: int
    lines: list[WorkLine]
    delivery: AddressView | None
    settled: bool


class AskBody(Body, kw_only=True):
    room: Id
    sku: Id
    quantity: Quantity = 1
    custom: Wishes = field(default_factory=dict)
    words: Annotated[Words, Meta(description="what the form has no field for")] = ""
    pictures: Pictures = field(default_factory=list)


class PictureView(Struct):
    """A picture that was sent: ``width`` and ``height`` in pixels, ``bytes`` of the JPEG that is kept."""

    picture: str
    width: int
    height: int
    bytes: int
    created: int


class DroppedPicture(Struct):
    """The one that is gone."""

    picture: str


class OfferMadeBody(Body, kw_only=True):
    """``price`` 分 a unit, good until ``valid``, delivered by ``deliver``; with ``deposit_percent`` paid in two."""

    price: Price
    deposit_percent: Annotated[int, Meta(ge=0, le=DEPOSIT_PERCENT_MAX)] = 0
    missed: Literal["keep", "refund"] = "refund"
    deliver: Millis
    valid: Millis
    answer: Words = ""


class DeclineBody(Body, kw_only=True):
    answer: Words = ""


class RequestView(Struct):
    """A request and its offer: ``state`` is asked, offered, expired, ordered, declined or withdrawn."""

    request: str
    person: str
    room: str
    product: str
    sku: str
    title: str
    quantity: int
    wishes: list[WishView]
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


class RequestPage(Struct):
    items: list[RequestView]
    next: str | None = None
