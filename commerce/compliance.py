"""What the regulator asks of a shop, each behind a switch that works (docs/compliance.md).

Switches and licence, who hosts, kept chat, complaints, takedowns: of all merchants of one database.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import orjson

from commerce import catalogue_checks as check
from commerce import complaints_sql
from commerce import compliance_sql as sql
from commerce.catalogue import Catalogue
from commerce.catalogue_sql import product as product_row
from commerce.catalogue_sql import room as room_row
from commerce.catalogue_sql import sku as sku_row
from commerce.domain.org import Reach
from commerce.domain.policy import DAY_MS, Policy, policy_fault
from commerce.errors import Invalid
from commerce.fresh_ids import fresh_id
from commerce.goods_sheet import RETURNS
from commerce.identity import dossier_sql
from commerce.identity.phone import Vault
from commerce.shop import Shop
from commerce.store_sql import Store

LICENCE_NUMBER = re.compile(r"[0-9A-Z]{15}|[0-9A-HJ-NPQRTUWXY]{18}")
"""统一社会信用代码 (GB 32100-2015: 18 characters without I, O, S, V, Z), or the 15 of an older licence."""
ID_NUMBER = re.compile(r"[0-9A-Z()]{6,20}")
PERMITS_MAX = 10
TEXT_CHARACTERS_MAX = 2_000
REASON_CHARACTERS_MAX = 200
COMPLAINTS_OPEN_MAX = 10
"""Open complaints of one person: who has more is heard already."""
_BOUND = "host"


class Compliance:
    """Policies and records; ``clock`` gives Unix milliseconds."""

    def __init__(
        self, store: Store, shop: Shop, catalogue: Catalogue, vault: Vault, *, clock: Callable[[], int]
    ) -> None:
        self._store = store
        self._shop = shop
        self._catalogue = catalogue
        self._vault = vault
        self._clock = clock

    # Switches and licence

    async def policy(self, merchant: str) -> Policy:
        """A shop's switches."""
        return await self._store.read(lambda db: sql.policy(db, merchant))

    async def policies(self) -> dict[str, Policy]:
        """The switches of all shops that have set some."""
        return await self._store.read(sql.policies)

    async def set_policy(self, merchant: str, staff: str, policy: Policy) -> Policy:
        """Change a shop's switches. Raises Invalid with the ``field``."""
        fault = policy_fault(policy)
        if fault is not None:
            raise Invalid(fault[1], field=fault[0])
        terms, now_ms = orjson.dumps(asdict(policy)).decode(), self._clock()
        await self._store.write(lambda db: sql.set_policy(db, merchant=merchant, terms=terms, staff=staff, now=now_ms))
        return policy

    async def licence(self, merchant: str) -> dict[str, Any] | None:
        """A shop's licence."""
        return await self._store.read(lambda db: sql.licence(db, merchant))

    async def shown_licence(self, merchant: str) -> dict[str, Any] | None:
        """The licence as the viewer page shows it; None when there is none, or the shop shows it elsewhere."""
        return await self._store.read(
            lambda db: sql.licence(db, merchant) if sql.policy(db, merchant).licence_shown else None
        )

    async def set_licence(
        self,
        merchant: str,
        staff: str,
        company: str,
        number: str,
        address: str,
        image: str,
        permits: Sequence[Mapping[str, str]],
    ) -> dict[str, Any] | None:
        """Write a shop's licence and further permits (``name``, ``number``). Raises Invalid."""
        code = number.strip().upper()
        if not LICENCE_NUMBER.fullmatch(code):
            raise Invalid("a licence number has 18 characters (统一社会信用代码), or 15", field="number")
        if len(permits) > PERMITS_MAX:
            raise Invalid(f"at most {PERMITS_MAX} permits", field="permits")
        shown = [{name: check.title(one[name], "permits") for name in ("name", "number")} for one in permits]
        row = {
            "merchant": merchant,
            "company": check.title(company, "company"),
            "number": code,
            "address": check.words(address, "address", REASON_CHARACTERS_MAX, empty=True),
            "image": check.image(image),
            "permits": orjson.dumps(shown).decode(),
            "staff": staff,
            "now": self._clock(),
        }
        await self._store.write(lambda db: sql.set_licence(db, **row))
        return await self.licence(merchant)

    # Goods

    async def notice(self, product: str) -> dict[str, Any]:
        """What a buyer is told of a product beside its price: returns, bases of struck-through prices, media."""

        def read(db: Any) -> dict[str, Any]:
            found = sql.notice(db, product)
            return {**found, "return_days": sql.policy(db, found["merchant"]).return_days}

        return await self._store.read(read)

    async def set_basis(self, merchant: str, sku: str, basis: str) -> None:
        """Write what a SKU's struck-through price stands on. Raises NotFound, Invalid."""
        words = check.words(basis, "list_basis", 60)

        def change(db: Any) -> None:
            sku_row(db, merchant, sku)
            sql.set_basis(db, merchant, sku, words)

        await self._store.write(change)

    async def set_returns(self, merchant: str, product: str, returns: str) -> None:
        """Write whether a product can be given back without a reason, or its exception. Raises NotFound, Invalid."""
        if returns not in RETURNS:
            raise Invalid(f"returns is one of {', '.join(RETURNS)}", field="returns")

        def change(db: Any) -> None:
            product_row(db, merchant, product)
            sql.set_returns(db, merchant, product, returns)

        await self._store.write(change)

    # Hosts

    async def set_host(self, merchant: str, room: str, name: str, number: str, staff: str) -> list[dict[str, Any]]:
        """Record who answers for a room, sealed; the one before stays on record. Raises NotFound, Invalid."""
        clean, code = check.title(name, "name"), number.strip().upper()
        if not ID_NUMBER.fullmatch(code):
            raise Invalid("number is that of an identity document: 6 to 20 digits and letters", field="number")
        now_ms = self._clock()
        sealed = self._vault.seal(orjson.dumps([clean, code]).decode(), f"{_BOUND}/{merchant}")
        row: dict[str, Any] = {"id": fresh_id(now_ms), "merchant": merchant, "room": room, "sealed": sealed}
        row |= {"staff": staff, "shown": f"{clean[:1]}** {code[:2]}…{code[-2:]}", "now": now_ms}

        def change(db: Any) -> list[dict[str, Any]]:
            room_row(db, room, merchant)
            sql.set_host(db, **row)
            return sql.hosts(db, merchant, room)

        return await self._store.write(change)

    async def hosts(self, merchant: str, room: str = "") -> list[dict[str, Any]]:
        """Who hosts and hosted, masked, newest first."""
        return await self._store.read(lambda db: sql.hosts(db, merchant, room))

    async def open_host(self, merchant: str, identifier: str, staff: str, reason: str) -> dict[str, str]:
        """Name and number of a record in clear, written down with who asked and why. Raises NotFound, Invalid."""
        why, now_ms = check.words(reason, "reason", REASON_CHARACTERS_MAX), self._clock()

        def change(db: Any) -> str:
            row = sql.host(db, merchant, identifier)
            entry: dict[str, Any] = {
                "id": fresh_id(now_ms),
                "merchant": merchant,
                "person": identifier,
                "by": staff,
                "now": now_ms,
            }
            dossier_sql.log(db, **entry, action="host", reason=why)
            return str(row.sealed)

        sealed = await self._store.write(change)
        name, number = orjson.loads(self._vault.open(sealed, f"{_BOUND}/{merchant}"))
        return {"name": name, "number": number}

    async def may_host(self, merchant: str, room: str) -> bool:
        """Whether somebody may broadcast there: a shop that wants hosts on record has one for the room."""
        return await self._store.read(
            lambda db: not sql.policy(db, merchant).host_identity_required or sql.has_host(db, merchant, room)
        )

    # Chat

    async def keep_lines(self, lines: Sequence[dict[str, Any]]) -> None:
        """Keep lines of chat (id, merchant, room, person, role, name, text, at). Raises Busy."""
        await self._store.write(lambda db: sql.keep_lines(db, lines))

    async def forget_lines(self) -> int:
        """Forget lines past the time that their shop keeps them; of shops that keep none, none that they had."""
        gone, now_ms = 0, self._clock()
        for merchant, policy in (await self.policies()).items():
            if policy.keep_chat_days:
                before_ms = now_ms - policy.keep_chat_days * DAY_MS
                gone += await self._store.write(
                    lambda db, of=merchant, before=before_ms: sql.forget_lines(db, of, before)  # type: ignore[misc]
                )
        return gone

    async def lines(
        self, merchant: str, room: str, person: str, since_ms: int, until_ms: int, after: str, limit: int
    ) -> list[dict[str, Any]]:
        """Kept lines, of a room or a person when one is named, in the order of time."""
        asked = {"merchant": merchant, "room": room, "person": person, "since": since_ms, "until": until_ms}
        return await self._store.read(lambda db: sql.lines(db, **asked, after=after, limit=limit))

    # Complaints

    async def complain(
        self, merchant: str, person: str, kind: str, text: str, contact: str, room: str, order: str
    ) -> dict[str, Any]:
        """Take a complaint, a report of content, or praise. Raises NotFound, Refused (limit), Invalid."""
        if order:
            await self._shop.order(merchant, order, person)
        now_ms = self._clock()
        row: dict[str, Any] = {
            "id": fresh_id(now_ms),
            "merchant": merchant,
            "person": person,
            "kind": kind,
            "text": check.words(text, "text", TEXT_CHARACTERS_MAX),
            "contact": check.words(contact, "contact", 60, empty=True),
            "room": room or None,
            "order": order or None,
            "now": now_ms,
        }

        def change(db: Any) -> None:
            if room:
                room_row(db, room, merchant)
            due = now_ms + sql.policy(db, merchant).complaints_days * DAY_MS
            complaints_sql.complain(db, COMPLAINTS_OPEN_MAX, **row, due=due)

        await self._store.write(change)
        return (await self.complaints(merchant, person, limit=1, identifier=row["id"]))[0]

    async def complaints(
        self,
        merchant: str,
        person: str = "",
        state: str = "",
        before: str | None = None,
        limit: int = 50,
        *,
        kind: str = "",
        reach: Reach | None = None,
        identifier: str = "",
    ) -> list[dict[str, Any]]:
        """Complaints, newest first: one's own, a part's (``reach``) or all. Raises Invalid for no such state."""
        if state and state not in complaints_sql.STATES:
            raise Invalid(f"state is one of {', '.join(complaints_sql.STATES)}", field="state")
        asked = {"merchant": merchant, "person": person, "kind": kind, "before": before, "limit": limit}
        asked["id"], now_ms = identifier, self._clock()
        return await self._store.read(lambda db: complaints_sql.complaints(db, reach, state, **asked, now=now_ms))

    async def complaint_sums(
        self, merchant: str, since_ms: int, until_ms: int, reach: Reach | None = None
    ) -> list[dict[str, Any]]:
        """What was told in a period, by the node that it counts for; the most overdue first."""
        asked = {"merchant": merchant, "since": since_ms, "until": until_ms, "now": self._clock()}
        return await self._store.read(lambda db: complaints_sql.sums(db, reach, **asked))

    async def answer(self, merchant: str, complaint: str, staff: str, words: str, reach: Reach | None = None) -> None:
        """Answer a complaint, once. Raises NotFound, Invalid."""
        row = {"id": complaint, "merchant": merchant, "staff": staff, "now": self._clock()}
        row |= {"answer": check.words(words, "answer", 1_000)}
        await self._store.write(lambda db: complaints_sql.answer(db, reach, **row))

    # Takedowns

    async def take_down(
        self, merchant: str, kind: str, ref: str, reason: str, basis: str, staff: str
    ) -> dict[str, Any]:
        """Take a product off sale for as long as it is down, or close a room; the record stays.

        Raises NotFound, Refused (already), Invalid.
        """
        now_ms = self._clock()
        row = {"id": fresh_id(now_ms), "merchant": merchant, "kind": kind, "ref": ref, "staff": staff, "now": now_ms}
        row |= {"reason": check.words(reason, "reason", REASON_CHARACTERS_MAX)}
        row |= {"basis": check.words(basis, "basis", REASON_CHARACTERS_MAX, empty=True)}

        def change(db: Any) -> None:
            product_row(db, merchant, ref) if kind == "product" else room_row(db, ref, merchant)
            sql.take_down(db, **row)

        await self._store.write(change)
        if kind == "product":
            await self._catalogue.update_product(merchant, ref, on_shelf=False)
        else:
            await self._catalogue.close_room(merchant, ref)
        return (await self.takedowns(merchant, None, 1))[0]

    async def lift(self, merchant: str, takedown: str, staff: str) -> None:
        """End a takedown: the product may be put on sale again. Raises NotFound."""
        now_ms = self._clock()
        await self._store.write(lambda db: sql.lift(db, id=takedown, merchant=merchant, staff=staff, now=now_ms))

    async def takedowns(self, merchant: str, before: str | None, limit: int) -> list[dict[str, Any]]:
        """Takedowns, newest first."""
        return await self._store.read(lambda db: sql.takedowns(db, merchant, before, limit))
