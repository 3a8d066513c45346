"""Bodies and answers of appointments."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from gateway.schemas_base import Body, Id

KeeperRole = Literal["assistant", "moderator"]


class KeeperBody(Body, kw_only=True):
    """What somebody is made in a room."""

    role: KeeperRole


class PlaceKeeperBody(KeeperBody, kw_only=True):
    """``node``: for its rooms and those below it; without it for all rooms of the merchant."""

    node: Id | None = None


class AppointedView(Struct):
    """Who was appointed, for what and by whom; ``kind`` (room, node, all) says what ``place`` is. Times in Unix ms."""

    person: str
    name: str
    role: str
    kind: str
    place: str
    by: str
    since: int
    by_name: str


class AppointedList(Struct):
    items: list[AppointedView]


class KeeperStepView(Struct):
    """A line of the journal of appointments: ``step`` is appointed or dismissed. Times in Unix ms."""

    id: str
    step: str
    person: str
    name: str
    role: str
    kind: str
    place: str
    by: str
    by_name: str
    at: int


class KeeperJournal(Struct):
    """Newest first; ``next`` is the cursor of the page that follows."""

    items: list[KeeperStepView]
    next: str | None = None
