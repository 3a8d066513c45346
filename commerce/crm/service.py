"""Customers sorted: tags by hand and by rule, stages of life, segments, and the reckoning that keeps them up to date.

touch log ─ count ─▶ person_day ─┐
orders, members, follows … ──────┴─ conditions ─▶ tags and stages that changed, segments when asked

A merchant is reckoned when something happened there, and once an hour besides, as conditions count days back. What is
reckoned follows from what is stored, so a crash loses nothing and two processes that do it at once do the same.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

import orjson

from commerce.attribution.links_sql import Transaction
from commerce.attribution.touches_sql import TouchLog
from commerce.catalogue_checks import title
from commerce.crm import days_sql, policy_sql, tags_sql
from commerce.domain.condition import BadCondition, Condition, read_condition, tags_in
from commerce.domain.coupon import audience_fault
from commerce.domain.outreach import CrmTerms, crm_terms_of, terms_fault
from commerce.errors import CommerceError, Invalid, Refused
from commerce.fresh_ids import fresh_id
from commerce.store_sql import Store

log = logging.getLogger(__name__)

T = TypeVar("T")
Row = dict[str, Any]

READ_S = 5.0
"""How often the log is counted and what changed is reckoned."""
REST = 9
"""After a reckoning is rested so many times as long as it took: a big shop's must not keep a reader busy."""
FULL_MS = 3_600_000
"""Every merchant with rules is reckoned so often, as days go by without events."""
KEEP_MS = 600_000
"""How far the log was counted is written at least so often; what a restart then counts again changes nothing."""
PASSES_MAX = 50
"""Queries of one rule in one reckoning; what is left is done in the next."""
PREVIEW_PEOPLE = 20
PAGE_MAX = 200
DAYS_WRITTEN_MAX = 500
TAG_KINDS = ("manual", "rule", "computed")

After = Callable[[str], Awaitable[None]]


