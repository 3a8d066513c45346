"""Distribution as the gateway asks: terms, distributors, rates, statements, withdrawals, whose customer somebody is."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from commerce import catalogue_checks as check
from commerce import commission_statement_sql, distribution_sql
from commerce.attribution import bindings_sql
from commerce.attribution.binder import Binder
from commerce.attribution.bindings_sql import Claim, HandedOver
from commerce.attribution.links_sql import Transaction
from commerce.commission_statement_sql import CommissionStatement
from commerce.commissions import Cleared, ClearHold, DecideWithdrawal, Release, Released, Withdraw, WithdrawalView
from commerce.domain.commission import BP, SCOPES, Rate, Terms, terms_of
from commerce.domain.ids import AFTER_ALL
from commerce.domain.money import AMOUNT_MAX
from commerce.errors import Invalid, NotFound
from commerce.fresh_ids import fresh_ids
from commerce.identity.merge_sql import survivor
from commerce.ledger import KEY_CHARACTERS_MAX, Ledger, fingerprint
from commerce.periodic import Periodic
from commerce.store_sql import Store
from commerce.transfer import TransferProvider
from commerce.transfers import Transfers

T = TypeVar("T")

log = logging.getLogger(__name__)

RELEASE_S = 60.0
"""How often is looked for commission whose refund window is over: its length is counted in days."""
LEVEL_CHARACTERS_MAX = 20
TEXT_CHARACTERS_MAX = 200
HAND_OVER_MAX = 5_000
"""Customers handed over in one transaction; more in the next call."""
STATES = ("applied", "active", "disabled")
WITHDRAWAL_DECISIONS = ("approved", "rejected", "transfer", "paid")


class Distribution:
    """Distribution of all merchants of one database; every method is scoped to one. ``clock``: Unix milliseconds."""

    def __init__(
        self,
        store: Store,
        ledger: Ledger,
        binder: Binder,
        *,
        clock: Callable[[], int],
        transfers: Sequence[TransferProvider] = (),
    ) -> None:
        self.transfers = Transfers(store, ledger, transfers, clock=clock)
        self._store = store
        self._ledger = ledger
        self._binder = binder
        self._clock = clock
        self._chores = Periodic(self._look, RELEASE_S, what="commission that is due")

    # --- life ------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to release what is out of its refund window."""
        self._chores.start()

    async def close(self) -> None:
        """Release no more; a transfer that is under way is asked about after the next start."""
        await self._chores.close()
        await self.transfers.aclose()

    async def release(self) -> int:
        """Release what is due now; how many commissions."""
        count, more = 0, True
        while more:
            released = await self._do(Release(), Released)
            count, more = count + released.count, released.more
        return count

    async def _look(self) -> None:
        await self.release()
        await self.transfers.chase()

    # --- terms, distributors, rates --------------------------------------------------------------------------------

    async def terms(self, merchant: str) -> Terms:
        """A merchant's terms."""
        return await self._store.read(lambda db: bindings_sql.terms(db, merchant))

    async def set_terms(self, merchant: str, given: Mapping[str, Any], by: str) -> Terms:
        """Change some of the terms; they hold for what comes. Raises Invalid."""
        now_ms = self._clock()

        def change(db: Transaction) -> Terms:
            wanted = terms_of(given, bindings_sql.terms(db, merchant))
            if isinstance(wanted, str):
                raise Invalid(wanted)
            bindings_sql.set_terms(db, merchant, wanted, by, now_ms)
            return wanted

        changed = await self._store.write(change)
        self._binder.forget()
        return changed

    async def enrol(
        self, merchant: str, person: str, name: str, *, parent: str | None = None, level: str = "", approved: bool
    ) -> dict[str, Any]:
        """Make a person a distributor, or let them apply. Raises NotFound, Refused (limit), Invalid."""
        called, rank = check.title(name, "name"), _text(level, LEVEL_CHARACTERS_MAX, "level")
        state, now_ms = "active" if approved else "applied", self._clock()

        def write(db: Transaction) -> dict[str, Any]:
            who, above = survivor(db, person), None if parent is None else survivor(db, parent)
            row = distribution_sql.enrol(db, merchant, who, called, above, state, rank, now_ms)
            if approved and row["state"] == "applied":
                row = distribution_sql.change(db, merchant, who, "active", None)
            return row

        enrolled = await self._store.write(write)
        self._binder.forget()
        return enrolled

    async def change(self, merchant: str, person: str, state: str | None, level: str | None) -> dict[str, Any]:
        """Set a distributor's state or level, for what comes. Raises NotFound, Invalid."""
        if state is not None and state not in STATES:
            raise Invalid("state is one of " + ", ".join(STATES), field="state")
        rank = None if level is None else _text(level, LEVEL_CHARACTERS_MAX, "level")
        changed = await self._store.write(lambda db: distribution_sql.change(db, merchant, person, state, rank))
        self._binder.forget()
        return changed

    async def distributors(self, merchant: str, after: str | None, limit: int) -> list[dict[str, Any]]:
        """List distributors."""
        start = after or AFTER_ALL
        return await self._store.read(lambda db: distribution_sql.page(db, merchant, start, limit))

    async def own(self, merchant: str, person: str) -> dict[str, Any] | None:
        """A person as distributor, if they are one."""
        try:
            return await self._store.read(lambda db: distribution_sql.one(db, merchant, survivor(db, person)))
        except NotFound:
            return None

    async def active(self, merchant: str, person: str) -> bool:
        """Whether a person is an active distributor."""
        row = await self._store.read(lambda db: bindings_sql.distributor(db, merchant, person))
        return row is not None and row["state"] == "active"

    async def rates(self, merchant: str) -> list[Rate]:
        """A merchant's rates."""
        return await self._store.read(lambda db: distribution_sql.rates(db, merchant))

    async def set_rate(self, merchant: str, scope: str, target: str, first_bp: int, second_bp: int) -> list[Rate]:
        """Set a rate for orders to come; 0 and 0 takes it away. Raises Invalid."""
        if scope not in SCOPES or (scope == "shop") != (target == ""):
            raise Invalid("scope is sku, category or level with a target, or shop without one", field="scope")
        if not (0 <= first_bp <= BP and 0 <= second_bp <= BP and first_bp + second_bp <= BP):
            raise Invalid(f"rates are 0 to {BP} in all (1/100 of a percent)", field="first_bp")
        rate = Rate(scope, _text(target, 64, "target"), first_bp, second_bp)
        await self._store.write(lambda db: distribution_sql.set_rate(db, merchant, rate))
        return await self.rates(merchant)

    # --- money -----------------------------------------------------------------------------------------------------

    async def statement(self, merchant: str, person: str, after: str | None = None, limit: int = 50) -> dict[str, Any]:
        """What a distributor has and why, line by line. Raises NotFound."""
        start = after or AFTER_ALL
        return await self._store.read(lambda db: distribution_sql.statement(db, merchant, person, start, limit))

    async def days(self, merchant: str, person: str, since: str, until: str) -> CommissionStatement:
        """All that moved on a distributor's accounts on some days. Raises NotFound, Invalid, Refused (limit)."""
        return await self._store.read(
            lambda db: commission_statement_sql.read(db, merchant, survivor(db, person), since, until)
        )

    async def held(self, merchant: str) -> list[dict[str, Any]]:
        """Commission that waits for somebody to look at it."""
        return await self._store.read(lambda db: distribution_sql.held(db, merchant))

    async def clear(self, merchant: str, commission: str, by: str) -> int:
        """Let a held commission go on, with all of its order. Raises NotFound, Refused (already)."""
        return (await self._do(ClearHold(merchant, commission, by), Cleared)).count

    async def withdraw(self, merchant: str, person: str, amount: int, key: str) -> WithdrawalView:
        """Ask for money. Raises NotFound, Refused (limit, already, insufficient), Conflict, Invalid."""
        if not 0 < len(key) <= KEY_CHARACTERS_MAX or "\0" in key:
            raise Invalid(f"a key has 1 to {KEY_CHARACTERS_MAX} characters, none of them NUL")
        if not 0 < amount <= AMOUNT_MAX:
            raise Invalid("an amount is at least 1 分", field="amount")
        return await self._do(Withdraw(merchant, person, amount, key, fingerprint(amount)), WithdrawalView)

    async def decide(
        self, merchant: str, withdrawal: str, decision: str, by: str, number: str, reason: str
    ) -> WithdrawalView:
        """Approve, reject, have it transferred, or say that the transfer was made by hand.

        Raises NotFound, Refused (already, no_provider, no_payee, limit), Invalid.
        """
        if decision not in WITHDRAWAL_DECISIONS:
            raise Invalid("decision is one of " + ", ".join(WITHDRAWAL_DECISIONS), field="decision")
        if decision == "transfer":
            return await self.transfers.start(merchant, withdrawal, by)
        if decision == "paid" and not number:
            raise Invalid("a paid withdrawal has the transfer's number", field="number")
        why, named = _text(reason, TEXT_CHARACTERS_MAX, "reason"), _text(number, 64, "number")
        return await self._do(DecideWithdrawal(merchant, withdrawal, decision, by, named, why), WithdrawalView)

    async def withdrawals(self, merchant: str, after: str | None, limit: int) -> list[dict[str, Any]]:
        """All withdrawals, newest first."""
        start = after or AFTER_ALL
        return await self._store.read(lambda db: distribution_sql.withdrawals(db, merchant, "", start, limit))

    # --- customers -------------------------------------------------------------------------------------------------

    async def bindings(self, merchant: str, person: str) -> list[dict[str, Any]]:
        """Whose customer a person has been, newest first."""
        await self._binder.flushed(1.0)
        return await self._store.read(lambda db: bindings_sql.history(db, merchant, person))

    async def bind(self, merchant: str, person: str, issuer: str, role: str, why: str) -> None:
        """Make a person somebody's customer because staff say so. Raises NotFound, Invalid."""
        _role(role)
        reason, now_ms = _text(why, TEXT_CHARACTERS_MAX, "reason") or "by staff", self._clock()
        wanted, identifier = Claim(merchant, person, issuer, role, "", ""), self._ids(1)[0]
        await self._store.write(lambda db: bindings_sql.bind(db, wanted, identifier, reason, now_ms))

    async def hand_over(self, merchant: str, role: str, of: str, to: str, why: str) -> HandedOver:
        """Give customers of one to another, for the future only (A9). Raises Invalid."""
        _role(role)
        if of == to:
            raise Invalid("customers are handed to somebody else", field="to")
        reason, now_ms, ids = _text(why, TEXT_CHARACTERS_MAX, "reason"), self._clock(), self._ids(HAND_OVER_MAX)
        return await self._store.write(
            lambda db: bindings_sql.hand_over(db, merchant, role, of, to, ids, f"handed over: {reason}"[:200], now_ms)
        )

    def _ids(self, count: int) -> list[str]:
        return fresh_ids(self._clock(), count)

    async def _do(self, command: Any, kind: type[T]) -> T:
        result = await self._ledger.submit(command)
        assert isinstance(result, kind)
        return result


def _role(role: str) -> None:
    if role not in ("distributor", "guide"):
        raise Invalid("role is distributor or guide", field="role")


def _text(value: str, most: int, field: str) -> str:
    clean = value.strip()
    if len(clean) > most or (clean and not clean.isprintable()):
        raise Invalid(f"{field} has at most {most} characters on one line", field=field)
    return clean
