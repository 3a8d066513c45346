"""The hub: rooms, who is in them, and the way from a published event to every socket.

What is said in a room goes through the broker and comes back in one order; `chat/room.py` gives it offsets,
`chat/fanout.py` states in which order sockets get it, docs/hub.md is the protocol for those who write clients.

All methods are for the event loop's thread. Nothing here awaits a viewer.
"""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
import traceback
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from chat import frame
from chat.audit import AuditTrail
from chat.ban_store import BanStore
from chat.broker import Broker, BusStats
from chat.builtin import builtin_commands
from chat.caller import Caller
from chat.channel import Channel, Clock
from chat.commands import CommandContext, CommandHandler, Dispatcher
from chat.connection import Connection
from chat.errors import BadFrame, CloseCode, CommandRefused, RoomNotOpen, TokenRefused
from chat.event_stream import EventStream, Refuse
from chat.fanout import Fanout
from chat.floor_store import Ballots, FloorStore
from chat.keepers import KeeperStore
from chat.limits import HubLimits, MailboxLimits, RoomLimits
from chat.mailbox import Mailbox
from chat.member import Member
from chat.message import (
    Admitted,
    Ban,
    Event,
    JoinRequest,
    Latest,
    Mute,
    Personal,
    PreparedRefusal,
    Removal,
    RoomMessage,
    RuleMessage,
    Section,
    StateMessage,
    Tier,
    Words,
    decode,
    parse_join,
)
from chat.moderation import IdsOf, JoinGate, Network, TextFilter, just_themselves, nobodys
from chat.personal import PersonalStore
from chat.poll import Polls
from chat.regard import Stands, as_they_came
from chat.review import Line, Reviewer
from chat.rule_store import RuleStore
from chat.sink import Phase, Sink
from chat.stats import HubCounters, HubTotals, RoomStats
from chat.wheel import Wheel

__all__ = [
    "CommandContext",
    "CommandHandler",
    "CommandRefused",
    "Hub",
    "HubLimits",
    "Member",
    "RoomLimits",
    "Tier",
    "TokenRefused",
]

logger = logging.getLogger(__name__)

Authenticate = Callable[[str, str], Member]
"""Gets room and token (both may be empty), returns who it is; raises TokenRefused. Must not wait."""


