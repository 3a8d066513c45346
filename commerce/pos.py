"""Stores and their tills as the gateway asks: keys, sellers' codes, receipts, member codes, the nearest store."""

import hashlib
import secrets
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import orjson

from commerce import catalogue_checks as check
from commerce import outlets_sql, pos_sql
from commerce.attribution.links_sql import Transaction
from commerce.attribution.service import Attribution
from commerce.domain.order import ADDRESS_CHARACTERS_MAX
from commerce.domain.outlet import OutletTerms, terms_fault
from commerce.domain.pos import LINES_MAX, Receipt, member_code, nearest, read_member_code
from commerce.domain.takings import Takings
from commerce.errors import Invalid, NotFound
from commerce.fresh_ids import fresh_id
from commerce.identity.merge_sql import survivor
from commerce.identity.phone import Vault, read_phone
from commerce.ledger import Ledger
from commerce.pos_sql import ReceiptView, TakeReceipt, TakeRefund
from commerce.store_sql import Store

KEY_BYTES = 24
CODE_CHARACTERS_MAX = 16


@dataclass(frozen=True, slots=True)
class Till:
    """Whose till a key opens."""

    outlet: str
    merchant: str


@dataclass(frozen=True, slots=True)
class Buyer:
    """Who bought: by the code they showed, or a phone number; ``join``: they want to be a member."""

    code: str = ""
    phone: str = ""
    name: str = ""
    join: bool = False


