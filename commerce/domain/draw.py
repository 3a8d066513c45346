"""Draws that anyone can recompute: who wins, in which order, and how a pool of money is parted. Pure.

Before entries open, ``commitment`` is published; after they close, the seed and the tickets in their order. Then:

    root       = SHA-256 over the tickets, each followed by a line feed, in order of entry
    key        = SHA-256 (seed ‖ root)                                        32 bytes each
    score(t)   = HMAC-SHA-256 (key, t)                                        t: the ticket's ASCII text
    ranking    = the tickets by ascending score                               the first k win
    cut(i)     = the first 8 bytes of HMAC-SHA-256 (key, "cut:" i), big-endian, modulo (pool − k·least + 1), i = 1 … k−1
    share(j)   = least + the j-th difference of 0, the cuts in order, pool − k·least

The seed is fixed before anybody enters, so it cannot be chosen to suit the entries; the tickets go into the key, so
that nobody who knows the seed can say who wins before the last entry. What it does not prove is that every ticket is a
person's: the list is public for that, and each person is told their own ticket.
"""

import hmac
from collections.abc import Container, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise

ALGORITHM = "siyu-draw-1"
"""The rules above; others would have another name."""
SEED_BYTES = 32
ENTRIES_MAX = 100_000
"""Entries of one draw: its list is 2 MB of tickets, and ranking it takes 0.3 s."""
WINNERS_MAX = 10_000
"""Winners of one draw: each gets a hold or a coupon in one transaction."""
ENTER_S_MAX = 24 * 3600
PRIZE_VALUE_MAX = 5_000_000
"""分: a drawn prize is worth at most ¥50,000 (the rule against unfair competition, art. 11)."""
WORD_CHARACTERS_MAX = 40
TASKS = ("none", "comment", "follow")


@dataclass(frozen=True, slots=True)
class DrawRow:
    """One draw as stored; times in Unix milliseconds, money in 分. ``seed`` is secret until it is drawn."""

    id: str
    merchant: str
    room: str
    kind: str
    subject: str | None
    title: str
    task: str
    word: str
    seed: str
    commitment: str
    winners: int
    pool: int
    least: int
    valid_ms: int
    entries: int
    won: int
    opens_ms: int
    closes_ms: int
    drawn_ms: int | None
    voided_ms: int | None
    announced: str


@dataclass(frozen=True, slots=True)
class Ticket:
    """One entry as it is published: ``place`` (from 0) and 分 are the winners'; a ``void`` one cannot win."""

    ticket: str
    place: int | None
    amount: int
    void: bool


def draw_state(draw: DrawRow, now_ms: int) -> str:
    """Where a draw is: soon, open, closed (its result is due at once), drawn or void."""
    if draw.voided_ms is not None:
        return "void"
    if draw.drawn_ms is not None:
        return "drawn"
    if now_ms < draw.opens_ms:
        return "soon"
    return "open" if now_ms < draw.closes_ms else "closed"


def decide_entry(draw: DrawRow, entries: int, now_ms: int) -> str | None:
    """None when one more person may enter a draw that has ``entries``, else the refusal's code."""
    state = draw_state(draw, now_ms)
    if state == "soon":
        return "not_open"
    if state != "open":
        return "closed"
    return "gone" if entries >= ENTRIES_MAX else None


def commitment(seed: bytes) -> str:
    """What is published before: the seed's SHA-256 in hex."""
    return sha256(seed).hexdigest()


def draw_key(seed: bytes, tickets: Sequence[str]) -> bytes:
    """The key of scores and cuts, of the seed and all tickets in order of entry."""
    root = sha256("".join(f"{ticket}\n" for ticket in tickets).encode("ascii")).digest()
    return sha256(seed + root).digest()


def ranking(seed: bytes, tickets: Sequence[str], void: Container[str] = ()) -> list[str]:
    """The tickets, the winners first. Void ones are in the key like all others, and cannot win."""
    key = draw_key(seed, tickets)
    good = (ticket for ticket in tickets if ticket not in void)
    return sorted(good, key=lambda ticket: hmac.digest(key, ticket.encode("ascii"), "sha256"))


def shares(seed: bytes, tickets: Sequence[str], pool: int, parts: int, least: int) -> list[int]:
    """A pool of 分 in ``parts`` random shares of at least ``least``, whose sum is the pool; share j is rank j's.

    Raises ValueError when the pool is too small.
    """
    rest = pool - parts * least
    if parts < 1 or least < 1 or rest < 0:
        raise ValueError("the pool is too small for so many shares")
    key = draw_key(seed, tickets)
    drawn = (hmac.digest(key, f"cut:{i}".encode("ascii"), "sha256")[:8] for i in range(1, parts))
    cuts = [0, *sorted(int.from_bytes(piece, "big") % (rest + 1) for piece in drawn), rest]
    return [least + after - before for before, after in pairwise(cuts)]
