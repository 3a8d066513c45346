"""The content library: articles, pictures and videos that a merchant publishes, and what its people need to know.

written, in versions ─ publish ─▶ read at /c/ID, by links that carry the sharer ─▶ touches, orders ─▶ figures

A reading is a touch with the content as its thing; a share is a link with it, whose children stay with it: so what a
piece brings is counted as what a room brings, by the one attribution that there is.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import orjson

from commerce import catalogue_checks as check
from commerce import content_sql
from commerce.attribution import touches_sql
from commerce.attribution.links import LinkView
from commerce.attribution.links_sql import Transaction
from commerce.attribution.service import FLUSH_WAIT_S, Attribution
from commerce.attribution.touch import TouchKind
from commerce.attribution.touches_sql import TouchLog
from commerce.domain.ids import AFTER_ALL
from commerce.domain.org import Reach
from commerce.errors import Invalid, NotFound, Refused
from commerce.fresh_ids import fresh_id
from commerce.store_sql import Store

BODY_CHARACTERS_MAX = 15_000
"""Of an article: 45 KB in Chinese, inside what a request may have."""
SUMMARY_CHARACTERS_MAX = 200
CATEGORY_CHARACTERS_MAX = 20
PICTURES_MAX = 20
CLIPS_MAX = 10
SKUS_MAX = 6
"""Recommended products: more than a screen of them is a shop, and that is elsewhere."""
WORDS_CHARACTERS_MAX = 60
SHARERS: Mapping[str, frozenset[str]] = {
    "nobody": frozenset(),
    "staff": frozenset({"merchant", "host", "assistant", "guide"}),
    "distributors": frozenset({"merchant", "host", "assistant", "guide", "distributor"}),
    "everybody": frozenset({"merchant", "host", "assistant", "guide", "distributor", "viewer"}),
}
"""Who may share a piece, by the role that their link would carry."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What somebody wrote. ``audience`` staff: knowledge for the shop's own people, which nobody shares.

    ``body`` is plain text: a blank line ends a paragraph, ``# `` begins a heading, ``- `` an entry of a list.
    ``show`` is a recorded show of ``room``; clips and SKUs are the merchant's.
    """

    kind: str
    title: str
    category: str = ""
    summary: str = ""
    body: str = ""
    cover: str = ""
    pictures: tuple[str, ...] = ()
    clips: tuple[str, ...] = ()
    skus: tuple[str, ...] = ()
    room: str = ""
    show: str = ""
    audience: str = "everybody"
    sharers: str = "everybody"


@dataclass(frozen=True, slots=True)
class Figures:
    """What came of a piece: links made, readings, different readers, paid orders and 分 that its links brought."""

    shares: int = 0
    reads: int = 0
    readers: int = 0
    orders: int = 0
    amount: int = 0


class Contents:
    """The library of each merchant; every method but the readers' is scoped to one. ``clock``: Unix milliseconds."""

    def __init__(self, store: Store, touches: TouchLog, attribution: Attribution, *, clock: Callable[[], int]) -> None:
        self._store = store
        self._touches = touches
        self._attribution = attribution
        self._clock = clock

    async def add(self, merchant: str, staff: str, draft: Draft) -> dict[str, Any]:
        """Write a new piece, not yet published. Raises Invalid, NotFound (room, clip, SKU), Refused (limit)."""
        now_ms = self._clock()
        identifier = fresh_id(now_ms)
        head, written = _rows(checked(draft), merchant, identifier, staff, now_ms)
        await self._store.write(lambda db: content_sql.add(db, head, written))
        return await self.one(merchant, identifier)

    async def change(self, merchant: str, staff: str, content: str, draft: Draft, base: int) -> dict[str, Any]:
        """Write the next version after ``base``; readers go on seeing the published one.

        Raises Invalid, NotFound, Refused (already: ``base`` is not the newest any more; limit).
        """
        head, written = _rows(checked(draft), merchant, content, staff, self._clock())
        await self._store.write(lambda db: content_sql.change(db, head, written, base))
        return await self.one(merchant, content)

    async def publish(self, merchant: str, content: str, version: int | None) -> dict[str, Any]:
        """Show readers a version (an earlier one takes a change back); None takes the piece from them.

        Raises NotFound.
        """
        now_ms = self._clock()
        await self._store.write(lambda db: content_sql.publish(db, merchant, content, version, now_ms))
        return await self.one(merchant, content)

    async def one(self, merchant: str, content: str, version: int | None = None) -> dict[str, Any]:
        """A piece as its authors see it: the newest version, or another. Raises NotFound."""
        return await self._store.read(lambda db: _view(db, content_sql.one(db, merchant, content, version)))

    async def known(self, merchant: str, content: str) -> dict[str, Any]:
        """A published piece of a merchant, as its people see it. Raises NotFound."""
        found = await self._store.read(lambda db: _view(db, content_sql.published(db, content)))
        if found["merchant"] != merchant:
            raise NotFound("no such content")
        return found

    async def read(self, content: str) -> dict[str, Any]:
        """A published piece as anybody sees it. Raises NotFound, also for what is for the shop's own people."""
        found = await self._store.read(lambda db: _view(db, content_sql.published(db, content)))
        if found["audience"] != "everybody":
            raise NotFound("no such content, or it was taken back")
        return found

    async def versions(self, merchant: str, content: str) -> list[dict[str, Any]]:
        """Who wrote which version when, newest first. Raises NotFound."""
        return await self._store.read(lambda db: content_sql.versions(db, merchant, content))

    async def page(
        self, merchant: str, category: str, words: str, before: str | None, limit: int, *, drafts: bool
    ) -> list[dict[str, Any]]:
        """Pieces whose title, summary, text or category has ``words``, newest first; ``drafts`` for authors."""
        if len(words) > WORDS_CHARACTERS_MAX:
            raise Invalid(f"a search has at most {WORDS_CHARACTERS_MAX} characters", field="q")
        start = before or AFTER_ALL

        def look(db: Transaction) -> list[dict[str, Any]]:
            rows = content_sql.page(db, merchant, category, words.strip(), start, limit, drafts=drafts)
            return [_plain(row) for row in rows]

        return await self._store.read(look)

    async def categories(self, merchant: str, *, drafts: bool) -> dict[str, int]:
        """How many pieces there are in each category."""
        return await self._store.read(lambda db: content_sql.categories(db, merchant, drafts=drafts))

    async def figures(
        self, merchant: str, contents: Sequence[str], who: str, reach: Reach | None
    ) -> dict[str, Figures]:
        """What came of some pieces; with ``reach`` by links of ``who`` and of the accounts of that part alone."""
        await self._touches.flushed(FLUSH_WAIT_S)
        issuers: list[str] | None = None
        if reach is not None:
            within = reach
            issuers = [who, *await self._store.read(lambda db: content_sql.staff_within(db, merchant, within))]
        brought, reads = await asyncio.gather(
            self._store.read(lambda db: content_sql.brought(db, merchant, contents, issuers)),
            self._touches.report(lambda db: touches_sql.reads(db, merchant, contents, issuers)),
        )
        found = {}
        for content in contents:
            shares, orders, amount = brought.get(content, (0, 0, 0))
            found[content] = Figures(shares, *reads.get(content, (0, 0)), orders, amount)
        return found

    async def share(
        self, merchant: str, content: str, issuer: str, role: str, channel: str | None, parent: str | None
    ) -> LinkView:
        """A link of ``issuer`` to a piece, a child of the one they came by. Raises NotFound, Refused (not_for_you)."""
        found = await self.known(merchant, content)
        if role not in SHARERS[found["sharers"]]:
            raise Refused("not_for_you", "this piece is not yours to share")
        mint = partial(
            self._attribution.mint_link,
            merchant,
            issuer,
            role,
            room=found["room"] or None,
            channel=channel,
            content=content,
        )
        try:
            return await mint(parent_token=parent)
        except (Invalid, NotFound, Refused):
            if parent is None:
                raise
            # They came by a link that is forged or has lapsed: their own share is good all the same.
            return await mint()

    async def opened(self, merchant: str, content: str, person: str, token: str | None, room: str) -> None:
        """Log that a person read a piece, by whose link."""
        await self._attribution.touch_token(
            merchant, token, person, TouchKind.CONTENT_READ, room=room or None, content=content
        )