class Pos:
    """For all merchants of one database. ``secret`` makes member codes; ``clock`` gives Unix milliseconds.

    ``attribution`` judges who brought a buyer.
    """

    def __init__(
        self,
        store: Store,
        ledger: Ledger,
        vault: Vault,
        attribution: Attribution,
        *,
        secret: bytes,
        clock: Callable[[], int],
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._vault = vault
        self._attribution = attribution
        self._secret = secret
        self._clock = clock

    # --- stores ----------------------------------------------------------------------------------------------------

    async def add(
        self,
        merchant: str,
        name: str,
        address: str,
        phone: str,
        lat_e6: int,
        lng_e6: int,
        *,
        pickup: bool = True,
        terms: OutletTerms | None = None,
        node: str = "",
    ) -> tuple[str, str]:
        """Add a store; its id, and the key of its till, which is not shown again. Raises Invalid, Refused (limit).

        ``terms``: all that it offers; without them it hands over what is picked up, or (``pickup`` False) nothing.
        """
        now_ms, key = self._clock(), secrets.token_urlsafe(KEY_BYTES)
        outlet = fresh_id(now_ms)
        row = outlet_row(name, address, phone, (lat_e6, lng_e6), terms or OutletTerms(pickup=pickup), node)
        row |= {"id": outlet, "merchant": merchant, "key_digest": _digest(key), "now": now_ms}
        await self._store.write(lambda db: outlets_sql.add(db, **row))
        return outlet, key

    async def outlets(self, merchant: str, here: tuple[int, int] | None = None) -> list[dict[str, Any]]:
        """The open stores, with ``distance`` in metres and the nearest first when it is said where from."""
        rows = await self._store.read(lambda db: outlets_sql.every(db, merchant))
        found = {row["id"]: {**row, "distance": None} for row in rows}
        if here is None:
            return list(found.values())
        by_distance = nearest([(row["id"], row["lat_e6"], row["lng_e6"]) for row in rows], here)
        return [{**found[outlet], "distance": metres} for metres, outlet in by_distance]

    async def set_code(self, merchant: str, code: str, issuer: str, name: str) -> None:
        """Give a seller the code that they say at the till. Raises Invalid, Refused (already)."""
        if not 0 < len(code) <= CODE_CHARACTERS_MAX or not code.isascii() or not code.isalnum():
            raise Invalid(f"a code has 1 to {CODE_CHARACTERS_MAX} letters and digits", field="code")
        row = {"merchant": merchant, "code": code, "issuer": issuer, "name": check.title(name, "name")}
        await self._store.write(lambda db: pos_sql.set_code(db, now=self._clock(), **row))

    async def end_code(self, merchant: str, code: str) -> None:
        """A seller left. Raises NotFound."""
        await self._store.write(lambda db: pos_sql.end_code(db, merchant, code, self._clock()))

    async def codes(self, merchant: str) -> list[dict[str, Any]]:
        """The sellers' codes."""
        return await self._store.read(lambda db: pos_sql.codes(db, merchant))

    async def sums(self, merchant: str, since_ms: int, until_ms: int) -> list[dict[str, Any]]:
        """What each store and seller sold, by the tills' clocks."""
        return await self._store.read(lambda db: pos_sql.sums(db, merchant, since_ms, until_ms))

    # --- tills -----------------------------------------------------------------------------------------------------

    async def till(self, key: str) -> Till:
        """Whose till a key opens. Raises NotFound."""
        found = await self._store.read(lambda db: outlets_sql.of_key(db, _digest(key)))
        if found is None:
            raise NotFound("no till has this key")
        return Till(*found)

    async def sell(self, till: Till, receipt: Receipt, buyer: Buyer) -> ReceiptView:
        """Take a receipt; told again it answers as before. Raises Invalid, NotFound, Conflict, Busy."""
        person, digest, sealed = None, "", ""
        if buyer.code:
            person = read_member_code(self._secret, buyer.code, receipt.sold_ms)
            if person is None:
                raise Invalid("this member code was not good at the time of the sale", field="member")
        elif buyer.phone:
            e164 = read_phone(buyer.phone)
            digest = self._vault.digest(till.merchant, e164)
            sealed = self._vault.seal_phone(till.merchant, e164)
        decision = await self._judged(till.merchant, person, digest, receipt.sold_ms)
        command = TakeReceipt(
            till.merchant, till.outlet, receipt, person, digest, sealed, buyer.name.strip(), buyer.join, decision
        )
        return await self._view(command)

    async def _judged(self, merchant: str, person: str | None, digest: str, sold_ms: int) -> dict[str, Any] | None:
        """Who brought a buyer, as of the sale; None of somebody who is not known."""

        def known(db: Transaction) -> str | None:
            found = person or (pos_sql.by_phone(db, merchant, digest) if digest else None)
            return None if found is None else survivor(db, found)

        buyer = await self._store.read(known)
        return None if buyer is None else await self._attribution.decision_json(merchant, buyer, sold_ms)

    async def explained(self, merchant: str, receipt: str) -> dict[str, Any] | None:
        """Who was credited for a receipt, as it was judged; None when nobody was. Raises NotFound."""
        return await self._store.read(lambda db: pos_sql.decision(db, merchant, receipt))

    async def refund(
        self,
        till: Till,
        number: str,
        receipt: str,
        amount: int,
        refunded_ms: int,
        lines: Sequence[tuple[str, int]] = (),
        stock: str = "sellable",
        takings: Takings | None = None,
    ) -> ReceiptView:
        """Take a refund at the till, with the goods (article, units) that came back, and how the money was given.

        Raises Invalid, NotFound, Conflict, Refused (over_refund), Busy.
        """
        if len(lines) > LINES_MAX or any(count < 1 for _, count in lines):
            raise Invalid(f"at most {LINES_MAX} lines of one unit or more", field="lines")
        if stock not in ("sellable", "quarantine"):
            raise Invalid("stock is sellable or quarantine", field="stock")
        asked = (number, receipt, amount, refunded_ms, tuple(lines), stock, takings)
        return await self._view(TakeRefund(till.merchant, till.outlet, *asked))

    async def member(self, till: Till, buyer: Buyer, at_ms: int) -> str:
        """Who stands at the till. Raises Invalid, NotFound."""
        if buyer.code:
            found = read_member_code(self._secret, buyer.code, at_ms)
        else:
            digest = self._vault.digest(till.merchant, read_phone(buyer.phone))
            found = await self._store.read(lambda db: pos_sql.by_phone(db, till.merchant, digest))
        if found is None:
            raise NotFound("no member has this code or number", field="member")
        return found

    def code_of(self, person: str) -> str:
        """What a member shows at the till, for some minutes."""
        return member_code(self._secret, person, self._clock())

    async def _view(self, command: TakeReceipt | TakeRefund) -> ReceiptView:
        done = await self._ledger.submit(command)
        assert isinstance(done, ReceiptView)
        return done


def outlet_row(
    name: str, address: str, phone: str, place: tuple[int, int], terms: OutletTerms, node: str
) -> dict[str, Any]:
    """What somebody wrote about a store, as its columns. Raises Invalid."""
    where = address.strip()
    if not 0 < len(where) <= ADDRESS_CHARACTERS_MAX or not where.isprintable():
        raise Invalid(f"an address has 1 to {ADDRESS_CHARACTERS_MAX} characters", field="address")
    fault = terms_fault(terms)
    if fault is not None:
        raise Invalid(fault[1], field=fault[0])
    row = asdict(terms) | {"hours": orjson.dumps(terms.hours).decode(), "address": where, "node": node}
    return row | {"name": check.title(name, "name"), "phone": phone, "lat_e6": place[0], "lng_e6": place[1]}


def _digest(key: str) -> str:
    # The key has 192 bits of its own: a slow hash would add nothing.
    return hashlib.sha256(key.encode()).hexdigest()
