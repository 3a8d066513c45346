"""The one place where an event of one package becomes a message of another.

stream and commerce tell what happened; the bridge keeps each room's present state (stream, pins, shelf, sales, drops)
as the hub's snapshot sections and publishes what changed. Everything goes one way: nothing here asks the hub.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from chat.floor_store import opening
from chat.hub import Hub
from chat.message import Ban, StateMessage, Tier
from chat.rule_store import NOTHING_KEPT, Restored
from commerce.attribution.service import Attribution
from commerce.attribution.touch import Touch, TouchKind
from commerce.bans_sql import Bans
from commerce.catalogue import Catalogue
from commerce.catalogue_views import PinChanged, RoomChanged, ShelfChanged
from commerce.events import (
    AfterSaleChanged,
    BalanceDue,
    CouponClaimed,
    DebtDue,
    DebtorReminded,
    DebtOverdue,
    DrawChanged,
    DropChanged,
    HoldExpired,
    HoldGiven,
    OfferMade,
    OrderCancelled,
    OrderCreated,
    OrderDone,
    OrderFulfilled,
    OrderMaking,
    OrderOnItsWay,
    OrderPaid,
    OrderRefunded,
    SaleChanged,
    SaleSoon,
    SaleView,
    StockChanged,
    TeamChanged,
)
from commerce.room_floor_sql import RoomFloor
from commerce.room_rules_sql import RoomRules
from commerce.shop import Shop
from gateway.answers import order_answer
from gateway.clips import ClipRequest
from gateway.desk import stream_view
from gateway.encode import plain
from gateway.rooms import Room, Rooms
from stream.directory import Directory
from stream.record import ShowEvent, ShowStarted

logger = logging.getLogger("siyu.bridge")

# A room shows its running and latest sales and drops; ended ones leave the snapshot beyond this many.
SECTION_ENTRIES_MAX = 20
ENDED = frozenset({"closed", "gone", "drawn", "void", "full", "failed"})
# What is left on a shelf is read at most this often per room: a rush moves it a thousand times a second.
TURN_GRACE_S = 0.05
"""A limited-time price is looked for a moment after its time: timers may be early."""
TURN_S_MAX = 3_600.0
"""Timers of prices are set anew at least once an hour, as clocks are corrected."""
SHELF_MERGE_S = 1.0
SHELF_READ_TIMEOUT_S = 5.0
# A host's clock and ours drift apart by some milliseconds a minute: who joins late maps by a fresh pair.
CLOCK_REFRESH_S = 10.0
CLOCK_JITTER_MS = 1_000
"""How far two readings of a media clock may differ by the host's uneven sending alone: the clock stands at the newest
picture, which comes up to a few of them late; a clock that is further back began anew."""

# After these there may be more or fewer units to sell than before.
MOVES_STOCK = (SaleChanged, StockChanged, HoldExpired, OrderCreated, OrderPaid, OrderCancelled, OrderRefunded)


OrderEvent = (
    OrderCreated | OrderPaid | OrderCancelled | OrderFulfilled | OrderOnItsWay | OrderMaking | OrderDone | OrderRefunded
)

DebtEvent = DebtDue | DebtOverdue | DebtorReminded
DEBT_WHY: dict[type[DebtEvent], str] = {DebtDue: "due", DebtOverdue: "overdue", DebtorReminded: "reminded"}

PersonalEvent = CouponClaimed | HoldGiven | SaleSoon | BalanceDue | OfferMade | AfterSaleChanged | OrderEvent


class Shows(Protocol):
    """What the bridge asks of the recordings."""

    def current_show(self, room: str) -> str | None:
        """The show that is being recorded in the room."""

    def listen(self, callback: Callable[[ShowEvent], None]) -> None:
        """Hear of shows that begin and end."""


class ClipCutter(Protocol):
    """What the bridge asks of the clips."""

    def request(self, request: ClipRequest) -> None:
        """Have a clip cut, some time soon."""


@dataclass(frozen=True, slots=True)
class Explained:
    """The product that is being explained in a recorded show, since this media time."""

    product: str
    show: str
    start_ms: int


class RoomState:
    """What a room's snapshot says beside chat: pins, shelf, sales and drops by id."""

    __slots__ = ("_told", "draws", "drops", "explained", "pins", "sales", "shelf", "teams")

    def __init__(self) -> None:
        self._told = (0, 0)
        self.explained: Explained | None = None
        self.pins: list[dict[str, Any]] = []
        self.shelf: list[dict[str, Any]] = []
        self.sales: dict[str, dict[str, Any]] = {}
        self.drops: dict[str, dict[str, Any]] = {}
        self.draws: dict[str, dict[str, Any]] = {}
        self.teams: dict[str, dict[str, Any]] = {}

    def moment(self, now_ms: int, media_ms: int) -> int:
        """The media time to tell of an event at `now_ms`: not before that of an event which came before it."""
        before_ms, told_ms = self._told
        if now_ms >= before_ms:
            if 0 < told_ms - media_ms <= CLOCK_JITTER_MS:
                media_ms = told_ms
            self._told = (now_ms, media_ms)
        return media_ms

    def put(self, kind: dict[str, dict[str, Any]], key: str, view: dict[str, Any]) -> list[dict[str, Any]]:
        """Replace one entry and give the section, the oldest ended entries left out."""
        kind[key] = view
        if len(kind) > SECTION_ENTRIES_MAX:
            ended = next((name for name, entry in kind.items() if entry["state"] in ENDED), None)
            # Of groups there can be very many at once; the newest are shown, and each one's own people ask for it.
            if ended is not None or kind is self.teams:
                del kind[ended or next(iter(kind))]
        return list(kind.values())


