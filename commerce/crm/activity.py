"""How active customers are, how close, and who of them could speak for the shop: computed when asked, and explained."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from commerce.attribution import reach_sql
from commerce.attribution.reach import day_of
from commerce.attribution.touches_sql import TouchLog
from commerce.crm import activity_sql
from commerce.domain.activity import NOTHING, WINDOW_DAYS, Score, Strength, is_candidate, score, strength
from commerce.store_sql import Store

CANDIDATES_MAX = 50
SOME_MAX = 2_000
"""Of more persons than this it is quicker to count everybody who did something."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """Somebody who could speak for the shop, and why."""

    person: str
    name: str
    score: Score


class Activity:
    """Scores of each merchant's customers. ``clock`` gives Unix milliseconds."""

    def __init__(self, store: Store, touches: TouchLog, *, clock: Callable[[], int]) -> None:
        self._store = store
        self._touches = touches
        self._clock = clock

    async def of(self, merchant: str, people: Sequence[str]) -> dict[str, Score]:
        """The scores of some persons who go on; 0 for whoever did nothing."""
        now_ms = self._clock()
        some = people if len(people) <= SOME_MAX else None
        found, ids = await self._store.read(
            lambda db: (activity_sql.counts(db, merchant, now_ms, some), activity_sql.aliases(db, people))
        )
        today = day_of(now_ms)
        brought = await self._touches.report(
            lambda db: reach_sql.brought(db, merchant, ids, today - WINDOW_DAYS + 1, today)
        )
        return {one: score(found.get(one, Counter()) + Counter({"brought": brought.get(one, 0)})) for one in people}

    async def strengths(self, merchant: str, people: Sequence[str]) -> dict[str, Strength]:
        """How close some persons are to the shop; children, and who does not want to be sorted, are left out."""
        known, contacts = await self._store.read(
            lambda db: (activity_sql.still(db, merchant, people), activity_sql.contacts(db, merchant, people))
        )
        scores = await self.of(merchant, sorted(known))
        return {one: strength(scores.get(one, NOTHING), contact=one in contacts) for one in known}

    async def candidates(self, merchant: str) -> list[Candidate]:
        """Those who could be asked to speak for the shop, the most active first; never a child, nor who does not want
        to be sorted.
        """
        now_ms = self._clock()
        today = day_of(now_ms)
        issuers = await self._touches.report(lambda db: reach_sql.issuers(db, merchant, today - WINDOW_DAYS + 1, today))
        names = await self._store.read(lambda db: activity_sql.still(db, merchant, activity_sql.survivors(db, issuers)))
        scores = await self.of(merchant, sorted(names))
        found = [Candidate(one, names[one], made) for one, made in scores.items() if is_candidate(made)]
        return sorted(found, key=lambda one: (-one.score.total, one.person))[:CANDIDATES_MAX]
