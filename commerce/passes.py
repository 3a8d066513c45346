"""Passes for clients: which SKUs are sold as such, who has which, using one with its code, refunding what is left.

One part of the shop's facade; ``Shop.passes`` is one. Everything that changes something goes to the ledger.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from commerce.basket import check_key, within
from commerce.domain.passes import PLACE_CHARACTERS_MAX, USES_MAX, PassTerms, terms_fault
from commerce.domain.refund import REASON_CHARACTERS_MAX
from commerce.errors import Invalid, NotFound
from commerce.events import RefundView
from commerce.ledger import Ledger, fingerprint
from commerce.ledger_passes import PassTermsView, PassView, RefundPass, SetPassTerms, UsePass
from commerce.passes_sql import read_pass, read_passes, read_terms
from commerce.store_sql import Store

T = TypeVar("T")


class Passes:
    """Passes of all merchants of one database."""

    def __init__(self, store: Store, ledger: Ledger, *, clock: Callable[[], int]) -> None:
        self._store = store
        self._ledger = ledger
        self._clock = clock

    async def set_terms(self, merchant: str, staff: str, sku: str, terms: PassTerms | None) -> PassTermsView | None:
        """Sell a SKU as passes, or (None) as plain goods. Raises NotFound, Refused, Invalid with the ``field``."""
        fault = None if terms is None else terms_fault(terms, self._clock())
        if fault is not None:
            raise Invalid(fault[1], field=fault[0])
        result: PassTermsView | None = await self._ledger.submit(SetPassTerms(merchant, staff, sku, terms))
        return result

    async def terms(self, merchant: str) -> list[PassTermsView]:
        """What is sold as passes."""
        return await self._store.read(lambda connection: read_terms(connection, merchant))

    async def of_person(self, merchant: str, person: str) -> list[PassView]:
        """A person's passes, newest first."""
        return await self._store.read(lambda connection: read_passes(connection, merchant, person))

    async def by_code(self, merchant: str, code: str) -> PassView:
        """The pass with a code, for staff. Raises NotFound."""
        found = await self._store.read(lambda connection: read_pass(connection, merchant, code))
        if found is None:
            raise NotFound("no pass has this code")
        return found

    async def use(self, merchant: str, staff: str, code: str, units: int, place: str, key: str) -> PassView:
        """Take uses off the pass with a code. Raises NotFound, Refused, Conflict, Busy, Invalid."""
        check_key(key)
        within(units, 1, USES_MAX, "units")
        if len(place) > PLACE_CHARACTERS_MAX or not place.isprintable():
            raise Invalid(f"a place has at most {PLACE_CHARACTERS_MAX} printable characters", field="place")
        body_hash = fingerprint(code, units, place)
        return await self._do(UsePass(merchant, staff, code, units, place, key, body_hash), PassView)

    async def refund(self, merchant: str, staff: str, card: str, key: str, reason: str) -> RefundView:
        """Refund the unused part of a pass. Raises NotFound, Refused (already), Conflict, Busy, Invalid."""
        check_key(key)
        if len(reason) > REASON_CHARACTERS_MAX:
            raise Invalid(f"a reason has at most {REASON_CHARACTERS_MAX} characters", field="reason")
        command = RefundPass(merchant, staff, card, key, fingerprint("pass", card, reason), reason)
        return await self._do(command, RefundView)

    async def _do(self, command: Any, kind: type[T]) -> T:
        result = await self._ledger.submit(command)
        assert isinstance(result, kind)
        return result
