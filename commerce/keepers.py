"""Assistants and moderators by appointment: for one room, for the rooms of a part of the shop, or for all of them.

A seat in the organisation is an account's own and says what it does everywhere in its subtree. An appointment is
beside that: it makes somebody, a viewer too, a moderator of a room, or an account the assistant of one. Who has both
does what either lets them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from commerce import keepers_sql, org_sql
from commerce.attribution.links_sql import Transaction
from commerce.domain.ids import AFTER_ALL
from commerce.domain.org import Scope
from commerce.errors import Refused
from commerce.fresh_ids import fresh_id
from commerce.keepers_sql import Appointment
from commerce.org import Organisation
from commerce.store_sql import Store


@dataclass(frozen=True, slots=True)
class Keeper:
    """An appointment with what the person is called, and who appointed them."""

    name: str
    by_name: str
    made: Appointment


@dataclass(frozen=True, slots=True)
class KeeperStep:
    """A line of the journal: ``step`` (appointed, dismissed) of whom, at which place, by whom. Unix milliseconds."""

    id: str
    place: str
    kind: str
    person: str
    role: str
    step: str
    by: str
    at_ms: int
    name: str
    by_name: str


def _called(names: Mapping[str, str], person: str) -> str:
    return names.get(person) or f"#{person[-6:]}"


class Keepers:
    """Appoints and dismisses. ``ids_of`` gives all ids of a person; ``clock`` Unix milliseconds.

    ``by`` is the scope of who asks, None for who has the whole merchant.
    """

    def __init__(
        self, store: Store, org: Organisation, *, ids_of: Callable[[str], Sequence[str]], clock: Callable[[], int]
    ) -> None:
        self._store = store
        self._org = org
        self._ids_of = ids_of
        self._clock = clock

    def role_in(self, merchant: str, room: str, person: str) -> str:
        """What somebody was appointed in a room, by whichever of their ids; empty when they were not."""
        return self._org.appointed(merchant, room, self._ids_of(person))

    async def of_room(self, merchant: str, room: str) -> list[Keeper]:
        """Who is appointed in a room, oldest first, with those of the parts that it belongs to."""
        return await self._named(self._org.appointments(merchant, room))

    async def beside(self, by: Scope | None, merchant: str, *, rooms: bool = False) -> list[Keeper]:
        """Who is appointed for nodes within ``by``, and, for who has it all, for the whole merchant.

        With ``rooms`` those of single rooms as well.
        """
        found = self._org.appointments(merchant, None)
        kinds = {"all", "node", "room"} if rooms else {"all", "node"}
        places = self._places(by, merchant)
        return await self._named(
            [one for one in found if one.kind in kinds and (places is None or one.place in places)]
        )

    def _places(self, by: Scope | None, merchant: str) -> set[str] | None:
        """The nodes and rooms that an account has; None: all of the merchant's."""
        if by is None or by.whole:
            return None
        nodes = {node.id for node in self._org.tree(by, merchant)}
        return nodes | {room for node in nodes for room in self._org.rooms_of(node)}

    async def journal(self, by: Scope | None, merchant: str, before: str | None, limit: int) -> list[KeeperStep]:
        """Appointments and dismissals at places within ``by``, newest first; page by the last one's id."""
        places = self._places(by, merchant)
        found = await self._store.read(
            lambda db: keepers_sql.steps(
                db, merchant, None if places is None else sorted(places), before or AFTER_ALL, limit
            )
        )
        people = [who for row in found for who in (row["person"], row["by"])]
        called = await self._store.read(lambda db: keepers_sql.names(db, people))
        return [
            KeeperStep(**row, name=_called(called, row["person"]), by_name=_called(called, row["by"])) for row in found
        ]

    async def _named(self, found: Sequence[Appointment]) -> list[Keeper]:
        people = [who for one in found for who in (one.person, one.by)]
        called = await self._store.read(lambda db: keepers_sql.names(db, people))
        return [Keeper(_called(called, one.person), _called(called, one.by), one) for one in found]

    async def appoint_in_room(self, merchant: str, room: str, person: str, role: str, by: str) -> None:
        """Make somebody an assistant or a moderator of one room. Raises NotFound, Refused (forbidden, limit)."""
        await self._appoint(Appointment(merchant, "room", room, person, role, by, self._clock()))

    async def appoint_beside(
        self, scope: Scope | None, merchant: str, node: str | None, person: str, role: str, by: str
    ) -> None:
        """The same for the rooms of a node, or (None) for all of the merchant. Raises as well for a node not theirs."""
        kind, place = self._place(scope, merchant, node)
        await self._appoint(Appointment(merchant, kind, place, person, role, by, self._clock()))

    def _place(self, scope: Scope | None, merchant: str, node: str | None) -> tuple[str, str]:
        if node is not None:
            return "node", self._org.require_node(scope, merchant, node).id
        if scope is not None and not scope.whole:
            raise Refused("forbidden", "name the part: all rooms of the merchant are not this account's")
        return "all", ""

    async def _appoint(self, made: Appointment) -> None:
        def change(db: Transaction) -> None:
            org_sql.take_turn(db, made.merchant)
            if made.kind == "node":
                org_sql.open_node(db, made.merchant, made.place)
            keepers_sql.appoint(db, made, self._id())

        await self._org.changed(made.merchant, change)

    async def dismiss_in_room(self, merchant: str, room: str, person: str, by: str, *, assistants: bool) -> None:
        """Take back an appointment for a room; that of an assistant with ``assistants`` alone.

        Raises NotFound; Refused (forbidden) for who is appointed for more rooms than this one.
        """
        ids = self._ids_of(person)
        found = [one for one in self._org.appointments(merchant, room) if one.person in ids]
        here = [one for one in found if one.kind == "room"]
        if found and not here:
            raise Refused("forbidden", "they are appointed for more rooms than this: that is the merchant's affair")
        if not assistants and any(one.role == "assistant" for one in here):
            raise Refused("forbidden", "assistants are appointed and dismissed by the merchant")
        await self._dismiss(merchant, room, ids, by)

    async def dismiss_beside(self, scope: Scope | None, merchant: str, node: str | None, person: str, by: str) -> None:
        """Take back an appointment for a node, or for all rooms. Raises NotFound, Refused (forbidden)."""
        _, place = self._place(scope, merchant, node)
        await self._dismiss(merchant, place, self._ids_of(person), by)

    async def _dismiss(self, merchant: str, place: str, ids: Sequence[str], by: str) -> None:
        def change(db: Transaction) -> None:
            org_sql.take_turn(db, merchant)
            keepers_sql.dismiss(db, self._id, merchant, place, ids, by, self._clock())

        await self._org.changed(merchant, change)

    def _id(self) -> str:
        return fresh_id(self._clock())

    def is_theirs(self, scope: Scope | None, merchant: str, person: str) -> bool:
        """Whether somebody is an account that sits within ``scope``."""
        return self._org.has_account(scope, merchant, person)
