"""An open room on this node: its state, its sockets, and the timers between the two.

The tick. After a quiet time the first thing said goes out in the same turn of the loop; what follows within a tick is
merged into one frame. The next frame is not cut before the last has reached all, and the tick grows with the time that
this takes, so that a room's writing takes about half of a core at most. P0 waits for neither, sums and counts wait a
little longer. A quiet room has no timer.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any

from chat import checkpoint
from chat.fanout import Audience, Fanout
from chat.forms import in_form
from chat.hot_words import HotWords
from chat.limits import HubLimits
from chat.member import STAFF_ROLES, Member
from chat.message import (
    Acknowledged,
    Event,
    Mute,
    Personal,
    Regard,
    Removal,
    RoomMessage,
    RuleMessage,
    StateMessage,
    Tier,
    Viewers,
    encode_event,
)
from chat.moderation import ChatGate, IdsOf, TextFilter, just_themselves
from chat.personal import PersonalEvents
from chat.room import Room, Urgency
from chat.room_figures import LOOKED_AT_S, ServerFigures
from chat.room_figures import decode as decode_figures
from chat.room_figures import encode as encode_figures
from chat.sink import Kind, Phase
from chat.stats import HubCounters, RoomStats
from chat.tempo import Tempo

if TYPE_CHECKING:
    from chat.sink import Sink

Clock = Callable[[], int]
"""Unix milliseconds."""


def _rank(member: Member) -> str:
    """Return under what a member's connections are counted: their role, or `member` for a customer."""
    return "member" if member.known and not member.staff else member.role


