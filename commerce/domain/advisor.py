"""Who answers a customer's question: matched by skill, hours and load, with a word on everybody. Pure.

The customer's own advisor comes first, whatever the subject: they know the person, and can hand the question on. Of
the others those on duty who have the skill and a place free, the one with the least load; of equals the one who has
waited longest. Nobody on duty: the question waits, and is matched again when somebody may be.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from commerce.domain.day import DAY_MS, OFFSET_MS

MINUTE_MS = 60_000
DAY_MINUTES = 1_440
SKILLS_MAX = 20
SKILL_CHARACTERS_MAX = 20
HOURS_MAX = 21
"""Three spans a day."""
LOAD_MAX = 100
"""Open questions of one advisor at most: more are not a load but a heap."""
EPOCH_WEEKDAY = 3
"""1970-01-01 was a Thursday; Monday is 0."""


@dataclass(frozen=True, slots=True)
class Hours:
    """A span of a weekday (Monday 0) on the shop's clock, in minutes from midnight; ``until`` not included."""

    weekday: int
    since: int
    until: int


@dataclass(frozen=True, slots=True)
class Advisor:
    """Somebody who answers: ``load`` questions are theirs now, ``most`` at a time; no hours: always on duty."""

    staff: str
    skills: frozenset[str]
    hours: tuple[Hours, ...]
    most: int
    load: int = 0
    last_ms: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why an advisor was taken or passed by: chosen_own, chosen, busier, tried, off_duty, full or no_skill."""

    staff: str
    word: str
    load: int


@dataclass(frozen=True, slots=True)
class Choice:
    """Who answers (None: nobody can now), and a verdict on each advisor, the chosen one first."""

    staff: str | None
    verdicts: tuple[Verdict, ...]


def hours_fault(hours: Iterable[Hours]) -> str | None:
    """Why hours cannot be so, in words; None when they can."""
    for span in hours:
        if not 0 <= span.weekday <= 6 or not 0 <= span.since < span.until <= DAY_MINUTES:
            return "a span has a weekday from 0 (Monday) to 6, and minutes 0 to 1440 with since before until"
    return None


def on_duty(advisor: Advisor, now_ms: int) -> bool:
    """Whether an advisor works at a moment."""
    if not advisor.hours:
        return True
    day, since_midnight_ms = divmod(now_ms + OFFSET_MS, DAY_MS)
    weekday, minute = (day + EPOCH_WEEKDAY) % 7, since_midnight_ms // MINUTE_MS
    return any(span.weekday == weekday and span.since <= minute < span.until for span in advisor.hours)


def match(
    advisors: Iterable[Advisor], skill: str, now_ms: int, *, own: str | None = None, tried: Collection[str] = ()
) -> Choice:
    """Choose who answers; ``own`` is the customer's own advisor, ``tried`` those who let the question lie."""
    able: list[Advisor] = []
    passed: list[Verdict] = []
    for one in advisors:
        word = _fault(one, skill, now_ms, own, tried)
        if word is None:
            able.append(one)
        else:
            passed.append(Verdict(one.staff, word, one.load))
    able.sort(key=lambda one: (one.staff != own, one.load / one.most, one.last_ms, one.staff))
    words = ["chosen_own" if able and able[0].staff == own else "chosen", *["busier"] * len(able)]
    kept = [Verdict(one.staff, word, one.load) for one, word in zip(able, words, strict=False)]
    return Choice(able[0].staff if able else None, (*kept, *sorted(passed, key=lambda one: one.staff)))


def _fault(one: Advisor, skill: str, now_ms: int, own: str | None, tried: Collection[str]) -> str | None:
    """Why somebody does not answer; None when they can."""
    if one.staff in tried:
        return "tried"
    if one.staff != own and skill and skill not in one.skills:
        return "no_skill"
    if not on_duty(one, now_ms):
        return "off_duty"
    return "full" if one.load >= one.most else None
