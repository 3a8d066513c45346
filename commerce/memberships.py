"""Paid membership for clients: plans, one's own, a shop's all, giving one back.

One part of the shop's facade; ``Shop.memberships`` is one. They are bought by the normal order of the plan's SKU.
"""

from collections.abc import Callable

from commerce.basket import check_key
from commerce.domain.membership import PlanTerms, plan_fault
from commerce.domain.refund import REASON_CHARACTERS_MAX
from commerce.errors import Invalid
from commerce.events import RefundView
from commerce.ledger import Ledger, fingerprint
from commerce.ledger_memberships import MembershipView, PlanView, RefundMembership, SetPlan
from commerce.memberships_sql import list_memberships, read_memberships, read_plans
from commerce.store_sql import Store

STATES = ("active", "ended", "refunded")


class Memberships:
    """Paid memberships of all merchants of one database."""

    def __init__(self, store: Store, ledger: Ledger, *, clock: Callable[[], int]) -> None:
        self._store = store
        self._ledger = ledger
        self._clock = clock

    async def set_plan(self, merchant: str, staff: str, sku: str, terms: PlanTerms | None) -> list[PlanView]:
        """Sell a SKU as a membership, or (None) as plain goods; the plans now. Raises NotFound, Refused, Invalid."""
        fault = None if terms is None else plan_fault(terms)
        if fault is not None:
            raise Invalid(fault[1], field=fault[0])
        await self._ledger.submit(SetPlan(merchant, staff, sku, terms))
        return await self.plans(merchant)

    async def plans(self, merchant: str) -> list[PlanView]:
        """What is sold as membership."""
        return await self._store.read(lambda db: read_plans(db, merchant))

    async def of_person(self, merchant: str, person: str) -> list[MembershipView]:
        """A person's memberships, newest first."""
        now_ms = self._clock()
        return await self._store.read(lambda db: read_memberships(db, merchant, person, now_ms))

    async def listed(
        self, merchant: str, state: str = "", before: str | None = None, limit: int = 50
    ) -> list[MembershipView]:
        """A shop's memberships, newest first. Raises Invalid for a state that there is not."""
        if state and state not in STATES:
            raise Invalid(f"state is one of {', '.join(STATES)}", field="state")
        now_ms = self._clock()
        return await self._store.read(lambda db: list_memberships(db, merchant, state, before, limit, now_ms))

    async def refund(self, merchant: str, staff: str, membership: str, key: str, reason: str) -> RefundView:
        """Give back what the terms say, and end it. Raises NotFound, Refused (already, limit), Conflict, Invalid."""
        check_key(key)
        if len(reason) > REASON_CHARACTERS_MAX:
            raise Invalid(f"a reason has at most {REASON_CHARACTERS_MAX} characters", field="reason")
        body = fingerprint("membership", membership, reason)
        view = await self._ledger.submit(RefundMembership(merchant, staff, membership, key, body, reason))
        assert isinstance(view, RefundView)
        return view
