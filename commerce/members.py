"""Membership and prices for clients: terms, wallet, sign-in, budgets of coupons, and what a basket would cost.

One part of the shop's facade; ``Shop.members`` is one. Everything that changes something goes to the ledger.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from commerce import guide_sql
from commerce.accounts_sql import balances
from commerce.basket import VALID_S_MAX, Basket, check_basket, check_key, within
from commerce.domain.ids import AFTER_ALL
from commerce.domain.member import POINTS_MAX, Program, program_fault
from commerce.domain.money import AMOUNT_MAX
from commerce.domain.sale import UNITS_MAX
from commerce.errors import Invalid
from commerce.ledger import KEY_CHARACTERS_MAX, CouponGranted, Ledger, fingerprint
from commerce.ledger_members import (
    BudgetView,
    FundBudget,
    GiveCoupon,
    MallItemView,
    MemberView,
    SetMallItem,
    SetProgram,
    SignedIn,
    SignIn,
)
from commerce.mall_sql import read_mall
from commerce.members_sql import read_member
from commerce.quotes_sql import Quote, read_budgets, read_entries, read_quote
from commerce.store_sql import Store
from commerce.wallet_sql import read_program

T = TypeVar("T")


class Members:
    """Membership and quotes of all merchants of one database."""

    def __init__(self, store: Store, ledger: Ledger, *, clock: Callable[[], int]) -> None:
        self._store = store
        self._ledger = ledger
        self._clock = clock

    async def program(self, merchant: str) -> Program:
        """A shop's terms."""
        return await self._store.read(lambda connection: read_program(connection, merchant))

    async def set_program(self, merchant: str, staff: str, program: Program) -> Program:
        """Change a shop's terms, for what happens from now on. Raises Invalid with the ``field``."""
        fault = program_fault(program)
        if fault is not None:
            raise Invalid(fault[1], field=fault[0])
        return await self._do(SetProgram(merchant, staff, program), Program)

    async def member(self, merchant: str, person: str) -> MemberView:
        """A person's membership."""
        now_ms = self._clock()
        return await self._store.read(lambda connection: read_member(connection, merchant, person, now_ms))

    async def entries(self, merchant: str, person: str, before: str | None, limit: int) -> list[dict[str, Any]]:
        """What came to and went from a person's accounts, newest first; ``before`` is the last id had."""
        return await self._store.read(lambda connection: read_entries(connection, merchant, person, before, limit))

    async def sign_in(self, merchant: str, person: str) -> SignedIn:
        """Sign in for the day, once. Raises Refused (not_open) where there is no sign-in, Busy."""
        return await self._do(SignIn(merchant, person), SignedIn)

    async def fund_budget(self, merchant: str, staff: str, issuer: str, amount: int, key: str) -> BudgetView:
        """Give an issuer ``amount`` 分 to promise in coupons, or take them away (below 0).

        Raises Refused (insufficient) when it would fall below 0, Conflict, Invalid, Busy.
        """
        check_key(key)
        within(amount, -AMOUNT_MAX, AMOUNT_MAX, "amount")
        if not amount:
            raise Invalid("amount is not 0", field="amount")
        if not 0 < len(issuer) <= KEY_CHARACTERS_MAX or not issuer.isprintable():
            raise Invalid(f"issuer has 1 to {KEY_CHARACTERS_MAX} printable characters", field="issuer")
        command = FundBudget(merchant, issuer, amount, staff, key, fingerprint(issuer, amount))
        return await self._do(command, BudgetView)

    async def budgets(self, merchant: str) -> list[BudgetView]:
        """The budgets of a shop's issuers."""
        return await self._store.read(lambda connection: read_budgets(connection, merchant))

    async def budget(self, merchant: str, issuer: str) -> BudgetView:
        """What one issuer may still promise, and has promised."""
        on = await self._store.read(
            lambda connection: balances(connection, merchant, issuer, ("budget", "budget_reserved"))
        )
        return BudgetView(issuer, on["budget"], on["budget_reserved"])

    async def given(self, merchant: str, issuer: str, before: str | None, limit: int) -> list[dict[str, Any]]:
        """Coupons out of an issuer's budget and what became of them, newest first; ``before`` is the last id had."""
        start = before or AFTER_ALL
        return await self._store.read(lambda connection: guide_sql.given(connection, merchant, issuer, start, limit))

    async def give_coupon(
        self,
        merchant: str,
        room: str,
        issuer: str,
        person: str,
        key: str,
        *,
        title: str,
        reason: str,
        amount: int,
        threshold: int,
        valid_s: int,
    ) -> CouponGranted:
        """Give one customer a coupon out of an issuer's budget, once a key.

        Raises Refused (insufficient) when the budget has not that much left, Conflict, Invalid, Busy.
        """
        check_key(key)
        within(amount, 1, AMOUNT_MAX, "amount")
        within(threshold, 0, AMOUNT_MAX, "threshold")
        within(valid_s, 1, VALID_S_MAX, "valid_s")
        body = fingerprint(room, person, title, reason, amount, threshold, valid_s)
        terms = (title, reason, amount, threshold, valid_s * 1000)
        return await self._do(GiveCoupon(merchant, room, issuer, person, *terms, key, body), CouponGranted)

    async def quote(
        self, merchant: str, room: str, person: str, basket: Basket, *, best: bool, points: bool, stored: bool
    ) -> Quote:
        """Price a basket without ordering it.

        ``best`` chooses the coupons that take most off, ``points`` and ``stored`` say to spend all that may be spent.
        Raises what ``create_order`` would, but for stock.
        """
        check_basket(basket)
        if basket.hold is None and basket.offer is None and not basket.lines:
            raise Invalid("an order needs a hold or lines")
        now_ms = self._clock()
        return await self._store.read(
            lambda connection: read_quote(connection, merchant, room, person, basket, now_ms, best, points, stored)
        )

    async def set_mall_item(
        self, merchant: str, staff: str, sku: str, points: int, cash: int = 1, per_person: int = 0
    ) -> bool:
        """Let a SKU be had for ``points`` and ``cash`` 分 a unit; ``points`` 0: not any more. Whether it can be had.

        Raises NotFound, Refused (closed, limit), Invalid.
        """
        within(points, 0, POINTS_MAX, "points")
        within(cash, 1, AMOUNT_MAX, "cash")
        within(per_person, 0, UNITS_MAX, "per_person")
        return await self._do(SetMallItem(merchant, staff, sku, points, cash, per_person), bool)

    async def mall(self, merchant: str) -> list[MallItemView]:
        """What can be had for points."""
        now_ms = self._clock()
        return await self._store.read(lambda connection: read_mall(connection, merchant, now_ms))

    async def _do(self, command: Any, kind: type[T]) -> T:
        result = await self._ledger.submit(command)
        assert isinstance(result, kind)
        return result
