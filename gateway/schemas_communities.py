"""Bodies and answers of community groups."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from commerce.communities import RULES_CHARACTERS_MAX
from gateway.schemas_base import Body, Id, Title

Rules = Annotated[str, Meta(min_length=1, max_length=RULES_CHARACTERS_MAX)]
Place = Annotated[str, Meta(max_length=64)]


class CommunityBody(Body, kw_only=True):
    """A group: who joins accepts ``rules``; ``room`` is where its members are led; ``node`` whose it is, if not one's
    own."""

    name: Title
    rules: Rules
    room: Place = ""
    node: Place = ""


class CommunityChangeBody(Body, kw_only=True):
    """What changes; new rules are a new version, which members are asked to accept."""

    name: Title | None = None
    rules: Rules | None = None
    room: Place | None = None
    closed: bool = False


class MemberBody(Body, kw_only=True):
    role: Literal["member", "leader", "removed"]


class CommunityLinkBody(Body, kw_only=True):
    """What is posted in the group: its room when neither is given."""

    room: Id | None = None
    content: Id | None = None


class JoinBody(Body, kw_only=True):
    """``rules``: the version that was read and accepted."""

    rules: Annotated[int, Meta(ge=1, le=1_000_000)]


class CommunityView(Struct):
    """A group with its stage: new, growing, active or quiet; ``joined`` and ``active`` of the last 28 days."""

    community: str
    name: str
    node: str
    owner: str
    room: str
    rules: str
    rules_version: int
    created: int
    stage: str
    members: int
    joined: int
    active: int


class CommunitiesAnswer(Struct):
    items: list[CommunityView]
    next: str | None


class ScorePart(Struct):
    """How many of a part counted in 28 days, and the points that they make."""

    name: str
    n: int
    points: int


class MemberView(Struct):
    """A member with their activity and where its points come from."""

    person: str
    name: str
    role: str
    rules: int
    joined: int
    score: int
    parts: list[ScorePart]


class FormulaPart(Struct):
    """A part of the score: points each, so many a day and in 28 days at most."""

    name: str
    points: int
    per_day: int
    most: int


class StageView(Struct):
    name: str
    when: str


class CommunityBoard(Struct):
    """A group's board over 28 days: what its links brought, members by activity, who is proposed as a leader.

    ``formula`` and ``stages`` say how score and stage come about.
    """

    group: CommunityView
    why: str
    visits: int
    entries: int
    orders: int
    buyers: int
    amount: int
    members: list[MemberView]
    proposed: list[str]
    formula: list[FormulaPart]
    stages: list[StageView]


class CommunityPage(Struct):
    """A group for who opens its page; ``member``: they are in it, under the rules of version ``accepted``."""

    token: str
    person: str
    name: str
    expires: int
    shop: str
    community: str
    title: str
    rules: str
    rules_version: int
    room: str
    member: bool
    accepted: int


class MyCommunity(Struct):
    community: str
    name: str
    room: str
    role: str
    rules_version: int
    accepted: int
    joined: int