def _worded(cards: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Cards without the figure that a `left` event tells; with variants the card's own words are needed."""
    return [{name: value for name, value in card.items() if name != "stock"} for card in cards]


def personal_message(event: Any) -> dict[str, Any] | None:
    """What a person is told of an event of commerce; None when that is nobody's own affair."""
    if isinstance(event, CouponClaimed):
        return {"t": "coupon", "coupon": plain(event.coupon)}
    if isinstance(event, OrderEvent):
        return {"t": "order", "order": order_answer(event.order)}
    if isinstance(event, SaleSoon):
        return {"t": "reminder", "sale": plain(event.sale)}
    if isinstance(event, BalanceDue):
        return {"t": "balance", "order": order_answer(event.order)}
    if isinstance(event, OfferMade):
        return {"t": "offer", **{name: getattr(event, name) for name in ("request", "title", "state", "price")}}
    if isinstance(event, AfterSaleChanged):
        return {"t": "after_sale", "request": plain(event.request)}
    if isinstance(event, DebtEvent):
        return {"t": "debt", "why": DEBT_WHY[type(event)], "debt": plain(event.debt)}
    if isinstance(event, HoldGiven):
        given = {name: getattr(event, name) for name in ("hold", "sale", "quantity", "price", "expires", "why")}
        return {"t": "hold", **given}
    return None


class Bridge:
    """Listens to stream and commerce, speaks to the hub."""

    def __init__(
        self,
        *,
        hub: Hub,
        directory: Directory,
        catalogue: Catalogue,
        shop: Shop,
        attribution: Attribution,
        rooms: Rooms,
        shows: Shows,
        clips: ClipCutter,
        clock: Callable[[], int],
        bans: Bans,
        rules: RoomRules,
        floor: RoomFloor,
        live_only: set[str],
    ) -> None:
        """``live_only`` is kept up to date with the sales whose price is for who is here while it is live."""
        self._live_only = live_only
        self._shows = shows
        self._clips = clips
        self._clock = clock
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        self._hub = hub
        self._directory = directory
        self._catalogue = catalogue
        self._shop = shop
        self._attribution = attribution
        self._rooms = rooms
        self._bans = bans
        self._rules = rules
        self._floor = floor
        self._states: dict[str, RoomState] = {}
        self._due: dict[str, asyncio.TimerHandle] = {}
        self._turns: dict[str, asyncio.TimerHandle] = {}
        self._reading: dict[str, asyncio.Task[None]] = {}
        self._on: dict[type[Any], Callable[[Any], None]] = {
            SaleChanged: self._sale,
            StockChanged: self._stock,
            DropChanged: self._drop,
            CouponClaimed: self._tell_person,
            OrderCreated: self._order,
            OrderPaid: self._order,
            OrderCancelled: self._order,
            OrderFulfilled: self._order,
            OrderOnItsWay: self._order,
            OrderMaking: self._order,
            OrderDone: self._order,
            OrderRefunded: self._order,
            PinChanged: self._pin,
            ShelfChanged: self._shelf,
            HoldExpired: lambda _: None,
            HoldGiven: self._tell_person,
            SaleSoon: self._tell_person,
            BalanceDue: self._tell_person,
            OfferMade: self._tell_person,
            AfterSaleChanged: self._tell_person,
            DrawChanged: self._draw,
            TeamChanged: self._team,
        }

    async def start(self) -> None:
        """Open every room in the hub with its present state, then follow the events."""
        self._shop.listen(self.hear)
        self._shop.answer(self.answer)
        self._catalogue.listen(self.hear)
        self._directory.listen(self._stream)
        self._shows.listen(self._show)
        self._refresh_later()
        for room in self._rooms:
            await self.open(room)

    async def close(self) -> None:
        """Hear no more of commerce, whose ledger may still be finishing; read no more shelves, and end the timers."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        for timer in self._due.values():
            timer.cancel()
        for timer in self._turns.values():
            timer.cancel()
        self._due.clear()
        self._turns.clear()
        for task in self._reading.values():
            task.cancel()
        await asyncio.gather(*self._reading.values(), return_exceptions=True)

    async def open(self, room: Room) -> None:
        """Give the hub a room."""
        if room.id in self._states:
            return
        state = RoomState()
        state.pins = [plain(card) for card in await self._catalogue.pins(room.id)]
        state.shelf = [plain(card) for card in await self._catalogue.shelf(room.id)]
        for sale in await self._shop.sales(room.id):
            state.put(state.sales, sale.sale, plain(sale))
            self._note(sale)
        for draw in reversed(await self._shop.moments.draws(room.id)):
            state.put(state.draws, draw.draw, plain(draw))
        for team in reversed(await self._shop.moments.teams(room.id)):
            state.put(state.teams, team.team, plain(team))
        for drop in await self._shop.drops(room.id):
            state.put(state.drops, drop.drop, plain(drop))
        bans = await self._bans.of_room(room.id)
        kept = Restored.of(await self._rules.of_room(room.id))
        said = opening(*await self._floor.of_room(room.id))
        if room.id in self._states:
            return
        banned = [Ban(ban.person, ban.until_ms, ban.devices) for ban in bans]
        self._open(room, state, kept.and_rules(banned), said)

    def shut(self, room: str) -> None:
        """Take a room that is over from the hub."""
        if self._states.pop(room, None) is not None:
            self._hub.close_room(room)

    def _open(
        self, room: Room, state: RoomState, kept: Restored = NOTHING_KEPT, said: Sequence[StateMessage] = ()
    ) -> None:
        self._states[room.id] = state
        self._await_turn(room.id, state)
        self._hub.open_room(
            room.id,
            {
                **kept.sections,
                "room": room.view(),
                "stream": stream_view(self._directory.info(room.id), self._clock()),
                "pins": state.pins,
                "shelf": state.shelf,
                "sales": list(state.sales.values()),
                "drops": list(state.drops.values()),
                "draws": list(state.draws.values()),
                "teams": list(state.teams.values()),
            },
            rules=kept.rules,
            said=said,
        )

    def hear(self, event: Any) -> None:
        """One event of commerce. Those of rooms that are not open change nothing, nor do those after the close."""
        if self._closed:
            return
        if isinstance(event, RoomChanged):
            self._room(event)
            return
        if isinstance(event, DebtEvent):
            self._debtor(event)
            return
        handler = self._on.get(type(event))
        if handler is not None and event.room in self._states:
            handler(event)
            if isinstance(event, MOVES_STOCK) and event.room not in self._due:
                due = asyncio.get_running_loop().call_later(SHELF_MERGE_S, self._read_shelf, event.room)
                self._due[event.room] = due

    def _read_shelf(self, room: str) -> None:
        """Begin to read what is left on a room's shelf; one reading at a time."""
        if room in self._reading:
            self._due[room] = asyncio.get_running_loop().call_later(SHELF_MERGE_S, self._read_shelf, room)
            return
        del self._due[room]
        task = asyncio.get_running_loop().create_task(self._left(room))
        self._reading[room] = task
        task.add_done_callback(lambda done: self._shelf_read(room, done))

    def _shelf_read(self, room: str, done: asyncio.Task[None]) -> None:
        del self._reading[room]
        if not done.cancelled() and (error := done.exception()) is not None:
            # The next sale reads it again; until then viewers see the older figure, and the ledger decides anyway.
            logger.warning("room %s: its shelf could not be read", room, exc_info=error)

    async def _left(self, room: str) -> None:
        """Tell what is left of the goods on the shelf."""
        async with asyncio.timeout(SHELF_READ_TIMEOUT_S):
            shelf = [plain(card) for card in await self._catalogue.shelf(room)]
            pins = [plain(card) for card in await self._catalogue.pins(room)]
        state = self._states.get(room)
        if state is None:
            return
        if _worded(pins) != _worded(state.pins):
            self._repin(room, state, pins)
        if shelf == state.shelf:
            return
        reworded = _worded(shelf) != _worded(state.shelf)
        state.shelf = shelf
        self._hub.set_section(room, "shelf", shelf)
        if reworded:
            # More than a figure: a limited-time price began or ended, or units of a variant moved.
            self._hub.publish(room, {"t": "shelf", "shelf": shelf}, tier=Tier.P1, keep=False)
            self._await_turn(room, state)
            return
        left = {card["sku"]: card["stock"] for card in shelf}
        self._hub.publish_latest(room, "left", {"t": "left", "left": left}, tier=Tier.P3)

    def _repin(self, room: str, state: RoomState, pins: list[dict[str, Any]]) -> None:
        """Show pinned cards anew whose price changed by the clock."""
        before, state.pins = {card["product"]: card for card in state.pins}, pins
        self._hub.set_section(room, "pins", pins)
        for card in pins:
            if _worded([card]) != _worded([before.get(card["product"], {})]):
                message = {"t": "pin", "card": card, "media_ms": card.get("media_ms")}
                self._hub.publish(room, message, tier=Tier.P0, sections={"pins": pins})

    def _await_turn(self, room: str, state: RoomState) -> None:
        """Read the shelf again when the next price on it changes by the clock."""
        timer = self._turns.pop(room, None)
        if timer is not None:
            timer.cancel()
        turns = [card["turns"] for card in state.shelf if card.get("turns") is not None]
        if turns:
            delay_s = min(TURN_S_MAX, max(0.0, (min(turns) - self._clock()) / 1000) + TURN_GRACE_S)
            self._turns[room] = asyncio.get_running_loop().call_later(delay_s, self._turn, room)

    def _turn(self, room: str) -> None:
        self._turns.pop(room, None)
        state = self._states.get(room)
        if state is None:
            return
        if room not in self._due:
            self._due[room] = asyncio.get_running_loop().call_later(0, self._read_shelf, room)
        # Once more if the clock was not there yet, and for the turn after this one.
        self._turns[room] = asyncio.get_running_loop().call_later(SHELF_MERGE_S, self._await_turn, room, state)

    def _media_ms(self, room: str, now_ms: int) -> int | None:
        """The stream's media clock at the time of an event, some milliseconds ago; None while nobody is live."""
        info = self._directory.info(room)
        if not info.live:
            return None
        return self._states[room].moment(now_ms, max(0, info.media_clock_ms - max(0, self._clock() - now_ms)))

    def _note(self, sale: SaleView) -> None:
        if sale.live_only and sale.state not in ENDED:
            self._live_only.add(sale.sale)
        else:
            self._live_only.discard(sale.sale)

    def _sale(self, event: SaleChanged) -> None:
        self._note(event.sale)
        state = self._states[event.room]
        known = state.sales.get(event.sale.sale)
        view, media_ms = plain(event.sale), self._media_ms(event.room, event.now_ms)
        if known is not None and known["state"] != "scheduled":
            view["media_ms"] = known.get("media_ms")
        elif view["state"] != "scheduled":
            # The sale's start; the countdown's end comes later by itself.
            view["media_ms"] = media_ms
        section = state.put(state.sales, event.sale.sale, view)
        message = {"t": "sale", "sale": view, "media_ms": media_ms}
        self._hub.publish(event.room, message, tier=Tier.P0, sections={"sales": section}, once=event.id)

    def _stock(self, event: StockChanged) -> None:
        state = self._states[event.room]
        known = state.sales.get(event.sale)
        sections = {}
        if known is not None:
            known = {**known, "left": event.left, "state": event.state}
            known |= {"waiting": event.waiting, "reserved": event.reserved}
            sections["sales"] = state.put(state.sales, event.sale, known)
        message = {"t": "stock", "sale": event.sale, "left": event.left, "state": event.state}
        message |= {"waiting": event.waiting, "reserved": event.reserved}
        self._hub.publish_latest(event.room, f"stock:{event.sale}", message, sections=sections, once=event.id)

    def _drop(self, event: DropChanged) -> None:
        state = self._states[event.room]
        before = state.drops.get(event.drop.drop)
        view, media_ms = plain(event.drop), self._media_ms(event.room, event.now_ms)
        view["media_ms"] = media_ms if before is None else before.get("media_ms")
        section = state.put(state.drops, event.drop.drop, view)
        if before is not None and before["state"] == view["state"]:
            # Only fewer coupons left: the latest figure is enough.
            message = {"t": "drop", "drop": view}
            key, sections = f"drop:{event.drop.drop}", {"drops": section}
            self._hub.publish_latest(event.room, key, message, sections=sections, once=event.id)
        else:
            message = {"t": "drop", "drop": view, "media_ms": media_ms}
            self._hub.publish(event.room, message, tier=Tier.P0, sections={"drops": section}, once=event.id)

    def _draw(self, event: DrawChanged) -> None:
        # A lottery group's draw has its place in the group; it is proved like any other.
        state, view = self._states[event.room], plain(event.draw)
        if event.draw.kind == "team":
            return
        before = state.draws.get(event.draw.draw)
        sections = {"draws": state.put(state.draws, event.draw.draw, view)}
        message = {"t": "draw", "draw": view}
        if before is not None and before["state"] == view["state"] == "open":
            # Only more entries: the latest figure is enough.
            self._hub.publish_latest(event.room, f"draw:{event.draw.draw}", message, sections=sections, once=event.id)
        else:
            self._hub.publish(event.room, message, tier=Tier.P0, sections=sections, once=event.id)

    def _team(self, event: TeamChanged) -> None:
        state, view = self._states[event.room], plain(event.team)
        sections = {"teams": state.put(state.teams, event.team.team, view)}
        message, key = {"t": "team", "team": view}, f"team:{event.team.team}"
        self._hub.publish_latest(event.room, key, message, sections=sections, once=event.id)

    def answer(self, event: Any) -> asyncio.Future[int] | None:
        """One event of commerce that this process answers for: what a person is told of it is written down.

        Where that is somewhere else than in the room's memory, the event counts as told when it is done.
        """
        if isinstance(event, CouponClaimed):
            self._attribution.record(Touch(event.merchant, event.person, TouchKind.COUPON, room=event.room))
        if event.room in self._states and (message := personal_message(event)) is not None:
            return self._hub.send_personal(event.room, event.person, message, once=event.id)
        return None

    def _tell_person(self, event: PersonalEvent) -> None:
        """Tell who is here, whichever process answers for the event; the same id is written down once."""
        if self._hub.is_present(event.room, event.person) and (message := personal_message(event)) is not None:
            self._hub.send_personal(event.room, event.person, message, once=event.id)

    def _debtor(self, event: DebtEvent) -> None:
        """Tell a debtor in whichever room of the shop they are: where they ordered once may be closed long since."""
        message = personal_message(event)
        assert message is not None
        for room in self._rooms.of(event.merchant):
            if room.id in self._states and self._hub.is_present(room.id, event.person):
                # What is written down is so once under a name, whichever room it was for.
                once = event.id if room.id == event.room else f"{event.id}:{room.id}"
                self._hub.send_personal(room.id, event.person, message, once=once)

    def _order(self, event: OrderEvent) -> None:
        if isinstance(event, OrderPaid):
            self._hub.admit(event.room, event.person)
        self._tell_person(event)

    def _pin(self, event: PinChanged) -> None:
        state = self._states[event.room]
        pins = [plain(card) for card in event.pins]
        state.pins = pins
        if event.card is not None:
            if event.card.media_ms is not None:
                # Its time was read when it was pinned; what comes after it is not told as before it.
                state.moment(event.now_ms, event.card.media_ms)
            message = {"t": "pin", "card": plain(event.card), "media_ms": event.card.media_ms}
        else:
            message = {"t": "unpin", "product": event.unpinned, "media_ms": self._media_ms(event.room, event.now_ms)}
        self._hub.publish(event.room, message, tier=Tier.P0, sections={"pins": pins}, once=event.id)
        self._explain(event, state)

    def _explain(self, event: PinChanged, state: RoomState) -> None:
        """Follow what is being explained; when that moves on, ask for a clip of what was."""
        before = state.explained
        card = next((card for card in event.pins if card.explaining), None)
        if before is not None and card is not None and card.product == before.product:
            return
        media_ms = self._media_ms(event.room, event.now_ms)
        if before is not None and media_ms is not None:
            self._clips.request(ClipRequest(event.room, before.show, before.product, before.start_ms, media_ms))
        show = self._shows.current_show(event.room)
        state.explained = None
        if card is not None and show is not None and card.media_ms is not None:
            state.explained = Explained(card.product, show, card.media_ms)

    def _show(self, event: ShowEvent) -> None:
        """A recording began or ended: what is explained all the while begins and ends with it."""
        state = self._states.get(event.room)
        if state is None:
            return
        if isinstance(event, ShowStarted):
            card = next((card for card in state.pins if card["explaining"]), None)
            media_ms = self._directory.info(event.room).media_clock_ms
            state.explained = Explained(card["product"], event.show, media_ms) if card is not None else None
            return
        before, state.explained = state.explained, None
        if before is not None and before.show == event.show:
            request = ClipRequest(event.room, before.show, before.product, before.start_ms, event.media_ms)
            self._clips.request(request)

    def _refresh_later(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(CLOCK_REFRESH_S, self._refresh)

    def _refresh(self) -> None:
        """Give the snapshots of live rooms a fresh pair of media clock and wall clock."""
        self._refresh_later()
        for room in self._states:
            info = self._directory.info(room)
            if info.live:
                self._hub.set_section(room, "stream", stream_view(info, self._clock()))

    def _shelf(self, event: ShelfChanged) -> None:
        state = self._states[event.room]
        state.shelf = [plain(card) for card in event.shelf]
        message = {"t": "shelf", "shelf": state.shelf}
        sections = {"shelf": state.shelf}
        self._hub.publish(event.room, message, tier=Tier.P1, keep=False, sections=sections, once=event.id)
        self._await_turn(event.room, state)

    def _room(self, event: RoomChanged) -> None:
        view = event.view
        room = Room(event.room, event.merchant, view.title, view.host, view.cover)
        if view.closed_ms is not None:
            self._rooms.drop(event.room)
            self.shut(event.room)
        elif event.room in self._states:
            self._rooms.put(room)
            self._hub.set_section(event.room, "room", room.view())
        else:
            self._rooms.put(room)
            self._open(room, RoomState())

    def _stream(self, event: Any) -> None:
        if event.room not in self._states:
            return
        view = stream_view(event.info, event.now_ms)
        self._hub.publish(event.room, {"t": "stream", "stream": view}, tier=Tier.P0, sections={"stream": view})
