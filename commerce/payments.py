"""Payments of all merchants: the providers, the customer who pays, the callbacks, and what is asked of providers later.

One part of the shop's facade; ``Shop.payments`` is one. Callback, the customer's return and a query of ours all end in
``_settle`` (promise P6). Nothing of an order is released before its provider was asked and told to close (P4).
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from commerce import unheard_sql, views_sql, withdrawals_sql
from commerce.domain.credit import ACCOUNT
from commerce.errors import Busy, CommerceError, Invalid, NotFound, Refused
from commerce.events import Event, OrderCancelled, OrderView, RefundDue, RefundView
from commerce.ledger import (
    KEY_CHARACTERS_MAX,
    Backlog,
    CancelOrder,
    ClosePayment,
    FailRefund,
    Ledger,
    PaymentHeard,
    PaymentStarted,
    Settle,
    Settled,
    StartPayment,
    Swept,
    Unsettled,
    fingerprint,
)
from commerce.payment import (
    PROVIDER_TIMEOUT_S,
    CallbackAnswer,
    PaymentOpened,
    PaymentProvider,
    PaymentRequest,
    RefundRequest,
    SignedMessage,
)
from commerce.store_sql import Store
from commerce.unheard_sql import Unheard

log = logging.getLogger(__name__)

T = TypeVar("T")

Call = Callable[[], Coroutine[Any, Any, None]]
"""A call to be made: made when its task runs, so that a task that ends before it began leaves nothing unawaited."""

OUTSIDE_CALLS_MAX = 64
"""Calls to providers under way from housekeeping; more wait for the next sweep."""
PAYER_CHARACTERS_MAX = 128
"""WeChat's openid has at most 128 characters."""


@dataclass(frozen=True, slots=True)
class Paying:
    """An order after a try to pay: paid, or pending with ``opened``, by which the customer's client goes on."""

    order: OrderView
    provider: str
    opened: PaymentOpened | None


@dataclass(frozen=True, slots=True)
class PaymentFigures:
    """Calls of housekeeping under way, and those that failed; payments whose provider is still to be heard, by state.

    ``unheard`` is what this process's own sweep saw: of several, one has the duty to sweep.
    """

    active: int
    failed: int
    unheard: Mapping[str, int]


