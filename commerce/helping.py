"""Helper tasks (助力海报): a person's poster, so many different helpers, then a coupon out of the task's own budget.

Off until a shop turns them on. The coupon is given by the ledger once a poster (its key is the poster), from a budget
account that cannot fall below 0; a reward that the budget could not pay waits until it is funded.
"""

import hashlib
import hmac
import ipaddress
import logging
from collections.abc import Callable
from typing import Any

from commerce import catalogue_checks as check
from commerce import helping_sql
from commerce.attribution.service import Attribution
from commerce.attribution.touch import TouchKind
from commerce.domain.day import DAY_MS
from commerce.domain.helping import NEEDED_MAX, NEEDED_MIN
from commerce.errors import CommerceError, Invalid
from commerce.fresh_ids import fresh_id
from commerce.members import Members
from commerce.periodic import Periodic
from commerce.store_sql import Store

log = logging.getLogger(__name__)

LOOK_S = 30.0
"""How often rewards that are owed are tried again."""
FORGET_S = 3_600.0
"""How often the names of old networks are forgotten: they are kept a month, an hour more or less."""
DAYS_MAX = 366
RUNS_MS_MAX = 90 * DAY_MS
CHANNEL = "help"
"""Of the links on posters."""
PREFIX_4, PREFIX_6 = 32, 64
"""A network: an IPv4 address, or what one subscriber has of IPv6."""


