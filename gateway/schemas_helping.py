"""Bodies and answers of helper tasks."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from commerce.domain.helping import NEEDED_MAX, NEEDED_MIN
from commerce.helping import DAYS_MAX
from gateway.schemas_base import Body, Cents, Id, Millis, Price, Title


class HelpTaskBody(Body, kw_only=True):
    """A task: ``needed`` helpers bring a coupon of ``amount``, good for ``days``, out of ``budget`` (分), its own."""

    room: Id
    title: Title
    reason: Title
    needed: Annotated[int, Meta(ge=NEEDED_MIN, le=NEEDED_MAX)]
    amount: Price
    threshold: Cents = 0
    days: Annotated[int, Meta(ge=1, le=DAYS_MAX)] = 7
    until: Millis
    budget: Cents


class HelpTurnBody(Body, kw_only=True):
    active: bool


class HelpTaskMade(Struct):
    task: str


class HelpTaskView(Struct):
    """A task with what became of it; ``free`` is what its budget can still promise, ``owed`` waits for that."""

    task: str
    title: str
    reason: str
    needed: int
    amount: int
    threshold: int
    active: bool
    until: int
    posters: int
    helpers: int
    given: int
    owed: int
    free: int


class MyHelpTask(Struct):
    """A task that is open, with one's own poster (``url``, null without one) and how many have helped."""

    task: str
    title: str
    reason: str
    needed: int
    amount: int
    threshold: int
    until: int
    poster: str | None
    url: str | None
    helped: int
    done: bool
    rewarded: bool


class PosterMade(Struct):
    poster: str
    url: str
    token: str


class HelpPage(Struct):
    """A poster for who opens it; ``own``: it is theirs."""

    token: str
    person: str
    name: str
    expires: int
    shop: str
    owner: str
    title: str
    needed: int
    helped: int
    amount: int
    threshold: int
    done: bool
    open: bool
    own: bool
    room: str


class HelpAnswer(Struct):
    """``counted``: false when the rules do not count this help, as with too many from one network."""

    helped: int
    needed: int
    done: bool
    counted: bool