class Payments:
    """``providers``: the first that serves a merchant is that merchant's default."""

    def __init__(self, store: Store, ledger: Ledger, providers: Sequence[PaymentProvider]) -> None:
        names = [provider.name for provider in providers]
        if len(set(names)) < len(names):
            raise ValueError("two payment providers have one name")
        self._store = store
        self._ledger = ledger
        self._providers = {provider.name: provider for provider in providers}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._calls: dict[str, asyncio.Task[None]] = {}
        self._failed = 0
        self._backlog = Backlog()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all providers."""
        return tuple(self._providers)

    @property
    def all(self) -> tuple[PaymentProvider, ...]:
        """All providers."""
        return tuple(self._providers.values())

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Allow calls to the outside, on ``loop``."""
        self._loop = loop

    async def close(self) -> None:
        """End the calls that are under way; what they were for is due again after the next start."""
        self._loop = None
        for call in list(self._calls.values()):
            call.cancel()
        await asyncio.gather(*self._calls.values(), return_exceptions=True)

    def named(self, name: str) -> PaymentProvider:
        """One provider. Raises NotFound."""
        found = self._providers.get(name)
        if found is None:
            raise NotFound("no such payment provider")
        return found

    def offered(self, merchant: str) -> list[PaymentProvider]:
        """The providers through which a merchant takes money, the default first."""
        return [
            provider
            for provider in self._providers.values()
            if not provider.merchants or merchant in provider.merchants
        ]

    def alone(self, name: str, merchant: str) -> bool:
        """Whether all that goes through a provider is this merchant's."""
        provider = self._providers.get(name)
        return provider is not None and provider.merchants == {merchant}

    def stats(self) -> PaymentFigures:
        """What ``/metrics`` shows."""
        unheard = {"waiting": self._backlog.waiting, "given_up": self._backlog.given_up}
        return PaymentFigures(len(self._calls), self._failed, unheard)

    # --- the customer --------------------------------------------------------------------------------------------

    async def pay(
        self, merchant: str, person: str, order: str, key: str, *, provider: str = "", method: str = "", payer: str = ""
    ) -> Paying:
        """Pay through a provider; the order as it is when that has answered (paid, or pending with what is to be done).

        Raises NotFound, Refused (gone, expired, declined, no_provider), Conflict, Busy, Invalid. Safe to repeat with
        the same key. Who comes back with another provider or method gets that one: the former is closed first. Without
        a ``payer`` it is who the person is in the provider's app, if they came by it.
        """
        if not 0 < len(key) <= KEY_CHARACTERS_MAX or "\0" in key:
            raise Invalid(f"a key has 1 to {KEY_CHARACTERS_MAX} characters, none of them NUL")
        if len(payer) > PAYER_CHARACTERS_MAX:
            raise Invalid(f"a payer has at most {PAYER_CHARACTERS_MAX} characters", field="payer")
        if provider == ACCOUNT:
            return await self._on_account(merchant, person, order, key)
        chosen, method = self.choose(merchant, provider, method)
        body_hash = fingerprint(order, *((chosen.name, method) if provider or method else ()))
        command = StartPayment(merchant, person, order, key, body_hash, chosen.name, method)
        started = await self._do(command, PaymentStarted)
        if started.payment is not None and (started.provider, started.method) != (chosen.name, method):
            settled = await self._change_over(merchant, started)
            if settled is not None:
                return Paying(_order(settled), started.provider, None)
            started = await self._do(command, PaymentStarted)
        if started.payment is None:
            return Paying(started.order, chosen.name, None)
        title = started.order.lines[0].title if started.order.lines else ""
        payer = payer or await self.payer(merchant, started.order.person, chosen)
        request = PaymentRequest(started.payment, merchant, started.order.due, started.expires_ms, title, method, payer)
        opened, settled = await self.open(chosen, request)
        if settled is not None and settled.effect == "declined":
            raise Refused("declined", "the payment was declined", order=started.order.order)
        return Paying(started.order if settled is None else _order(settled), chosen.name, opened)

    async def _on_account(self, merchant: str, person: str, order: str, key: str) -> Paying:
        """Pay on account: no provider is asked, but one that was is closed first."""
        command = StartPayment(merchant, person, order, key, fingerprint(order, ACCOUNT), ACCOUNT, "")
        started = await self._do(command, PaymentStarted)
        if started.payment is not None:
            settled = await self._change_over(merchant, started)
            if settled is not None:
                return Paying(_order(settled), started.provider, None)
            started = await self._do(command, PaymentStarted)
        return Paying(started.order, ACCOUNT, None)

    def choose(self, merchant: str, provider: str, method: str) -> tuple[PaymentProvider, str]:
        """A provider of a merchant and one of its methods: those asked for, or the first. Raises Refused, Invalid."""
        chosen = self._choose(merchant, provider)
        return chosen, _method(chosen, method)

    async def payer(self, merchant: str, person: str, provider: PaymentProvider) -> str:
        """Who a person is in a provider's app, if it has one and they came by it."""
        if not provider.appid:
            return ""
        found = await self._store.read(lambda db: withdrawals_sql.openid(db, merchant, person, provider.appid))
        return found or ""

    def _choose(self, merchant: str, name: str) -> PaymentProvider:
        offered = self.offered(merchant)
        if not offered:
            raise Refused("no_provider", "this shop takes no payments yet: no payment provider is set up")
        if not name:
            return offered[0]
        for provider in offered:
            if provider.name == name:
                return provider
        raise Invalid(f"this shop takes no {name!r}; it has {', '.join(one.name for one in offered)}", field="provider")

    async def open(
        self, provider: PaymentProvider, request: PaymentRequest
    ) -> tuple[PaymentOpened | None, Settled | None]:
        """Ask a provider for a payment: what the client goes on with, or what became of it already. Raises Busy."""
        try:
            async with asyncio.timeout(PROVIDER_TIMEOUT_S):
                opened = await provider.start(request)
                # The customer's return asks what became of it, and ends in the same function as the callback.
                message = await provider.query(request.payment)
                settled = None if message is None else await self._settle(provider, message)
        except TimeoutError as error:
            raise Busy("the payment provider did not answer") from error
        return opened if settled is None else None, settled

    async def _change_over(self, merchant: str, started: PaymentStarted) -> Settled | None:
        """End a payment at its provider because another way was chosen; what it did, when it was paid meanwhile."""
        assert started.payment is not None
        settled = await self.end(started.provider, started.payment)
        if settled is None:
            await self._ledger.submit(ClosePayment(merchant, started.payment))
        return settled

    async def end(self, provider: str, payment: str) -> Settled | None:
        """Have a provider close a payment; what it did when it was paid (or declined) meanwhile. Raises Busy."""
        try:
            async with asyncio.timeout(PROVIDER_TIMEOUT_S):
                return await self._end(self.named(provider), payment)
        except TimeoutError as error:
            raise Busy("the payment provider did not answer") from error

    async def _end(self, provider: PaymentProvider, payment: str) -> Settled | None:
        """Query, close, query again: afterwards it is paid, or can be no more."""
        message = await provider.query(payment)
        if message is None:
            await provider.close(payment)
            message = await provider.query(payment)
        return None if message is None else await self._settle(provider, message)

    # --- notices -------------------------------------------------------------------------------------------------

    async def settle(self, name: str, raw: bytes, headers: Mapping[str, str]) -> Settled:
        """Take a provider's callback.

        Raises NotFound (unknown provider or payment: answer failure, it will repeat), Refused (bad_signature,
        amount_mismatch, merchant_mismatch), Invalid, Busy.
        """
        return await self._settle(self.named(name), SignedMessage(raw, headers))

    async def answer(self, name: str, raw: bytes, headers: Mapping[str, str]) -> CallbackAnswer:
        """Take a callback and say what the provider is to hear: what was not taken, it repeats.

        Raises NotFound for a provider that is not set up.
        """
        provider = self.named(name)
        try:
            await self._settle(provider, SignedMessage(raw, headers))
        except CommerceError as error:
            log.warning("a callback of %s was not taken: %s (%s)", name, error.message, error.code)
            return provider.acknowledge(error)
        return provider.acknowledge(None)

    async def _settle(self, provider: PaymentProvider, message: SignedMessage) -> Settled:
        notice = await provider.parse(message)
        merchant = notice.merchant
        if not merchant:
            merchant, _ = await self._whose(notice.payment)
        command = Settle(
            provider.name,
            notice.number,
            notice.kind,
            notice.payment,
            merchant,
            notice.amount,
            message.body.decode("utf-8", "replace"),
            notice.refund,
        )
        return await self._do(command, Settled)

    async def _whose(self, payment: str) -> tuple[str, str]:
        """Merchant and provider of a payment. Raises NotFound."""
        found = await self._store.read(lambda connection: views_sql.read_payment(connection, payment))
        if found is None:
            raise NotFound("no such payment")
        return found

    # --- housekeeping --------------------------------------------------------------------------------------------

    def follow(self, swept: Swept) -> None:
        """Ask providers about what a sweep found due."""
        self._backlog = swept.backlog
        for unsettled in swept.unsettled:
            self.call(unsettled.payment, partial(self.resolve, unsettled))
        for request in swept.refunds_due:
            self.call(request.refund, partial(self._give_back, request))
        for payment in swept.unheard:
            self.call(payment, partial(self._hear_of, payment))

    def act(self, event: Event) -> None:
        """What an event means for providers."""
        if isinstance(event, RefundDue):
            request = RefundRequest(event.refund, event.payment, event.merchant, event.amount, event.paid)
            # Events from before refunds had numbers are answered by the sweep, which reads the refund's row.
            if event.refund:
                self.call(event.refund, partial(self._give_back, request))
        elif isinstance(event, OrderCancelled):
            for payment in event.payments:
                self.call(payment, partial(self._hear_of, payment))

    async def resolve(self, unsettled: Unsettled) -> None:
        """Ask and close at the provider before the units of a due order are released (promise P4)."""
        _, name = await self._whose(unsettled.payment)
        if await self._end(self.named(name), unsettled.payment) is None:
            await self._do(CancelOrder(unsettled.merchant, None, unsettled.order, "expired"), OrderView)

    async def _hear_of(self, payment: str) -> None:
        """Close the payment of an ended order at its provider; what it took meanwhile has its effect."""
        merchant, name = await self._whose(payment)
        # Perhaps it was paid, and the notice is lost, or nobody was there to hear it.
        await self._end(self.named(name), payment)
        await self._do(PaymentHeard(merchant, payment), bool)

    async def unheard(self, merchant: str, after: str, limit: int) -> list[Unheard]:
        """Payments of ended orders whose provider has not said how they ended, a page of them."""
        return await self._store.read(lambda db: unheard_sql.list_unheard(db, merchant, after, limit))

    async def hear_of(self, merchant: str, payment: str) -> str:
        """Ask for one of them now; its order. Raises NotFound, Busy (no answer: it stays on the list)."""
        order = await self._store.read(lambda db: unheard_sql.unheard_order(db, merchant, payment))
        if order is None:
            # An open payment of an order that goes on is not to be closed by this.
            raise NotFound("no such payment is waited for")
        try:
            async with asyncio.timeout(PROVIDER_TIMEOUT_S):
                await self._hear_of(payment)
        except TimeoutError as error:
            raise Busy("the payment provider did not answer") from error
        return order

    async def _give_back(self, request: RefundRequest) -> None:
        """Ask the provider for a refund; when it never will, write that down."""
        _, name = await self._whose(request.payment)
        provider = self.named(name)
        try:
            message = await provider.refund(request)
        except Refused as error:
            if error.code != "refund_refused":
                raise
            await self._do(FailRefund(request.refund, error.message), RefundView)
            return
        if message is not None:
            await self._settle(provider, message)

    def call(self, name: str, call: Call) -> bool:
        """Begin a call outside; whether it was begun: not when one of that name, or too many, are under way."""
        if self._loop is None or name in self._calls or len(self._calls) >= OUTSIDE_CALLS_MAX:
            return False
        task = self._loop.create_task(self._logged(name, call))
        self._calls[name] = task
        task.add_done_callback(lambda _: self._calls.pop(name, None))
        return True

    async def _logged(self, name: str, call: Call) -> None:
        try:
            async with asyncio.timeout(PROVIDER_TIMEOUT_S):
                await call()
        except (CommerceError, TimeoutError) as error:
            self._failed += 1
            log.warning("%s failed and will be tried again by a later sweep: %r", name, error)

    async def idle(self) -> None:
        """Wait for the calls that are under way."""
        await asyncio.gather(*self._calls.values())

    async def _do(self, command: Any, kind: type[T]) -> T:
        result = await self._ledger.submit(command)
        assert isinstance(result, kind)
        return result


def _order(settled: Settled) -> OrderView:
    """The order that a notice was about: a payment of an order is never for anything else."""
    assert settled.order is not None
    return settled.order


def _method(provider: PaymentProvider, wanted: str) -> str:
    """The method that was asked for, or the provider's default. Raises Invalid."""
    if not wanted:
        return provider.methods[0] if provider.methods else ""
    if wanted not in provider.methods:
        raise Invalid(f"{provider.name} has no method {wanted!r}; it has {', '.join(provider.methods)}", field="method")
    return wanted
