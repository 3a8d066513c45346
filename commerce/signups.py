"""Events for clients: what takes place, signing up, tickets, the door.

One part of the shop's facade; ``Shop.signups`` is one. A place that is paid for is ordered by the normal order of the
event's SKU, by who has it reserved.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from commerce import catalogue_checks as check
from commerce.domain.signup import DETAIL_CHARACTERS_MAX, NAME_CHARACTERS_MAX, EventTerms, terms_fault
from commerce.errors import Invalid
from commerce.ledger import Ledger
from commerce.ledger_signup import CallOff, CheckIn, EventView, LeaveEvent, SaveEvent, SignUp, TicketView
from commerce.signups_sql import read_event_tickets, read_events, read_own_tickets
from commerce.store_sql import Store

T = TypeVar("T")
SHOWN_AFTER_MS = 86_400_000
"""An event is shown until a day after its end."""


class Signups:
    """Events of all merchants of one database."""

    def __init__(self, store: Store, ledger: Ledger, *, clock: Callable[[], int]) -> None:
        self._store = store
        self._ledger = ledger
        self._clock = clock

    async def save(self, merchant: str, staff: str, event: str | None, terms: EventTerms) -> EventView:
        """Write an event, a new one when None is named. Raises NotFound, Refused (already, limit, closed), Invalid."""
        check.title(terms.title)
        check.words(terms.detail, "detail", DETAIL_CHARACTERS_MAX, empty=True)
        if terms.place:
            check.title(terms.place, "place")
        fault = terms_fault(terms, self._clock())
        if fault is not None:
            raise Invalid(fault[1], field=fault[0])
        return await self._do(SaveEvent(merchant, staff, event, terms), EventView)

    async def call_off(self, merchant: str, staff: str, event: str) -> EventView:
        """Call an event off: what was paid goes back. Raises NotFound, Refused (closed, already)."""
        return await self._do(CallOff(merchant, staff, event), EventView)

    async def events(self, merchant: str) -> list[EventView]:
        """Events that are to come, or were over a day ago at the most."""
        since_ms = self._clock() - SHOWN_AFTER_MS
        return await self._store.read(lambda db: read_events(db, merchant, since_ms))

    async def sign_up(self, merchant: str, person: str, event: str, name: str) -> TicketView:
        """Get a place, or wait for one; again, the same ticket. Raises NotFound, Refused (closed, limit), Invalid."""
        if len(name) > NAME_CHARACTERS_MAX or (name and not name.isprintable()):
            raise Invalid(f"a name has at most {NAME_CHARACTERS_MAX} printable characters", field="name")
        return await self._do(SignUp(merchant, person, event, name), TicketView)

    async def leave(self, merchant: str, person: str, event: str) -> TicketView:
        """Give one's place or wait up. Raises NotFound, Refused (already, not_open)."""
        return await self._do(LeaveEvent(merchant, person, event), TicketView)

    async def check_in(self, merchant: str, staff: str, code: str) -> TicketView:
        """Let a ticket in by its code. Raises NotFound, Refused (already, not_open, expired)."""
        return await self._do(CheckIn(merchant, staff, code), TicketView)

    async def tickets_of(self, merchant: str, person: str) -> list[TicketView]:
        """A person's tickets, newest first."""
        return await self._store.read(lambda db: read_own_tickets(db, merchant, person))

    async def tickets(self, merchant: str, event: str, after: str = "", limit: int = 50) -> list[TicketView]:
        """Who comes to an event, and who waits. Raises NotFound."""
        return await self._store.read(lambda db: read_event_tickets(db, merchant, event, after, limit))

    async def _do(self, command: Any, kind: type[T]) -> T:
        result = await self._ledger.submit(command)
        assert isinstance(result, kind)
        return result
