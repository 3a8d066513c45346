"""Bodies and answers of sorting and telling customers: tags, stages of life, segments, terms."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from commerce.domain.coupon import TAG_CHARACTERS_MAX
from gateway.schemas import Body
from gateway.schemas_base import Title

TagName = Annotated[str, Meta(min_length=1, max_length=TAG_CHARACTERS_MAX)]
ConditionBody = Annotated[
    dict[str, Any], Meta(description='a condition on customers, as {"event": "room_entry", "at_least": 2, "days": 7}')
]
Cap = Annotated[int, Meta(ge=0, le=100)] | UnsetType


class CrmTermsBody(Body, kw_only=True):
    """What is left out stays as it is."""

    fan_days: Annotated[int, Meta(ge=1, le=90)] | UnsetType = UNSET
    loyal_orders: Annotated[int, Meta(ge=2, le=100)] | UnsetType = UNSET
    subscribe_day: Cap = UNSET
    subscribe_week: Cap = UNSET
    wecom_day: Cap = UNSET
    wecom_week: Cap = UNSET
    sms_day: Cap = UNSET
    sms_week: Cap = UNSET
    open_hour: Annotated[int, Meta(ge=0, le=23)] | UnsetType = UNSET
    close_hour: Annotated[int, Meta(ge=1, le=24)] | UnsetType = UNSET
    helping: Annotated[int, Meta(ge=0, le=1, description="1: helper tasks are on")] | UnsetType = UNSET


class CrmTermsAnswer(Struct):
    """``…_day`` and ``…_week`` cap the marketing messages of one person and channel."""

    fan_days: int
    loyal_orders: int
    subscribe_day: int
    subscribe_week: int
    wecom_day: int
    wecom_week: int
    sms_day: int
    sms_week: int
    open_hour: int
    close_hour: int
    helping: int


class TagBody(Body, kw_only=True):
    """``rule``: stays once the condition was met; ``computed``: as long as it is met."""

    kind: Literal["manual", "rule", "computed"] = "manual"
    condition: ConditionBody | None = None


class TagView(Struct):
    name: str
    kind: str
    condition: dict[str, Any] | None
    people: int
    created: int


class PersonTagView(Struct):
    """``staff`` is empty when a rule gave it."""

    tag: str
    kind: str
    staff: str
    since: int


class ProfileAnswer(Struct):
    """``stage``: passer, fan, customer or loyal."""

    person: str
    stage: str
    stage_since: int | None
    tags: list[PersonTagView]


class SegmentBody(Body, kw_only=True):
    name: Title
    condition: ConditionBody


class PreviewBody(Body, kw_only=True):
    condition: ConditionBody


class NamedPerson(Struct):
    person: str
    name: str


class PreviewAnswer(Struct):
    """How many meet the condition now, and some of them."""

    count: int
    people: list[NamedPerson]


class SegmentView(Struct):
    segment: str
    name: str
    condition: dict[str, Any]
    created: int


class SegmentAnswer(Struct):
    segment: str
