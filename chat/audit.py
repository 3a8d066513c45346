"""What staff did in a room: one entry for each action, handed to whoever keeps them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

TEXT_CHARS_MAX = 200
"""Characters kept of each argument: enough to know what was said, whatever a client sends."""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Who did what to whom, when (Unix ms) and in which room; `detail` holds the rest of the arguments."""

    at: int
    room: str
    by: Mapping[str, str]
    action: str
    person: str | None
    detail: Mapping[str, Any]


AuditTrail = Callable[[AuditEntry], None]
"""Keeps an entry. Must neither wait nor raise."""


def brief(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return a command's arguments as an entry keeps them: short texts and numbers."""
    kept: dict[str, Any] = {}
    for name, value in arguments.items():
        if value is None or isinstance(value, (bool, int, float)):
            kept[name] = value
        elif name not in {"person", "key"}:
            kept[name] = str(value)[:TEXT_CHARS_MAX]
    return kept
