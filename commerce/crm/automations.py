"""What happens by itself: automations that give a coupon, a tag or a message, and pop-ups in the viewer page."""

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from commerce.attribution.links_sql import Transaction
from commerce.basket import DropTerms
from commerce.catalogue_checks import title
from commerce.crm import automations_sql, popups_sql
from commerce.crm.outreach import message_row
from commerce.crm.service import checked
from commerce.domain.condition import read_condition
from commerce.domain.coupon import audience_fault
from commerce.domain.day import DAY_MS
from commerce.domain.webhook import url_fault
from commerce.errors import Invalid, NotFound
from commerce.fresh_ids import fresh_id
from commerce.identity.merge_sql import aliases_of, survivor
from commerce.shop import Shop
from commerce.store_sql import Store

Row = dict[str, Any]

DELAY_S_MAX = 30 * 86_400
AGAIN_DAYS_MAX = 400
GIVING_S = 366 * 86_400
COUPONS_EACH_MAX = 100
"""Coupons that one person can ever have of one automation."""
POPUP_TEXT_CHARACTERS_MAX = 300
POPUP_DAYS_MAX = 366
SHOWN_MAX = 100
"""Times that one person may see one pop-up in all."""
PASSES_MAX = 50


class Automations:
    """Automations and pop-ups of all merchants of one database; every method is scoped to one."""

    def __init__(self, store: Store, shop: Shop, *, clock: Callable[[], int]) -> None:
        self._store = store
        self._shop = shop
        self._clock = clock

    # --- automations -----------------------------------------------------------------------------------------------

    async def look(self, merchant: str) -> None:
        """Begin runs for those who meet a condition now: called after each reckoning."""
        for row in await self._store.read(lambda db: automations_sql.active(db, merchant)):
            condition = read_condition(orjson.loads(row["condition"]))
            for _ in range(PASSES_MAX):
                now_ms = self._clock()
                people = await self._store.read(
                    lambda db, row=row, condition=condition, now_ms=now_ms: automations_sql.waiting(  # type: ignore[misc]
                        db, row, condition, now_ms
                    )
                )
                if people:
                    await self._shop.ledger.submit(automations_sql.BeginRuns(merchant, row["id"], tuple(people)))
                if len(people) < automations_sql.BEGUN_MAX:
                    break

    async def add(
        self, merchant: str, staff: str, name: str, condition: Any, action: Mapping[str, Any], delay_s: int, again: int
    ) -> str:
        """Keep an automation, and for a coupon begin its giving; its id. Raises Invalid, Refused (limit)."""
        checked(condition)
        called = title(name, "name")
        if not 0 <= delay_s <= DELAY_S_MAX or not 0 <= again <= AGAIN_DAYS_MAX:
            raise Invalid(f"delay_s is at most {DELAY_S_MAX}, again_days at most {AGAIN_DAYS_MAX}", field="delay_s")
        kept = await self._action(merchant, action)
        identifier, now_ms = self._id(), self._clock()
        row = {
            "id": identifier,
            "merchant": merchant,
            "name": called,
            "condition": orjson.dumps(condition).decode(),
            "action": orjson.dumps(kept).decode(),
            "delay_ms": delay_s * 1000,
            "again_days": again,
            "staff": staff,
        }
        await self._store.write(lambda db: automations_sql.add(db, now=now_ms, **row))
        await self.look(merchant)
        return identifier

    async def automations(self, merchant: str) -> list[Row]:
        """A merchant's automations with counts of their runs."""
        found = await self._store.read(lambda db: automations_sql.automations(db, merchant))
        return [
            {**row, "condition": orjson.loads(row["condition"]), "action": orjson.loads(row["action"])} for row in found
        ]

    async def runs(self, merchant: str, automation: str, limit: int) -> list[Row]:
        """Runs of an automation, newest first."""
        return await self._store.read(lambda db: automations_sql.runs(db, merchant, automation, limit))

    async def turn(self, merchant: str, automation: str, *, active: bool) -> None:
        """Switch an automation on or off. Raises NotFound."""
        await self._store.write(lambda db: automations_sql.turn(db, merchant, automation, active=active))

    async def _action(self, merchant: str, action: Mapping[str, Any]) -> Row:
        kind = action.get("kind")
        if kind == "tag":
            if audience_fault(f"tag:{action.get('tag', '')}") is not None:
                raise Invalid("tag is a tag's name", field="action")
            return {"kind": kind, "tag": action["tag"]}
        if kind == "message":
            channel, body = action.get("channel", ""), action.get("body")
            message_row(merchant, "", channel, "marketing", "automation", body, 0)
            return {"kind": kind, "channel": channel, "body": body}
        if kind != "coupon":
            raise Invalid("action.kind is coupon, tag or message", field="action")
        called, reason = action.get("title"), action.get("reason")
        if not isinstance(called, str) or not isinstance(reason, str) or not called or not reason:
            raise Invalid("a coupon has a title and a reason", field="action")
        drop = await self._shop.start_drop(
            merchant,
            str(action.get("room", "")),
            title=called,
            reason=reason,
            amount=action.get("amount", 0),
            threshold=action.get("threshold", 0),
            total=action.get("total", 0),
            per_person=COUPONS_EACH_MAX,
            seconds=GIVING_S,
            valid_s=action.get("valid_s", 0),
            more=DropTerms(way=automations_sql.WAY),
        )
        return {
            "kind": kind,
            "room": drop.room,
            "drop": drop.drop,
            "title": called,
            "reason": reason,
            "amount": drop.amount,
        }

    # --- pop-ups ---------------------------------------------------------------------------------------------------

    async def add_popup(self, merchant: str, staff: str, given: Mapping[str, Any]) -> str:
        """Keep a pop-up; its id. Raises Invalid, Refused (limit)."""
        condition, body = given["condition"], given["body"]
        if condition is not None:
            checked(condition)
        if len(body["text"]) > POPUP_TEXT_CHARACTERS_MAX or not body["text"].strip():
            raise Invalid(f"text has 1 to {POPUP_TEXT_CHARACTERS_MAX} characters", field="text")
        if body["url"] and (url_fault(body["url"]) is not None or not body["url"].startswith("https://")):
            raise Invalid("url is an https:// address", field="url")
        if not 0 < given["per_day"] <= given["total"] <= SHOWN_MAX:
            raise Invalid(f"per_day is at most total, total at most {SHOWN_MAX}", field="per_day")
        if not given["from_ms"] < given["until_ms"] <= self._clock() + POPUP_DAYS_MAX * DAY_MS:
            raise Invalid("until_ms comes after from_ms, within a year", field="until_ms")
        row = {
            **given,
            "id": self._id(),
            "merchant": merchant,
            "staff": staff,
            "title": title(given["title"], "title"),
            "condition": "" if condition is None else orjson.dumps(condition).decode(),
            "body": orjson.dumps(body).decode(),
        }
        await self._store.write(lambda db: popups_sql.add(db, now=self._clock(), **row))
        identifier: str = row["id"]
        return identifier

    async def popups(self, merchant: str) -> list[Row]:
        """A merchant's pop-ups with how often they were shown and clicked."""
        return [_popup(row) for row in await self._store.read(lambda db: popups_sql.popups(db, merchant))]

    async def turn_popup(self, merchant: str, popup: str, *, active: bool) -> None:
        """Switch a pop-up on or off. Raises NotFound."""
        await self._store.write(lambda db: popups_sql.turn(db, merchant, popup, active=active))

    async def next_popup(self, merchant: str, room: str, person: str) -> Row | None:
        """What is to pop up for a person in a room now, counted as shown; None when there is nothing for them."""
        now_ms = self._clock()
        # Most are asked for in vain: that costs one read.
        if not await self._store.read(lambda db: popups_sql.open_in(db, merchant, room, now_ms)):
            return None

        def show(db: Transaction) -> Row | None:
            who = survivor(db, person)
            return popups_sql.show(db, merchant, room, who, aliases_of(db, who), now_ms)

        shown = await self._store.write(show)
        return None if shown is None else _popup(shown)

    async def clicked(self, merchant: str, popup: str, person: str) -> None:
        """A person did what a pop-up offers. Raises NotFound."""
        now_ms = self._clock()

        def write(db: Transaction) -> None:
            if not popups_sql.click(db, merchant, popup, aliases_of(db, survivor(db, person)), now_ms):
                raise NotFound("no such pop-up was shown to you")

        await self._store.write(write)

    def _id(self) -> str:
        return fresh_id(self._clock())


def _popup(row: Row) -> Row:
    return {**row, "body": orjson.loads(row["body"]), "condition": orjson.loads(row["condition"] or "null")}
