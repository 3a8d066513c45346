"""Bodies and answers of who is who: signing in by WeChat, persons, merges, conflicts, lists, consents."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from commerce.identity.join import REASON_CHARACTERS_MAX
from commerce.identity.service import APPID_CHARACTERS_MAX, SECRET_CHARACTERS_MAX
from gateway.schemas import Body, Id, Label, Name, Token

Reason = Annotated[str, Meta(min_length=1, max_length=REASON_CHARACTERS_MAX)]
WechatCode = Annotated[str, Meta(min_length=1, max_length=128)]
Purpose = Literal["member", "marketing", "profile"]


class WechatBody(Body, kw_only=True):
    """``code`` is of ``wx.login``; ``phone_code`` of a button with ``open-type="getPhoneNumber"``."""

    room: Id
    code: WechatCode
    phone_code: WechatCode | None = None
    name: Name | None = None
    scene: Token | None = None
    scanned: bool = False


class WechatAnswer(Struct):
    """``phone`` is the person's number, masked; ``conflict`` says that staff must first decide whose it is."""

    token: str
    person: str
    name: str
    role: str
    expires: int
    phone: str | None
    conflict: bool


class WechatAppBody(Body, kw_only=True):
    appid: Annotated[str, Meta(min_length=1, max_length=APPID_CHARACTERS_MAX)]
    secret: Annotated[str, Meta(min_length=1, max_length=SECRET_CHARACTERS_MAX)]
    platform: Annotated[str, Meta(max_length=64, description="open-platform account; the app's own when left out")] = ""


class WechatEventsBody(Body, kw_only=True):
    """Token and EncodingAESKey as entered at the mini-program's console (消息推送, safe mode)."""

    token: Annotated[str, Meta(min_length=3, max_length=32)]
    aes_key: Annotated[str, Meta(min_length=43, max_length=43)]


class WechatAppAnswer(Struct):
    """The mini-program; its secret is never told again."""

    appid: str
    platform: str


class PhoneView(Struct):
    """A masked number; ``verified`` (Unix ms) is null when only a list says so."""

    masked: str
    verified: int | None


class IdentityView(Struct):
    kind: str
    since: int


class ConsentView(Struct):
    purpose: str
    granted: bool
    basis: str
    source: str
    at: int


class PersonAnswer(Struct):
    """A person as they are now; ``aliases`` are ids of those who were merged into them."""

    person: str
    name: str
    created: int
    aliases: list[str]
    phone: PhoneView | None
    identities: list[IdentityView]
    consents: list[ConsentView]
    minor: bool = False


class PhoneAnswer(Struct):
    phone: str


class LookBody(Body, kw_only=True):
    reason: Reason


class MergeBody(Body, kw_only=True):
    other: Id
    reason: Reason


class JoinedAnswer(Struct):
    """Who the person is now, and the journal's entry of the merge."""

    person: str
    merge: str | None


class DecisionBody(Body, kw_only=True):
    decision: Literal["merged", "split", "dismissed"]


class FaultView(Struct):
    line: int
    column: str
    message: str


class ImportAnswer(Struct):
    """Nothing is written while there are faults."""

    written: bool
    rows: int
    new: int
    known: int
    faults: list[FaultView]


class ConsentBody(Body, kw_only=True):
    purpose: Purpose
    granted: bool
    source: Label = ""


class ErasedAnswer(Struct):
    """``kept`` counts what the law wants kept."""

    person: str
    identities: int
    kept: dict[str, int]


class MinorBody(Body, kw_only=True):
    """Whoever looks after somebody under 14, and whether they agreed to the membership."""

    guardian: Annotated[str, Meta(min_length=1, max_length=60)]
    phone: Annotated[str, Meta(min_length=1, max_length=32)]
    agreed: bool


class MinorAnswer(Struct):
    minor: bool
    guardian: str = ""
    phone: str = ""
    agreed: bool = False
    since: int | None = None


class ExportAnswer(Struct):
    """All that the shop knows of the one who asks: in words, and in ``held`` table by table as it is kept."""

    person: dict[str, Any]
    phone: str | None
    consents: list[dict[str, Any]]
    orders: list[dict[str, Any]]
    coupons: list[dict[str, Any]]
    touches: list[dict[str, Any]]
    held: dict[str, list[dict[str, Any]]]
    left_out: dict[str, int]
