"""A touch: one moment at which a person met the shop, perhaps through somebody's link."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import orjson

from commerce.errors import Invalid

EVIDENCE_BYTES_MAX = 2_048  # what a scan or an ad click carries; more is somebody filling the disk
NAME_CHARACTERS_MAX = 64  # ids are 20 characters, channels and campaigns are short words
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class TouchKind(StrEnum):
    """What happened."""

    ROOM_ENTRY = "room_entry"
    CARD_CLICK = "card_click"
    SCAN = "scan"
    SHARE_OPEN = "share_open"
    CONTACT_ADDED = "contact_added"
    AD_CLICK = "ad_click"
    COUPON = "coupon"
    STORE_VISIT = "store_visit"
    CLIP_VIEW = "clip_view"
    CONTENT_READ = "content_read"


WITHIN = frozenset({TouchKind.CARD_CLICK, TouchKind.CLIP_VIEW})
"""What is done in a room carries the link that its person came by; how that one was bad was said when they came."""


@dataclass(frozen=True, slots=True)
class Touch:
    """One row of the log; ``link`` with its issuer, role, root and depth as they were then.

    ``reason`` says why the token gave no attribution. ``evidence`` is anything JSON-ready up to 2 KB. ``host`` is who
    hosted the room then, ``clip`` the explanation that was watched.
    """

    merchant: str
    person: str
    kind: TouchKind
    channel: str = ""
    room: str = ""
    sku: str = ""
    link: str | None = None
    issuer: str = ""
    role: str = ""
    root: str = ""
    depth: int = 0
    evidence: Mapping[str, Any] = field(default_factory=dict)
    reason: str | None = None
    campaign: str = ""
    host: str = ""
    clip: str = ""
    content: str = ""


@dataclass(frozen=True, slots=True)
class Entries:
    """The first and last room entry of a person (Unix milliseconds), or ``None`` for both."""

    first_ms: int | None
    last_ms: int | None


def kind_of(value: str) -> TouchKind:
    """Read a kind from outside. Raises ``Invalid``."""
    try:
        return TouchKind(value)
    except ValueError as error:
        raise Invalid(f"kind must be one of {', '.join(TouchKind)}", field="kind") from error


def short(value: str | None, name: str) -> str:
    """Check a short name from outside (room, SKU, channel …); ``None`` is the empty text. Raises ``Invalid``."""
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > NAME_CHARACTERS_MAX or _CONTROL.search(value):
        raise Invalid(f"{name} must be text of at most {NAME_CHARACTERS_MAX} characters", field=name)
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise Invalid(f"{name} is not valid Unicode", field=name)
    return value


def evidence_text(evidence: Mapping[str, Any]) -> str:
    """Write evidence as JSON of at most 2 KB; what is longer or no JSON is replaced by a note that says so."""
    if not evidence:
        return "{}"
    try:
        encoded = orjson.dumps(dict(evidence))
    except orjson.JSONEncodeError:
        return '{"dropped":"not_json"}'
    return encoded.decode() if len(encoded) <= EVIDENCE_BYTES_MAX else '{"dropped":"too_long"}'
