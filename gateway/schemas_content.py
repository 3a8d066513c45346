"""Bodies and answers of the content library."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from commerce.contents import (
    BODY_CHARACTERS_MAX,
    CATEGORY_CHARACTERS_MAX,
    CLIPS_MAX,
    PICTURES_MAX,
    SKUS_MAX,
    SUMMARY_CHARACTERS_MAX,
)
from gateway.schemas_base import Body, Id, Link, Title, Token

Version = Annotated[int, Meta(ge=1, le=1_000_000)]


class ContentBody(Body, kw_only=True):
    """A piece of the library. ``base``: the version that this one follows (0 for a new piece).

    ``body`` is plain text: a blank line ends a paragraph, ``# `` begins a heading, ``- `` an entry of a list. ``show``
    is a recorded show of ``room``. ``audience`` staff is knowledge for the shop's own people, which nobody shares.
    """

    kind: Literal["article", "picture", "video"]
    title: Title
    category: Annotated[str, Meta(max_length=CATEGORY_CHARACTERS_MAX)] = ""
    summary: Annotated[str, Meta(max_length=SUMMARY_CHARACTERS_MAX)] = ""
    body: Annotated[str, Meta(max_length=BODY_CHARACTERS_MAX)] = ""
    cover: Link = ""
    pictures: Annotated[list[Link], Meta(max_length=PICTURES_MAX)] = field(default_factory=list)
    clips: Annotated[list[Id], Meta(max_length=CLIPS_MAX)] = field(default_factory=list)
    skus: Annotated[list[Id], Meta(max_length=SKUS_MAX)] = field(default_factory=list)
    room: Annotated[str, Meta(max_length=64)] = ""
    show: Annotated[str, Meta(max_length=64)] = ""
    audience: Literal["staff", "everybody"] = "everybody"
    sharers: Literal["nobody", "staff", "distributors", "everybody"] = "everybody"
    base: Annotated[int, Meta(ge=0, le=1_000_000)] = 0


class PublishBody(Body, kw_only=True):
    """Which version readers see: the newest, an earlier one, or (null) none any more."""

    version: Version | None


class ContentLinkBody(Body, kw_only=True):
    """``parent``: the token by which the sharer came; ``channel``: where they share it."""

    parent: Token | None = None
    channel: Annotated[str, Meta(max_length=60)] = ""


class ContentGoods(Struct):
    """A recommended product, as it is now."""

    sku: str
    title: str
    name: str
    image: str
    price: int
    list_price: int


class ContentFigures(Struct):
    """What came of a piece: links, readings, readers, paid orders and 分 that its links brought.

    For an account with a part of the shop what came by the links of that part's accounts.
    """

    shares: int
    reads: int
    readers: int
    orders: int
    amount: int


class ContentItem(Struct):
    """A piece in a list; ``published`` is the version that readers see, null for a draft."""

    content: str
    kind: str
    title: str
    category: str
    summary: str
    cover: str
    audience: str
    sharers: str
    version: int
    published: int | None
    created: int
    updated: int
    figures: ContentFigures


class ContentsAnswer(Struct):
    """One page of the library; ``categories`` counts the pieces of each; ``next`` goes into ``?after=``."""

    items: list[ContentItem]
    categories: dict[str, int]
    next: str | None


class ContentAnswer(Struct):
    """A piece in one version (``shown``), with what it names: clips that are there, products as they are now."""

    content: str
    kind: str
    title: str
    category: str
    summary: str
    body: str
    cover: str
    pictures: list[str]
    clips: list[str]
    goods: list[ContentGoods]
    room: str
    show: str
    audience: str
    sharers: str
    version: int
    shown: int
    published: int | None
    created: int
    updated: int


class ReadAnswer(Struct):
    """A piece for its reader: their token and person, whose shop it is, and whether they may share it."""

    token: str
    person: str
    name: str
    expires: int
    shop: str
    may_share: bool
    content: ContentAnswer


class VersionsAnswer(Struct):
    """Who wrote which version when, newest first."""

    versions: list[dict[str, Any]]
