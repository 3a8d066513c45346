"""The organisation: what stands under what, what a role at a node may do, who may give which role. Pure.

A merchant's tree is group → brand → dealer → store → guide; levels may be left out, none may be turned round. An
account has one seat: a node and a role. What it reads and changes is the subtree of that node and nothing else.
"""

from dataclasses import dataclass

KINDS = ("group", "brand", "dealer", "store", "guide")
"""From the top down."""
ROLES = ("owner", "manager", "accountant", "host", "assistant", "moderator", "guide", "readonly")
NODES_MAX = 5_000
"""Nodes of one merchant: all of them are in memory, and a chain of 1,000 stores has some thousand guides."""
MEMBERS_MAX = 10_000
"""Accounts of one merchant that have or had a seat."""


@dataclass(frozen=True, slots=True)
class Right:
    """What a role may do in its subtree, and what its bearer is called at the doors (the ``role`` of a token)."""

    door: str
    writes: bool = True
    runs: bool = False
    """Runs rooms: shelf, sales, moderation, publish keys."""
    keeps: bool = False
    """Keeps order in the chat of rooms; who runs rooms does as well."""
    persons: bool = True
    """Reads customers, not only figures and orders."""
    books: bool = False
    """Reads accounts and orders alone."""


RIGHTS = {
    "owner": Right("merchant", runs=True),
    "manager": Right("merchant", runs=True),
    "accountant": Right("merchant", writes=False, persons=False, books=True),
    "host": Right("host", runs=True, persons=False),
    "assistant": Right("assistant", runs=True, persons=False),
    "moderator": Right("moderator", keeps=True, persons=False),
    "guide": Right("guide"),
    "readonly": Right("merchant", writes=False),
}


@dataclass(frozen=True, slots=True)
class Reach:
    """A part of a merchant's orders and customers: those of the subtree of ``node`` and those of ``room``.

    Either is empty for none; where a whole merchant is meant there is no ``Reach`` at all.
    """

    node: str
    room: str = ""


@dataclass(frozen=True, slots=True)
class Scope:
    """What a seated account reaches: the subtree of ``node``; ``whole`` when that is the whole merchant.

    ``rooms`` belong to the subtree. ``passing`` belong to nodes above: they are everybody's below to enter and to
    share, as a guide shares the show of their brand, and nobody's below to run. ``gone``: the account has left.
    """

    node: str
    role: str
    whole: bool
    rooms: frozenset[str]
    passing: frozenset[str]
    gone: bool = False

    @property
    def right(self) -> Right:
        """What the role may do."""
        return RIGHTS[self.role]

    def may_run(self, room: str) -> bool:
        """Whether the account runs a room."""
        return not self.gone and self.right.runs and (self.whole or room in self.rooms)

    def may_keep(self, room: str) -> bool:
        """Whether the account keeps order in a room's chat."""
        right = self.right
        return not self.gone and (right.runs or right.keeps) and (self.whole or room in self.rooms)

    def may_enter(self, room: str) -> bool:
        """Whether a room of the merchant is theirs to enter."""
        return self.whole or room in self.rooms or room in self.passing


def child_fault(kind: str, parent: str | None) -> str | None:
    """Why a node of a kind cannot stand under one of another, in words; None when it can."""
    if kind not in KINDS:
        return "kind is one of " + ", ".join(KINDS)
    if (parent is None) != (kind == "group"):
        return "a tree has one group, and that is its root"
    if parent is not None and KINDS.index(kind) <= KINDS.index(parent):
        return f"a {kind} does not stand under a {parent}: the order is " + ", ".join(KINDS)
    return None


def seat_fault(role: str, kind: str) -> str | None:
    """Why a role has no seat at a node of a kind, in words; None when it has."""
    if role not in ROLES:
        return "role is one of " + ", ".join(ROLES)
    if (role == "guide") != (kind == "guide"):
        return "guides sit at nodes of their own, and nobody else does"
    return None


def may_give(by: str, role: str) -> bool:
    """Whether a seat of ``role`` is given, changed or taken by one whose role is ``by``; empty: the merchant's own."""
    return by in ("", "owner") or (by == "manager" and role != "owner")
