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


class AudienceAnswer(Struct):
    """People in a room at this server by role and by how they are connected, and how their sockets fare."""

    viewers: int
    roles: dict[str, int]
    ways: dict[str, int]
    slow: int
    skipped: int
