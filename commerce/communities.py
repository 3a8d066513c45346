"""Community groups (社群): joined by a code under written rules, each a channel of attribution by itself.

A group's links carry its channel, so visits and orders that it brings are told apart by the one attribution there is.
Scores, stage and proposals are computed when asked: nothing runs behind a group's back.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from commerce import catalogue_checks as check
from commerce import communities_sql
from commerce.attribution import reach_sql
from commerce.attribution.links import LinkView
from commerce.attribution.reach import day_of
from commerce.attribution.service import FLUSH_WAIT_S, Attribution
from commerce.attribution.touch import TouchKind
from commerce.attribution.touches_sql import TouchLog
from commerce.crm.activity import Activity
from commerce.domain import community as rules_of
from commerce.domain.activity import WINDOW_DAYS, Score
from commerce.domain.community import Figures, Member, is_active, proposed
from commerce.domain.day import DAY_MS
from commerce.domain.ids import AFTER_ALL
from commerce.domain.org import Reach
from commerce.errors import Invalid
from commerce.fresh_ids import fresh_id
from commerce.store_sql import Store

RULES_CHARACTERS_MAX = 3_000
WINDOW_MS = WINDOW_DAYS * DAY_MS


def channel_of(community: str) -> str:
    """The channel of a group's links."""
    return f"group:{community}"


@dataclass(frozen=True, slots=True)
class Standing:
    """A group in a list: its row, how many are in it, and the stage that this makes."""

    row: dict[str, Any]
    figures: Figures
    stage: str


@dataclass(frozen=True, slots=True)
class Board:
    """A group's board over the last 28 days: ``members`` with their scores, the most active first; who is proposed as
    a leader; different people who came by its links (``visits``, ``entries``), and what they bought.
    """

    standing: Standing
    why: str
    members: list[tuple[dict[str, Any], Score]]
    proposed: list[str]
    visits: int
    entries: int
    orders: int
    buyers: int
    amount: int


