"""Who may do what in a room: one table for all commands of the hub itself."""

from __future__ import annotations

from chat.errors import CommandRefused
from chat.member import STAFF_ROLES, Member

ANYBODY: frozenset[str] = frozenset()
"""Whoever is in the room, guests among them."""
KEEPERS = STAFF_ROLES
"""Moderator, assistant, host and merchant: who keeps a room's chat in order."""
STAFF = KEEPERS - {"moderator"}
"""Assistant, host and merchant: who speaks for the shop as well."""
HEADS = frozenset({"host", "merchant"})
"""Who decides what outlasts the moment."""

RIGHTS: dict[str, frozenset[str]] = {
    "chat.send": ANYBODY,
    "like": ANYBODY,
    "ack": ANYBODY,
    "question.ask": ANYBODY,
    "question.list": ANYBODY,
    "question.drop": ANYBODY,
    "poll.vote": ANYBODY,
    "mute": KEEPERS,
    "unmute": KEEPERS,
    "kick": KEEPERS,
    "ban": KEEPERS,
    "unban": HEADS,
    "bans.list": KEEPERS,
    "chat.slow": KEEPERS,
    "chat.audience": HEADS,
    "words.list": KEEPERS,
    "words.set": HEADS,
    "recall": KEEPERS,
    "moderators.list": KEEPERS,
    "moderator.add": HEADS,
    "moderator.remove": HEADS,
    "notice": STAFF,
    "announce": STAFF,
    "notice.pin": STAFF,
    "notice.unpin": STAFF,
    "question.answer": STAFF,
    "poll.start": STAFF,
    "poll.end": STAFF,
}
BAN_FOR_EVER = HEADS
"""Whose bans may last longer than `KEEPER_BAN_MS`."""
KEEPER_BAN_MS = 24 * 3_600_000
"""Longest ban by a moderator or an assistant: a day, until somebody has looked at it."""
UNAUDITED = frozenset(name for name, roles in RIGHTS.items() if not roles) - {"question.drop"} | {
    "bans.list",
    "words.list",
    "moderators.list",
}
"""Commands that change nothing for others as staff."""


def check_right(member: Member, command: str) -> None:
    """Raise CommandRefused `forbidden` when a member's role may not give a command."""
    roles = RIGHTS[command]
    if roles and member.role not in roles:
        who = {HEADS: "the host and the merchant", STAFF: "the shop's staff"}.get(roles, "those who keep order here")
        raise CommandRefused("forbidden", f"this command is for {who}")
