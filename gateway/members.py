"""Who a token's bearer is to the hub."""

from __future__ import annotations

from dataclasses import replace

from chat.member import Member
from gateway.auth import HOST_ROLES, MODERATOR, Claims


def member_of(claims: Claims) -> Member:
    """The bearer as a member of the room they enter."""
    return Member(
        claims.person, claims.name, claims.role, claims.merchant, claims.expires_ms, claims.known, claims.device
    )


def member_in(claims: Claims, room: str, merchant: str) -> Member:
    """The bearer as a member of ``room``, which they may enter.

    A room of a node above is theirs to watch and to share, not to run or to keep: there they are guides.
    """
    keeper = claims.role in HOST_ROLES or claims.role == MODERATOR
    return member_of(replace(claims, role="guide") if keeper and not claims.may_keep(room, merchant) else claims)
