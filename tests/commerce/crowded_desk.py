"""One process of the crowded shop with all of its parts, and the register of what can be done there."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from sqlalchemy import text

from commerce.attribution.binder import Binder
from commerce.books import Books
from commerce.catalogue import Catalogue
from commerce.courier_sandbox import SandboxCourier
from commerce.couriers import Couriers
from commerce.domain.sale import SaleTerms
from commerce.goods import Goods
from commerce.identity.phone import Vault
from commerce.identity.service import Identities
from commerce.market import Market
from commerce.moments import Offer
from commerce.partners import Partners
from commerce.payment_sandbox import SandboxProvider
from commerce.processing import Processing
from commerce.purchases import Purchases
from commerce.shop import Shop
from commerce.store_sql import Store
from commerce.transfer_sandbox import SandboxTransfers
from commerce.transfers import Transfers
from tests.commerce.people_kit import cheap_passwords
from tests.commerce.shop_world import MERCHANT, OTHER_SKU, ROOM, ManualClock

VAULT_KEY = b"the key of the tests' vault, long"
HOLD_S = 60
Names = dict[str, str]


class Wallet(SandboxProvider):
    """Another provider, to change over to."""

    name = "wallet"


class Desk:
    """One process of the shop with all of its parts."""

    def __init__(
        self,
        store: Store,
        clock: ManualClock,
        provider: SandboxProvider,
        wallet: Wallet,
        transfers: SandboxTransfers,
        courier: SandboxCourier,
    ) -> None:
        self.store = store
        self.clock = clock
        self.provider, self.wallet, self.transfers_to = provider, wallet, transfers
        self.shop = Shop(store, clock=clock, provider=provider, providers=(wallet,), sweep_s=0)
        self.do = self.shop.ledger.submit
        self.catalogue = Catalogue(store, clock=clock, passwords=cheap_passwords())
        self.goods = Goods(store, self.shop.ledger, self.catalogue)
        self.market = Market(store, self.shop.ledger, self.catalogue, self.shop.aftersale, clock=clock)
        self.books = Books(store, clock=clock)
        self.transfers = Transfers(store, self.shop.ledger, (transfers,), clock=clock)
        self.courier = courier
        self.couriers = Couriers(store, self.shop.ledger, [courier], clock=clock)
        self.purchases = Purchases(store, self.shop.ledger, self.catalogue, clock=clock)
        # Tokens are made elsewhere; of attribution a partner's rows need no more than its list of who binds whom.
        binder: Any = SimpleNamespace(binder=Binder(store, clock=clock))
        self.partners = Partners(store, self.shop.ledger, binder, clock=clock)
        self.processing = Processing(store, self.shop.ledger, self.catalogue, clock=clock)
        self.identities = Identities(store, self.shop.ledger, self.shop.aliases, Vault(VAULT_KEY), clock=clock)

    async def close(self) -> None:
        """End its threads; the store stays open."""
        await self.shop.close()
        await self.catalogue.close()

    async def vanish(self) -> None:
        """End its threads and leave everything as it is: nobody comes back to this shop."""
        await self.shop.payments.close()
        await self.shop.ledger.close()
        if self.shop._follower is not None:
            await self.shop._follower.close()
        await self.catalogue.close()

    async def buy(self, person: str, key: str, sku: str = OTHER_SKU, units: int = 1, **more: Any) -> Any:
        """A paid order."""
        order = await self.shop.create_order(MERCHANT, ROOM, person, key, lines=[(sku, units)], **more)
        return await self.shop.pay_order(MERCHANT, person, order.order, f"pay-{key}")

    async def sale(self, sku: str, total: int, terms: SaleTerms | None = None, per_person: int = 2) -> str:
        """An open sale."""
        offer = Offer(sku, 1_000, 0, total, per_person, HOLD_S, 86_000, terms or SaleTerms())
        made = await self.shop.moments.create_sale(MERCHANT, ROOM, offer)
        return (await self.shop.start_sale(MERCHANT, made.sale, 0)).sale

    async def one(self, query: str) -> Any:
        """The first value of the first row."""
        return await self.store.read(lambda db: db.execute(text(query)).scalars().first())


Operation = Callable[[Desk, Names], Awaitable[Any]]
OPERATIONS: dict[str, Operation] = {}


def operation(work: Operation) -> Operation:
    """Register something to do, under its function's name."""
    OPERATIONS[work.__name__] = work
    return work


def simple(name: str, work: Operation) -> None:
    """Register something to do that is one call."""
    OPERATIONS[name] = work


def copied(provider: SandboxProvider, of: SandboxProvider, courier: SandboxCourier, of_courier: SandboxCourier) -> None:
    """Let a provider and a courier know what others know."""
    for payment, known in of._transactions.items():
        provider._transactions[payment] = replace(
            known, refunds=dict(known.refunds), refunded_ms=dict(known.refunded_ms)
        )
    for number, errand in of_courier.errands.items():
        courier.errands[number] = replace(errand)