class Helping:
    """Helper tasks of each merchant. ``secret`` keys the names of networks; ``clock`` gives Unix milliseconds."""

    def __init__(
        self, store: Store, members: Members, attribution: Attribution, *, secret: bytes, clock: Callable[[], int]
    ) -> None:
        self._store = store
        self._members = members
        self._attribution = attribution
        self._secret = secret
        self._clock = clock
        self._rewards = Periodic(self.settle, LOOK_S, what="rewards of helper tasks")
        self._forgetting = Periodic(self.forget, FORGET_S, what="networks of helpers")

    def start(self) -> None:
        """Give what is owed, and forget in time."""
        self._rewards.start()
        self._forgetting.start()

    async def close(self) -> None:
        """Stop; what is owed is given by the next start."""
        await self._rewards.close()
        await self._forgetting.close()

    async def settle(self) -> int:
        """Give the coupons that are owed and that budgets can pay; how many."""
        given = 0
        for row in await self._store.read(helping_sql.owed):
            given += await self._reward(row)
        return given

    async def forget(self) -> int:
        """Forget the networks of helpers of a month ago; how many."""
        now_ms = self._clock()
        return await self._store.write(lambda db: helping_sql.forget_networks(db, now_ms))

    # --- the shop --------------------------------------------------------------------------------------------------

    async def add(
        self,
        merchant: str,
        staff: str,
        room: str,
        title: str,
        reason: str,
        needed: int,
        amount: int,
        threshold: int,
        days: int,
        until_ms: int,
        budget: int,
    ) -> str:
        """Open a task with a budget of its own; its id. Raises Invalid, NotFound, Refused (closed, limit)."""
        now_ms = self._clock()
        if not NEEDED_MIN <= needed <= NEEDED_MAX:
            raise Invalid(f"needed is {NEEDED_MIN} to {NEEDED_MAX}", field="needed")
        if not now_ms < until_ms <= now_ms + RUNS_MS_MAX:
            raise Invalid("until lies ahead, by 90 days at most", field="until")
        if not 1 <= days <= DAYS_MAX:
            raise Invalid(f"days is 1 to {DAYS_MAX}", field="days")
        identifier = fresh_id(now_ms)
        row = {"id": identifier, "merchant": merchant, "room": room, "needed": needed, "staff": staff, "now": now_ms}
        row |= {"title": check.title(title), "reason": check.title(reason, "reason"), "days": days, "until": until_ms}
        row |= {"amount": check.whole(amount, "amount", 1, check.PRICE_FEN_MAX)}
        row |= {"threshold": check.whole(threshold, "threshold", 0, check.PRICE_FEN_MAX)}
        await self._store.write(lambda db: helping_sql.add(db, row))
        if budget:
            await self._members.fund_budget(merchant, staff, identifier, budget, f"help-task-{identifier}")
        return identifier

    async def turn(self, merchant: str, task: str, *, active: bool) -> None:
        """Open a task again, or end it. Raises NotFound, Refused (closed)."""
        await self._store.write(lambda db: helping_sql.turn(db, merchant, task, active=active))

    async def tasks(self, merchant: str) -> list[dict[str, Any]]:
        """A merchant's tasks: posters, helpers, coupons given and owed, and what is left of each budget."""
        rows = await self._store.read(lambda db: helping_sql.tasks(db, merchant))
        budgets = {one.issuer: one for one in await self._members.budgets(merchant)}
        return [{**row, "free": budgets[row["id"]].free if row["id"] in budgets else 0} for row in rows]

    # --- people ----------------------------------------------------------------------------------------------------

    async def running(self, merchant: str, person: str) -> list[dict[str, Any]]:
        """What a person can do and has done; nothing where the shop has them off."""
        now_ms = self._clock()
        rows = await self._store.read(lambda db: helping_sql.running(db, merchant, person, now_ms))
        return [{**row, "token": self._attribution.token_of(row["link"]) if row["link"] else ""} for row in rows]

    async def poster(self, merchant: str, task: str, person: str, role: str) -> dict[str, Any]:
        """A person's poster of a task, made once. Raises NotFound, Refused (closed)."""
        now_ms = self._clock()
        found, present = await self._store.read(
            lambda db: (helping_sql.task(db, merchant, task, now_ms), helping_sql.poster_of(db, task, person))
        )
        if present is not None:
            return await self.read(present)
        link = await self._attribution.mint_link(merchant, person, role, room=found["room"], channel=CHANNEL)
        row: dict[str, Any] = {"id": fresh_id(now_ms), "task": task, "person": person}
        row |= {"link": link.link.id, "now": now_ms}
        made = await self._store.write(lambda db: helping_sql.make(db, merchant, row))
        return await self.read(made)

    async def read(self, poster: str) -> dict[str, Any]:
        """A poster as anybody sees it, with its link's token. Raises NotFound."""
        row = await self._store.read(lambda db: helping_sql.poster(db, poster))
        return {**row, "token": self._attribution.token_of(row["link"])}

    async def opened(self, row: dict[str, Any], person: str) -> None:
        """Log that somebody came by a poster."""
        await self._attribution.touch_token(
            row["merchant"], row["token"], person, TouchKind.SHARE_OPEN, room=row["room"]
        )

    async def help(self, merchant: str, poster: str, person: str, address: str) -> dict[str, Any]:
        """Help: each person once in a task, so many of one network. ``counted`` says whether it counts.

        Raises NotFound, Refused (closed, already, not_for_you: one's own; limit).
        """
        now_ms, network = self._clock(), self._network(address)
        row = await self._store.write(lambda db: helping_sql.help_once(db, merchant, poster, person, network, now_ms))
        if row["done_ms"] is not None and not row["coupon"]:
            await self._reward(row)
        return row

    async def _reward(self, row: dict[str, Any]) -> bool:
        """Give a finished poster's coupon, once; False when the budget cannot pay it yet."""
        try:
            given = await self._members.give_coupon(
                row["merchant"],
                row["room"],
                row["task"],
                row["person"],
                f"help-{row['id']}",
                title=row["title"],
                reason=row["reason"],
                amount=row["amount"],
                threshold=row["threshold"],
                valid_s=row["days"] * DAY_MS // 1_000,
            )
        except CommerceError as error:
            log.warning("poster %s waits for its coupon: %r", row["id"], error)
            return False
        await self._store.write(lambda db: helping_sql.gave(db, row["id"], given.coupon))
        return True

    def _network(self, address: str) -> str:
        """A name for the network of an address, which says nothing to who has not the key; empty for a local one."""
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return ""
        if found.is_loopback:
            return ""
        prefix = PREFIX_4 if found.version == 4 else PREFIX_6
        network = ipaddress.ip_network((found, prefix), strict=False)
        return hmac.new(self._secret, str(network).encode(), hashlib.sha256).hexdigest()[:32]