def checked(draft: Draft) -> Draft:
    """A draft with its texts trimmed. Raises Invalid."""
    if draft.kind not in ("article", "picture", "video"):
        raise Invalid("kind is article, picture or video", field="kind")
    if draft.audience not in ("staff", "everybody") or draft.sharers not in SHARERS:
        raise Invalid("audience is staff or everybody; sharers " + ", ".join(SHARERS), field="audience")
    if draft.audience == "staff" and draft.sharers != "nobody":
        raise Invalid("what is for the shop's own people is shared by nobody", field="sharers")
    for name, most in (("pictures", PICTURES_MAX), ("clips", CLIPS_MAX), ("skus", SKUS_MAX)):
        values = getattr(draft, name)
        if len(values) > most or len(set(values)) < len(values):
            raise Invalid(f"{name}: at most {most}, each once", field=name)
    if draft.show and not draft.room:
        raise Invalid("a recorded show is one of a room: name the room", field="room")
    clean = replace(
        draft,
        title=check.title(draft.title),
        category=check.words(draft.category, "category", CATEGORY_CHARACTERS_MAX, empty=True),
        summary=check.words(draft.summary, "summary", SUMMARY_CHARACTERS_MAX, empty=True),
        body=check.words(draft.body, "body", BODY_CHARACTERS_MAX, empty=True),
        cover=check.image(draft.cover, "cover"),
        pictures=tuple(check.image(address, "pictures") for address in draft.pictures),
    )
    there = {"article": clean.body, "picture": clean.pictures, "video": clean.clips or clean.show}
    if not there[clean.kind] or "" in clean.pictures:
        needs = {"article": "a body", "picture": "pictures", "video": "clips or a recorded show"}
        raise Invalid(f"this kind has {needs[clean.kind]}", field=clean.kind)
    return clean


def _rows(draft: Draft, merchant: str, content: str, staff: str, now_ms: int) -> tuple[dict[str, Any], dict[str, Any]]:
    written = asdict(draft)
    head = {name: written.pop(name) for name in ("kind", "category", "audience", "sharers", "room")}
    head |= {"id": content, "merchant": merchant, "staff": staff, "now": now_ms}
    return head, written


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """A row with its lists read."""
    return {**row, **{name: orjson.loads(row[name]) for name in ("pictures", "clips", "skus")}}


def _view(db: Transaction, row: dict[str, Any]) -> dict[str, Any]:
    """A row with what it names: clips that are still there, and what the products cost now."""
    found = _plain(row)
    found["clips"] = content_sql.own_clips(db, row["merchant"], found["clips"])
    return {**found, "goods": content_sql.goods(db, row["merchant"], found["skus"])}
