"""Same-city couriers for clients: a quote, an errand, calling it off, callbacks, and asking until it has ended.

What is asked of a courier is written down first: an answer that never came leaves an errand that is asked about until
its courier says how it stands; one that the courier never heard of is asked for again under its number.
"""

import asyncio
import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence

from commerce import courier_sql
from commerce.courier import CourierProvider, CourierQuote, CourierState
from commerce.domain.courier import CANCELLABLE, FAILED
from commerce.errors import CommerceError, Invalid, NotFound, Refused
from commerce.ledger import Ledger
from commerce.ledger_courier import CallCourier, ErrandView, MoveErrand
from commerce.payment import CALLBACK_BYTES_MAX, PROVIDER_TIMEOUT_S, CallbackAnswer, SignedMessage
from commerce.periodic import Periodic
from commerce.store_sql import Store

log = logging.getLogger(__name__)

LOOK_S = 5.0
"""How often errands that are due are asked about."""


class Couriers:
    """``providers``: the first that serves a merchant runs its errands. ``clock``: Unix milliseconds."""

    def __init__(
        self,
        store: Store,
        ledger: Ledger,
        providers: Sequence[CourierProvider] = (),
        *,
        clock: Callable[[], int],
        timeout_s: float = PROVIDER_TIMEOUT_S,
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._providers = {provider.name: provider for provider in providers}
        self._clock = clock
        self._timeout_s = timeout_s
        self._chores = Periodic(self._look, LOOK_S, what="errands of couriers")

    def start(self) -> None:
        """Begin to ask about errands."""
        self._chores.start()

    async def close(self) -> None:
        """Ask no more; errands under way are asked about after the next start."""
        await self._chores.close()
        for provider in self._providers.values():
            await provider.aclose()

    def of(self, merchant: str) -> CourierProvider:
        """Who runs a merchant's errands. Raises Refused (no_provider)."""
        for provider in self._providers.values():
            if not provider.merchants or merchant in provider.merchants:
                return provider
        raise Refused("no_provider", "this shop has no account at a courier: ship it another way")

    async def quote(self, merchant: str, order: str) -> CourierQuote:
        """What an order's errand would cost. Raises NotFound, Refused (not_open, no_provider, courier_refused)."""
        provider = self.of(merchant)
        request = await self._store.read(lambda db: courier_sql.read_request(db, merchant, order))
        async with asyncio.timeout(self._timeout_s):
            return await provider.quote(request)

    async def call(self, merchant: str, order: str, staff: str) -> ErrandView:
        """Send a courier for a paid order; as it stands when the courier has answered, or did not in time.

        Raises NotFound, Refused (not_open, already, no_provider).
        """
        provider = self.of(merchant)
        begun = await self._do(CallCourier(merchant, order, staff, provider.name))
        return await self._settle(merchant, begun, await self._ask(merchant, begun, provider))

    async def cancel(self, merchant: str, order: str, reason: str) -> ErrandView:
        """Call the errand off. Raises NotFound, Refused (not_open, courier_refused), Busy."""
        running = [one for one in await self.errands(merchant, order) if one.ended is None]
        if not running:
            raise Refused("not_open", "no courier is on its way for this order")
        provider = self._named(running[0].provider)
        async with asyncio.timeout(self._timeout_s):
            state = await provider.cancel(running[0].errand, reason)
        return await self._settle(merchant, running[0], state)

    async def errands(self, merchant: str, order: str) -> list[ErrandView]:
        """An order's errands, newest first."""
        return await self._store.read(lambda db: courier_sql.read_errands(db, merchant, order))

    async def answer(self, name: str, raw: bytes, headers: Mapping[str, str]) -> CallbackAnswer:
        """Take a courier's callback and say what it is to hear. Raises NotFound for one that is not set up."""
        provider = self._named(name)
        try:
            if len(raw) > CALLBACK_BYTES_MAX:
                raise Invalid(f"a callback has at most {CALLBACK_BYTES_MAX} bytes")
            async with asyncio.timeout(self._timeout_s):
                notice = await provider.parse(SignedMessage(raw, headers))
            number = notice.state.number
            merchant = await self._store.read(lambda db: courier_sql.merchant_of(db, name, number))
            # A courier's own words may be long: what makes a repeat the same is their digest.
            event = hashlib.sha256(notice.event.encode()).hexdigest()
            text = raw.decode("utf-8", "replace").replace("\0", "")
            await self._do(MoveErrand(merchant, number, name, notice.state, event, text))
        except TimeoutError:
            log.warning("a notice of %s could not be checked in time", name)
            return provider.acknowledge(Invalid("not checked in time"))
        except CommerceError as error:
            log.warning("a courier's notice of %s was not taken: %s (%s)", name, error.message, error.code)
            return provider.acknowledge(error)
        return provider.acknowledge(None)

    async def chase(self) -> int:
        """Ask about every errand that is due, call off those whose order was refunded; how many there were."""
        due = await self._store.read(lambda db: courier_sql.read_due(db, self._clock()))
        for errand, merchant, status in due:
            try:
                await self._chase(errand, merchant, refunded=status == "refunded")
            except (CommerceError, TimeoutError) as error:
                log.warning("errand %s was not settled and will be asked about again: %r", errand.errand, error)
        return len(due)

    async def _chase(self, errand: ErrandView, merchant: str, *, refunded: bool) -> None:
        provider = self._named(errand.provider)
        state = None
        if refunded and errand.state in CANCELLABLE:
            try:
                async with asyncio.timeout(self._timeout_s):
                    state = await provider.cancel(errand.errand, "the order was refunded")
            except Refused as error:
                # The rider had the goods before we were told: how it goes on is asked for.
                log.info("errand %s of a refunded order is not called off: %s", errand.errand, error.message)
        await self._settle(merchant, errand, state or await self._ask(merchant, errand, provider, query=True))

    async def _ask(
        self, merchant: str, errand: ErrandView, provider: CourierProvider, *, query: bool = False
    ) -> CourierState:
        """How an errand stands; asked for under its number when its courier does not know of it."""
        request = await self._store.read(lambda db: courier_sql.read_request(db, merchant, errand.order, errand.errand))
        try:
            async with asyncio.timeout(self._timeout_s):
                state = await provider.query(errand.errand) if query else None
                return state or await provider.create(request)
        except (CommerceError, TimeoutError) as error:
            reason = error.message if isinstance(error, CommerceError) else "the courier did not answer"
            if isinstance(error, Refused) and error.code == "courier_refused":
                return CourierState(errand.errand, FAILED, reason=reason)
            log.warning("errand %s: %s did not say how it stands: %r", errand.errand, provider.name, error)
            return CourierState(errand.errand, errand.state, reason=reason)

    async def _settle(self, merchant: str, errand: ErrandView, state: CourierState) -> ErrandView:
        return await self._do(MoveErrand(merchant, errand.errand, errand.provider, state))

    async def _look(self) -> None:
        await self.chase()

    def _named(self, name: str) -> CourierProvider:
        found = self._providers.get(name)
        if found is None:
            raise NotFound("no such courier")
        return found

    async def _do(self, command: CallCourier | MoveErrand) -> ErrandView:
        result = await self._ledger.submit(command)
        assert isinstance(result, ErrandView)
        return result
