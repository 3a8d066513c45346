"""Attribution: who brought this person, and what did that bring.

Links and the share tree live in the shop's database, touches in a file of their own. A touch is recorded without
waiting; a decision first lets the log write what it holds, then judges once, for one order.
"""

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from commerce import clips_sql, partners_sql
from commerce.attribution import (
    bindings_sql,
    board,
    board_sql,
    guide_statement_sql,
    insight,
    insight_sql,
    links_sql,
    token,
    touches_sql,
)
from commerce.attribution.binder import Binder
from commerce.attribution.bindings_sql import Claim
from commerce.attribution.board_rows import BoardRows
from commerce.attribution.credits import CREDITED, Case, Root
from commerce.attribution.decision import DAY_MS, Binding, Decision, Model
from commerce.attribution.guide_statement_sql import GuideStatement
from commerce.attribution.links import Link, LinkView
from commerce.attribution.links_sql import Transaction
from commerce.attribution.touch import WITHIN, Entries, Touch, kind_of, short
from commerce.attribution.touches_sql import TouchLog, TouchLogStats
from commerce.domain.commission import Terms
from commerce.domain.ids import AFTER_ALL
from commerce.domain.org import Reach
from commerce.errors import Invalid, NotFound, Refused
from commerce.identity.merge_sql import aliases_of
from commerce.partners_sql import Standing
from commerce.store_sql import Store

Clock = Callable[[], int]

ROLES = ("merchant", "host", "assistant", "guide", "distributor", "viewer", "partner")
LINKS_CACHED_MAX = 10_000  # a room has few hot links; about 5 MB when full
LINKS_PAGE_MAX = 200
MINT_TRIES = 4  # ids tried for one link: that all are taken by chance happens to one in 10¹⁶
FLUSH_WAIT_S = 1.0  # an order does not wait longer for the log; what waits there is judged from memory
PERIOD_MS_MAX = 400 * 86_400_000  # a year and its neighbour month; beyond it is an export, not a board
BOARD_ORDERS_MAX = 200
BOARD_MODELS = (*(model.value for model in Model), *CREDITED)
"""Whose judgement a board can follow: a model of the decision, or one role's own credit."""
CLIP_WINDOW_MS = DAY_MS  # an explanation that was watched longer ago did not sell today's order
TOKEN_CHARACTERS_READ = 64  # a longer one is no token of ours and is not worth hashing


@dataclass(frozen=True, slots=True)
class TouchResult:
    """What became of a token: ``touch`` is the log's id (``None`` when the log refused), ``reason`` why no link."""

    touch: str | None
    link: LinkView | None
    reason: str | None


