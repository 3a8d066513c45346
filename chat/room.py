"""A room's state: sections, history and what waits for the next frame. Pure: `now_ms` is an argument.

Theory of operation

`apply` takes a message and says how soon it wants to be seen. What is to be seen waits in `pending`, in order; a value
of which only the newest matters moves to the end when it changes. `cut` makes a `Batch` of all that waits: only here do
kept events get their offsets and enter the history, so

- offsets are given in the order in which the batches go out, without gaps;
- the history never holds an event that no batch has brought to those who are in;
- a snapshot speaks of the state after the last batch: who joins gets the history up to it, and all later batches.

A client that resumes from the last offset it saw is therefore told each later kept event once. Recovery is all or
nothing: with another epoch, or an offset that is no longer (or not yet) in the history, it gets the state instead.
Sections may be ahead of the last batch by what is pending; the event that follows then says what is known already.

A line that is recalled leaves an empty place in the history, so that places still follow from offsets: who joins or
comes back is not shown it, and who has it on the screen is told by the event `recall`.

Rooms on several nodes. Each node applies the same messages in the same order, but cuts at its own ticks. An event's
offset is its number among the kept ones, wherever the cuts fall, so all nodes give the same; whether `apply` keeps an
event must therefore never depend on the time or on what was cut or trimmed here. `state` and `restore` hand a room on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Mapping
from enum import IntEnum
from itertools import islice
from typing import Any, NamedTuple

import orjson

from chat import frame
from chat.floor import Poll, Question, Questions
from chat.limits import RoomLimits
from chat.member import Member
from chat.message import (
    Asked,
    Event,
    Latest,
    Likes,
    PollEnded,
    PollOpened,
    Recall,
    Section,
    StateMessage,
    Tier,
    Unasked,
    Viewers,
    Vote,
    encode,
    encode_event,
)

RESERVED_SECTIONS = frozenset({"t", "epoch", "offset", "resumed", "now", "you", "viewers", "likes", "history"})


class Urgency(IntEnum):
    """How soon an applied message wants to be seen."""

    NEVER = 0
    LAZY = 1
    """Sums and counts: with the next frame, or alone after a while."""
    TICK = 2
    NOW = 3


_CHAT = b'{"t":"chat",'
"""How a chat line begins: bodies are encoded in the order of their fields."""


class Kept(NamedTuple):
    """An event in the history; without data when it was recalled."""

    offset: int
    ms: int
    data: bytes


class Batch:
    """What one frame brings: encoded events in order, prepared at most once for each level of slowness."""

    __slots__ = ("_frames", "counts", "entries")

    def __init__(self, entries: list[tuple[Tier, bytes]]) -> None:
        self.entries = entries
        self.counts = [0, 0, 0, 0]
        for tier, _ in entries:
            self.counts[tier] += 1
        self._frames: list[bytes | None] = [None, None, None, None]

    def frame(self, lowest: Tier) -> bytes:
        """Return the WebSocket frame of the events of tier `lowest` and better; empty when there is none."""
        prepared = self._frames[lowest]
        if prepared is None:
            items = [data for tier, data in self.entries if tier <= lowest]
            prepared = self._frames[lowest] = self.prepare(items) if items else b""
        return prepared

    def prepare(self, items: list[bytes]) -> bytes:
        """Return the bytes for the sockets, of some of the entries."""
        return frame.array(items)


class Room:
    """One room. `epoch` names this life of the room's offsets; it must be new whenever they start again."""

    def __init__(self, name: str, epoch: str, sections: Mapping[str, Any], limits: RoomLimits) -> None:
        self.name = name
        self.epoch = epoch
        self.offset = 0
        self.likes = 0
        self.viewers = 0
        self._limits = limits
        self._sections: dict[str, bytes] = {}
        self._pending: dict[int | str, tuple[Tier, bool, bytes]] = {}
        self._pending_number = 0
        self._pending_kept = 0
        self._recalled: set[int] = set()
        self._likes_changed = False
        self.poll: Poll | None = None
        self._votes_changed = False
        self._poll_stale = False
        self.questions = Questions(limits)
        self._history: deque[Kept] = deque()
        self._history_bytes = 0
        self._state: bytes | None = None
        self._recent: bytes | None = None
        self._resumes: dict[int, bytes] = {}
        self._resumes_bytes = 0
        for section, value in sections.items():
            self._set_section(section, value)

    @property
    def history_events(self) -> int:
        """Return how many events could be resumed over."""
        return len(self._history)

    @property
    def history_bytes(self) -> int:
        """Return the bytes of the kept events."""
        return self._history_bytes

    def position(self) -> bytes:
        """Return what a client comes back with: EPOCH:OFFSET after the last batch."""
        return b"%b:%d" % (self.epoch.encode(), self.offset)

    def apply(self, message: StateMessage) -> Urgency:
        """Take a message into the state, and say how soon it wants to be seen.

        Raises TypeError for what JSON cannot hold, ValueError for a reserved section or an event without a type.
        """
        if isinstance(message, Event):
            return self._apply_event(message)
        if isinstance(message, Latest):
            self._wait(message.key, message.tier, False, encode_event(message.body))
            return Urgency.LAZY if message.tier is Tier.P3 else Urgency.TICK
        if isinstance(message, Likes):
            self.likes += message.count
            self._state = None
            self._likes_changed = True
            return Urgency.LAZY
        if isinstance(message, Viewers):
            self.viewers = message.count
            self._state = None
            self._wait("viewers", Tier.P3, False, encode({"t": "viewers", "n": message.count}))
            return Urgency.LAZY
        if isinstance(message, Section):
            self._set_section(message.name, message.value)
            return Urgency.NEVER
        if isinstance(message, Recall):
            return self._recall(message.offset)
        if isinstance(message, (Asked, Unasked)):
            return self._question(message)
        return self._vote(message)

    def begin(self, messages: Iterable[StateMessage]) -> None:
        """Take in what was said before this life of the room: it is in the state, and no news to anybody."""
        for message in messages:
            self.apply(message)
        self._pending.clear()
        self._pending_kept = 0
        self._likes_changed = self._votes_changed = False

    def recallable(self, offset: int) -> bool:
        """Tell whether an offset was given to what may be a chat line: the history no longer knows older ones."""
        if not 0 < offset <= self.offset:
            return False
        place = self._place(offset)
        return place is None or self._history[place].data.startswith(_CHAT)

    def _place(self, offset: int) -> int | None:
        """Return where the history has an offset: offsets in it have no gaps, so the place follows from the number."""
        place = offset - self._history[0].offset if self._history else -1
        return place if 0 <= place < len(self._history) else None

    def _recall(self, offset: int) -> Urgency:
        if not 0 < offset <= self.offset + self._pending_kept:
            return Urgency.NEVER
        if offset > self.offset:
            # Cut where the command came from, not yet here.
            self._recalled.add(offset)
        place = self._place(offset)
        if place is not None and self._history[place].data.startswith(_CHAT):
            kept = self._history[place]
            self._history_bytes -= len(kept.data)
            self._history[place] = kept._replace(data=b"")
            self._history_changed()
        return self._apply_event(Event({"t": "recall", "offset": offset}, Tier.P0))

    def _question(self, message: Asked | Unasked) -> Urgency:
        if isinstance(message, Asked):
            asked = Question(message.question, message.person, message.name, message.text, message.now_ms)
            changed = self.questions.add(asked)
        else:
            changed = self.questions.remove(message.question)
        if not changed:
            return Urgency.NEVER
        count = len(self.questions)
        self._set_section("questions", count)
        self._wait("questions", Tier.P3, False, encode({"t": "questions", "n": count}))
        return Urgency.LAZY

    def _vote(self, message: PollOpened | Vote | PollEnded) -> Urgency:
        poll = self.poll
        if isinstance(message, PollOpened):
            if poll is not None and poll.poll == message.poll:
                return Urgency.NEVER
            poll = self.poll = Poll(message, self._limits)
        elif isinstance(message, Vote):
            if poll is not None and poll.vote(message.poll, message.person, message.option):
                self._votes_changed = self._poll_stale = True
                self._state = None
                return Urgency.LAZY
            return Urgency.NEVER
        elif poll is None or not poll.end(message.poll, message.votes):
            return Urgency.NEVER
        self._votes_changed = self._poll_stale = False
        view = poll.view()
        return self._apply_event(Event({"t": "poll", "poll": view}, Tier.P0, sections={"poll": view}))

    def _apply_event(self, event: Event) -> Urgency:
        data = encode_event(event.body)
        for name, value in (event.sections or {}).items():
            self._set_section(name, value)
        self._pending_number += 1
        self._pending_kept += event.keep
        self._wait(self._pending_number, event.tier, event.keep, data)
        if event.tier is Tier.P0:
            return Urgency.NOW
        return Urgency.LAZY if event.tier is Tier.P3 else Urgency.TICK

    def _wait(self, key: int | str, tier: Tier, keep: bool, data: bytes) -> None:
        # Popped first: a dict keeps a replaced key's old place, and the new value belongs after what came between.
        self._pending.pop(key, None)
        self._pending[key] = (tier, keep, data)

    def _set_section(self, name: str, value: Any) -> None:
        if name in RESERVED_SECTIONS:
            raise ValueError(f"the snapshot has a field of its own named {name}")
        self._sections[name] = encode(value)
        self._state = None

    def cut(self, now_ms: int) -> Batch | None:
        """Make a batch of all that waits, and give offsets; None when nothing waits."""
        if self._likes_changed:
            self._likes_changed = False
            self._wait("likes", Tier.P3, False, encode({"t": "likes", "n": self.likes}))
        if self._votes_changed and self.poll is not None:
            self._votes_changed = False
            body = {"t": "votes", "poll": self.poll.poll, "votes": self.poll.votes}
            self._wait("votes", Tier.P3, False, encode(body))
        if not self._pending:
            return None
        entries: list[tuple[Tier, bytes]] = []
        for tier, keep, data in self._pending.values():
            if keep:
                self.offset += 1
                data = b'%b,"o":%d}' % (data[:-1], self.offset)
                kept = b"" if self.offset in self._recalled and data.startswith(_CHAT) else data
                self._history.append(Kept(self.offset, now_ms, kept))
                self._history_bytes += len(kept)
            entries.append((tier, data))
        self._pending.clear()
        self._pending_kept = 0
        self._recalled.clear()
        self._history_changed()
        self._trim(now_ms)
        return Batch(entries)

    def _trim(self, now_ms: int) -> None:
        limits = self._limits
        history = self._history
        oldest_ms = now_ms - limits.history_age_ms
        while history and (
            len(history) > limits.history_events
            or self._history_bytes > limits.history_bytes
            or history[0].ms < oldest_ms
        ):
            self._history_bytes -= len(history.popleft().data)
            self._history_changed()

    def _history_changed(self) -> None:
        self._recent = None
        self._resumes.clear()
        self._resumes_bytes = 0

    def snapshot(
        self,
        member: Member,
        since: tuple[str, int] | None,
        now_ms: int,
        personal: tuple[bytes, ...] = (),
        *,
        muted_until_ms: int = 0,
    ) -> bytes:
        """Return the first frame's payload for a member: an array of the room and the personal events they still miss.

        `since` is the (epoch, offset) a client comes back with. All that is common to members is encoded once per
        change of the room.
        """
        self._trim(now_ms)
        missed = self._missed(since)
        head = b'[{"t":"room","epoch":%b,"offset":%d,"resumed":%b,"now":%d,"you":%b' % (
            encode(self.epoch),
            self.offset,
            b"false" if missed is None else b"true",
            now_ms,
            encode(member.told(muted_until_ms)),
        )
        history = self._recent_events() if missed is None else missed
        return b"".join((head, self._shared_state(), history, b"]}", *(b"," + data for data in personal), b"]"))

    def _shared_state(self) -> bytes:
        if self._poll_stale and self.poll is not None:
            self._poll_stale = False
            self._set_section("poll", self.poll.view())
        if self._state is None:
            sections = b"".join(b",%b:%b" % (encode(name), data) for name, data in self._sections.items())
            self._state = b',"viewers":%d,"likes":%d%b,"history":[' % (self.viewers, self.likes, sections)
        return self._state

    def _recent_events(self) -> bytes:
        if self._recent is None:
            start = max(0, len(self._history) - self._limits.snapshot_events)
            self._recent = self._joined(start)
        return self._recent

    def _missed(self, since: tuple[str, int] | None) -> bytes | None:
        if since is None or since[0] != self.epoch:
            return None
        offset = since[1]
        if offset == self.offset:
            return b""
        if not self._history or not self._history[0].offset - 1 <= offset < self.offset:
            return None
        missed = self._resumes.get(offset)
        if missed is None:
            start = offset + 1 - self._history[0].offset
            missed = self._joined(start)
            if self._resumes_bytes + len(missed) <= self._limits.resume_bytes:
                self._resumes[offset] = missed
                self._resumes_bytes += len(missed)
        return missed

    def _joined(self, start: int) -> bytes:
        """Return the events from a place of the history on, without those recalled."""
        return b",".join(kept.data for kept in islice(self._history, start, None) if kept.data)

    # From node to node

    def rebase(self, epoch: str) -> None:
        """Go on under another epoch; offsets and history stay, as those who are in are told of it."""
        self.epoch = epoch

    def state(self) -> dict[str, Any]:
        """Return all that a room on another node needs to go on from here, ready to encode; nothing may be pending."""
        assert not self._pending, "cut before the state is taken"
        return {
            "offset": self.offset,
            "likes": self.likes,
            "sections": {name: orjson.Fragment(data) for name, data in self._sections.items()},
            "history": [(kept.offset, kept.ms, orjson.Fragment(kept.data or b"null")) for kept in self._history],
            "poll": None if self.poll is None else self.poll.state(),
            "questions": self.questions.state(),
        }

    def restore(self, epoch: str, state: Mapping[str, Any], keep: Collection[str] = ()) -> None:
        """Become the room whose `state` this is (decoded), except the sections to `keep`; pending events are gone."""
        self.epoch = epoch
        self.offset = state["offset"]
        self.likes = state["likes"]
        self._pending.clear()
        self._pending_kept = 0
        self._recalled.clear()
        self._likes_changed = self._votes_changed = self._poll_stale = False
        kept_sections = {name: self._sections[name] for name in keep if name in self._sections}
        self._sections = {name: encode(value) for name, value in state["sections"].items()} | kept_sections
        self.poll = None if state["poll"] is None else Poll.restored(state["poll"], self._limits)
        self.questions = Questions.restored(state["questions"], self._limits)
        self._history = deque(
            Kept(offset, ms, b"" if event is None else encode(event)) for offset, ms, event in state["history"]
        )
        self._history_bytes = sum(len(kept.data) for kept in self._history)
        self._state = None
        self._history_changed()
