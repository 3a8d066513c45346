"""What makes a show a show: recurring sales, sales by draw, waiting lists, lucky bags, red packets, group buys.

One part of the shop's facade; ``Shop.moments`` is one. Everything that changes something goes to the ledger.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from commerce import views_moments_sql, views_sql
from commerce.domain.draw import ENTER_S_MAX, PRIZE_VALUE_MAX, TASKS, WINNERS_MAX, WORD_CHARACTERS_MAX, Ticket
from commerce.domain.money import AMOUNT_MAX
from commerce.domain.presale import presale_fault
from commerce.domain.rhythm import rule_fault
from commerce.domain.sale import FIRST_COME, HOLD_S_MAX, LENGTH_S_MAX, UNITS_MAX, SaleMode, SaleTerms
from commerce.domain.team import TEAM_S_MAX, TEAM_SIZE_MAX, TEAM_SIZE_MIN
from commerce.errors import Invalid, NotFound, Refused
from commerce.events import DrawView, SaleView, TeamView
from commerce.ledger import KEY_CHARACTERS_MAX, CreateSale, Ledger, SteerSale, fingerprint
from commerce.ledger_moments import (
    CreatePlan,
    EndPlan,
    Enter,
    Entered,
    Follow,
    Followed,
    JoinTeam,
    LeaveWaiting,
    OpenBag,
    OpenPacket,
    PlanView,
    Remind,
    Reminded,
    Seated,
    VoidDraw,
    Wait,
    Waiting,
)
from commerce.store_sql import Store

T = TypeVar("T")

AHEAD_S_MAX = 60 * 86_400
"""How far ahead a sale may be scheduled: its units lie aside all the while."""
BAG_HOLD_S_MAX = 86_400
"""Who won a bag has a day to fetch it: they may have left the room."""
SHARES_MAX = 1_000
"""Shares of one red packet: each is a coupon of its own amount."""
VALID_S_MAX = 366 * 86_400
TITLE_CHARACTERS_MAX = 60
SALE_TITLE_CHARACTERS_MAX = 200


@dataclass(frozen=True, slots=True)
class Offer:
    """A sale as staff plan it: prices in 分, lengths in seconds."""

    sku: str
    price: int
    list_price: int
    total: int
    per_person: int
    hold_s: int
    length_s: int
    terms: SaleTerms = FIRST_COME


@dataclass(frozen=True, slots=True)
class Task:
    """What who enters a draw has to do: nothing, say ``word`` in the room, or follow the shop."""

    kind: str = "none"
    word: str = ""


NO_TASK = Task()


@dataclass(frozen=True, slots=True)
class Proof:
    """All that is needed to recompute a draw: the view, and each ticket with its place and 分 in order of entry."""

    merchant: str
    draw: DrawView
    tickets: list[Ticket]


class Moments:
    """Plans, reminders, waiting lists, draws and teams of all merchants of one database."""

    def __init__(
        self,
        store: Store,
        ledger: Ledger,
        *,
        clock: Callable[[], int],
        steer: Callable[[SteerSale], Awaitable[SaleView]],
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._clock = clock
        self._steer = steer

    # --- sales ---------------------------------------------------------------------------------------------------

    async def create_sale(self, merchant: str, room: str, offer: Offer) -> SaleView:
        """Set units aside for a sale of any kind, state scheduled. Raises NotFound, Refused, Invalid."""
        check_offer(offer)
        presale = offer.terms.presale
        fault = None if presale is None else presale_fault(presale, offer.price, self._clock())
        if fault is not None:
            raise Invalid(fault[1], field=fault[0])
        product, title, image = await self._product(merchant, offer.sku)
        command = CreateSale(
            merchant,
            room,
            product,
            offer.sku,
            title,
            image,
            offer.price,
            offer.list_price,
            offer.total,
            offer.per_person,
            offer.hold_s * 1000,
            offer.length_s * 1000,
            offer.terms,
        )
        return await self._do(command, SaleView)

    async def start_at(self, merchant: str, sale: str, opens_ms: int) -> SaleView:
        """Open a sale at a moment to come, by itself. Raises NotFound, Refused (already, closed), Invalid."""
        now_ms = self._clock()
        if not now_ms < opens_ms <= now_ms + AHEAD_S_MAX * 1000:
            raise Invalid(f"a sale opens in the next {AHEAD_S_MAX // 86_400} days", field="at")
        return await self._steer(SteerSale(merchant, sale, "start_at", opens_ms))

    async def reopen(self, merchant: str, sale: str, length_s: int) -> SaleView:
        """Open a closed sale anew with those of its units that are on the shelf again.

        Raises NotFound, Refused (already: it has not closed; closed: not one of this kind; sold_out), Invalid.
        """
        _within(length_s, 1, LENGTH_S_MAX, "length_s")
        return await self._steer(SteerSale(merchant, sale, "reopen", length_s * 1000))

    async def create_plan(self, merchant: str, room: str, rule: str, offer: Offer) -> PlanView:
        """Make such a sale at each moment of ``rule`` (RRULE, Asia/Shanghai), from now on.

        Raises NotFound, Refused (limit, closed), Invalid.
        """
        check_offer(offer)
        fault = rule_fault(rule)
        if fault is not None:
            raise Invalid(fault, field="rule")
        if offer.terms.mode not in (SaleMode.RUSH, SaleMode.DRAW):
            raise Invalid("a recurring sale is a rush or a draw", field="mode")
        if offer.terms.presale is not None:
            raise Invalid("a presale is planned for once: its balance has dates", field="deposit")
        command = CreatePlan(
            merchant,
            room,
            offer.sku,
            rule,
            offer.price,
            offer.total,
            offer.per_person,
            offer.hold_s * 1000,
            offer.length_s * 1000,
            offer.terms,
        )
        return await self._do(command, PlanView)

    async def end_plan(self, merchant: str, plan: str) -> PlanView:
        """Make no more sales by it. Raises NotFound."""
        return await self._do(EndPlan(merchant, plan), PlanView)

    async def plans(self, room: str) -> list[PlanView]:
        """A room's recurring sales, newest first."""
        return await self._store.read(lambda connection: views_moments_sql.read_plans(connection, room))

    async def remind(self, merchant: str, room: str, person: str, subject: str, on: bool = True) -> Reminded:
        """Tell a person a minute before a sale, or each sale of a plan, opens. Raises NotFound, Refused."""
        return await self._do(Remind(merchant, room, person, subject, on), Reminded)

    async def wait(self, merchant: str, room: str, person: str, sale: str) -> Waiting:
        """Stand in line for units of a sold-out sale. Raises NotFound, Refused."""
        return await self._do(Wait(merchant, room, person, sale), Waiting)

    async def leave_waiting(self, merchant: str, person: str, sale: str) -> Waiting:
        """Leave that line. Raises NotFound."""
        return await self._do(LeaveWaiting(merchant, person, sale), Waiting)

    # --- draws ---------------------------------------------------------------------------------------------------

    async def open_bag(
        self,
        merchant: str,
        room: str,
        sku: str,
        winners: int,
        enter_s: int,
        *,
        price: int = 1,
        list_price: int = 0,
        hold_s: int = BAG_HOLD_S_MAX,
        title: str | None = None,
        task: Task = NO_TASK,
    ) -> DrawView:
        """Open a lucky bag now: winners may each buy one unit at ``price`` within ``hold_s``.

        Raises NotFound, Refused (sold_out; prize_limit: worth more than ``PRIZE_VALUE_MAX``), Invalid.
        """
        _within(winners, 1, WINNERS_MAX, "winners")
        _within(enter_s, 1, ENTER_S_MAX, "seconds")
        _within(price, 1, AMOUNT_MAX, "price")
        _within(hold_s, 1, BAG_HOLD_S_MAX, "hold_s")
        _check_task(task)
        if list_price - price > PRIZE_VALUE_MAX:
            raise Refused("prize_limit", f"a prize is worth at most ¥{PRIZE_VALUE_MAX // 100}", limit=PRIZE_VALUE_MAX)
        product, own_title, image = await self._product(merchant, sku)
        command = OpenBag(
            merchant,
            room,
            product,
            sku,
            (title or own_title)[:TITLE_CHARACTERS_MAX],
            image,
            price,
            list_price,
            winners,
            enter_s * 1000,
            hold_s * 1000,
            task.kind,
            task.word,
        )
        return await self._do(command, DrawView)

    async def open_packet(
        self,
        merchant: str,
        room: str,
        title: str,
        pool: int,
        shares: int,
        enter_s: int,
        *,
        least: int = 1,
        valid_s: int = 7 * 86_400,
        task: Task = NO_TASK,
    ) -> DrawView:
        """Open a red packet now: ``pool`` 分 in random shares of at least ``least``, as coupons without a threshold.

        Raises Refused (prize_limit), Invalid.
        """
        _within(shares, 1, SHARES_MAX, "winners")
        _within(least, 1, AMOUNT_MAX, "least")
        _within(pool, shares * least, AMOUNT_MAX, "pool")
        _within(enter_s, 1, ENTER_S_MAX, "seconds")
        _within(valid_s, 1, VALID_S_MAX, "valid_s")
        _check_task(task)
        if pool - (shares - 1) * least > PRIZE_VALUE_MAX:
            raise Refused("prize_limit", f"a share is at most ¥{PRIZE_VALUE_MAX // 100}", limit=PRIZE_VALUE_MAX)
        command = OpenPacket(
            merchant,
            room,
            title[:TITLE_CHARACTERS_MAX],
            pool,
            shares,
            least,
            enter_s * 1000,
            valid_s * 1000,
            task.kind,
            task.word,
        )
        return await self._do(command, DrawView)

    async def void_draw(self, merchant: str, draw: str) -> DrawView:
        """Call a bag or packet off before it is drawn. Raises NotFound, Refused (already)."""
        return await self._do(VoidDraw(merchant, draw), DrawView)

    def enter(
        self, merchant: str, room: str, person: str, draw: str, follow: bool = False
    ) -> "asyncio.Future[Entered]":
        """Enter a draw; again gives the same ticket. Fails with NotFound, Refused, Busy."""
        return self._ledger.submit(Enter(merchant, room, person, draw, follow))

    async def follow(self, merchant: str, person: str, on: bool = True) -> Followed:
        """Follow the shop, or not any more."""
        return await self._do(Follow(merchant, person, on), Followed)

    async def follows(self, merchant: str, person: str) -> bool:
        """Whether a person follows the shop."""
        return await self._store.read(lambda db: views_moments_sql.read_follows(db, merchant, person))

    async def draws(self, room: str) -> list[DrawView]:
        """Draws of a room, newest first."""
        now_ms = self._clock()
        return await self._store.read(lambda connection: views_moments_sql.read_draws(connection, room, now_ms))

    async def draw(self, draw: str) -> tuple[str, DrawView]:
        """One draw, and whose it is. Raises NotFound."""
        now_ms = self._clock()
        found = await self._store.read(lambda connection: views_moments_sql.read_draw(connection, draw, now_ms))
        if found is None:
            raise NotFound("no such draw")
        return found

    async def proof(self, draw: str) -> Proof:
        """A draw with its tickets, which are told once it is drawn. Raises NotFound."""
        merchant, view = await self.draw(draw)
        tickets: list[Ticket] = []
        if view.drawn is not None:
            tickets = await self._store.read(lambda connection: views_moments_sql.read_tickets(connection, draw))
        return Proof(merchant, view, tickets)

    async def entry(self, draw: str, person: str) -> dict[str, Any] | None:
        """A person's own entry: ticket, n, place, amount, prize."""
        return await self._store.read(lambda connection: views_moments_sql.read_entry(connection, draw, person))

    # --- teams ---------------------------------------------------------------------------------------------------

    async def join_team(self, merchant: str, room: str, person: str, sale: str, team: str | None, key: str) -> Seated:
        """Take a seat in a group, or open one. Raises NotFound, Refused, Conflict, Busy, Invalid."""
        if not 0 < len(key) <= KEY_CHARACTERS_MAX or "\0" in key:
            raise Invalid(f"a key has 1 to {KEY_CHARACTERS_MAX} characters, none of them NUL")
        return await self._do(JoinTeam(merchant, room, person, sale, team, key, fingerprint(team)), Seated)

    async def teams(self, room: str) -> list[TeamView]:
        """Groups of a room, newest first."""
        now_ms = self._clock()
        return await self._store.read(lambda connection: views_moments_sql.read_teams(connection, room, now_ms))

    async def team(self, team: str) -> TeamView:
        """One group. Raises NotFound."""
        found = await self._store.read(lambda connection: views_moments_sql.read_team(connection, team))
        if found is None:
            raise NotFound("no such group")
        return found

    async def _product(self, merchant: str, sku: str) -> tuple[str, str, str]:
        found = await self._store.read(lambda connection: views_sql.read_product(connection, merchant, sku))
        if found is None:
            raise NotFound("no such product", sku=sku)
        product, title, image = found
        return product, title[:SALE_TITLE_CHARACTERS_MAX], image

    async def _do(self, command: Any, kind: type[T]) -> T:
        result = await self._ledger.submit(command)
        assert isinstance(result, kind)
        return result


