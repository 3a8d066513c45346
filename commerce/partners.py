"""Partners of another trade as the gateway asks: contracts, tokens, what they brought, statements, settlements.

The merchant records a partner and a contract. A business that is not on this server agreed on paper, and the contract
stands at once; another merchant of this server agrees to it here, and reads through it alone: sums, and its own sales
without the buyers.
"""

from collections.abc import Callable, Mapping
from dataclasses import astuple
from typing import Any

from commerce import catalogue_checks as check
from commerce import partner_coupons_sql, partner_statement_sql, partners_sql
from commerce.attribution.links import LinkView
from commerce.attribution.service import Attribution
from commerce.basket import TITLE_CHARACTERS_MAX, check_key, within
from commerce.commissions import Withdraw, WithdrawalView
from commerce.domain.day import day_of
from commerce.domain.money import AMOUNT_MAX
from commerce.domain.partner import Contract, contract_fault, contract_of
from commerce.errors import Invalid
from commerce.events import DropView
from commerce.fresh_ids import fresh_id
from commerce.ledger import KEY_CHARACTERS_MAX, CloseDrop, Ledger, StartDrop, fingerprint
from commerce.ledger_partners import OfferCoupon
from commerce.partner_statement_sql import PartnerStatement
from commerce.store_sql import Store

TRADE_CHARACTERS_MAX = 40
NOTE_CHARACTERS_MAX = 200


