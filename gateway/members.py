"""Who a token's bearer is to the hub."""

from __future__ import annotations

from chat.member import Member
from gateway.auth import Claims


def member_of(claims: Claims) -> Member:
    """The bearer as a member of the room they enter."""
    return Member(
        claims.person, claims.name, claims.role, claims.merchant, claims.expires_ms, claims.known, claims.device
    )
