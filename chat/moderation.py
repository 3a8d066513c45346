"""Rules of speaking: token buckets, text, mutes, the room's cap. Pure: `now_ms` is an argument."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from typing import NamedTuple

from chat.errors import CommandRefused
from chat.limits import RoomLimits
from chat.member import Member

TextFilter = Callable[[str], str | None]
"""Gets a clean text and returns what may be shown, or None to refuse it."""

# Explicit bidirectional controls turn the rest of a line round: used to disguise links (Unicode UAX 9, section 2).
_BIDI_CONTROLS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_REFUSED_CATEGORIES = frozenset({"Cc", "Cs", "Co", "Zl", "Zp"})


class TokenBucket:
    """Allow `rate_per_s` on average and `burst` at once."""

    __slots__ = ("_burst", "_rate", "_stamp_ms", "_tokens")

    def __init__(self, rate_per_s: float, burst: float, now_ms: int) -> None:
        self._rate = rate_per_s
        self._burst = burst
        self._tokens = burst
        self._stamp_ms = now_ms

    def take(self, now_ms: int) -> int:
        """Take one token; return 0, or the milliseconds until one is there."""
        if now_ms > self._stamp_ms:
            self._tokens = min(self._burst, self._tokens + (now_ms - self._stamp_ms) * self._rate / 1000)
        # A clock set back must not give tokens twice, nor stop the bucket until it has caught up.
        self._stamp_ms = now_ms
        if self._tokens >= 1:
            self._tokens -= 1
            return 0
        return max(1, int((1 - self._tokens) * 1000 / self._rate))


class JoinGate:
    """Limit joins a second, and spread those refused: the n-th refused is told to come n/rate later."""

    __slots__ = ("_bucket", "_owed", "_rate", "_stamp_ms")

    RETRY_MS_MIN = 500
    RETRY_MS_MAX = 30_000

    def __init__(self, rate_per_s: int, burst: int, now_ms: int) -> None:
        self._bucket = TokenBucket(rate_per_s, burst, now_ms)
        self._rate = rate_per_s
        self._owed = 0.0
        self._stamp_ms = now_ms

    def take(self, now_ms: int) -> int:
        """Let one in; return 0, or the milliseconds after which to come back."""
        if now_ms > self._stamp_ms:
            self._owed = max(0.0, self._owed - (now_ms - self._stamp_ms) * self._rate / 1000)
        self._stamp_ms = now_ms
        if not self._bucket.take(now_ms):
            return 0
        self._owed += 1
        return min(self.RETRY_MS_MAX, self.RETRY_MS_MIN + int(self._owed * 1000 / self._rate))


def clean_text(value: object, chars_max: int) -> str:
    """Return a text of 1 to `chars_max` characters without blanks around it.

    Raises CommandRefused `invalid` for other types, lengths, control characters and bidirectional overrides.
    """
    if not isinstance(value, str):
        raise CommandRefused("invalid", "text is missing")
    text = value.strip()
    if not 0 < len(text) <= chars_max:
        raise CommandRefused("invalid", f"text has 1 to {chars_max} characters")
    if not text.isascii() or not text.isprintable():
        for character in text:
            if character in _BIDI_CONTROLS or unicodedata.category(character) in _REFUSED_CATEGORIES:
                raise CommandRefused("invalid", "text has control characters")
    return text


def mask_words(words: Iterable[str]) -> TextFilter:
    """Return a filter that writes asterisks over each of the words, whatever their case."""
    # The longest first, so that a word within a word is not all that is masked.
    targets = sorted((word for word in words if word), key=len, reverse=True)
    if not targets:
        return lambda text: text
    pattern = re.compile("|".join(re.escape(word) for word in targets), re.IGNORECASE)
    return lambda text: pattern.sub(lambda found: "*" * len(found[0]), text)


class Verdict(NamedTuple):
    """A line that may be said; `shown` is False when the room's cap leaves it to its sender's eyes only."""

    text: str
    shown: bool


class ChatGate:
    """Decide on each chat line of one room."""

    __slots__ = ("_buckets", "_cap", "_filter", "_limits", "_mutes")

    def __init__(self, limits: RoomLimits, now_ms: int, text_filter: TextFilter | None = None) -> None:
        self._limits = limits
        self._filter = text_filter
        self._cap = TokenBucket(limits.chat_per_s, limits.chat_per_s, now_ms)
        self._buckets: dict[str, TokenBucket] = {}
        self._mutes: dict[str, int] = {}

    def mute(self, person: str, until_ms: int) -> None:
        """Silence a person until then (Unix ms); 0 lifts it."""
        self._mutes.pop(person, None)
        if until_ms:
            self._mutes[person] = until_ms
            if len(self._mutes) > self._limits.people_tracked:
                del self._mutes[next(iter(self._mutes))]

    def muted_until_ms(self, person: str, now_ms: int) -> int:
        """Return until when a person is muted (Unix ms), 0 when they are not."""
        until_ms = self._mutes.get(person, 0)
        return until_ms if until_ms > now_ms else 0

    def decide(self, member: Member, text: object, now_ms: int) -> Verdict:
        """Judge a line. Staff are never limited by rate nor sampled.

        Raises CommandRefused: `invalid`, `muted`, `refused` (the word filter), `rate`.
        """
        clean = clean_text(text, self._limits.text_chars)
        if member.staff:
            return Verdict(clean, True)
        until_ms = self.muted_until_ms(member.person, now_ms)
        if until_ms:
            raise CommandRefused("muted", "you are muted", retry_ms=until_ms - now_ms)
        if self._filter is not None:
            passed = self._filter(clean)
            if passed is None:
                raise CommandRefused("refused", "this text is not allowed here")
            clean = passed
        retry_ms = self._bucket(member.person, now_ms).take(now_ms)
        if retry_ms:
            raise CommandRefused("rate", "too many messages", retry_ms=retry_ms)
        return Verdict(clean, not self._cap.take(now_ms))

    def _bucket(self, person: str, now_ms: int) -> TokenBucket:
        bucket = self._buckets.pop(person, None)
        if bucket is None:
            limits = self._limits
            bucket = TokenBucket(limits.chat_person_per_s, limits.chat_person_burst, now_ms)
            if len(self._buckets) >= limits.people_tracked:
                del self._buckets[next(iter(self._buckets))]
        self._buckets[person] = bucket
        return bucket
