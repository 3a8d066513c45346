"""What makes a show a show, behind both doors: reminders, lines, draws and groups for viewers, their making for staff.

Beside ``Desk``, whose checks of rooms and roles it uses.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from chat.member import Member
from commerce.errors import NotFound, Refused
from commerce.events import DrawView, TeamView
from commerce.ledger_moments import Entered, Followed, PlanView, Reminded, Seated, Waiting
from commerce.moments import Moments, Task
from gateway.auth import Claims
from gateway.desk import Desk, offer_of
from gateway.errors import Problem
from gateway.schemas_moments import DrawBody, EntryBody, PlanBody

Say = Callable[[str, Member, str], Awaitable[None]]
"""Say a line in a room as a member, by the room's own rules of speaking."""

TASKS_KEPT_MAX = 1_000
"""Draws whose task is remembered: what it asks for never changes, and a rush of entries need not read it each time."""


@dataclass(frozen=True, slots=True)
class _Asked:
    room: str
    task: str
    word: str
    sale: str | None


class MomentsDesk:
    """Checks who may do what where, then lets commerce do it."""

    def __init__(self, desk: Desk, moments: Moments) -> None:
        self._desk = desk
        self._moments = moments
        self._asked: OrderedDict[str, _Asked] = OrderedDict()

    # — staff —

    async def create_plan(self, who: Claims, room_id: str, body: PlanBody) -> PlanView:
        room = self._desk.run(who, room_id)
        card = await self._desk.card(room, body.sku)
        return await self._moments.create_plan(room.merchant, room.id, body.rule, offer_of(body, card.price))

    async def plans(self, who: Claims, room_id: str) -> list[PlanView]:
        return await self._moments.plans(self._desk.run(who, room_id).id)

    async def end_plan(self, who: Claims, room_id: str, plan: str) -> PlanView:
        room = self._desk.run(who, room_id)
        if plan not in {one.plan for one in await self._moments.plans(room.id)}:
            raise NotFound("no such recurring sale in this room")
        return await self._moments.end_plan(room.merchant, plan)

    async def open_draw(self, who: Claims, room_id: str, body: DrawBody) -> DrawView:
        room = self._desk.run(who, room_id)
        task = Task(body.task, body.word.strip())
        if body.kind == "packet":
            if body.pool is None or body.title is None or body.sku is not None:
                raise Problem(400, "invalid", "a red packet has a title and a pool, and no sku")
            return await self._moments.open_packet(
                room.merchant,
                room.id,
                body.title,
                body.pool,
                body.winners,
                body.seconds,
                least=body.least,
                valid_s=body.valid_s,
                task=task,
            )
        if body.sku is None or body.pool is not None:
            raise Problem(400, "invalid", "a lucky bag has a sku, and no pool")
        card = await self._desk.card(room, body.sku)
        return await self._moments.open_bag(
            room.merchant,
            room.id,
            body.sku,
            body.winners,
            body.seconds,
            price=body.price,
            list_price=card.price,
            hold_s=body.hold_s,
            title=body.title,
            task=task,
        )

    async def void_draw(self, who: Claims, room_id: str, draw: str) -> DrawView:
        room = self._desk.run(who, room_id)
        if (await self._of_draw(draw)).room != room.id:
            raise NotFound("no such draw in this room")
        return await self._moments.void_draw(room.merchant, draw)

    # — viewers —

    async def remind(self, who: Claims, room_id: str, subject: str, on: bool) -> Reminded:
        room = self._desk.entered(who, room_id)
        return await self._moments.remind(room.merchant, room.id, who.person, subject, on)

    async def wait(self, who: Claims, room_id: str, sale: str) -> Waiting:
        room = self._desk.entered(who, room_id)
        self._desk.admitted(room, sale)
        return await self._moments.wait(room.merchant, room.id, who.person, sale)

    async def leave_waiting(self, who: Claims, room_id: str, sale: str) -> Waiting:
        room = self._desk.entered(who, room_id)
        return await self._moments.leave_waiting(room.merchant, who.person, sale)

    async def enter(self, who: Claims, member: Member, room_id: str, draw: str, body: EntryBody, say: Say) -> Entered:
        """Enter a draw. Its comment is said in the room first, under the room's rules: who may not speak is refused.

        Raises ``Problem`` 403 for staff, NotFound, Refused (``task`` when it was not done).
        """
        room = self._desk.entered(who, room_id)
        if who.staff:
            raise Problem(403, "forbidden", "the shop's own people do not enter its draws")
        asked = await self._of_draw(draw)
        if asked.room != room.id:
            raise NotFound("no such draw in this room")
        if asked.sale is not None:
            self._desk.admitted(room, asked.sale)
        if asked.task == "comment" and await self._moments.entry(draw, who.person) is None:
            comment = (body.comment or "").strip()
            if asked.word.casefold() not in comment.casefold():
                raise Refused("task", f"say {asked.word} to enter", word=asked.word)
            await say(room.id, member, comment)
        return await self._moments.enter(room.merchant, room.id, who.person, draw, body.follow)

    async def _of_draw(self, draw: str) -> _Asked:
        asked = self._asked.get(draw)
        if asked is None:
            _, view = await self._moments.draw(draw)
            asked = self._asked[draw] = _Asked(view.room, view.task, view.word, view.sale)
            if len(self._asked) > TASKS_KEPT_MAX:
                self._asked.popitem(last=False)
        return asked

    async def join_team(self, who: Claims, room_id: str, sale: str, team: str | None, key: str) -> Seated:
        room = self._desk.entered(who, room_id)
        self._desk.admitted(room, sale)
        return await self._moments.join_team(room.merchant, room.id, who.person, sale, team, key)

    async def follow(self, who: Claims, on: bool) -> Followed:
        return await self._moments.follow(who.merchant, who.person, on)

    async def team(self, who: Claims, team: str) -> TeamView:
        view = await self._moments.team(team)
        self._desk.entered(who, view.room)
        return view
