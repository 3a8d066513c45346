"""New ids: the random part of what ``commerce/domain/ids.py`` lays out, which draws nothing itself."""

from __future__ import annotations

import secrets

from commerce.domain.ids import ENTROPY_BYTES, new_ids


def fresh_id(now_ms: int) -> str:
    """A new id of this moment (Unix milliseconds)."""
    return fresh_ids(now_ms, 1)[0]


def fresh_ids(now_ms: int, count: int) -> list[str]:
    """As many new ids of one moment, in no order."""
    return new_ids(now_ms, secrets.token_bytes(count * ENTROPY_BYTES))