class Partners:
    """For all merchants of one database; every method is scoped to one. ``clock``: Unix milliseconds."""

    def __init__(self, store: Store, ledger: Ledger, attribution: Attribution, *, clock: Callable[[], int]) -> None:
        self._store = store
        self._ledger = ledger
        self._attribution = attribution
        self._clock = clock

    # --- the merchant's side ---------------------------------------------------------------------------------------

    async def add(
        self,
        merchant: str,
        by: str,
        name: str,
        trade: str,
        terms: Mapping[str, Any],
        *,
        counterpart: str | None = None,
        owner: str | None = None,
        note: str = "",
    ) -> dict[str, Any]:
        """Record a partner with its first contract. Raises Invalid, NotFound, Refused (limit, already)."""
        identifier, wanted = self._id(), self._contract(terms)
        row = {"id": identifier, "merchant": merchant, "name": check.title(name, "name"), "now": self._clock()}
        row |= {"trade": _line(trade, TRADE_CHARACTERS_MAX, "trade"), "counterpart": counterpart, "owner": owner}
        signed = self._signed(by, note)

        def write(db: Any) -> dict[str, Any]:
            partners_sql.add(db, **row)
            partners_sql.propose(db, identifier, merchant, wanted, signed)
            return partners_sql.alone(db, identifier)

        made = await self._store.write(write)
        self._attribution.binder.forget()
        return made

    async def propose(
        self, merchant: str, partner: str, by: str, terms: Mapping[str, Any], note: str = ""
    ) -> dict[str, Any]:
        """Put another contract in the place of the one that stands, for sales to come. Raises NotFound, Invalid,
        Refused (not_open).
        """
        wanted, signed = self._contract(terms), self._signed(by, note)

        def write(db: Any) -> dict[str, Any]:
            partners_sql.propose(db, partner, merchant, wanted, signed)
            return partners_sql.alone(db, partner)

        return await self._store.write(write)

    async def change(self, merchant: str, partner: str, given: Mapping[str, str | None]) -> dict[str, Any]:
        """Change name, trade or state (active, paused, or ended). Raises NotFound, Invalid, Refused (already)."""
        state = given.get("state")
        if state is not None and state not in partners_sql.STATES:
            raise Invalid("state is one of " + ", ".join(partners_sql.STATES), field="state")
        wanted: dict[str, Any] = {"state": state}
        if given.get("name") is not None:
            wanted["name"] = check.title(given["name"] or "", "name")
        if given.get("trade") is not None:
            wanted["trade"] = _line(given["trade"] or "", TRADE_CHARACTERS_MAX, "trade")
        now_ms = self._clock()

        def write(db: Any) -> dict[str, Any]:
            partners_sql.change(db, merchant, partner, wanted, now_ms)
            return partners_sql.alone(db, partner)

        return await self._store.write(write)

    async def page(self, merchant: str) -> list[dict[str, Any]]:
        """A merchant's partners, newest first, with contracts and sums."""
        return await self._store.read(lambda db: partners_sql.page(db, merchant, incoming=False))

    async def link(self, merchant: str, partner: str, room: str | None, sku: str | None, channel: str) -> LinkView:
        """A token of the partner's, for its poster or counter. Raises NotFound, Invalid, Refused (not_open)."""
        row = await self._store.read(lambda db: partners_sql.one(db, merchant, partner))
        return await self._attribution.mint_link(merchant, row["id"], "partner", room=room, sku=sku, channel=channel)

    async def links(self, merchant: str, partner: str, before: str | None, limit: int) -> list[LinkView]:
        """The partner's tokens with their uses. Raises NotFound."""
        row = await self._store.read(lambda db: partners_sql.one(db, merchant, partner))
        return await self._attribution.links(merchant, row["id"], before, limit)

    # --- coupons ---------------------------------------------------------------------------------------------------

    async def offer(self, drop: StartDrop, budget: int, by: str, key: str) -> DropView:
        """Let those who come by a partner's code (the drop's issuer) have a coupon, out of a budget of so many 分.

        Raises NotFound, Invalid, Conflict, Refused (not_open, limit), Busy.
        """
        check_key(key)
        within(budget, drop.amount, AMOUNT_MAX, "budget")
        if drop.percent:
            raise Invalid("a coupon out of a budget takes off an amount", field="percent")
        check.words(drop.reason, "reason", TITLE_CHARACTERS_MAX)
        made = await self._ledger.submit(OfferCoupon(drop, budget, by, key, fingerprint(astuple(drop), budget)))
        assert isinstance(made, DropView)
        return made

    async def offers(self, merchant: str, partner: str) -> list[dict[str, Any]]:
        """A partner's offers, newest first, with what became of their coupons. Raises NotFound."""

        def look(db: Any) -> list[dict[str, Any]]:
            partners_sql.one(db, merchant, partner)
            now_ms = self._clock()
            rows = partner_coupons_sql.offers(db, merchant, partner)
            return [{**row, "open": row["closed_ms"] is None and row["ends_ms"] > now_ms} for row in rows]

        return await self._store.read(look)

    async def end_offer(self, merchant: str, partner: str, drop: str) -> None:
        """End an offer; coupons that were given stay good, and the budget keeps what is left. Raises NotFound."""
        await self._store.read(lambda db: partner_coupons_sql.find(db, merchant, partner, drop))
        await self._ledger.submit(CloseDrop(merchant, drop))

    async def shown_offer(self, merchant: str, partner: str, room: str) -> dict[str, Any] | None:
        """What a poster says of a partner's best open offer in a room; None when there is none."""
        now_ms = self._clock()
        return await self._store.read(lambda db: partner_coupons_sql.shown(db, merchant, partner, room, now_ms))

    async def renew_key(self, merchant: str, partner: str) -> int:
        """Make the partner's former key void; the new one's generation. Raises NotFound."""
        now_ms = self._clock()
        return await self._store.write(lambda db: partners_sql.renew_key(db, merchant, partner, now_ms))

    async def statement(self, merchant: str, partner: str, month: str | None) -> PartnerStatement:
        """A partner's month as the shop reads it: with who bought. Raises NotFound, Invalid, Refused (limit)."""

        def look(db: Any) -> PartnerStatement:
            row = partners_sql.one(db, merchant, partner)
            return partner_statement_sql.read(db, row, month or self._month(), whole=True, sees="rows")

        return await self._store.read(look)

    async def settle(self, merchant: str, partner: str, amount: int, key: str) -> WithdrawalView:
        """Ask that a share be paid; staff decide it as a withdrawal. Raises NotFound, Invalid, Conflict,
        Refused (already, insufficient).
        """
        await self._store.read(lambda db: partners_sql.one(db, merchant, partner))
        return await self._settle(merchant, partner, amount, key)

    async def share_of(self, merchant: str, sale: str) -> dict[str, Any] | None:
        """What a sale gave its partner; None when no partner was credited."""
        return await self._store.read(lambda db: partner_statement_sql.share_of(db, merchant, sale))

    # --- the partner's side ----------------------------------------------------------------------------------------

    async def known(self, partner: str) -> dict[str, Any] | None:
        """A partner by its id, whosever it is."""
        return await self._store.read(lambda db: partners_sql.known(db, partner))

    async def alone(self, partner: str) -> dict[str, Any]:
        """A partner with contracts and sums."""
        return await self._store.read(lambda db: partners_sql.alone(db, partner))

    async def incoming(self, counterpart: str) -> list[dict[str, Any]]:
        """Partnerships in which a merchant is the partner."""
        return await self._store.read(lambda db: partners_sql.page(db, counterpart, incoming=True))

    async def decide(self, counterpart: str, contract: str, by: str, *, agreed: bool) -> None:
        """Agree to a proposed contract, or refuse it. Raises NotFound, Conflict."""
        state, now_ms = "agreed" if agreed else "refused", self._clock()
        await self._store.write(lambda db: partners_sql.decide(db, counterpart, contract, state, by, now_ms))

    async def partnership(self, counterpart: str, partner: str) -> dict[str, Any]:
        """A partnership in which a merchant is the partner. Raises NotFound."""
        return await self._store.read(lambda db: partners_sql.of_counterpart(db, counterpart, partner))

    async def own_statement(self, partner: Mapping[str, Any], month: str | None) -> PartnerStatement:
        """A month as the partner reads it: sums, and as agreed its sales without the buyers. Raises Invalid."""

        def look(db: Any) -> PartnerStatement:
            contracts = partners_sql.alone(db, partner["id"])["contracts"]
            # By the contract that stands, else by the last that stood.
            stood = [one for one in contracts if one["state"] in ("agreed", "closed")]
            sees = stood[0]["sees"] if stood else "sums"
            return partner_statement_sql.read(db, dict(partner), month or self._month(), whole=False, sees=sees)

        return await self._store.read(look)

    async def own_settle(self, partner: Mapping[str, Any], amount: int, key: str) -> WithdrawalView:
        """The partner asks for its share. Raises Invalid, Conflict, Refused (already, insufficient)."""
        return await self._settle(partner["merchant"], partner["id"], amount, key)

    async def _settle(self, merchant: str, partner: str, amount: int, key: str) -> WithdrawalView:
        if not 0 < len(key) <= KEY_CHARACTERS_MAX or "\0" in key:
            raise Invalid(f"a key has 1 to {KEY_CHARACTERS_MAX} characters, none of them NUL")
        if not 0 < amount <= AMOUNT_MAX:
            raise Invalid("an amount is at least 1 分", field="amount")
        asked = await self._ledger.submit(Withdraw(merchant, partner, amount, key, fingerprint(amount)))
        assert isinstance(asked, WithdrawalView)
        return asked

    def _contract(self, terms: Mapping[str, Any]) -> Contract:
        wanted = contract_of({**terms, "since": terms.get("since") or day_of(self._clock())})
        fault = contract_fault(wanted)
        if fault is not None:
            raise Invalid(fault, field="terms")
        return wanted

    def _signed(self, by: str, note: str) -> dict[str, Any]:
        return {
            "id": self._id(),
            "by": by,
            "note": _line(note, NOTE_CHARACTERS_MAX, "note"),
            "now": self._clock(),
        }

    def _month(self) -> str:
        return day_of(self._clock())[:7]

    def _id(self) -> str:
        return fresh_id(self._clock())


def _line(value: str, most: int, field: str) -> str:
    clean = value.strip()
    if len(clean) > most or (clean and not clean.isprintable()):
        raise Invalid(f"{field} has at most {most} characters on one line", field=field)
    return clean
