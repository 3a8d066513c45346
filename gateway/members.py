"""Who a token's bearer is to the hub."""

from __future__ import annotations

from dataclasses import replace

from chat.member import Member
from commerce.domain.org import Scope
from gateway.auth import HOST_ROLES, MODERATOR, Claims

ASSISTANT = "assistant"


def member_of(claims: Claims) -> Member:
    """The bearer as a member of the room they enter."""
    who = (claims.person, claims.name, claims.role, claims.merchant, claims.expires_ms, claims.known, claims.device)
    return Member(*who, came_as=claims.role)


def member_in(claims: Claims, room: str, merchant: str, appointed: str = "") -> Member:
    """The bearer as a member of ``room``, which they may enter; ``appointed`` is what they were made there.

    A room of a node above is theirs to watch and to share, not to run or to keep: there they are guides.
    """
    role = claims.role
    if (role in HOST_ROLES or role == MODERATOR) and not claims.may_keep(room, merchant):
        role = "guide"
    if appointed and role not in HOST_ROLES:
        # An assistant is an account: who handles goods and money signs in.
        role = ASSISTANT if appointed == ASSISTANT and claims.account else MODERATOR
    return replace(member_of(claims), role=role)


def assisting(claims: Claims, room: str, appointed: str) -> Claims:
    """An account as the assistant of ``room`` that it was ``appointed``, unless it is more there by itself."""
    if appointed != ASSISTANT or not claims.account or claims.may_run(room, claims.merchant):
        return claims
    return replace(claims, role=ASSISTANT, room=room, scope=Scope("", ASSISTANT, False, frozenset({room}), frozenset()))