class Channel:
    """One open room: pure state plus sockets plus timers."""

    def __init__(
        self,
        name: str,
        epoch: str,
        sections: Mapping[str, Any],
        *,
        limits: HubLimits,
        fanout: Fanout,
        clock: Clock,
        text_filter: TextFilter | None,
        ids_of: IdsOf = just_themselves,
        stamps: bool = True,
        server: str = "",
        outdated: Callable[[int], None] = lambda version: None,
    ) -> None:
        now_ms = clock()
        self._rights_outdated = outdated
        """Is told of the version of the rights that another node has read."""
        self.room = Room(name, epoch, sections, limits.room)
        self.personal = PersonalEvents(limits.room)
        self._ids_of = ids_of
        self.gate = ChatGate(limits.room, now_ms, text_filter, ids_of)
        self.counters = HubCounters()
        """What this room's fan-out counts; the hub adds the rooms up."""
        self.hot_words = HotWords(now_ms)
        self.audiences = tuple(Audience(limits, self.counters) for _ in Kind)
        """By kind: their bytes are others, the batches are the same."""
        self._passed = [partial(self._note_pass, kind) for kind in Kind]
        self.people: dict[str, list[Sink]] = {}
        self.held: dict[str, asyncio.Future[None]] = {}
        """Lines that are looked at before they are shown: each person's newest."""
        self.roles: Counter[str] = Counter()
        """Connections by role, customers apart from other viewers."""
        self.viewers = 0
        self.joined = 0
        self.left = 0
        self.elsewhere = 0
        """People on other nodes, as the bus last told."""
        self.others: list[ServerFigures] = []
        """What other nodes count, as the bus last told; empty while nobody looks."""
        self._looked_s = -LOOKED_AT_S
        self._server = server
        self._own_sections = tuple(sections)
        self._stamps = stamps
        """Whether personal events are numbered here, and not in a store."""
        self._outdated: list[Sink] = []
        self._refreshing: asyncio.Handle | None = None
        self.chat_lines = 0
        self.chat_sampled = 0
        self._batches = 0
        self._limits = limits
        self._fanout = fanout
        self._clock = clock
        self._tempo = Tempo(limits)
        self._due: asyncio.Handle | None = None
        self._due_s = 0.0
        self._urgent = False
        self._late = False
        self._viewers_due: asyncio.TimerHandle | None = None
        self._viewers_s = 0.0

    # What the bus brings (`chat.broker.Replica`)

    def deliver(self, messages: Sequence[RoomMessage], *, own: bool) -> None:
        """Apply what was said in the room, on this node or another."""
        for message in messages:
            if isinstance(message, Personal):
                self._deliver_personal(message)
            elif isinstance(message, Acknowledged):
                self.personal.acknowledge(message.person, message.to)
            elif isinstance(message, Removal):
                self._remove(message)
            elif isinstance(message, Mute):
                self._mute(message)
            elif isinstance(message, RuleMessage):
                self.gate.rule(message)
            elif isinstance(message, Regard):
                self._rights_outdated(message.version)
            else:
                if not own and isinstance(message, Event) and message.body["t"] == "chat":
                    self._heard(message.body.get("from") or {}, message.body["text"])
                self.apply(message)

    def _heard(self, speaker: Mapping[str, str], text: str) -> None:
        """Charge a line that another node let through, so that caps and slow mode hold over all nodes."""
        self.hot_words.hear(text, self._clock())
        if speaker.get("role") not in STAFF_ROLES:
            self.gate.heard(speaker.get("person", ""), self._clock())

    def _mute(self, message: Mute) -> None:
        """Silence somebody or let them speak, and tell them; of what is in the shadow nobody is told."""
        self.gate.rule(message)
        for sink in tuple(self.present(message.person)):
            self.tell_standing(sink)

    def muted_until_ms(self, member: Member) -> int:
        """Return until when a member may not write and is told so (Unix ms), 0 when they may. Staff always may."""
        return 0 if member.staff else self.gate.muted_until_ms(member.person, self._clock())

    def tell_standing(self, sink: Sink) -> None:
        """Tell a socket's bearer who they are here now, where that is not what they were told last."""
        assert sink.member is not None
        role, muted_until_ms = sink.member.role, self.muted_until_ms(sink.member)
        # A mute whose end they know has ended for them, too.
        told_ms = sink.told_muted_ms if sink.told_muted_ms > self._clock() else 0
        if (role, muted_until_ms) != (sink.told_role, told_ms):
            sink.told_role, sink.told_muted_ms = role, muted_until_ms
            sink.deliver(encode_event({"t": "you", "you": sink.member.told(muted_until_ms)}))

    def snapshot(self, sink: Sink, since: tuple[str, int] | None, personal: tuple[bytes, ...] = ()) -> bytes:
        """Return the room as it is for a socket's bearer, with who they are here now: a JSON array."""
        assert sink.member is not None
        sink.told_role, sink.told_muted_ms = sink.member.role, self.muted_until_ms(sink.member)
        return self.room.snapshot(sink.member, since, self._clock(), personal, muted_until_ms=sink.told_muted_ms)

    def _remove(self, message: Removal) -> None:
        # Staff are spared where the command is given, by who is at that node; here by who is at this one.
        present = self.people.get(message.person, ())
        connections = tuple(one for one in present if one.member is None or not one.member.staff)
        told = None
        if connections and message.event is not None:
            stamps = self._stamps and "a" not in message.event
            stamp = self.personal.stamp
            told = stamp(message.person, message.event, self._clock()) if stamps else encode_event(message.event)
        for connection in connections:
            if told is not None:
                connection.deliver(told)
            connection.close(message.code, message.reason)

    def present(self, person: str) -> Sequence[Sink]:
        """Return a person's connections here, under whichever of their ids they were opened."""
        ids = self._ids_of(person)
        if len(ids) == 1:
            return self.people.get(person, ())
        return [sink for one in ids for sink in self.people.get(one, ())]

    def _deliver_personal(self, message: Personal) -> None:
        if message.keep:
            data = self.personal.add(message.person, message.body, self._clock())
        else:
            data = encode_event(message.body)
        for connection in tuple(self.present(message.person)):
            connection.deliver(data)

    def state(self) -> bytes:
        """Return the state after all that was delivered, as JSON."""
        self._cut(urgent=True)
        return checkpoint.pack(self.room, self.gate, self.personal)

    def restore(self, epoch: str, state: bytes, *, last: bool) -> None:
        """Become the state of another node; who is in is given it afresh, some each turn of the loop."""
        keep = self._own_sections if last else ()
        checkpoint.unpack(state, epoch, self.room, self.gate, self.personal, keep=keep)
        for audience in self.audiences:
            audience.skip_all()
        self._outdated = list(self.sockets())
        if self._outdated and self._refreshing is None:
            self._refreshing = asyncio.get_running_loop().call_soon(self._refresh_some)

    def _refresh_some(self) -> None:
        self._refreshing = None
        # What the log had after the checkpoint belongs to the state they are given.
        self._cut(urgent=True)
        until_s = monotonic() + self._limits.slice_ms / 1000
        while self._outdated:
            sink = self._outdated.pop()
            # One that has not drained yet comes by itself when it has.
            drained = sink.transport.get_write_buffer_size() <= self._limits.soft_bytes
            if sink.skipping and sink.phase is Phase.OPEN and drained:
                self.refresh(sink)
            if monotonic() >= until_s:
                break
        if self._outdated:
            self._refreshing = asyncio.get_running_loop().call_soon(self._refresh_some)

    def refresh(self, sink: Sink) -> None:
        """Bring a socket that was skipped to the present state."""
        self.audience_of(sink).bring_up(sink)
        sink.deliver_state(self.snapshot(sink, None))

    def rebase(self, epoch: str) -> None:
        """Go on under another epoch, and tell who is in: offsets go on."""
        self.room.rebase(epoch)
        if self.people:
            self.apply(Event({"t": "epoch", "epoch": epoch}, Tier.P0, keep=False))

    def count(self, elsewhere: int) -> None:
        """Take note of the people on other nodes."""
        if elsewhere != self.elsewhere:
            self.elsewhere = elsewhere
            self.count_viewers()

    @property
    def looked_at(self) -> bool:
        """Tell whether somebody looks at the room's figures."""
        return monotonic() - self._looked_s < LOOKED_AT_S

    def servers(self) -> list[ServerFigures]:
        """Return what each node counts, this one first: the others' from the next time that people are counted on."""
        self._looked_s = monotonic()
        return [self.counted(), *self.others]

    def counted(self) -> ServerFigures:
        """Return what this node counts."""
        ways: Counter[str] = Counter()
        for kind in Kind:
            ways[kind.way.name.lower()] += len(self.audiences[kind])
        return ServerFigures(
            server=self._server,
            viewers=self.viewers,
            connections=sum(ways.values()),
            roles={role: count for role, count in self.roles.items() if count},
            ways={way: count for way, count in ways.items() if count},
            chat_lines=self.chat_lines,
            chat_sampled=self.chat_sampled,
            messages_out=self.counters.messages_out,
            dropped={tier.name: self.counters.dropped[tier] for tier in Tier},
            skipping=sum(audience.skipping for audience in self.audiences),
            slow_skipped=self.counters.slow_skipped,
            held=len(self.held),
        )

    def figures(self) -> bytes:
        """Return what this node counts, as the others get it."""
        return encode_figures(self.counted())

    def hear_figures(self, told: Sequence[bytes]) -> None:
        """Take note of what the other nodes count."""
        self.others = decode_figures(told)

    # From messages to sockets

    def apply(self, message: StateMessage) -> None:
        """Take a message into the room's state and see that it goes out in time."""
        urgency = self.room.apply(message)
        if urgency is Urgency.NOW:
            self._schedule(0.0, urgent=True)
        elif urgency is Urgency.TICK:
            self._schedule(self._tempo.due_s())
        elif urgency is Urgency.LAZY:
            self._schedule(self._tempo.due_s(self._limits.likes_ms / 1000))

    def _schedule(self, due_s: float, *, urgent: bool = False) -> None:
        if self._due is not None:
            if due_s >= self._due_s:
                return
            self._due.cancel()
        self._due_s = due_s
        self._urgent = urgent
        loop = asyncio.get_running_loop()
        delay_s = due_s - monotonic()
        # Even what goes at once waits for the end of this turn: what one ledger batch says is one frame.
        self._due = loop.call_later(delay_s, self._flush) if delay_s > 0 else loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._due = None
        if not self._urgent and any(audience.walking for audience in self.audiences):
            self._late = True
            return
        self._late = False
        self._cut(urgent=self._urgent)

    def catch_up_with(self, since: tuple[str, int] | None) -> None:
        """Cut what waits when somebody has seen it already, at a node that was quicker."""
        if since is not None and since[0] == self.room.epoch and since[1] > self.room.offset:
            self._cut(urgent=True)

    def _cut(self, *, urgent: bool) -> None:
        """Bring all that waits on its way."""
        batch = self.room.cut(self._clock())
        self._tempo.cut(0 if batch is None else batch.counts[Tier.P2], monotonic())
        if batch is not None:
            self._batches += 1
            for kind, audience in zip(Kind, self.audiences, strict=True):
                if audience:
                    form = in_form(kind, batch, self.room.position())
                    self._fanout.start(audience, form, self._passed[kind], urgent=urgent)

    def _note_pass(self, kind: Kind, duration_s: float) -> None:
        """All sockets of a kind have the newest batch."""
        self._tempo.passed(kind, duration_s if self.audiences[kind].connections else 0.0)
        if self._late:
            self._late = False
            self._schedule(self._tempo.due_s())

    @property
    def audience(self) -> Audience:
        """Return those who get plain WebSocket frames."""
        return self.audiences[Kind.FRAME]

    def audience_of(self, connection: Sink) -> Audience:
        """Return the audience that a socket belongs to."""
        return self.audiences[connection.kind]

    def sockets(self) -> tuple[Sink, ...]:
        """Return all sockets of the room."""
        return tuple(sink for audience in self.audiences for sink in audience.sockets())

    def enter(self, connection: Sink) -> bool:
        """Take in a connection; tell whether the count of viewers changed."""
        self.audience_of(connection).add(connection)
        member = connection.member
        assert member is not None
        self.roles[_rank(member)] += 1
        others = self.people.get(member.person)
        if others is not None:
            others.append(connection)
            return False
        self.people[member.person] = [connection]
        if member.staff:
            return False
        self.viewers += 1
        self.joined += 1
        return True

    def _watches(self, person: str) -> bool:
        """Tell whether a person counts as a viewer: by the connection that they have had longest."""
        sinks = self.people.get(person)
        return sinks is not None and bool(sinks) and sinks[0].member is not None and not sinks[0].member.staff

    def leave(self, connection: Sink) -> bool:
        """Let go of a connection; tell whether the count of viewers changed."""
        self.audience_of(connection).remove(connection)
        member = connection.member
        assert member is not None
        self.roles[_rank(member)] -= 1
        before = self._watches(member.person)
        others = self.people[member.person]
        others.remove(connection)
        if not others:
            del self.people[member.person]
        return self._counted(member.person, before)

    def _counted(self, person: str, before: bool) -> bool:
        """Count a person in or out who counted as a viewer `before`, if that has changed; tell whether it has."""
        after = self._watches(person)
        self.viewers += after - before
        self.joined += after > before
        self.left += before > after
        return after != before

    def recount(self, connection: Sink, member: Member) -> None:
        """Take note that a connection's bearer is the same person, but not what the shop knows or lets them do."""
        assert connection.member is not None
        before = self._watches(member.person)
        self.roles[_rank(connection.member)] -= 1
        self.roles[_rank(member)] += 1
        connection.member = member
        if self._counted(member.person, before):
            self.count_viewers()

    def count_viewers(self) -> None:
        """Publish the count of viewers, at most once in `viewers_ms`."""
        if self._viewers_due is None:
            delay_s = self._viewers_s + self._limits.viewers_ms / 1000 - monotonic()
            loop = asyncio.get_running_loop()
            self._viewers_due = loop.call_later(max(0.0, delay_s), self._publish_viewers)

    def _publish_viewers(self) -> None:
        self._viewers_due = None
        self._viewers_s = monotonic()
        if self.viewers + self.elsewhere != self.room.viewers:
            self.apply(Viewers(self.viewers + self.elsewhere))

    def close(self) -> None:
        """Stop the room's timers."""
        for handle in (self._due, self._viewers_due, self._refreshing):
            if handle is not None:
                handle.cancel()
        self._due = self._viewers_due = self._refreshing = None
        self._outdated.clear()

    def stats(self) -> RoomStats:
        """Return the room's figures."""
        mine = self.counted()
        return RoomStats(
            connections=mine.connections,
            viewers=self.viewers + self.elsewhere,
            likes=self.room.likes,
            offset=self.room.offset,
            history_events=self.room.history_events,
            history_bytes=self.room.history_bytes,
            chat_lines=mine.chat_lines,
            chat_sampled=mine.chat_sampled,
            batches=self._batches,
            tick_ms=round(self._tempo.tick_s * 1000),
            skipping=mine.skipping,
            messages_out=mine.messages_out,
            dropped_by_tier=mine.dropped,
            slow_skipped=mine.slow_skipped,
            joined=self.joined,
            left=self.left,
            held=mine.held,
        )
