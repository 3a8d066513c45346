"""Bodies and answers of the organisation: nodes, accounts with their seats, sums that roll up."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from commerce.catalogue_checks import LOGIN_CHARACTERS_MAX
from commerce.org import REASON_CHARACTERS_MAX
from commerce.passwords import PASSWORD_CHARACTERS_MAX
from gateway.schemas_base import Body, Id, Title

NodeKind = Literal["group", "brand", "dealer", "store", "guide"]
SeatRole = Literal["owner", "manager", "accountant", "host", "assistant", "moderator", "guide", "readonly"]
Login = Annotated[str, Meta(min_length=1, max_length=LOGIN_CHARACTERS_MAX)]
Password = Annotated[str, Meta(min_length=1, max_length=PASSWORD_CHARACTERS_MAX)]


class NodeBody(Body, kw_only=True):
    """A new node; the first is the group, which alone has no ``parent``."""

    kind: NodeKind
    name: Title
    parent: Id | None = None


class NodeChange(Body, kw_only=True):
    """What of a node changes."""

    name: Title | None = None
    parent: Id | None = None
    closed: bool | None = None


class NodeView(Struct):
    """A node with the rooms that belong to it itself."""

    node: str
    parent: str | None
    kind: str
    name: str
    closed: bool
    rooms: list[str]


class OwnSeat(Struct):
    """Where the account that asks sits; ``node`` is empty for one that has the whole merchant without a seat."""

    node: str
    role: str


class OrgAnswer(Struct):
    """The part of the tree that an account reaches, each node after its parent."""

    seat: OwnSeat
    nodes: list[NodeView]


class RoomNodeBody(Body, kw_only=True):
    """``node`` null gives the room back to the merchant."""

    node: Id | None


class JoinBody(Body, kw_only=True):
    """A new account; a guide is seated at a store and gets a node of their own there."""

    node: Id
    role: SeatRole
    name: Title
    login: Login
    password: Password


class SeatBody(Body, kw_only=True):
    node: Id
    role: SeatRole


class LeaveBody(Body, kw_only=True):
    """``heir``: the guide who has the customers from now on."""

    heir: Id | None = None
    reason: Annotated[str, Meta(max_length=REASON_CHARACTERS_MAX)] = ""


class SeatView(Struct):
    """An account; ``left`` is when it ended (Unix ms)."""

    staff: str
    name: str
    login: str
    node: str
    role: str
    joined: int
    left: int | None


class LeftAnswer(Struct):
    """How many customers were handed over."""

    customers: int


class SumsView(Struct):
    """Orders made in the period; money in 分. ``buyers`` paid; ``customers`` are the guides' at the time of reading.

    ``gmv`` and ``refunded`` are of goods bought online, ``freight`` was paid beside them; ``tills`` is what tills took
    on ``receipts``. All agree with the board to the 分.
    """

    orders: int
    paid: int
    gmv: int
    refunds: int
    refunded: int
    freight: int
    freight_refunded: int
    buyers: int
    customers: int
    receipts: int
    tills: int
    tills_refunded: int


class ChildSums(Struct):
    """A child with all that is below it."""

    node: str
    kind: str
    name: str
    closed: bool
    sums: SumsView


class OrgFiguresAnswer(Struct):
    """``total`` is the node with all below it: ``own`` and the children's together, but that people count once."""

    node: str
    kind: str
    name: str
    parent: str | None
    since: int
    until: int
    total: SumsView
    own: SumsView
    children: list[ChildSums]