def check_offer(offer: Offer) -> None:
    """Raises Invalid."""
    _within(offer.price, 1, AMOUNT_MAX, "price")
    _within(offer.list_price, 0, AMOUNT_MAX, "list_price")
    _within(offer.total, 1, UNITS_MAX, "total")
    _within(offer.per_person, 1, UNITS_MAX, "per_person")
    _within(offer.hold_s, 1, HOLD_S_MAX, "hold_s")
    _within(offer.length_s, 1, LENGTH_S_MAX, "length_s")
    terms = offer.terms
    if terms.mode == SaleMode.BAG:
        raise Invalid("a lucky bag is opened as a draw", field="mode")
    if terms.mode == SaleMode.DRAW:
        _within(terms.enter_ms // 1000, 1, ENTER_S_MAX, "enter_s")
        _within(offer.total, 1, WINNERS_MAX, "total")
    elif terms.enter_ms:
        raise Invalid("only a draw takes entries", field="enter_s")
    if terms.mode == SaleMode.TEAM:
        _within(terms.team_size, TEAM_SIZE_MIN, TEAM_SIZE_MAX, "team_size")
        _within(terms.team_ms // 1000, 1, TEAM_S_MAX, "team_s")
        _within(terms.team_winners, 0, terms.team_size - 1, "team_winners")
        if terms.presale is not None:
            raise Invalid("a group buy is paid at once", field="deposit")
    elif terms.team_size or terms.team_ms or terms.team_winners:
        raise Invalid("only a group buy has groups", field="team_size")


def _check_task(task: Task) -> None:
    if task.kind not in TASKS:
        raise Invalid("task is one of " + ", ".join(TASKS), field="task")
    if (task.kind == "comment") != (0 < len(task.word.strip()) <= WORD_CHARACTERS_MAX):
        raise Invalid(
            f"a comment's word has 1 to {WORD_CHARACTERS_MAX} characters, other tasks have none", field="word"
        )


def _within(value: int, least: int, most: int, name: str) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise Invalid(f"{name} is a whole number from {least} to {most}", field=name)