class Attribution:
    """Links, touches, decisions and the board of all merchants; every method is scoped to one.

    ``secret`` keys the tokens (16 bytes or more) and must outlive every printed code. ``allow_self`` lets a buyer's
    own link win; None leaves both to the merchant's terms. ``now_person`` says who goes on for a person who was merged.
    ``host_of`` says who hosts a room. ``clock`` gives Unix milliseconds.
    """

    def __init__(
        self,
        store: Store,
        touches: TouchLog,
        *,
        secret: bytes,
        clock: Clock,
        window_ms: int | None = None,
        allow_self: bool | None = None,
        now_person: Callable[[str], str] = str,
        host_of: Callable[[str], str] = lambda _room: "",
    ) -> None:
        if len(secret) < token.SECRET_BYTES_MIN:
            raise ValueError(f"the token secret needs at least {token.SECRET_BYTES_MIN} bytes")
        self._store = store
        self._touches = touches
        self._secret = secret
        self._clock = clock
        self._window_ms = window_ms
        self._allow_self = allow_self
        self._now_person = now_person
        self._host_of = host_of
        self.binder = Binder(store, clock=clock)
        self.rows = BoardRows(store, touches, clock=clock)
        self._cache: OrderedDict[str, Link] = OrderedDict()

    async def mint_link(
        self,
        merchant: str,
        issuer: str,
        role: str,
        room: str | None = None,
        sku: str | None = None,
        channel: str | None = None,
        campaign: str | None = None,
        parent_token: str | None = None,
        expires_ms: int | None = None,
        content: str | None = None,
    ) -> LinkView:
        """Make a link of ``issuer`` (a member of staff, a person, or the merchant), or a child of ``parent_token``.

        A child takes over what is not given (room, SKU, channel, campaign, content) and never outlives its parent.
        Sharing the same parent for the same target again gives the same child, and sharing one's own link gives that
        link. Raises ``NotFound`` for an issuer, room, SKU, content or parent of another merchant, ``Invalid`` for a bad
        parent token or a time past, ``Refused("expired")`` when the parent lapsed.
        """
        if role not in ROLES:
            raise Invalid(f"role must be one of {', '.join(ROLES)}", field="role")
        now_ms = self._clock()
        if expires_ms is not None and (isinstance(expires_ms, bool) or expires_ms <= now_ms):
            raise Invalid("expires_ms must lie ahead", field="expires_ms")
        link_id = token.new_link_id(now_ms, secrets.randbits(22))
        wanted = Link(
            id=link_id,
            merchant=merchant,
            issuer=short(issuer, "issuer"),
            role=role,
            room=short(room, "room"),
            sku=short(sku, "sku"),
            channel=short(channel, "channel"),
            campaign=short(campaign, "campaign"),
            parent=None,
            root=link_id,
            depth=0,
            expires_ms=expires_ms,
            created_ms=now_ms,
            content=short(content, "content"),
        )
        if parent_token is not None:
            parent = await self._parent(merchant, parent_token, now_ms)
            wanted = _child_of(parent, wanted)
            if (parent.issuer, *_target(parent)) == (wanted.issuer, *_target(wanted)):
                return self._view(parent)
            present = await self._store.read(lambda db: links_sql.child(db, wanted))
            if present is not None and not present.lapsed(now_ms):
                return self._view(present)
        minted = await self._write_link(wanted, now_ms)
        self._remember(minted)
        return self._view(minted)

    async def _write_link(self, wanted: Link, now_ms: int) -> Link:
        """Write a link under its id, or under another when that is taken: 22 bits of chance tell those of one
        millisecond apart, and a campaign prints hundreds at once.
        """
        for _ in range(MINT_TRIES - 1):
            try:
                return await self._store.write(partial(links_sql.mint, wanted=wanted, now_ms=now_ms))
            except Refused as error:
                if error.code != "already":
                    raise
            link_id = token.new_link_id(now_ms, secrets.randbits(22))
            wanted = replace(wanted, id=link_id, root=link_id if wanted.parent is None else wanted.root)
        return await self._store.write(partial(links_sql.mint, wanted=wanted, now_ms=now_ms))

    async def links(
        self,
        merchant: str,
        issuer: str | None = None,
        before: str | None = None,
        limit: int = 50,
        reach: Reach | None = None,
    ) -> list[LinkView]:
        """List a merchant's links (with ``reach`` a part of them), newest first, with their uses.

        ``before`` is the link id to go on from.
        """
        if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= LINKS_PAGE_MAX:
            raise Invalid(f"limit must be between 1 and {LINKS_PAGE_MAX}", field="limit")
        whose, start = short(issuer, "issuer"), short(before, "before") or AFTER_ALL
        found = await self._store.read(lambda db: links_sql.page(db, merchant, whose, start, limit, reach))
        await self._touches.flushed(FLUSH_WAIT_S)
        uses = await self._touches.read(lambda db: touches_sql.uses(db, merchant, [link.id for link in found]))
        return [self._view(link, uses.get(link.id, 0)) for link in found]

    async def link(self, merchant: str, given: str) -> LinkView:
        """The link behind a token. Raises NotFound for one that is forged, lapsed or another merchant's."""
        link, problem = await self._resolve(given)
        if link is None or problem is not None or link.merchant != merchant:
            raise NotFound("no such link, or it has lapsed")
        return self._view(link)

    def token_of(self, link: str) -> str:
        """The token of a link of ours, by its id."""
        return token.mint(link, self._secret)

    def record(self, touch: Touch) -> str | None:
        """Log a touch without a token; never blocks. Gives its id, or ``None`` when the queue is full."""
        if touch.room and not touch.host:
            touch = replace(touch, host=self._host_of(touch.room))
        return self._touches.record(touch)

    async def touch_token(
        self,
        merchant: str,
        given: str | None,
        person: str,
        kind: str,
        evidence: Mapping[str, Any] | None = None,
        *,
        room: str | None = None,
        sku: str | None = None,
        channel: str | None = None,
        clip: str = "",
        content: str | None = None,
        registered: bool = False,
    ) -> TouchResult:
        """Log that ``person`` came to ``merchant`` with a token, or without one (``None`` or empty).

        A good link of a distributor or guide may make the person theirs (A7); ``registered``: they became a member.
        ``clip`` is the explanation that they watched, if that is what they did.
        A forged, lapsed or foreign token is a touch with a reason and no link: never an error for the viewer. Raises
        ``Invalid`` only for a kind, room, SKU or channel of wrong form.
        """
        plain = Touch(
            merchant,
            person,
            kind_of(kind),
            short(channel, "channel"),
            short(room, "room"),
            short(sku, "sku"),
            evidence=evidence or {},
            clip=clip,
            content=short(content, "content"),
        )
        if not given:
            return TouchResult(self.record(plain), None, None)
        link, reason = await self._resolve(given)
        if link is not None and link.merchant != merchant:
            link, reason = None, "foreign_merchant"
        if reason is not None and plain.kind in WITHIN:
            return TouchResult(self.record(plain), None, reason)
        if link is None:
            return TouchResult(self.record(replace(plain, reason=reason)), None, reason)
        touch = replace(
            plain,
            channel=link.channel or plain.channel,
            room=plain.room or link.room,
            sku=plain.sku or link.sku,
            link=link.id,
            issuer=link.issuer,
            role=link.role,
            root=link.root,
            depth=link.depth,
            reason=reason,
            campaign=link.campaign,
            content=plain.content or link.content,
        )
        if reason is None and link.role in CREDITED:
            self.binder.claim(Claim(merchant, person, link.issuer, link.role, link.id, link.channel, registered))
        return TouchResult(self.record(touch), None if reason else self._view(link), reason)

    async def decide(
        self,
        merchant: str,
        person: str,
        now_ms: int,
        model: str = Model.DEFAULT,
        bindings: tuple[Binding, ...] = (),
    ) -> Decision:
        """Judge who gets the credit for an order of ``person`` at ``now_ms``, by one model."""
        try:
            chosen = Model(model)
        except ValueError as error:
            raise Invalid(f"model must be one of {', '.join(Model)}", field="model") from error
        return (await self._case(merchant, person, now_ms, bindings)).judge(chosen)

    async def decision_json(
        self,
        merchant: str,
        person: str,
        now_ms: int,
        bindings: tuple[Binding, ...] = (),
        *,
        room: str = "",
        skus: Sequence[str] = (),
    ) -> dict[str, Any]:
        """Give what is stored with the order: the default decision, under ``models`` whom the others would credit, and
        under ``credits`` the distributor's and the guide's. All judge one and the same reading of the log.

        Of an order in a ``room`` of ``skus`` the host is credited, too, and the explanation of one of these that the
        person watched last, within a day.
        """
        decision = (await self._case(merchant, person, now_ms, bindings)).to_json()
        shown = {"host": self._host_of(room), "clip": await self._watched(merchant, person, now_ms, skus)}
        blank = {"link": "", "channel": "", "ms": now_ms}
        decision["credits"] |= {name: {"issuer": one, "rule": name, **blank} for name, one in shown.items() if one}
        return decision

    async def _watched(self, merchant: str, person: str, now_ms: int, skus: Sequence[str]) -> str:
        """The explanation of one of these SKUs that a person watched last; empty when there is none."""
        if not skus:
            return ""
        ids = await self._store.read(lambda db: aliases_of(db, person))
        span = (now_ms - CLIP_WINDOW_MS, now_ms)
        waiting = self._touches.waiting(merchant, ids, *span)
        clips = await self._touches.read(lambda db: touches_sql.watched(db, merchant, ids, *span, waiting))
        if not clips:
            return ""
        explained = await self._store.read(lambda db: clips_sql.explaining(db, merchant, clips, skus))
        return next((clip for clip in clips if clip in explained), "")

    async def names(self, merchant: str, ids: Sequence[str]) -> dict[str, str]:
        """The names behind ids of staff, persons and the merchant itself."""
        return await self._store.read(lambda db: links_sql.names(db, merchant, ids))

    async def touches_of(self, merchant: str, persons: Sequence[str], limit: int) -> list[dict[str, Any]]:
        """The newest touches of a person, under all ids that they have had."""
        await self._touches.flushed(FLUSH_WAIT_S)
        return await self._touches.read(lambda db: touches_sql.of_persons(db, merchant, persons, limit))

    async def entries(
        self, merchant: str, person: str, room: str, since_ms: int = 0, until_ms: int | None = None
    ) -> Entries:
        """Find the first and last entry of a person into a room during a show that began at ``since_ms``."""
        end_ms = self._clock() if until_ms is None else until_ms
        await self._touches.flushed(FLUSH_WAIT_S)
        ids = await self._store.read(lambda db: aliases_of(db, person))
        # Before the file is read: what is written meanwhile is in one of them at least.
        waiting = self._touches.waiting(merchant, ids, since_ms, end_ms)
        found = await self._touches.read(lambda db: touches_sql.entries(db, merchant, ids, room, since_ms, end_ms))
        return touches_sql.with_waiting(found, waiting, room)

    async def board(
        self, merchant: str, since_ms: int, until_ms: int, orders_limit: int = 50, model: str = Model.DEFAULT
    ) -> dict[str, Any]:
        """Report a period (``since_ms`` included, ``until_ms`` not): funnel, GMV, orders, totals, share tree.

        The shape is described in ``commerce/attribution/board.py``; ``model`` is whose judgement the sales follow.
        Raises ``Invalid`` for a period turned round or over 400 days, or no such model.
        """
        period = board_period(merchant, since_ms, until_ms, model)
        if not 1 <= orders_limit <= BOARD_ORDERS_MAX:
            raise Invalid(f"limit must be between 1 and {BOARD_ORDERS_MAX}", field="limit")
        await self._touches.flushed(FLUSH_WAIT_S)
        traffic, sales = await asyncio.gather(
            self._touches.report(lambda db: board_sql.traffic(db, period, self._clock())),
            self._store.read(lambda db: board_sql.sales(db, period, orders_limit)),
        )
        ids, clips = board.tree_links(traffic, sales), board.clips_shown(traffic, sales)

        def tree(db: Transaction) -> tuple[list[Link], dict[str, str], dict[str, tuple[str, str]]]:
            nodes = links_sql.with_ancestors(db, merchant, ids, board.TREE_NODES_MAX)
            names = links_sql.names(db, merchant, board.people_named(traffic, sales, nodes))
            return nodes, names, board_sql.clips(db, merchant, clips)

        nodes, names, explained = await self._store.read(tree)
        tokens = {link.id: token.mint(link.id, self._secret) for link in nodes}
        return board.compose(period, traffic, sales, nodes, names, tokens, explained)

    async def models(self, merchant: str, since_ms: int, until_ms: int) -> dict[str, Any]:
        """Whom each model and each role credits, side by side: ``insight.models``. Raises ``Invalid``."""
        period = board_period(merchant, since_ms, until_ms)

        def look(db: Transaction) -> dict[str, Any]:
            rows, everything = insight_sql.credited(db, period)
            return insight.models(rows, everything, links_sql.names(db, merchant, insight.issuers(rows)))

        return await self._store.read(look)

    async def cohorts(self, merchant: str, until_ms: int) -> list[dict[str, Any]]:
        """Who came back, by the week of their first paid order: ``insight.cohorts``."""
        found = await self._store.read(lambda db: insight_sql.cohorts(db, merchant, until_ms))
        return insight.cohorts(found)

    async def guide_statement(
        self, merchant: str, guide: str, since_ms: int, until_ms: int, before: str, limit: int
    ) -> GuideStatement:
        """What a guide is credited with in a period. Raises ``Invalid``."""
        board_period(merchant, since_ms, until_ms)
        return await self._store.read(
            lambda db: guide_statement_sql.read(db, merchant, guide, since_ms, until_ms, before or AFTER_ALL, limit)
        )

    def stats(self) -> TouchLogStats:
        """Give the touch log's counts."""
        return self._touches.stats()

    async def _case(self, merchant: str, person: str, now_ms: int, more: tuple[Binding, ...]) -> Case:
        """Read all that an order of ``person`` is judged by; ``more`` bindings beside those that are stored."""
        await asyncio.gather(self._touches.flushed(FLUSH_WAIT_S), self.binder.flushed(FLUSH_WAIT_S))

        def bound(db: Transaction) -> tuple[list[str], list[Binding], Terms]:
            ids = aliases_of(db, person)
            bindings = [*bindings_sql.active(db, merchant, person), *partners_sql.visits(db, merchant, ids, now_ms)]
            return ids, bindings, bindings_sql.terms(db, merchant)

        ids, bindings, terms = await self._store.read(bound)
        window_ms = terms.window_days * DAY_MS if self._window_ms is None else self._window_ms
        # Before those in the file are read: what is written meanwhile is in one of them at least.
        queued = touches_sql.waiting_candidates(self._touches.waiting(merchant, ids, now_ms - window_ms, now_ms))
        found, omitted = await self._touches.read(
            lambda db: touches_sql.candidates(db, merchant, ids, now_ms, window_ms)
        )
        every = {touch.touch: touch for touch in (*found, *queued)}.values()
        touches = [replace(touch, issuer=self._now_person(touch.issuer)) for touch in every]
        roots: dict[str, Root] = {}
        inactive: frozenset[str] = frozenset()
        partners: dict[str, Standing] = {}
        if touches:
            links = sorted({touch.root for touch in touches if touch.depth})
            issuers = sorted({touch.issuer for touch in touches})

            def known(db: Transaction) -> tuple[dict[str, Root], frozenset[str], dict[str, Standing]]:
                made = {
                    link: Root(self._now_person(issuer), role) for link, issuer, role in links_sql.makers(db, links)
                }
                asked = sorted({*issuers, *(root.issuer for root in made.values())})
                stand = partners_sql.standing(db, merchant, asked, now_ms)
                return made, links_sql.inactive(db, merchant, asked), stand

            roots, inactive, partners = await self._store.read(known)
        allow_self = terms.self_purchase if self._allow_self is None else self._allow_self
        return Case(
            person,
            now_ms,
            window_ms,
            allow_self,
            tuple(touches),
            (*bindings, *more),
            roots,
            inactive,
            omitted,
            lambda issuer, ms: partners_sql.too_old(partners, issuer, ms, now_ms),
        )

    async def _parent(self, merchant: str, parent_token: str, now_ms: int) -> Link:
        parsed = token.parse(parent_token[:TOKEN_CHARACTERS_READ], self._secret)
        if parsed.link is None:
            raise Invalid(f"the parent's token is {parsed.problem}", field="parent")
        wanted = parsed.link
        parent = await self._store.read(lambda db: links_sql.find(db, wanted))
        if parent is None or parent.merchant != merchant:
            raise NotFound("no such link")
        if parent.lapsed(now_ms):
            raise Refused("expired", "the link that is shared has lapsed")
        return parent

    async def _resolve(self, given: str) -> tuple[Link | None, str | None]:
        parsed = token.parse(given[:TOKEN_CHARACTERS_READ], self._secret)
        if parsed.link is None:
            return None, str(parsed.problem)
        now_ms = self._clock()
        wanted = parsed.link
        link = self._cache.get(wanted)
        if link is None or link.lapsed(now_ms):  # another process may have renewed it
            link = await self._store.read(lambda db: links_sql.find(db, wanted))
        if link is None:
            return None, "unknown"
        self._remember(link)
        return link, "expired" if link.lapsed(now_ms) else None

    def _remember(self, link: Link) -> None:
        self._cache[link.id] = link
        self._cache.move_to_end(link.id)
        if len(self._cache) > LINKS_CACHED_MAX:
            self._cache.popitem(last=False)

    def _view(self, link: Link, uses: int = 0) -> LinkView:
        return LinkView(token.mint(link.id, self._secret), link, uses)


def board_period(merchant: str, since_ms: int, until_ms: int, model: str = Model.DEFAULT) -> board.Period:
    """Check what a board is asked of. Raises ``Invalid``."""
    if not 0 <= since_ms < until_ms:
        raise Invalid("since must come before until", field="since")
    if until_ms - since_ms > PERIOD_MS_MAX:
        raise Invalid("a board spans at most 400 days", field="until")
    if model not in BOARD_MODELS:
        raise Invalid(f"model must be one of {', '.join(BOARD_MODELS)}", field="model")
    return board.Period(merchant, since_ms, until_ms, model)


def _target(link: Link) -> tuple[str, str, str, str, str]:
    return link.room, link.sku, link.channel, link.campaign, link.content


def _child_of(parent: Link, wanted: Link) -> Link:
    ends = [end for end in (parent.expires_ms, wanted.expires_ms) if end is not None]
    return replace(
        wanted,
        room=wanted.room or parent.room,
        sku=wanted.sku or parent.sku,
        channel=wanted.channel or parent.channel,
        campaign=wanted.campaign or parent.campaign,
        content=wanted.content or parent.content,
        parent=parent.id,
        root=parent.root,
        depth=parent.depth + 1,
        expires_ms=min(ends) if ends else None,
    )