class Communities:
    """The groups of each merchant; what staff ask is scoped to one and to their part of it.

    ``who`` is the account that asks: its own groups are always its own. ``clock`` gives Unix milliseconds.
    """

    def __init__(
        self,
        store: Store,
        touches: TouchLog,
        attribution: Attribution,
        activity: Activity,
        *,
        clock: Callable[[], int],
    ) -> None:
        self._store = store
        self._touches = touches
        self._attribution = attribution
        self._activity = activity
        self._clock = clock

    # --- staff -----------------------------------------------------------------------------------------------------

    async def add(
        self, merchant: str, owner: str, role: str, node: str, name: str, rules: str, room: str
    ) -> dict[str, Any]:
        """Begin a group; people join by its link. Raises Invalid, NotFound (room), Refused (limit)."""
        now_ms = self._clock()
        identifier = fresh_id(now_ms)
        row = {"id": identifier, "merchant": merchant, "node": node, "owner": owner, "room": room, "now": now_ms}
        row |= {"name": check.title(name, "name"), "rules": check.words(rules, "rules", RULES_CHARACTERS_MAX)}
        link = await self._attribution.mint_link(
            merchant, owner, role, room=room or None, channel=channel_of(identifier)
        )
        row["link"] = link.link.id
        await self._store.write(lambda db: communities_sql.add(db, row))
        return await self._store.read(lambda db: communities_sql.one(db, identifier))

    async def change(
        self,
        merchant: str,
        community: str,
        who: str,
        reach: Reach | None,
        *,
        name: str | None,
        rules: str | None,
        room: str | None,
        closed: bool,
    ) -> dict[str, Any]:
        """Change a group; new rules are a new version, which members are asked to accept. Raises NotFound, Invalid."""
        now_ms = self._clock()
        called = None if name is None else check.title(name, "name")
        written = None if rules is None else check.words(rules, "rules", RULES_CHARACTERS_MAX)

        def write(db: Any) -> dict[str, Any]:
            row = communities_sql.within(db, merchant, community, who, reach)
            if called is not None:
                row["name"] = called
            if written is not None and written != row["rules"]:
                row |= {"rules": written, "rules_version": row["rules_version"] + 1}
            if room is not None:
                row["room"] = room
            if closed:
                row["closed_ms"] = now_ms
            communities_sql.change(db, row)
            return row

        return await self._store.write(write)

    async def set_member(
        self, merchant: str, community: str, who: str, reach: Reach | None, person: str, role: str
    ) -> None:
        """Make a member a leader or a member again, or (``removed``) end the membership. Raises NotFound, Invalid."""
        if role not in ("member", "leader", "removed"):
            raise Invalid("role is member, leader or removed", field="role")
        now_ms = self._clock()

        def write(db: Any) -> None:
            communities_sql.within(db, merchant, community, who, reach)
            if role == "removed":
                communities_sql.leave(db, community, person, now_ms)
            else:
                communities_sql.set_role(db, community, person, role)

        await self._store.write(write)

    async def page(
        self, merchant: str, who: str, reach: Reach | None, before: str | None, limit: int
    ) -> list[Standing]:
        """The open groups of a merchant, or of a part of it, newest first, each with its stage."""
        now_ms, start = self._clock(), before or AFTER_ALL

        def look(db: Any) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
            rows = communities_sql.page(db, merchant, who, reach, start, limit, now_ms - WINDOW_MS)
            return rows, communities_sql.members(db, [row["id"] for row in rows])

        rows, members = await self._store.read(look)
        scores = await self._activity.of(merchant, sorted({one["person"] for one in members}))
        active: dict[str, int] = {}
        for one in members:
            active[one["community"]] = active.get(one["community"], 0) + is_active(scores[one["person"]])
        return [_standing(row, now_ms, row["members"], row["joined"], active.get(row["id"], 0)) for row in rows]

    async def board(self, merchant: str, community: str, who: str, reach: Reach | None) -> Board:
        """A group's board. Raises NotFound."""
        now_ms = self._clock()
        since_ms = now_ms - WINDOW_MS

        def look(db: Any) -> tuple[dict[str, Any], list[dict[str, Any]], dict[str, Any]]:
            row = communities_sql.within(db, merchant, community, who, reach)
            sold = communities_sql.sales(db, merchant, channel_of(community), since_ms)
            return row, communities_sql.members(db, [community]), sold

        row, members, sold = await self._store.read(look)
        scores = await self._activity.of(merchant, [one["person"] for one in members])
        today = day_of(now_ms)
        await self._touches.flushed(FLUSH_WAIT_S)
        visits, entries, _ = await self._touches.report(
            lambda db: reach_sql.of_key(db, merchant, "channel", channel_of(community), today - WINDOW_DAYS + 1, today)
        )
        joined = sum(one["joined_ms"] >= since_ms for one in members)
        standing = _standing(row, now_ms, len(members), joined, sum(is_active(one) for one in scores.values()))
        known = [Member(one["person"], one["role"], (now_ms - one["joined_ms"]) // DAY_MS) for one in members]
        ranked = sorted(members, key=lambda one: (-scores[one["person"]].total, one["joined_ms"], one["person"]))
        return Board(
            standing,
            rules_of.stage_of(standing.figures).when,
            [(one, scores[one["person"]]) for one in ranked],
            proposed(known, scores),
            visits,
            entries,
            **sold,
        )

    async def link(
        self,
        merchant: str,
        community: str,
        who: str,
        reach: Reach | None,
        role: str,
        room: str | None,
        content: str | None,
    ) -> LinkView:
        """A link of an account to be posted in a group: to a room or a piece of the library. Raises NotFound."""
        row = await self._store.read(lambda db: communities_sql.within(db, merchant, community, who, reach))
        return await self._attribution.mint_link(
            merchant, who, role, room=room or row["room"] or None, channel=channel_of(community), content=content
        )

    async def joining(self, merchant: str, community: str, who: str, reach: Reach | None) -> str:
        """The token of the link by which people join, as it is printed. Raises NotFound."""
        row = await self._store.read(lambda db: communities_sql.within(db, merchant, community, who, reach))
        return self._attribution.token_of(row["link"])

    # --- members ---------------------------------------------------------------------------------------------------

    async def read(self, community: str) -> dict[str, Any]:
        """An open group as anybody may see it. Raises NotFound."""
        return await self._store.read(lambda db: communities_sql.one(db, community))

    async def membership(self, community: str, person: str) -> dict[str, Any] | None:
        """Somebody's membership, None when they are in no such group."""
        return await self._store.read(lambda db: communities_sql.member(db, community, person))

    async def opened(self, row: dict[str, Any], person: str, token: str | None, *, scanned: bool) -> None:
        """Log that a person came to a group's page, by whose link."""
        kind = TouchKind.SCAN if scanned else TouchKind.SHARE_OPEN
        await self._attribution.touch_token(
            row["merchant"], token, person, kind, room=row["room"] or None, channel=channel_of(row["id"])
        )

    async def join(self, merchant: str, community: str, person: str, version: int) -> dict[str, Any]:
        """Join, having accepted that version of the rules. Raises NotFound, Refused (already: newer rules; limit)."""
        now_ms = self._clock()

        def write(db: Any) -> dict[str, Any]:
            row = communities_sql.within(db, merchant, community, "", None)
            communities_sql.join(db, row, person, version, now_ms)
            return row

        return await self._store.write(write)

    async def leave(self, community: str, person: str) -> None:
        """Leave. Raises NotFound."""
        now_ms = self._clock()
        await self._store.write(lambda db: communities_sql.leave(db, community, person, now_ms))

    async def mine(self, merchant: str, person: str) -> list[dict[str, Any]]:
        """The groups that somebody is in, the newest first."""
        return await self._store.read(lambda db: communities_sql.mine(db, merchant, person))


def _standing(row: dict[str, Any], now_ms: int, members: int, joined: int, active: int) -> Standing:
    figures = Figures((now_ms - row["created_ms"]) // DAY_MS, members, joined, active)
    return Standing(row, figures, rules_of.stage_of(figures).name)
