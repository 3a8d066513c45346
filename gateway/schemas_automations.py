"""Bodies and answers of what happens by itself: automations and pop-ups."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct

from gateway.schemas import Body
from gateway.schemas_base import Cents, Id, Link, Millis, Price, Title, Units
from gateway.schemas_crm import ConditionBody, TagName
from gateway.schemas_outreach import Channel, MessageText


class CouponAction(Body, kw_only=True, tag_field="kind", tag="coupon"):
    """A coupon, with its reason; the room is where it is told of."""

    room: Id
    title: Title
    reason: Annotated[str, Meta(min_length=1, max_length=60)]
    amount: Price
    threshold: Cents = 0
    total: Units
    valid_s: Annotated[int, Meta(ge=60, le=366 * 86_400)] = 7 * 86_400


class TagAction(Body, kw_only=True, tag_field="kind", tag="tag"):
    tag: TagName


class MessageAction(Body, kw_only=True, tag_field="kind", tag="message"):
    """A marketing message: consent and caps hold for it as for any."""

    channel: Channel
    body: MessageText


class AutomationBody(Body, kw_only=True):
    """Who meets the condition gets it after ``delay_s``, if they still do; again after ``again_days`` (0: never)."""

    name: Title
    condition: ConditionBody
    action: CouponAction | TagAction | MessageAction
    delay_s: Annotated[int, Meta(ge=0, le=30 * 86_400)] = 0
    again_days: Annotated[int, Meta(ge=0, le=400)] = 0


class AutomationAnswer(Struct):
    automation: str


class AutomationView(Struct):
    """``counts``: runs by state (due, done, skipped)."""

    automation: str
    name: str
    condition: dict[str, Any]
    action: dict[str, Any]
    delay_s: int
    again_days: int
    active: bool
    counts: dict[str, int]


class RunView(Struct):
    """``why`` of a skipped one: changed (the condition holds no more), off, or why there was no coupon."""

    person: str
    state: str
    why: str
    ref: str
    begun: int
    due: int
    done: int | None


class SwitchBody(Body, kw_only=True):
    active: bool


class PopupBody(Body, kw_only=True):
    """Shown to who meets the condition (without one: to all), at most ``per_day`` times a day, ``total`` in all."""

    title: Title
    text: Annotated[str, Meta(min_length=1, max_length=300)]
    image: Link = ""
    url: Link = ""
    drop: Annotated[str, Meta(max_length=64, description="a running coupon drop that its button takes")] = ""
    room: Annotated[str, Meta(max_length=64, description="empty: every room")] = ""
    condition: ConditionBody | None = None
    per_day: Annotated[int, Meta(ge=1, le=100)] = 1
    total: Annotated[int, Meta(ge=1, le=100)] = 3
    from_ms: Millis = 0
    until_ms: Millis


class PopupAnswer(Struct):
    popup: str


class PopupView(Struct):
    popup: str
    title: str
    text: str
    image: str
    url: str
    drop: str


class PopupRow(PopupView, kw_only=True):
    room: str
    condition: dict[str, Any] | None
    per_day: int
    total: int
    from_ms: int
    until_ms: int
    active: bool
    shown: int
    people: int
    clicks: int


class NextPopupAnswer(Struct):
    """What is to pop up now, counted as shown; null when there is nothing."""

    popup: PopupView | None
