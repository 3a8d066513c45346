"""Reach: how many different people met the shop in any run of days, without looking at a touch again. Pure.

A count of different people cannot be added up: who came on Monday and on Thursday is one person of that week. So each
day on which a person was seen is written with the day on which they had been seen before (0: never). Over the days
FIRST to LAST everybody has exactly one day in the run whose day before lies in front of it, their first; hence::

    different people = sum of persons over the cells with FIRST <= day <= LAST and before < FIRST

That holds for each key (everybody, a link, an issuer, a channel, a campaign, a room, a host, a clip) and each step by
itself. A cell (key, step, day, before) is one number, however many came. Days are the shop's, Asia/Shanghai.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b

DAY_MS = 86_400_000
SHANGHAI_MS = 8 * 3_600_000
"""Ahead of UTC, all year round."""
VISIT, ENTRY, CLICK = 1, 2, 4
STEPS = (VISIT, ENTRY, CLICK)
TOUCHES = 8
"""A cell of this step counts touches, not people: those whose token gave nothing, by the reason."""
_STEP_OF = {"room_entry": VISIT | ENTRY, "card_click": VISIT | CLICK}

KEYS_CACHED_MAX = 20_000
"""A hot shop's links and issuers; about 4 MB."""
PERSONS_CACHED_MAX = 50_000
"""Who is here now; about 8 MB."""

Pair = tuple[int, int]
"""A key's number and a person's."""
Cell = tuple[int, int, int, int]
"""Key, step, day, and the day before it on which the person was there."""


def day_of(ms: int) -> int:
    """The shop's day of a moment: days since 1970-01-01 in Shanghai."""
    return (ms + SHANGHAI_MS) // DAY_MS


def day_ms(day: int) -> int:
    """The first moment of a day, in Unix milliseconds."""
    return day * DAY_MS - SHANGHAI_MS


@dataclass(frozen=True, slots=True)
class Key:
    """What is counted for: a dimension and one of its values, with what its row on the board says beside the counts."""

    number: int
    merchant: str
    dimension: str
    key: str
    issuer: str = ""
    role: str = ""
    channel: str = ""


@dataclass(frozen=True, slots=True)
class Met:
    """What of a touch counts."""

    ms: int
    merchant: str
    person: str
    kind: str
    channel: str
    room: str
    link: str | None
    issuer: str
    role: str
    depth: int
    reason: str | None
    campaign: str
    host: str = ""
    clip: str = ""


@dataclass(slots=True)
class Gathered:
    """A batch of touches: by day the steps of each key and person, touches with a reason, and the keys themselves."""

    steps: dict[int, dict[Pair, int]] = field(default_factory=dict)
    touches: Counter[tuple[int, int]] = field(default_factory=Counter)
    keys: dict[int, Key] = field(default_factory=dict)


def gather(touches: Iterable[Met]) -> Gathered:
    """Put a batch together: each key and person once a day."""
    out = Gathered()
    for touch in touches:
        day = day_of(touch.ms)
        steps = _STEP_OF.get(touch.kind, VISIT)
        who = _person_number(touch.person)
        here = out.steps.setdefault(day, {})
        for key, taken in _keys(touch, steps):
            out.keys.setdefault(key.number, key)
            if taken == TOUCHES:
                out.touches[key.number, day] += 1
            else:
                pair = (key.number, who)
                here[pair] = here.get(pair, 0) | taken
    return out


def _keys(touch: Met, steps: int) -> list[tuple[Key, int]]:
    """The keys that a touch counts for, each with the steps that it is."""
    merchant = touch.merchant
    found = [(_key(merchant, "all", ""), steps)]
    if touch.room:
        found.append((_key(merchant, "room", touch.room), steps))
    if touch.host:
        found.append((_key(merchant, "host", touch.host), steps))
    if touch.clip:
        found.append((_key(merchant, "clip", touch.clip), steps))
    if touch.reason is not None:
        found.append((_key(merchant, "reason", touch.reason), TOUCHES))
        return found
    found.append((_key(merchant, "channel", touch.channel, "", "", touch.channel), steps))
    if touch.link is None:
        return found
    found.append((_key(merchant, "link", touch.link, touch.issuer, touch.role, touch.channel), steps))
    found.append((_key(merchant, "issuer", touch.issuer, touch.issuer, touch.role), steps))
    if touch.campaign:
        found.append((_key(merchant, "campaign", touch.campaign), steps))
    # A share is a link made from a link, or one that a viewer made; opening one's own brings nobody.
    if steps & ENTRY and (touch.depth > 0 or touch.role == "viewer") and touch.issuer != touch.person:
        found.append((_key(merchant, "shared", ""), ENTRY))
    return found


@lru_cache(maxsize=KEYS_CACHED_MAX)
def _key(merchant: str, dimension: str, key: str, issuer: str = "", role: str = "", channel: str = "") -> Key:
    return Key(_number(f"{merchant}\0{dimension}\0{key}"), merchant, dimension, key, issuer, role, channel)


@lru_cache(maxsize=PERSONS_CACHED_MAX)
def _person_number(person: str) -> int:
    return _number(person)


def _number(text: str) -> int:
    """63 bits of a hash: two of a million people share theirs once in twenty million shops."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


@dataclass(frozen=True, slots=True)
class Present:
    """What is written of a key and person: the steps of this day; for each step the nearest day on either side."""

    steps: int = 0
    before: Sequence[int] = (0, 0, 0)
    after: Sequence[int] = (0, 0, 0)


def cells(day: int, taken: dict[Pair, int], present: dict[Pair, Present]) -> tuple[dict[Pair, int], Counter[Cell]]:
    """What a day's steps change: new steps of each key and person, and persons to add to each cell.

    A touch may be written after one of the next day (two processes around midnight): the cell of that later day then
    changes its ``before``.
    """
    news: dict[Pair, int] = {}
    change: Counter[Cell] = Counter()
    nothing = Present()
    for pair, steps in taken.items():
        there = present.get(pair, nothing)
        new = steps & ~there.steps
        if not new:
            continue
        news[pair] = new
        key = pair[0]
        for index, step in enumerate(STEPS):
            if not new & step:
                continue
            before, after = there.before[index], there.after[index]
            change[key, step, day, before] += 1
            if after:
                change[key, step, after, before] -= 1
                change[key, step, after, day] += 1
    return news, change


def key_number(merchant: str, dimension: str, key: str) -> int:
    """The number of a key, whose rows it leads to."""
    return _key(merchant, dimension, key).number


def person_number(person: str) -> int:
    """The number under which a person is written."""
    return _person_number(person)
