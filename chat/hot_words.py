"""The words that a room says most just now. Pure: `now_ms` is an argument.

Chinese has no spaces between words: its particles part a line, and every run of two to four characters between them
counts as one. When they are read, what is only a part of a longer word that is said as often is left out, and so is
what overlaps one that is said more. Words of other scripts are taken as they stand.
Counts are halved each minute; how many words are known is bounded, and the rarest are forgotten first.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

HALF_LIFE_MS = 60_000
WORDS_MAX = 3_000
"""Words known of a room: some 300 KB while it is hot."""
WORDS_LINE_MAX = 60
"""Words taken of one line: more is not talk."""
HAN_CHARS = (2, 3, 4)
WORD_CHARS_MAX = 16
CANDIDATES = 20
"""Words looked at for each that is asked for: a hot word brings up to five parts of its own."""
SAID_MIN = 2
"""A word that was said once is not hot."""
PART_SHARE = 0.8
"""A part is left out when the longer word is said at least so often, compared with it."""

PARTICLES = re.compile("[的了吗呢啊吧呀哦嘛是有在到我你他她它们这那就都和也还不没很要把被给]")
"""Characters that belong to the sentence, and to few words that are worth showing."""
# Letters only: figures are prices and telephone numbers, asterisks are what the filter masked.
_HAN = re.compile("[\u3400-\u9fff]")
_RUNS = re.compile(r"[\u3400-\u9fff]+|[^\W\d_\u3400-\u9fff]{2,}")


class HotWords:
    """Counts of one room."""

    __slots__ = ("_counts", "_halved_ms")

    def __init__(self, now_ms: int) -> None:
        self._counts: dict[str, float] = {}
        self._halved_ms = now_ms

    def hear(self, text: str, now_ms: int) -> None:
        """Count the words of a line, each once: who repeats one in a line says it no louder."""
        self._fade(now_ms)
        counts = self._counts
        for word in _words(text):
            counts[word] = counts.get(word, 0.0) + 1.0
        if len(counts) > WORDS_MAX:
            kept = sorted(counts.items(), key=lambda item: item[1], reverse=True)[: WORDS_MAX // 2]
            self._counts = dict(kept)

    def _fade(self, now_ms: int) -> None:
        halvings = (now_ms - self._halved_ms) // HALF_LIFE_MS
        if halvings <= 0:
            return
        self._halved_ms += halvings * HALF_LIFE_MS
        share = 0.5 ** min(halvings, 60)
        self._counts = {word: count * share for word, count in self._counts.items() if count * share >= 0.5}

    def top(self, count: int, now_ms: int) -> list[tuple[str, int]]:
        """Return the words said most, with how often (rounded), the most first."""
        self._fade(now_ms)
        ranked = sorted(
            ((word, said) for word, said in self._counts.items() if said >= SAID_MIN),
            key=lambda item: (-item[1], -len(item[0]), item[0]),
        )[: CANDIDATES * count]
        chosen: dict[str, int] = {}
        for word, said in ranked:
            if len(chosen) < count and not _is_part(word, said, ranked) and not _overlaps(word, chosen):
                chosen[word] = round(said)
        return list(chosen.items())


def _is_part(word: str, said: float, others: Sequence[tuple[str, float]]) -> bool:
    return any(word != other and word in other and often >= PART_SHARE * said for other, often in others)


def _overlaps(word: str, chosen: Iterable[str]) -> bool:
    if not _HAN.match(word):
        return False
    return any(word[at : at + 2] in other for other in chosen for at in range(len(word) - 1))


def _words(text: str) -> list[str]:
    """Return the different words of a line, as many as are taken."""
    found: dict[str, None] = {}
    for run in _RUNS.findall(PARTICLES.sub(" ", text.lower())):
        if _HAN.match(run):
            for length in HAN_CHARS:
                for start in range(len(run) - length + 1):
                    found[run[start : start + length]] = None
        elif len(run) <= WORD_CHARS_MAX and run.isalpha():
            found[run] = None
        if len(found) >= WORDS_LINE_MAX:
            break
    return list(found)[:WORDS_LINE_MAX]
