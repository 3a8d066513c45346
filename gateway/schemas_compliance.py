"""Bodies and answers of what the regulator asks of a shop, as msgspec structs."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from commerce.compliance import PERMITS_MAX, REASON_CHARACTERS_MAX, TEXT_CHARACTERS_MAX
from gateway.schemas_base import Body, Id, Link, Millis, Title
from gateway.schemas_goods import Returns

Words = Annotated[str, Meta(min_length=1, max_length=REASON_CHARACTERS_MAX)]
MoreWords = Annotated[str, Meta(max_length=REASON_CHARACTERS_MAX)]
Days = Annotated[int, Meta(ge=0, le=36_500)]
Hours = Annotated[int, Meta(ge=0, le=8_760)]


class PolicyBody(Body, kw_only=True):
    """A shop's switches, all of them: what is left out has its default."""

    return_days: Days = 7
    keep_chat_days: Days = 0
    list_basis_required: bool = False
    host_identity_required: bool = False
    licence_shown: bool = True
    complaints_days: Days = 15
    credit_sale: bool = False
    answer_hours: Hours = 48
    offer_hours: Hours = 72
    send_back_days: Days = 7
    check_back_days: Days = 10
    fault_days: Days = 15
    back_to: MoreWords = ""


class PolicyAnswer(Struct):
    return_days: int
    keep_chat_days: int
    list_basis_required: bool
    host_identity_required: bool
    licence_shown: bool
    complaints_days: int
    credit_sale: bool
    answer_hours: int
    offer_hours: int
    send_back_days: int
    check_back_days: int
    fault_days: int
    back_to: str


class PermitBody(Body, kw_only=True):
    name: Title
    number: Title


class LicenceBody(Body, kw_only=True):
    company: Title
    number: Annotated[str, Meta(min_length=15, max_length=18)]
    address: MoreWords = ""
    image: Link = ""
    permits: Annotated[list[PermitBody], Meta(max_length=PERMITS_MAX)] = field(default_factory=list)


class PermitView(Struct):
    name: str
    number: str


class LicenceView(Struct):
    company: str
    number: str
    address: str
    image: str
    permits: list[PermitView]
    updated_ms: Millis


class LicenceAnswer(Struct):
    """``licence`` is null when the shop has written none, or shows it elsewhere."""

    licence: LicenceView | None


class NoticeSkuView(Struct):
    sku: str
    name: str
    list_price: int
    list_basis: str
    grams: int


class NoticeAnswer(Struct):
    """What a buyer is told of a product beside its price."""

    product: str
    title: str
    merchant: str
    returns: str
    return_days: int
    media: list[str]
    skus: list[NoticeSkuView]


class BasisBody(Body, kw_only=True):
    list_basis: Annotated[str, Meta(min_length=1, max_length=60)]


class ReturnsBody(Body, kw_only=True):
    returns: Returns


class HostBody(Body, kw_only=True):
    room: Id
    name: Title
    number: Annotated[str, Meta(min_length=6, max_length=20)]


class HostView(Struct):
    """A record of who hosts a room, masked; ``ended_ms`` of one who does no more."""

    id: str
    room: str
    shown: str
    staff: str
    created_ms: Millis
    ended_ms: int | None


class RevealBody(Body, kw_only=True):
    reason: Words


class HostClearAnswer(Struct):
    name: str
    number: str


class ChatLineView(Struct):
    id: str
    room: str
    person: str
    role: str
    name: str
    text: str
    at_ms: Millis


class ChatLinePage(Struct):
    items: list[ChatLineView]
    next: str | None


class ComplaintBody(Body, kw_only=True):
    kind: Literal["complaint", "report", "praise"] = "complaint"
    text: Annotated[str, Meta(min_length=1, max_length=TEXT_CHARACTERS_MAX)]
    contact: Annotated[str, Meta(max_length=60)] = ""
    room: Annotated[str, Meta(max_length=64)] = ""
    order: Annotated[str, Meta(max_length=64)] = ""


class ComplaintView(Struct):
    """``due_ms`` is when it has to be answered; praise is never ``overdue``. ``node``: whose; empty: the shop's."""

    id: str
    person: str
    room: str | None
    order_id: str | None
    node: str
    node_name: str | None
    kind: str
    text: str
    contact: str
    state: Literal["open", "answered"]
    answer: str
    staff: str | None
    created_ms: Millis
    due_ms: Millis
    answered_ms: int | None
    overdue: bool


class ComplaintSums(Struct):
    """What a node was told in a period: ``late`` were answered after their time, all together after ``waited_ms``."""

    node: str
    name: str | None
    told: int
    praise: int
    open: int
    overdue: int
    answered: int
    late: int
    waited_ms: Millis


class ComplaintPage(Struct):
    items: list[ComplaintView]
    next: str | None


class AnswerBody(Body, kw_only=True):
    answer: Annotated[str, Meta(min_length=1, max_length=1_000)]


class TakedownBody(Body, kw_only=True):
    kind: Literal["product", "room"]
    ref: Id
    reason: Words
    basis: MoreWords = ""


class TakedownView(Struct):
    id: str
    kind: str
    ref: str
    reason: str
    basis: str
    staff: str
    created_ms: Millis
    lifted_by: str | None
    lifted_ms: int | None


class TakedownPage(Struct):
    items: list[TakedownView]
    next: str | None
