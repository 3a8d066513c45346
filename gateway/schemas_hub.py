"""Bodies and answers of what the shop's own tools ask of a room's hub."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from commerce.domain.webhook import URL_CHARACTERS_MAX
from commerce.review_hook_sql import TIMEOUT_MS_MAX, TIMEOUT_MS_MIN
from gateway.schemas import Body


class ReviewHookBody(Body, kw_only=True):
    """Where lines are looked at; ``fail_open`` shows a line that nobody answered for in time."""

    url: Annotated[str, Meta(min_length=1, max_length=URL_CHARACTERS_MAX)]
    timeout_ms: Annotated[int, Meta(ge=TIMEOUT_MS_MIN, le=TIMEOUT_MS_MAX)] = 1_000
    fail_open: bool = False


class ReviewHookAnswer(Struct):
    """``room`` is None for the hook of all rooms; ``secret`` is told once, when the hook is set."""

    room: str | None
    url: str
    timeout_ms: int
    fail_open: bool
    created: int
    secret: str | None = None


class EventBody(Body, kw_only=True):
    """An event of the shop's own for a room's pages: ``data`` is what they get under that name."""

    name: Annotated[str, Meta(min_length=1, max_length=40, pattern=r"^[a-z][a-z0-9_.-]*$")]
    data: dict[str, Any] = field(default_factory=dict)
    tier: Literal["P0", "P1", "P2", "P3"] = "P1"
    keep: bool = True


class PollResultView(Struct):
    """A poll of a room: one sum of votes for each option; ``ends`` when it ends by itself, ``ended`` when it did."""

    poll: str
    title: str
    options: list[str]
    votes: list[int]
    started: int
    ends: int | None
    ended: int | None


class PollsAnswer(Struct):
    """Polls, newest first; ``next`` is the cursor of those before."""

    items: list[PollResultView]
    next: str | None


class SecondView(Struct):
    """One second of a room: people in it, lines said, messages written to sockets, and those that slow ones lost."""

    at: int
    viewers: int
    lines: int
    messages: int
    dropped: int


class WordView(Struct):
    word: str
    count: int


class ServerView(Struct):
    """One server's part of a room: people there, their connections, and what it counted since it opened the room."""

    server: str
    viewers: int
    connections: int
    chat_lines: int
    messages_out: int
    dropped: int
    skipping: int


class FiguresAnswer(Struct):
    """A room as its staff see it, summed over the ``servers`` that have it: this one, and the others as they told it in
    the last seconds (not while the bus between them is away). ``tick_ms`` is this server's.

    ``roles`` and ``ways`` count connections: of viewers, customers (``member``), moderators, assistants, hosts, the
    merchant; by WebSocket, compressed WebSocket, event stream, polling. ``dropped`` has messages by tier that slow
    connections lost, ``skipping`` the connections that get nothing for now, ``held`` people whose line is being looked
    at.
    """

    now: int
    viewers: int
    connections: int
    roles: dict[str, int]
    ways: dict[str, int]
    likes: int
    chat_lines: int
    chat_sampled: int
    messages_out: int
    dropped: dict[str, int]
    skipping: int
    slow_skipped: int
    held: int
    tick_ms: int
    words: list[WordView]
    servers: list[ServerView]
    seconds: list[SecondView]
