"""Rules of speaking: token buckets, text, mutes, the room's cap. Pure: `now_ms` is an argument."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ahocorasick_rs import AhoCorasick, MatchKind

from chat.errors import CommandRefused
from chat.limits import RoomLimits
from chat.member import Member
from chat.message import Admitted, Ban, Mute, RuleMessage, Rules, Words

IdsOf = Callable[[str], Sequence[str]]
"""Gets an id of a person and returns all that they are known by, the one they go on under first."""
Network = Callable[[str], str]
"""Gets a client's address, returns under what its lines are counted; empty for one that is not bounded."""
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

    def charge(self, now_ms: int) -> None:
        """Take a token that was spent elsewhere already; the bucket may owe as much as it holds when full."""
        if self.take(now_ms):
            self._tokens = max(-self._burst, self._tokens - 1)


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
    """Return a filter that writes asterisks over each of the words, whatever their case; the longest that fits.

    All words are looked for in one walk over the text (Aho and Corasick, 1975): 2 µs for a line and 2,000 words.
    """
    wanted = sorted({_lower(word) for word in words if word})
    if not wanted:
        return lambda text: text
    automaton = AhoCorasick(wanted, matchkind=MatchKind.LeftmostLongest)

    def mask(text: str) -> str:
        found = automaton.find_matches_as_indexes(_lower(text))
        if not found:
            return text
        parts: list[str] = []
        end = 0
        for _, start, stop in found:
            parts += text[end:start], "*" * (stop - start)
            end = stop
        return "".join((*parts, text[end:]))

    return mask


def _lower(text: str) -> str:
    """Return a text in small letters, each where it was: `str.lower` makes two characters of an İ."""
    small = text.lower()
    return small if len(small) == len(text) else "".join(one if len(one) == 1 else "i" for one in map(str.lower, text))


FOR_EVER_MS = 2**53 - 1
"""The end of a ban without an end (Unix ms): the largest integer that JavaScript keeps exact."""
EVERYONE, FOLLOWERS, MEMBERS, STAFF_ONLY = "everyone", "followers", "members", "staff"
"""Who may chat."""
FOLLOWS_MS = 60_000
"""How long it is taken for granted that somebody follows the shop."""
FOLLOWS_NOT_MS = 1_000
"""And that somebody does not: one question to the store in that time, and no long wait for who has just followed."""


DEVICES_PER_BAN = 8
"""Devices that a ban extends to, the newest: who has more of them finds another way, too."""


class BanList:
    """Who may not enter a room, and until when (Unix ms). None is forgotten before its time.

    A ban goes with the devices that the person came with: whoever comes with one of them is kept out for as long, and
    let in again with the person.
    """

    __slots__ = ("_devices", "_limits", "_person_of", "_until_ms")

    def __init__(self, limits: RoomLimits) -> None:
        self._limits = limits
        self._until_ms: dict[str, int] = {}
        self._devices: dict[str, list[str]] = {}
        self._person_of: dict[str, str] = {}

    def check(self, person: str, now_ms: int) -> None:
        """Raise CommandRefused `limit` when there is no place for one more."""
        if person not in self._until_ms and len(self._until_ms) >= self._limits.bans:
            for over in [who for who, until_ms in self._until_ms.items() if until_ms <= now_ms]:
                self.put(over, 0)
            if len(self._until_ms) >= self._limits.bans:
                raise CommandRefused("limit", f"a room has at most {self._limits.bans} bans")

    def put(self, person: str, until_ms: int, devices: Iterable[str] = ()) -> None:
        """Keep a person out until then, and whoever has a device of theirs; 0 lets them in again."""
        self._until_ms.pop(person, None)
        if not until_ms:
            for device in self._devices.pop(person, ()):
                del self._person_of[device]
            return
        self._until_ms[person] = until_ms
        for device in devices:
            if device in self._person_of:
                continue
            theirs = self._devices.setdefault(person, [])
            theirs.append(device)
            self._person_of[device] = person
            if len(theirs) > DEVICES_PER_BAN:
                del self._person_of[theirs.pop(0)]

    def state(self) -> dict[str, int]:
        """Return who is banned, and until when (Unix ms)."""
        return self._until_ms

    def devices(self) -> dict[str, list[str]]:
        """Return the devices that the bans extend to, by person."""
        return self._devices

    def restore(self, state: dict[str, int], devices: Mapping[str, Iterable[str]]) -> None:
        """Take over the list whose `state` and `devices` these are."""
        self._until_ms, self._devices, self._person_of = state, {}, {}
        for person, theirs in devices.items():
            if person in state:
                self.put(person, state[person], theirs)

    def knows(self, device: str) -> bool:
        """Tell whether a ban extends to a device already."""
        return device in self._person_of

    def until_ms(self, person: str, now_ms: int, device: str = "") -> int:
        """Return until when a person, or who comes with a device, is kept out (Unix ms); 0 when they are not."""
        until_ms = self._until_ms.get(person, 0)
        if device and device in self._person_of:
            until_ms = max(until_ms, self._until_ms.get(self._person_of[device], 0))
        return until_ms if until_ms > now_ms else 0

    def listed(self, now_ms: int) -> list[dict[str, Any]]:
        """Return who is banned now; `until` is None for ever, `devices` how many the ban extends to."""
        return [
            {
                "person": person,
                "until": None if until_ms == FOR_EVER_MS else until_ms,
                "devices": len(self._devices.get(person, ())),
            }
            for person, until_ms in self._until_ms.items()
            if until_ms > now_ms
        ]


