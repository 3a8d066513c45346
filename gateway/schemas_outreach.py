"""Bodies and answers of telling customers: messages, broadcasts, grants, accounts at channels."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from gateway.schemas import Body
from gateway.schemas_base import Id, Title
from gateway.schemas_crm import ConditionBody

Channel = Literal["subscribe", "wecom", "sms"]
MessageText = Annotated[
    dict[str, Any],
    Meta(description="subscribe: template, data, page; sms: template, params; wecom: text, title, url"),
]
Setting = Annotated[str, Meta(min_length=1, max_length=128)]


class WecomAccountBody(Body, kw_only=True):
    """``secret`` is that of customer contact; ``token`` and ``aes_key`` are those of its callback."""

    corpid: Setting
    secret: Setting
    token: Setting
    aes_key: Annotated[str, Meta(min_length=43, max_length=43)]


class WecomAppBody(Body, kw_only=True):
    """An application of the corporation's own, by which staff are told: its ``agentid`` and its own ``secret``."""

    corpid: Setting
    agentid: Annotated[int, Meta(ge=1, le=2_147_483_647)]
    secret: Setting


class SmsAccountBody(Body, kw_only=True):
    """An access key of Alibaba Cloud, and the signature that messages begin with."""

    key: Setting
    secret: Setting
    sign_name: Setting


class AccountAnswer(Struct):
    """What of an account is shown; its secrets are never told again."""

    channel: str
    settings: dict[str, str]


class MessageBody(Body, kw_only=True):
    """One message; ``service`` is about the person's own order or what they asked for, else it is ``marketing``."""

    channel: Channel
    purpose: Literal["service", "marketing"]
    body: MessageText


class BroadcastBody(Body, kw_only=True):
    """Marketing to all who meet a condition, or are in a segment."""

    name: Title
    condition: ConditionBody | None = None
    segment: Id | None = None
    channel: Channel
    body: MessageText


class BroadcastAnswer(Struct):
    broadcast: str


class BroadcastView(Struct):
    """``counts``: messages by state (waiting, sent, failed), those never sent by cause (no_consent, cap …).

    Of those that WeCom took what became of them (delivered, no_friend, had_another, untapped) once it is known.
    """

    broadcast: str
    name: str
    channel: str
    body: dict[str, Any]
    people: int
    writing: bool
    counts: dict[str, int]
    created: int


class MessageView(Struct):
    """``why`` says what put it off or ended it; ``number`` is the provider's.

    ``outcome``, of what WeCom took, once it is known: delivered, no_friend, had_another (that day) or untapped.
    """

    message: str
    person: str
    channel: str
    purpose: str
    body: dict[str, Any]
    state: str
    why: str
    tries: int
    number: str
    created: int
    next: int | None
    done: int | None
    outcome: str


class GrantBody(Body, kw_only=True):
    """Templates that ``wx.requestSubscribeMessage`` answered with ``accept``."""

    templates: Annotated[list[Annotated[str, Meta(min_length=1, max_length=64)]], Meta(min_length=1, max_length=3)]


class ContactWayBody(Body, kw_only=True):
    """``users`` are ids of staff at WeCom, of whom the customer adds one; the link is the caller's own."""

    name: Title
    users: Annotated[list[Id], Meta(min_length=1, max_length=100)]
    room: Id | None = None


class ContactWayView(Struct):
    """``qr_code`` is the address of WeCom's picture; ``link`` stands on the board as any other."""

    way: str
    name: str
    users: list[str]
    qr_code: str
    link: str
    created: int
