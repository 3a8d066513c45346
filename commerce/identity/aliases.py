"""Who a merged person is now, in memory: asked at every request and each command of the hub."""

from collections.abc import Callable, Collection, Mapping

from commerce.attribution.links_sql import Transaction
from commerce.identity import merge_sql
from commerce.store_sql import Store

OVERLAP_MS = 10_000
"""What other processes committed while this one read: read again, by their clocks."""


class Aliases:
    """Maps a person who was merged away to the one who goes on; everybody else to themselves."""

    def __init__(self) -> None:
        self._person: dict[str, str] = {}
        self._merged: dict[str, tuple[str, ...]] = {}
        self._seen_ms = 0
        self._listeners: list[Callable[[Collection[str]], None]] = []

    def listen(self, listener: Callable[[Collection[str]], None]) -> None:
        """Tell ``listener`` of the people who became one, or two again, where they are learned of."""
        self._listeners.append(listener)

    def __len__(self) -> int:
        return len(self._person)

    def now(self, person: str) -> str:
        """The person who goes on."""
        return self._person.get(person, person)

    def ids(self, person: str) -> tuple[str, ...]:
        """All ids that a person is known by, the one they go on under first."""
        now = self.now(person)
        return (now, *self._merged.get(now, ()))

    def learn(self, changed: Mapping[str, str]) -> None:
        """Take in rows of the alias table; one that points to itself is no alias any more."""
        people: set[str] = set()
        for alias, person in changed.items():
            before = self._person.get(alias, alias)
            if before == person:
                continue
            people |= {before, person}
            if before != alias:
                self._part(alias, before)
            if alias == person:
                self._person.pop(alias, None)
            else:
                self._person[alias] = person
                self._merged[person] = (*self._merged.get(person, ()), alias)
        if people:
            for listener in self._listeners:
                listener(people)

    def _part(self, alias: str, person: str) -> None:
        left = tuple(one for one in self._merged[person] if one != alias)
        if left:
            self._merged[person] = left
        else:
            del self._merged[person]

    def read(self, db: Transaction) -> None:
        """Take in what changed since the last time, all of it at first."""
        self._take(merge_sql.aliases_since(db, self._since_ms))

    async def follow(self, store: Store) -> None:
        """The same from a store."""
        since_ms = self._since_ms
        self._take(await store.read(lambda db: merge_sql.aliases_since(db, since_ms)))

    @property
    def _since_ms(self) -> int:
        return self._seen_ms - OVERLAP_MS

    def _take(self, found: tuple[Mapping[str, str], int]) -> None:
        changed, newest_ms = found
        self.learn(changed)
        self._seen_ms = max(self._seen_ms, newest_ms)