class Verdict(NamedTuple):
    """A line that may be said; `shown` is False when the room's cap leaves it to its sender's eyes only."""

    text: str
    shown: bool
    shadow: bool = False
    """The speaker is muted and is not to know."""


def just_themselves(person: str) -> Sequence[str]:
    """Return the ids of somebody of whom one is known."""
    return (person,)


def nobodys(address: str) -> str:
    """Return under what the lines of an address are counted where none are."""
    return ""


def _latest(times_ms: Mapping[str, int], ids: Sequence[str]) -> int:
    """Return the latest time of a person, by whichever of their ids; 0 when there is none."""
    return max(times_ms.get(one, 0) for one in ids)


class ChatGate:
    """Decide on each chat line of one room, and who may be in it.

    What was decided of one id of a person holds for all of their ids: who was found to be somebody known is muted
    until the later of both ends, and each has their own again when that was a mistake. Nothing is rewritten for it.
    """

    __slots__ = (
        "_buckets",
        "_cap",
        "_filter",
        "_followers",
        "_ids_of",
        "_limits",
        "_masks",
        "_members",
        "_mutes",
        "_networks",
        "_shadows",
        "_spoke_ms",
        "audience",
        "bans",
        "slow_s",
        "words",
    )

    def __init__(
        self,
        limits: RoomLimits,
        now_ms: int,
        text_filter: TextFilter | None = None,
        ids_of: IdsOf = just_themselves,
    ) -> None:
        self._limits = limits
        self._ids_of = ids_of
        self._filter = text_filter
        self._cap = TokenBucket(limits.chat_per_s, limits.chat_per_s, now_ms)
        self._buckets: dict[str, TokenBucket] = {}
        self._networks: dict[str, TokenBucket] = {}
        self._mutes: dict[str, int] = {}
        self._shadows: dict[str, int] = {}
        self._members: dict[str, int] = {}
        self._followers: dict[str, int] = {}
        self._spoke_ms: dict[str, int] = {}
        self._masks: TextFilter | None = None
        self.bans = BanList(limits)
        self.audience = EVERYONE
        self.slow_s = 0
        self.words: tuple[str, ...] = ()

    def rule(self, message: RuleMessage) -> None:
        """Take a change of the rules."""
        if isinstance(message, Mute):
            self.mute(message.person, message.until_ms, shadow=message.shadow)
        elif isinstance(message, Ban):
            self.bans.put(message.person, message.until_ms, message.devices)
        elif isinstance(message, Rules):
            self.audience, self.slow_s = message.audience, message.slow_s
        elif isinstance(message, Admitted):
            self._track(self._members, message.person, 1)
        else:
            self.words = message.words
            self._masks = mask_words(message.words) if message.words else None

    def heard(self, person: str, now_ms: int) -> None:
        """Count a viewer's line that another node let through: the room's cap and a person's rate span all nodes."""
        self._cap.charge(now_ms)
        self._bucket(self._ids_of(person)[0], now_ms).charge(now_ms)
        if self.slow_s:
            self._track(self._spoke_ms, person, now_ms)

    def state(self) -> dict[str, Any]:
        """Return the rules and whom they concern, ready to encode; buckets fill by themselves and stay out."""
        return {
            "audience": self.audience,
            "slow_s": self.slow_s,
            "words": self.words,
            "mutes": self._mutes,
            "shadows": self._shadows,
            "members": list(self._members),
            "spoke": self._spoke_ms if self.slow_s else {},
            "bans": self.bans.state(),
            "ban_devices": self.bans.devices(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over the rules whose `state` this is."""
        self.audience = state["audience"]
        self.slow_s = state["slow_s"]
        self.rule(Words(tuple(state["words"])))
        self._mutes = state["mutes"]
        self._shadows = state["shadows"]
        self._members = dict.fromkeys(state["members"], 1)
        self._spoke_ms = state["spoke"]
        # A node of the version before this one wrote none.
        self.bans.restore(state["bans"], state.get("ban_devices", {}))

    def barred_until_ms(self, member: Member, now_ms: int) -> int:
        """Return until when somebody may not be in the room (Unix ms), 0 when they may. Staff always may."""
        if member.staff:
            return 0
        return max(self.bans.until_ms(person, now_ms, member.device) for person in self._ids_of(member.person))

    def mute(self, person: str, until_ms: int, *, shadow: bool = False) -> None:
        """Silence a person until then (Unix ms), openly or in the shadow; 0 lifts both."""
        self._mutes.pop(person, None)
        self._shadows.pop(person, None)
        if until_ms:
            self._track(self._shadows if shadow else self._mutes, person, until_ms)

    def follows(self, person: str, now_ms: int, *, on: bool) -> None:
        """Take what is known of whether somebody follows the shop: true for a while, then one asks again."""
        self._track(self._followers, self._ids_of(person)[0], now_ms + FOLLOWS_MS if on else -(now_ms + FOLLOWS_NOT_MS))

    def unsure(self, member: Member, now_ms: int) -> bool:
        """Return whether only followers may write, and it is not known of this one."""
        if self.audience != FOLLOWERS or member.staff:
            return False
        return now_ms >= abs(self._followers.get(self._ids_of(member.person)[0], 0))

    def _track(self, people: dict[str, int], person: str, value: int) -> None:
        """Remember a person, at the cost of the one longest unseen."""
        people.pop(person, None)
        people[person] = value
        if len(people) > self._limits.people_tracked:
            del people[next(iter(people))]

    def muted_until_ms(self, person: str, now_ms: int) -> int:
        """Return until when a person is muted (Unix ms), 0 when they are not."""
        until_ms = _latest(self._mutes, self._ids_of(person))
        return until_ms if until_ms > now_ms else 0

    def decide(self, member: Member, text: object, now_ms: int, network: str = "") -> Verdict:
        """Judge a line. Staff are never limited by rate nor sampled; `network` is where it comes from, or empty.

        Raises CommandRefused: `invalid`, `staff_only`, `members_only`, `followers_only`, `muted`, `slow_mode`,
        `refused` (the word filter), `rate`.
        """
        verdict = self.judge(member, text, now_ms, network)
        if verdict.shown and not member.staff and self._cap.take(now_ms):
            return verdict._replace(shown=False)
        return verdict

    def judge(self, member: Member, text: object, now_ms: int, network: str = "") -> Verdict:
        """Judge a line by its speaker alone, whatever the room's cap. Raises CommandRefused as `decide`."""
        clean = clean_text(text, self._limits.text_chars)
        if member.staff:
            return Verdict(clean, True)
        ids = self._ids_of(member.person)
        if self.audience == STAFF_ONLY:
            raise CommandRefused("staff_only", "only the host and the shop's staff may write now")
        if self.audience == MEMBERS and not (member.known or _latest(self._members, ids)):
            raise CommandRefused("members_only", "only customers of the shop may write now")
        if self.audience == FOLLOWERS and self._followers.get(ids[0], 0) <= 0:
            raise CommandRefused("followers_only", "only who follows the shop may write now")
        until_ms = _latest(self._mutes, ids)
        if until_ms > now_ms:
            raise CommandRefused("muted", "you are muted", retry_ms=until_ms - now_ms)
        if self.slow_s:
            # A clock set back must not keep anybody silent for longer than the rule says.
            wait_ms = min(_latest(self._spoke_ms, ids) + self.slow_s * 1000 - now_ms, self.slow_s * 1000)
            if wait_ms > 0:
                raise CommandRefused("slow_mode", f"one line in {self.slow_s} s", retry_ms=wait_ms)
        clean = self.filtered(clean)
        retry_ms = self._bucket(ids[0], now_ms).take(now_ms)
        if retry_ms:
            raise CommandRefused("rate", "too many messages", retry_ms=retry_ms)
        retry_ms = self._network_bucket(network, now_ms).take(now_ms) if network else 0
        if retry_ms:
            raise CommandRefused("rate", "too many messages from your network", retry_ms=retry_ms)
        if self.slow_s:
            self._track(self._spoke_ms, member.person, now_ms)
        shadow = _latest(self._shadows, ids) > now_ms
        return Verdict(clean, not shadow, shadow)

    def filtered(self, text: str) -> str:
        """The text with what the room's filters mask. Raises CommandRefused (refused)."""
        for each in (self._filter, self._masks):
            passed = each(text) if each is not None else text
            if passed is None:
                raise CommandRefused("refused", "this text is not allowed here")
            text = passed
        return text

    def _bucket(self, person: str, now_ms: int) -> TokenBucket:
        limits = self._limits
        return self._found(self._buckets, person, limits.chat_person_per_s, limits.chat_person_burst, now_ms)

    def _network_bucket(self, network: str, now_ms: int) -> TokenBucket:
        limits = self._limits
        return self._found(self._networks, network, limits.chat_address_per_s, limits.chat_address_burst, now_ms)

    def _found(
        self, buckets: dict[str, TokenBucket], name: str, rate_per_s: float, burst: int, now_ms: int
    ) -> TokenBucket:
        """Return somebody's bucket, a full one for a newcomer, at the cost of the one longest unseen."""
        bucket = buckets.pop(name, None)
        if bucket is None:
            bucket = TokenBucket(rate_per_s, burst, now_ms)
            if len(buckets) >= self._limits.people_tracked:
                del buckets[next(iter(buckets))]
        buckets[name] = bucket
        return bucket