class Hub:
    """Rooms and their connections on this node.

    `epoch` names this life of all rooms' offsets: a new one per process start. `commands` are handlers beside the
    hub's own; `clock` gives Unix milliseconds. `others_wait` tells whether another thread of this process has work
    that somebody waits for: a walk over many sockets then lets it run from time to time.
    """

    def __init__(
        self,
        *,
        authenticate: Authenticate,
        commands: Mapping[str, CommandHandler],
        clock: Clock,
        broker: Broker,
        limits: HubLimits | None = None,
        epoch: str,
        text_filter: TextFilter | None = None,
        audit: AuditTrail | None = None,
        ban_store: BanStore | None = None,
        rule_store: RuleStore | None = None,
        floor_store: FloorStore | None = None,
        ids_of: IdsOf = just_themselves,
        follows: Callable[[Member], Awaitable[bool]] | None = None,
        personal_store: PersonalStore | None = None,
        others_wait: Callable[[], bool] = lambda: False,
        review: Reviewer | None = None,
        archive: Callable[[Line], None] | None = None,
        network: Network = nobodys,
        server: str = "",
        stands: Stands = as_they_came,
        keeper_store: KeeperStore | None = None,
    ) -> None:
        self.stands = stands
        self.keeper_store = keeper_store
        self.rights_outdated: Callable[[int], None] = lambda version: None
        """Is told by other nodes that rights have changed, and the version of what is to be read."""
        self._server = server
        """What this process is called where several have a room."""
        self.network = network
        self.audit = audit
        self.review = review
        self.archive = archive
        """Is told of every line that passed the rules, shown to all or only to its speaker."""
        self.ban_store = ban_store
        self.rule_store = rule_store
        self.floor_store = floor_store
        self.ballots = None if floor_store is None else Ballots(floor_store, self.tell_if_open)
        self.ids_of = ids_of
        """All ids that somebody is known by, the one they go on under first."""
        self.follows = follows
        """Whether somebody follows the shop; without it no room can be for followers only."""
        self.limits = limits or HubLimits()
        self.mailbox = None if personal_store is None else Mailbox(personal_store, MailboxLimits(), self._present)
        self.clock = clock
        self.epoch = epoch
        self.counters = HubCounters()
        self.wheel = Wheel(clock, self.limits)
        self.dispatcher = Dispatcher({**commands, **builtin_commands(self)}, self.limits, self.counters, clock)
        self._authenticate = authenticate
        self._broker = broker
        self._text_filter = text_filter
        self._channels: dict[str, Channel] = {}
        self._joins = JoinGate(self.limits.joins_per_s, self.limits.joins_burst, clock())
        self._fanout = Fanout(self._go_on, self.limits)
        self._others_wait = others_wait
        self._draining = False
        self._callers: dict[tuple[str, str, str], Caller] = {}
        self._polls = Polls(self, authenticate)

    # Life

    async def start(self) -> None:
        """Begin to serve, on the running loop."""
        await self._broker.start()

    async def drain(self, batch: int = 500, interval: float = 0.1) -> None:
        """Tell every connection to come back elsewhere: `batch` of them each `interval` seconds, with code 4000.

        New connections are turned away with the same code. Returns when all peers have gone, or when the last had
        `closing_ms` to answer.
        """
        self._draining = True
        waiting = [connection for connection in self.wheel.connections if connection.phase is Phase.OPEN]
        for start in range(0, len(waiting), batch):
            if start:
                await asyncio.sleep(interval)
            for connection in waiting[start : start + batch]:
                connection.close(CloseCode.DRAIN, self._drain_reason())
        await self.wheel.wait_empty(self.limits.closing_ms / 1000)

    def _drain_reason(self) -> str:
        jitter_ms = random.randrange(self.limits.drain_jitter_ms)  # noqa: S311 - spreads load, guards nothing
        return f"server restarts, retry_ms={jitter_ms}"

    async def close(self) -> None:
        """Cut every connection that is left, stop commands and timers."""
        self._draining = True
        for connection in tuple(self.wheel.connections):
            connection.transport.abort()
        await self.dispatcher.close()
        if self.ballots is not None:
            await self.ballots.close()
        if self.mailbox is not None:
            await self.mailbox.close()
        for name in tuple(self._channels):
            self.close_room(name)
        self.wheel.stop()
        await self._broker.close()

    def _go_on(self, walk: Callable[[], None]) -> object:
        """Go on with a walk in the loop's next turn, or after a rest when other threads wait for the interpreter."""
        loop = asyncio.get_running_loop()
        return loop.call_later(self.limits.slice_rest_ms / 1000, walk) if self._others_wait() else loop.call_soon(walk)

    # Rooms

    def open_room(
        self,
        room: str,
        sections: Mapping[str, Any],
        *,
        words: Sequence[str] = (),
        rules: Iterable[RuleMessage] = (),
        said: Iterable[StateMessage] = (),
    ) -> None:
        """Open a room with the sections of its snapshot, the words it masks, what staff decided and was asked before.

        An open one gets these sections. What a room is opened with is what this node knows of it: nobody is told.
        Raises ValueError for a section named like a field of the snapshot, TypeError for what JSON cannot hold.
        """
        if room in self._channels:
            for name, value in sections.items():
                self.set_section(room, name, value)
            return
        channel = self._channels[room] = Channel(
            room,
            self.epoch,
            sections,
            limits=self.limits,
            fanout=self._fanout,
            clock=self.clock,
            text_filter=self._text_filter,
            ids_of=self.ids_of,
            stamps=self.mailbox is None,
            server=self._server,
            outdated=lambda version: self.rights_outdated(version),
        )
        if words:
            channel.gate.rule(Words(tuple(sorted({word.lower() for word in words}))))
        for rule in rules:
            channel.gate.rule(rule)
        channel.room.begin(said)
        self._broker.subscribe(room, channel)

    def close_room(self, room: str) -> None:
        """Close a room: its connections get 4404. A room that is not open is left alone."""
        channel = self._channels.pop(room, None)
        if channel is not None:
            self._broker.unsubscribe(room)
            self.counters.add_fanout(channel.counters)
            for connection in channel.sockets():
                connection.close(CloseCode.NO_ROOM, "the room is closed")
            channel.close()

    def rooms(self) -> tuple[str, ...]:
        """Return the names of the open rooms."""
        return tuple(self._channels)

    def is_open(self, room: str) -> bool:
        """Tell whether a room is open here."""
        return room in self._channels

    def channel(self, room: str) -> Channel:
        """Return an open room; raises RoomNotOpen."""
        try:
            return self._channels[room]
        except KeyError:
            raise RoomNotOpen(room) from None

    # What is said in a room

    def set_section(self, room: str, name: str, value: Any, *, once: str = "") -> None:
        """Change a part of the snapshot; who is in already is not told."""
        self.tell(room, Section(name, value), once=once)

    def publish(
        self,
        room: str,
        event: Mapping[str, Any],
        *,
        tier: Tier,
        keep: bool = True,
        sections: Mapping[str, Any] | None = None,
        once: str = "",
    ) -> None:
        """Send an event to all, and change what of the snapshot it changes, in one step.

        `keep` puts it into the history with an offset, so that resuming clients get it. Of those published under the
        same `once` (the id of what happened, which several nodes may hear of) the first is sent. Raises RoomNotOpen,
        TypeError for what JSON cannot hold, ValueError for an event without "t".
        """
        self.tell(room, Event(event, tier, keep, sections), once=once)

    def publish_latest(
        self,
        room: str,
        key: str,
        event: Mapping[str, Any],
        *,
        tier: Tier = Tier.P0,
        sections: Mapping[str, Any] | None = None,
        once: str = "",
    ) -> None:
        """Send a value with the next frame, and change what of the snapshot it changes.

        Of several under one key only the newest goes. Not kept in history.
        """
        changed = [Section(name, value) for name, value in (sections or {}).items()]
        self.tell(room, *changed, Latest(key, event, tier), once=once)

    def send_personal(
        self, room: str, person: str, event: Mapping[str, Any], *, keep: bool = True, once: str = ""
    ) -> asyncio.Future[int] | None:
        """Send an event to all connections of a person in the room.

        With `keep` it gets a sequence "a" and is sent again at each join until acknowledged. Where a store keeps it,
        the future of that sequence is returned; it is then brought to connections of this node only.
        """
        if keep and self.mailbox is not None:
            return self.mailbox.post(room, person, event, once or secrets.token_hex(8))
        self.tell(room, Personal(person, event, keep), once=once)
        return None

    def is_present(self, room: str, person: str) -> bool:
        """Tell whether a person is connected to a room on this node."""
        return bool(self._present(room, person))

    def _present(self, room: str, person: str) -> Sequence[Sink]:
        channel = self._channels.get(room)
        return channel.present(person) if channel is not None else ()

    def close_person(self, room: str, person: str, code: int, reason: str) -> None:
        """Close all connections of a person in the room."""
        self.tell(room, Removal(person, code, reason))

    def mute(self, room: str, person: str, until_ms: int) -> None:
        """Keep a person from chatting until then (Unix ms); 0 lifts it."""
        self.tell(room, Mute(person, until_ms))

    def ban(self, room: str, person: str, until_ms: int) -> None:
        """Keep a person out of the room until then (Unix ms); 0 lifts it. Who is in is not closed."""
        self.tell(room, Ban(person, until_ms))

    def admit(self, room: str, person: str) -> None:
        """Let a person write where only members may; telling it twice changes nothing."""
        self.tell(room, Admitted(person))

    def tell(self, room: str, *messages: RoomMessage, once: str = "") -> None:
        """Send messages to the room on every node, in one step; raises RoomNotOpen.

        Of those told under the same `once`, by whichever node, the first are taken.
        """
        self.channel(room)
        self._broker.publish(room, messages, once=once)

    def tell_if_open(self, room: str, *messages: RoomMessage) -> None:
        """Send messages to a room, should it still be open: what they tell was done meanwhile."""
        if room in self._channels:
            self.tell(room, *messages)

    # Connections

    def connection(self, address: str, on_lost: Callable[[], None] | None = None) -> Connection:
        """Return the protocol for one accepted socket of a client at `address`.

        The caller gives it the transport by `connection_made`, then the request's head and what follows it by
        `data_received`, or the request by `begin` where it has read it already. `on_lost` is called once, when the
        connection is gone.
        """
        return Connection(self, address, on_lost)

    def event_stream(
        self,
        request: JoinRequest,
        address: str,
        *,
        headers: Sequence[tuple[bytes, bytes]] = (),
        refuse: Refuse,
        padded: bool = False,
        on_lost: Callable[[], None] | None = None,
    ) -> asyncio.Protocol:
        """Return the protocol that answers a request for a room as server-sent events.

        `headers` go into the response's head; `refuse` makes the response for a close code and its reason. With
        `padded` each event fills the buffer of a proxy that would keep it. The caller gives it the transport by
        `connection_made`; `on_lost` is called once, when the connection is gone.
        """
        return EventStream(self, request, address, headers=headers, refuse=refuse, padded=padded, on_lost=on_lost)

    async def poll(self, request: JoinRequest, address: str, *, session: str = "", seen: int = 0) -> bytes:
        """Return the next answer to a client that polls, as JSON (`chat/poll.py`).

        `session` is what the last answer named, empty at first, and `seen` its number. A session that is not known here
        (any more), or is another person's, is begun anew with `request.since`. Raises TokenRefused.
        """
        return await self._polls.ask(request, address, session, seen)

    # Commands over HTTP

    async def command(
        self, room: str, member: Member, client: str, frame_data: bytes, address: str = ""
    ) -> list[bytes]:
        """Run the commands of one frame for a member who need not be connected; return their answers, as JSON.

        `client` tells several clients of one person apart: ids are new within each. Raises BadFrame, RoomNotOpen, and
        CommandRefused `banned` or `busy`.
        """
        channel = await self._enterable(room, member)
        if len(frame_data) > self.limits.frame_bytes:
            raise BadFrame(f"a message has at most {self.limits.frame_bytes} bytes")
        commands = decode(frame_data, self.limits.commands_per_frame)
        self.counters.commands_in += len(commands)
        key = (room, member.person, client)
        caller = self._callers.pop(key, None)
        if caller is None or caller.channel is not channel:
            caller = Caller(self, channel, member)
        caller.member = member
        caller.address = address
        self._callers[key] = caller
        if len(self._callers) > self.limits.callers:
            del self._callers[next(iter(self._callers))]
        return await caller.perform(commands)

    async def order(self, room: str, member: Member, command: str, args: Mapping[str, Any]) -> Mapping[str, Any]:
        """Run one command as a member, without an id; return the fields of its answer. Raises CommandRefused."""
        await self._enterable(room, member)
        result = self.dispatcher.handler(command)(CommandContext(room, member, self.clock()), args)
        if isinstance(result, PreparedRefusal):
            raise result.error
        return result if isinstance(result, Mapping) else await result

    async def attend(self, room: str) -> Channel:
        """Return an open room once it is up to date on this node. Raises RoomNotOpen."""
        self.channel(room)
        held = self._broker.hold(room)
        if held is not None:
            # Others wait for the same: one who gives up must not take it from them.
            await asyncio.shield(held)
        channel = self.channel(room)
        self._release(channel)
        return channel

    async def _enterable(self, room: str, member: Member) -> Channel:
        if self._draining:
            raise CommandRefused("busy", "the server stops", retry_ms=self.limits.drain_jitter_ms)
        channel = await self.attend(room)
        if channel.gate.barred_until_ms(member, self.clock()):
            raise CommandRefused("banned", "you are banned from this room")
        return channel

    def join(self, connection: Connection, target: str, authorization: str | None) -> bytes:
        """Let a connection into its room; return its first frame. Raises TokenRefused with the code to close with.

        Empty when this node has to fetch the room first: `Sink.welcome` is called when it is there.
        """
        payload = self.join_stream(connection, parse_join(target, authorization))
        return frame.text(payload) if payload else b""

    def join_stream(self, connection: Sink, request: JoinRequest) -> bytes:
        """Let a socket into its room; return the room as it is, a JSON array, or nothing. Raises TokenRefused."""
        try:
            return self._join(connection, request)
        except TokenRefused:
            self.counters.joins_refused += 1
            raise

    def _join(self, connection: Sink, request: JoinRequest) -> bytes:
        now_ms = self.clock()
        if self._draining:
            raise TokenRefused(CloseCode.DRAIN, self._drain_reason())
        if len(self.wheel.connections) > self.limits.connections:
            raise TokenRefused(CloseCode.JOINS_LIMITED, f"full, retry_ms={self.limits.connections_retry_ms}")
        retry_ms = self._joins.take(now_ms)
        if retry_ms:
            raise TokenRefused(CloseCode.JOINS_LIMITED, f"too many join at once, retry_ms={retry_ms}")
        if not request.room:
            raise TokenRefused(CloseCode.NO_ROOM, "no such room")
        try:
            member = self._authenticate(request.room, request.token)
        except TokenRefused:
            raise
        except Exception:  # noqa: BLE001 - logged without the token, which logging the exception itself might show
            text = traceback.format_exc()
            logger.error("authentication failed\n%s", text.replace(request.token, "[token]") if request.token else text)
            raise TokenRefused(CloseCode.INTERNAL, "something went wrong here") from None
        if 0 < member.expires_ms <= now_ms:
            raise TokenRefused(CloseCode.TOKEN, "token expired")
        if request.room not in self._channels:
            raise TokenRefused(CloseCode.NO_ROOM, "no such room")
        held = self._broker.hold(request.room)
        if held is None:
            return self._enter(connection, request, member)
        connection.transport.pause_reading()
        held.add_done_callback(partial(self._arrive, connection, request, member))
        return b""

    def _arrive(self, connection: Sink, request: JoinRequest, member: Member, held: asyncio.Future[None]) -> None:
        """Let one in who waited for the room to be fetched."""
        if connection.phase is not Phase.OPEN:
            return
        connection.transport.resume_reading()
        try:
            # What they may do can have changed while they waited.
            payload = self._enter(connection, request, self.stands(request.room, member))
        except TokenRefused as refused:
            self.counters.joins_refused += 1
            connection.close(refused.code, refused.reason)
        else:
            connection.welcome(payload)

    def _enter(self, connection: Sink, request: JoinRequest, member: Member) -> bytes:
        now_ms = self.clock()
        channel = self._channels.get(request.room)
        if channel is None:
            raise TokenRefused(CloseCode.NO_ROOM, "no such room")
        until_ms = channel.gate.barred_until_ms(member, now_ms)
        if until_ms:
            own = channel.gate.bans.until_ms(member.person, now_ms)
            if own and member.device and not channel.gate.bans.knows(member.device):
                # They came with another device: from now on the ban is for that as well. (Not when it is another id's:
                # should the two be found to be two again, the device is not to stay with the ban.)
                self.tell(request.room, Ban(member.person, until_ms, (member.device,)))
            self._release(channel)
            raise TokenRefused(CloseCode.BANNED, "banned")
        connection.member = member
        connection.channel = channel
        personal = channel.personal.unacknowledged(member.person, now_ms)
        channel.catch_up_with(request.since)
        snapshot = channel.snapshot(connection, request.since, personal)
        if channel.enter(connection):
            channel.count_viewers()
        if self.mailbox is not None:
            self.mailbox.look(request.room, member.person)
        self.counters.joins += 1
        return snapshot

    def refresh(self, connection: Sink) -> None:
        """Bring a connection that was skipped, and has drained, to the present state."""
        assert connection.channel is not None
        connection.channel.refresh(connection)

    def leave(self, connection: Sink, code: int) -> None:
        """Take a connection out of its room; `code` says how it ended."""
        self.counters.closed(code)
        channel = connection.channel
        if channel is not None:
            if channel.leave(connection):
                channel.count_viewers()
            if self.mailbox is not None:
                self.mailbox.forget(connection)
            self._release(channel)

    def _release(self, channel: Channel) -> None:
        """Tell the bus of a room that nobody is in."""
        if not channel.people:
            self._broker.release(channel.room.name)

    # Figures

    def stats(self, room: str) -> RoomStats:
        """Return a room's figures; raises RoomNotOpen."""
        return self.channel(room).stats()

    def bus_stats(self) -> BusStats:
        """Return the figures of the bus between nodes."""
        return self._broker.stats()

    def totals(self) -> HubTotals:
        """Return the hub's figures."""
        counters = replace(self.counters)
        for channel in self._channels.values():
            counters.add_fanout(channel.counters)
        return HubTotals(
            rooms=len(self._channels),
            connections=len(self.wheel.connections),
            joins=counters.joins,
            joins_refused=counters.joins_refused,
            commands_in=counters.commands_in,
            frames_in=counters.frames_in,
            bytes_in=counters.bytes_in,
            messages_out=counters.messages_out,
            bytes_out=counters.bytes_out,
            dropped_by_tier={tier.name: counters.dropped[tier] for tier in Tier},
            slow_skipped=counters.slow_skipped,
            chat_sampled=counters.chat_sampled,
            command_errors=counters.command_errors,
            closed_by_code=dict(counters.closed_by_code),
        )