class Crm:
    """Customers of all merchants of one database; every method is scoped to one. ``clock``: Unix milliseconds."""

    def __init__(self, store: Store, touches: TouchLog, *, clock: Callable[[], int]) -> None:
        self._store = store
        self._touches = touches
        self._clock = clock
        self._dirty: set[str] = set()
        self._full_ms = 0
        self._upto_ms: int | None = None
        self._kept_ms = 0
        self._merged_ms = 0
        self._after: list[After] = []
        self._task: asyncio.Task[None] | None = None

    # --- life ------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to reckon; everything is reckoned once at first."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """Reckon no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def hear(self, event: Any) -> None:
        """Something happened at a merchant: an event of the shop."""
        self.touched(event.merchant)

    def touched(self, merchant: str) -> None:
        """A merchant is to be reckoned."""
        self._dirty.add(merchant)

    def afterwards(self, then: After) -> None:
        """Call ``then`` with each merchant that was reckoned."""
        self._after.append(then)

    async def reckon(self) -> None:
        """Count what was logged, and bring tags and stages of the merchants concerned up to date."""
        await self._count()
        now_ms = self._clock()
        merged_ms = self._merged_ms
        every, merged = await self._store.read(
            lambda db: (policy_sql.merchants(db), policy_sql.merged_since(db, merged_ms))
        )
        self._merged_ms = max([merged_ms, *(at_ms for _, at_ms in merged)])
        self._dirty |= {merchant for merchant, _ in merged}
        if now_ms - self._full_ms >= FULL_MS:
            self._dirty |= set(every)
            self._full_ms = now_ms
        dirty, self._dirty = self._dirty & set(every), set()
        for merchant in sorted(dirty):
            try:
                await self._reckon(merchant)
                for then in self._after:
                    await then(merchant)
            except CommerceError as error:
                self._dirty.add(merchant)
                log.warning("merchant %s is reckoned later: %r", merchant, error)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            began_s = loop.time()
            try:
                await self.reckon()
            except Exception:
                # Nothing is lost by it: what is reckoned follows from what is stored.
                log.exception("customers were not reckoned, trying again")
            await asyncio.sleep(max(READ_S, REST * (loop.time() - began_s)))

    async def _count(self) -> None:
        """Count the log as far as it is settled."""
        await self._touches.flushed(1.0)
        upto_ms = self._upto_ms or await self._store.read(days_sql.upto)
        first_ms = await self._touches.report(days_sql.first) if upto_ms is None else None
        while (reading := days_sql.next_reading(upto_ms, first_ms, self._clock())) is not None:
            rows = await self._touches.report(lambda db, reading=reading: days_sql.counts(db, reading))  # type: ignore[misc]
            # Where nothing happened, nothing is written.
            if rows or reading.until_ms - self._kept_ms >= KEEP_MS:
                await self._keep(rows, reading.until_ms)
            self._dirty |= {row["merchant"] for row in rows}
            self._upto_ms = upto_ms = reading.until_ms

    async def _keep(self, rows: Sequence[Row], until_ms: int) -> None:
        """Write counted days, and with the last of them how far the log was counted."""
        for start in range(0, max(1, len(rows)), DAYS_WRITTEN_MAX):
            part = rows[start : start + DAYS_WRITTEN_MAX]
            end = until_ms if start + DAYS_WRITTEN_MAX >= len(rows) else None
            await self._store.write(lambda db, part=part, end=end: days_sql.put(db, part, end))  # type: ignore[misc]
        self._kept_ms = until_ms

    async def _reckon(self, merchant: str) -> None:
        """Stages first, as rules may ask for them."""
        now_ms = self._clock()
        terms = await self.terms(merchant)
        for _ in range(PASSES_MAX):
            rows = await self._store.read(lambda db: tags_sql.moved(db, merchant, terms))
            for part in _parts(rows):
                await self._store.write(lambda db, part=part: tags_sql.write_stages(db, merchant, part, now_ms))  # type: ignore[misc]
            if len(rows) < tags_sql.FOUND_MAX:
                break
        for rule in await self._store.read(lambda db: tags_sql.rules(db, merchant)):
            condition = read_condition(orjson.loads(rule["condition"]))
            await self._follow(merchant, rule["name"], condition, tags_sql.missing, on=True)
            if rule["kind"] == "computed":
                await self._follow(merchant, rule["name"], condition, tags_sql.surplus, on=False)

    async def _follow(
        self, merchant: str, tag: str, condition: Condition, find: Callable[..., list[str]], *, on: bool
    ) -> None:
        now_ms = self._clock()
        for _ in range(PASSES_MAX):
            people = await self._store.read(lambda db: find(db, merchant, tag, condition, now_ms))
            for part in _parts(people):
                await self._store.write(
                    lambda db, part=part: tags_sql.write_tags(db, merchant, tag, part, now_ms, on=on)  # type: ignore[misc]
                )
            if len(people) < tags_sql.FOUND_MAX:
                break

    # --- terms -----------------------------------------------------------------------------------------------------

    async def terms(self, merchant: str) -> CrmTerms:
        """A merchant's terms."""
        return await self._store.read(lambda db: policy_sql.terms(db, merchant))

    async def set_terms(self, merchant: str, staff: str, given: Mapping[str, Any]) -> CrmTerms:
        """Change some of the terms. Raises Invalid."""
        now_ms = self._clock()

        def change(db: Transaction) -> CrmTerms:
            wanted = crm_terms_of({**policy_sql.terms(db, merchant).as_json(), **given})
            fault = terms_fault(wanted)
            if fault is not None:
                raise Invalid(fault[1], field=fault[0])
            policy_sql.set_terms(db, merchant, wanted, staff, now_ms)
            return wanted

        changed = await self._store.write(change)
        self.touched(merchant)
        return changed

    # --- tags ------------------------------------------------------------------------------------------------------

    async def tags(self, merchant: str) -> list[Row]:
        """A merchant's tags with how many have each."""
        found = await self._store.read(lambda db: tags_sql.tags(db, merchant))
        return [{**row, "condition": orjson.loads(row["condition"] or "null")} for row in found]

    async def put_tag(self, merchant: str, staff: str, name: str, kind: str, condition: Any) -> None:
        """Make a tag, or give it another condition. Raises Invalid, Refused (limit, already)."""
        if audience_fault(f"tag:{name}") is not None:
            raise Invalid("a tag is one word of 1 to 20 characters, without a colon", field="name")
        if kind not in TAG_KINDS or (kind == "manual") != (condition is None):
            raise Invalid("kind is manual, or rule or computed with a condition", field="kind")
        read = None if condition is None else checked(condition)
        row = {"merchant": merchant, "name": name, "kind": kind, "staff": staff, "now": self._clock()}
        row["condition"] = "" if condition is None else orjson.dumps(condition).decode()

        def write(db: Transaction) -> None:
            there = {one["name"]: one for one in tags_sql.tags(db, merchant)}
            if name in there and there[name]["kind"] != kind:
                raise Refused("already", "there is a tag of this name and another kind")
            for asked in () if read is None else tags_in(read):
                # Rules that wait for one another would swing for ever.
                if asked == name or there.get(asked, row)["kind"] == "computed":
                    raise Invalid("a tag's condition names no computed tag, and not itself", field="condition")
            tags_sql.put_tag(db, **row)

        await self._store.write(write)
        self.touched(merchant)

    async def drop_tag(self, merchant: str, name: str) -> None:
        """Take a tag away, from everybody. Raises NotFound."""
        await self._store.write(lambda db: tags_sql.drop_tag(db, merchant, name))
        self.touched(merchant)

    async def mark(self, merchant: str, person: str, tag: str, staff: str, *, on: bool) -> Row:
        """Give a person a tag, or take it. Raises NotFound, Refused (computed)."""
        now_ms = self._clock()
        await self._store.write(lambda db: tags_sql.mark(db, merchant, person, tag, staff, now_ms, on=on))
        self.touched(merchant)
        return await self.profile(merchant, person)

    async def profile(self, merchant: str, person: str) -> Row:
        """A person's stage of life and tags. Raises NotFound."""
        return await self._store.read(lambda db: tags_sql.of_person(db, merchant, person))

    async def stages(self, merchant: str) -> dict[str, int]:
        """How many customers are in each stage of life."""
        return await self._store.read(lambda db: tags_sql.stages(db, merchant))

    # --- segments --------------------------------------------------------------------------------------------------

    async def preview(self, merchant: str, condition: Any) -> Row:
        """How many meet a condition, and some of them. Raises Invalid."""
        read, now_ms = checked(condition), self._clock()

        def ask(db: Transaction) -> Row:
            some = tags_sql.members(db, merchant, read, now_ms, "", PREVIEW_PEOPLE)
            return {
                "count": tags_sql.count(db, merchant, read, now_ms),
                "people": [{"person": person, "name": name} for person, name in some],
            }

        return await self._store.read(ask)

    async def members(self, merchant: str, condition: Condition, after: str, limit: int) -> list[tuple[str, str]]:
        """Those who meet a condition, by id from ``after`` on: (id, name)."""
        now_ms = self._clock()
        return await self._store.read(lambda db: tags_sql.members(db, merchant, condition, now_ms, after, limit))

    async def segments(self, merchant: str) -> list[Row]:
        """A merchant's segments, newest first."""
        found = await self._store.read(lambda db: tags_sql.segments(db, merchant))
        return [{**row, "condition": orjson.loads(row["condition"])} for row in found]

    async def segment_json(self, merchant: str, identifier: str) -> Any:
        """The condition of a segment, as it was written. Raises NotFound."""
        return orjson.loads(
            (await self._store.read(lambda db: tags_sql.segment(db, merchant, identifier)))["condition"]
        )

    async def segment(self, merchant: str, identifier: str) -> Condition:
        """The condition of a segment. Raises NotFound."""
        return read_condition(await self.segment_json(merchant, identifier))

    async def add_segment(self, merchant: str, staff: str, name: str, condition: Any) -> str:
        """Keep a segment under a name; its id. Raises Invalid, Refused (limit)."""
        checked(condition)
        row = {"id": self.new_id(), "merchant": merchant, "name": title(name, "name"), "staff": staff}
        row |= {"condition": orjson.dumps(condition).decode()}
        now_ms = self._clock()
        await self._store.write(lambda db: tags_sql.add_segment(db, now=now_ms, **row))
        return row["id"]

    async def drop_segment(self, merchant: str, identifier: str) -> None:
        """Forget a segment. Raises NotFound."""
        await self._store.write(lambda db: tags_sql.drop_segment(db, merchant, identifier))

    def new_id(self) -> str:
        """An id of this moment."""
        return fresh_id(self._clock())


def _parts(found: Sequence[T]) -> list[Sequence[T]]:
    """What is written in one transaction each."""
    return [found[start : start + tags_sql.WRITTEN_MAX] for start in range(0, len(found), tags_sql.WRITTEN_MAX)]


def checked(condition: Any) -> Condition:
    """Read a condition from outside. Raises Invalid."""
    try:
        return read_condition(condition)
    except BadCondition as error:
        raise Invalid(str(error), field="condition") from error
