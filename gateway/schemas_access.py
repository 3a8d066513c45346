"""Bodies and answers of publish keys, play tokens and the hook that is asked before a broadcast."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from commerce.access_sql import KEY_NAME_CHARACTERS_MAX
from commerce.domain.webhook import URL_CHARACTERS_MAX
from commerce.media_hook_sql import TIMEOUT_MS_MAX, TIMEOUT_MS_MIN
from gateway.access import PLAY_TTL_S_MAX, PLAY_TTL_S_MIN
from gateway.schemas import Body, Millis, PublishView

NETWORK_CHARACTERS_MAX = 64
Network = Annotated[
    str, Meta(max_length=NETWORK_CHARACTERS_MAX, description="address or CIDR range from which hosts may come")
]


class KeyBody(Body, kw_only=True):
    name: Annotated[str, Meta(min_length=1, max_length=KEY_NAME_CHARACTERS_MAX, description="what it is for")]
    expires: Millis | None = None
    network: Network | None = None


class PlayTokenBody(Body, kw_only=True):
    ttl_s: Annotated[int, Meta(ge=PLAY_TTL_S_MIN, le=PLAY_TTL_S_MAX)] = 12 * 3600


class MediaHookBody(Body, kw_only=True):
    url: Annotated[str, Meta(min_length=1, max_length=URL_CHARACTERS_MAX)]
    timeout_ms: Annotated[int, Meta(ge=TIMEOUT_MS_MIN, le=TIMEOUT_MS_MAX)] = 2_000
    fail_open: Annotated[bool, Meta(description="whether a host may go live when there is no answer")] = False


class MediaHookAnswer(Struct):
    """Who is asked before a host goes live; ``secret`` is told once, when it is set."""

    url: str
    timeout_ms: int
    fail_open: bool
    created: int
    secret: str | None = None


class KeyAnswer(Struct):
    """A publish key; ``state`` is good, expired or revoked, ``publish`` is there while it is good."""

    key: str
    name: str
    state: str
    live: bool
    created: int | None
    expires: int | None
    network: str | None
    publish: PublishView | None


class PlayTokenAnswer(Struct):
    """A token for ``?token=`` of playback addresses; ``id`` is the name by which it is revoked."""

    id: str
    token: str
    expires: int


class ClosedAnswer(Struct):
    """How many viewers were closed."""

    closed: int
