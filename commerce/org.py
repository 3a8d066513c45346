"""The organisation as the gateway asks: who reaches what, nodes, seats, rooms, and sums that roll up.

Whoever asks is checked at every request, so the trees are in memory; a change is written down first and read back from
there. A change of another process is seen when `load` is called again.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from commerce import catalogue_checks as check
from commerce import org_sql
from commerce.attribution import bindings_sql
from commerce.attribution.links_sql import Transaction
from commerce.catalogue import Catalogue
from commerce.catalogue_views import Staff
from commerce.distribution import HAND_OVER_MAX
from commerce.domain.org import RIGHTS, Reach, Scope, child_fault, may_give, seat_fault
from commerce.errors import Invalid, NotFound, Refused
from commerce.fresh_ids import fresh_id, fresh_ids
from commerce.keepers_sql import Appointment
from commerce.org_sql import Node, OrgFigures, Seat
from commerce.reach_sql import reaches_order, reaches_person, shown_there_alone
from commerce.store_sql import Store

T = TypeVar("T")

REASON_CHARACTERS_MAX = 200
PERIOD_MS_MAX = 400 * 86_400_000
"""As the board's: a year and its neighbour month."""
SEATS_PAGE_MAX = 200


@dataclass(frozen=True, slots=True)
class Rollup:
    """A node's sums: with all below it, its own alone, and child by child."""

    node: Node
    total: OrgFigures
    own: OrgFigures
    children: tuple[tuple[Node, OrgFigures], ...]


class Organisation:
    """The trees of all merchants of one database; every method is scoped to one. ``clock``: Unix milliseconds.

    ``by`` is the scope of who asks, None for an account that has the whole merchant: nothing outside of it is found,
    and what is at its top is not its own to change.
    """

    def __init__(self, store: Store, catalogue: Catalogue, *, clock: Callable[[], int]) -> None:
        self._store = store
        self._catalogue = catalogue
        self._clock = clock
        self._version = -1
        self._nodes: dict[str, Node] = {}
        self._children: dict[str, list[str]] = {}
        self._seats: dict[str, Seat] = {}
        self._rooms: dict[str, str] = {}
        self._scopes: dict[str, Scope] = {}
        self._appointed: dict[str, list[Appointment]] = {}
        self._listeners: list[Callable[[Collection[str]], None]] = []
        self._tellers: list[Callable[[str], None]] = []

    @property
    def version(self) -> int:
        """Grows with every change of a tree, a seat or an appointment, as far as this process has read it."""
        return self._version

    def listen(self, heard: Callable[[Collection[str]], None], changed_here: Callable[[str], None]) -> None:
        """Tell ``heard`` of the people whose rights may have changed, by whichever process, where that is learned of.

        ``changed_here`` is told of the merchant when it was this process: the others are to hear of it.
        """
        self._listeners.append(heard)
        self._tellers.append(changed_here)

    async def load(self) -> None:
        """Read the trees again if any of them has changed."""
        if await self._store.read(org_sql.version) == self._version:
            return
        known, nodes, seats, rooms, appointments = await self._store.read(org_sql.everything)
        if known <= self._version:
            # Another reading that began later came back first.
            return
        people = self._take(known, nodes, seats, rooms, appointments)
        for heard in self._listeners if people else ():
            heard(people)

    def _take(
        self,
        known: int,
        nodes: list[Node],
        seats: list[Seat],
        rooms: dict[str, str],
        appointments: list[Appointment],
    ) -> set[str]:
        """Keep what was read in mind; whose rights it may have changed."""
        before, places = dict(self._seats), (self._nodes, self._rooms)
        old = {one for kept in self._appointed.values() for one in kept}
        children: dict[str, list[str]] = {}
        for node in nodes:
            children.setdefault(node.parent or "", []).append(node.id)
        self._version, self._children, self._rooms = known, children, rooms
        self._nodes = {node.id: node for node in nodes}
        self._seats = {seat.staff: seat for seat in seats}
        self._scopes = {}
        self._appointed = {}
        for one in appointments:
            self._appointed.setdefault(one.person, []).append(one)
        if places != (self._nodes, self._rooms):
            # What stands under what is everybody's affair who sits or was appointed somewhere in it.
            return {*before, *self._seats, *self._appointed, *(one.person for one in old)}
        moved = {staff for staff in before.keys() | self._seats.keys() if before.get(staff) != self._seats.get(staff)}
        return moved | {one.person for one in old.symmetric_difference(appointments)}

    def appointed(self, merchant: str, room: str, ids: Sequence[str]) -> str:
        """What a person was appointed in a room, by any of their ids; empty when they were not."""
        if not self._appointed:
            return ""
        theirs = (one for person in ids for one in self._appointed.get(person, ()))
        roles = {one.role for one in theirs if self._is_of(one, merchant, room)}
        return "assistant" if "assistant" in roles else "moderator" if roles else ""

    def appointments(self, merchant: str, room: str | None) -> list[Appointment]:
        """What holds in a room of a merchant, oldest first; without a room all of the merchant's."""
        found = [one for kept in self._appointed.values() for one in kept if one.merchant == merchant]
        if room is not None:
            found = [one for one in found if self._is_of(one, merchant, room)]
        return sorted(found, key=lambda one: (one.created_ms, one.person))

    def _is_of(self, one: Appointment, merchant: str, room: str) -> bool:
        if one.merchant != merchant:
            return False
        if one.kind == "node":
            at = self._rooms.get(room)
            return at is not None and one.place in self._path(at)
        return one.kind == "all" or one.place == room

    # --- who reaches what ------------------------------------------------------------------------------------------

    def scope_of(self, merchant: str, staff: str) -> Scope | None:
        """What an account reaches; None when it has no seat."""
        seat = self._seats.get(staff)
        if seat is None or seat.merchant != merchant:
            return None
        found = self._scopes.get(staff)
        if found is None:
            found = self._scopes[staff] = self._scope(seat)
        return found

    def _scope(self, seat: Seat) -> Scope:
        above = set(self._path(seat.node))
        rooms = {room for room, at in self._rooms.items() if seat.node in self._path(at)}
        passing = {room for room, at in self._rooms.items() if at in above} - rooms
        whole = self._nodes[seat.node].parent is None
        return Scope(seat.node, seat.role, whole, frozenset(rooms), frozenset(passing), seat.left_ms is not None)

    def _path(self, node: str) -> list[str]:
        """A node and all above it, upwards."""
        path = [node]
        while (above := self._nodes[path[-1]].parent) is not None:
            path.append(above)
        return path

    def node_for(self, merchant: str, room: str, decision: Mapping[str, Any] | None) -> str:
        """Whom an order counts for: the node of the guide who is credited, else the room's, else nobody's (empty)."""
        guide = ((decision or {}).get("credits") or {}).get("guide") or {}
        seat = self._seats.get(guide.get("issuer", ""))
        if seat is not None and seat.merchant == merchant and seat.left_ms is None:
            return seat.node
        return self._rooms.get(room, "")

    def has_seat(self, merchant: str, staff: str) -> bool:
        """Whether an account has or had a seat."""
        seat = self._seats.get(staff)
        return seat is not None and seat.merchant == merchant

    def has_left(self, merchant: str, staff: str) -> bool:
        """Whether an account had a seat and left."""
        seat = self._seats.get(staff)
        return seat is not None and seat.merchant == merchant and seat.left_ms is not None

    def has_account(self, by: Scope | None, merchant: str, staff: str) -> bool:
        """Whether an account sits within ``by``."""
        seat = self._seats.get(staff)
        return seat is not None and seat.left_ms is None and self._within(by, merchant, seat.node) is not None

    def has_guide(self, by: Scope | None, merchant: str, staff: str) -> bool:
        """Whether an account is or was a guide of the organisation within ``by``."""
        seat = self._seats.get(staff)
        return seat is not None and seat.role == "guide" and self._within(by, merchant, seat.node) is not None

    def require_node(self, by: Scope | None, merchant: str, node: str) -> Node:
        """A node within ``by``. Raises NotFound."""
        found = self._within(by, merchant, node)
        if found is None:
            raise NotFound("no such node")
        return found

    async def require_order(self, merchant: str, order: str, reach: Reach | None) -> None:
        """Raises NotFound for an order outside of a reach."""
        if reach is None:
            return
        if not await self._store.read(lambda db: reaches_order(db, merchant, order, reach)):
            raise NotFound("no such order")

    async def require_person(self, merchant: str, person: str, reach: Reach | None) -> None:
        """Raises NotFound for a person who is no customer within a reach."""
        if reach is None:
            return
        if not await self._store.read(lambda db: reaches_person(db, merchant, person, reach)):
            raise NotFound("no such person")

    async def shown_there_alone(self, goods: str, reach: Reach) -> bool:
        """Whether rooms within a reach show a product, or the product of a SKU, and no others do."""
        return await self._store.read(lambda db: shown_there_alone(db, goods, reach))

    # --- the tree --------------------------------------------------------------------------------------------------

    def tree(self, by: Scope | None, merchant: str) -> list[Node]:
        """The nodes within ``by``, each after its parent."""
        if by is not None:
            waiting = [by.node]
        else:
            waiting = [one for one in self._children.get("", []) if self._nodes[one].merchant == merchant]
        found: list[Node] = []
        while waiting:
            node = self._nodes[waiting.pop(0)]
            found.append(node)
            waiting += self._children.get(node.id, [])
        return found

    def rooms_of(self, node: str) -> list[str]:
        """The rooms that belong to a node itself."""
        return sorted(room for room, at in self._rooms.items() if at == node)

    async def create_node(self, by: Scope | None, merchant: str, kind: str, name: str, parent: str | None) -> Node:
        """Make a node; the first is the group, without a parent. Raises NotFound, Refused (closed, limit, already)."""
        called = _name(name)
        if parent is None and by is not None:
            raise NotFound("name the node that it stands under")
        above = None if parent is None else self.require_node(by, merchant, parent)
        _clean(child_fault(kind, None if above is None else above.kind), "kind")
        if above is None and self.tree(None, merchant):
            raise Refused("already", "the organisation has its group")
        now_ms = self._clock()
        made = Node(self._id(), merchant, parent, kind, called, None)

        def change(db: Transaction) -> None:
            org_sql.take_turn(db, merchant)
            if parent is not None:
                org_sql.open_node(db, merchant, parent)
            org_sql.insert_node(db, made, now_ms)

        await self.changed(merchant, change)
        return made

    async def change_node(
        self, by: Scope | None, merchant: str, node: str, *, name: str | None, parent: str | None, closed: bool | None
    ) -> Node:
        """Rename a node, put it with all below it under another, or close it when it is empty.

        What it has sold stays its own wherever it stands. Raises NotFound, Invalid, Refused (in_use, already, closed).
        """
        called = None if name is None else _name(name)
        self._below(by, merchant, node)
        if parent is not None:
            above = self.require_node(by, merchant, parent)
            _clean(child_fault(self._nodes[node].kind, above.kind), "parent")
        now_ms = self._clock()

        def change(db: Transaction) -> Node:
            org_sql.take_turn(db, merchant)
            old = org_sql.node(db, merchant, node)
            new = replace(old, name=called or old.name, parent=parent or old.parent)
            if closed is not None:
                new = replace(new, closed_ms=(old.closed_ms or now_ms) if closed else None)
            if parent is not None and parent != old.parent:
                org_sql.open_node(db, merchant, parent)
                org_sql.graft(db, node, parent)
            org_sql.update_node(db, new)
            return new

        return await self.changed(merchant, change)

    async def place_room(self, by: Scope | None, merchant: str, room: str, node: str | None) -> None:
        """Give a room to a node; None gives it back to the merchant. Raises NotFound, Refused (closed)."""
        if by is not None and not by.whole and (room not in by.rooms or node is None):
            raise NotFound("no such room")
        if node is not None:
            self.require_node(by, merchant, node)

        def change(db: Transaction) -> None:
            org_sql.take_turn(db, merchant)
            if node is not None:
                org_sql.open_node(db, merchant, node)
            org_sql.place_room(db, merchant, room, node)

        await self.changed(merchant, change)

    # --- seats -----------------------------------------------------------------------------------------------------

    async def seats(
        self, by: Scope | None, merchant: str, node: str | None, after: str, limit: int
    ) -> list[dict[str, Any]]:
        """List the accounts of a subtree, by default of all that ``by`` reaches. Raises NotFound."""
        above = "" if by is None else by.node
        if node is not None:
            above = self.require_node(by, merchant, node).id
        return await self._store.read(lambda db: org_sql.seats(db, merchant, above, after, min(limit, SEATS_PAGE_MAX)))

    async def account(self, merchant: str, staff: str) -> dict[str, Any]:
        """One account's row of that list. Raises NotFound."""
        return await self._store.read(lambda db: org_sql.account(db, merchant, staff))

    async def join(
        self, by: Scope | None, merchant: str, node: str, role: str, login: str, password: str, name: str
    ) -> Seat:
        """Make an account with a seat. A guide at a store gets a node of their own under it.

        Raises NotFound, Invalid, Refused (already: the login is taken; closed, limit, forbidden), Busy.
        """
        at = self._seatable(by, merchant, node, role)
        now_ms, made = self._clock(), self._id()

        def sit(db: Transaction, staff: Staff) -> None:
            self._sit(db, merchant, staff.id, staff.name, at, role, made, now_ms)

        staff = await self._catalogue.create_staff(merchant, login, password, RIGHTS[role].door, name, also=sit)
        await self._follow(merchant)
        return self._seats[staff.id]

    async def move(self, by: Scope | None, merchant: str, staff: str, node: str, role: str) -> Seat:
        """Give an account another seat; one without a seat gets its first from who has the whole merchant.

        A guide's customers come along; what was sold before stays where it was. Raises as `join` does.
        """
        self._changeable(by, merchant, staff)
        at = self._seatable(by, merchant, node, role)
        now_ms, made = self._clock(), self._id()

        def change(db: Transaction) -> None:
            name = org_sql.staff_name(db, merchant, staff)
            self._sit(db, merchant, staff, name, at, role, made, now_ms)

        await self.changed(merchant, change)
        return self._seats[staff]

    async def leave(self, by: Scope | None, merchant: str, staff: str, heir: str | None, reason: str) -> int:
        """End an account, and give its customers to another guide for the future only (A9); how many those are.

        Raises NotFound, Refused (already, limit), Invalid.
        """
        why = _reason(reason)
        self._changeable(by, merchant, staff)
        if heir is not None and (heir == staff or not self.has_guide(by, merchant, heir)):
            raise NotFound("no such guide")
        now_ms = self._clock()
        ids = [] if heir is None else fresh_ids(now_ms, HAND_OVER_MAX)

        def change(db: Transaction) -> int:
            org_sql.take_turn(db, merchant)
            org_sql.seat(db, merchant, staff)
            org_sql.leave(db, staff, now_ms)
            if heir is None:
                return 0
            said = f"left: {why}"[:200]
            return bindings_sql.hand_over(db, merchant, "guide", staff, heir, ids, said, now_ms, leaving=True).moved

        return await self.changed(merchant, change)

    def _sit(
        self, db: Transaction, merchant: str, staff: str, name: str, at: str, role: str, made: str, now_ms: int
    ) -> None:
        """Inside a transaction: take the seat, at a new node of their own for a guide who comes to a store."""
        org_sql.take_turn(db, merchant)
        there = org_sql.open_node(db, merchant, at)
        if role == "guide" and there.kind != "guide":
            there = Node(made, merchant, at, "guide", name[:60], None)
            org_sql.insert_node(db, there, now_ms)
        _clean(seat_fault(role, there.kind), "role")
        org_sql.sit(db, merchant, staff, there.id, role, now_ms)

    # --- sums ------------------------------------------------------------------------------------------------------

    async def figures(self, by: Scope | None, merchant: str, node: str | None, since_ms: int, until_ms: int) -> Rollup:
        """A node's sums of a period, child by child. Raises NotFound, Invalid."""
        if not 0 <= since_ms < until_ms or until_ms - since_ms > PERIOD_MS_MAX:
            raise Invalid("since comes before until, by at most 400 days", field="since")
        if node is None:
            top = self.tree(by, merchant)
            if not top:
                raise NotFound("there is no organisation yet")
            node = top[0].id
        at = self.require_node(by, merchant, node)
        children = self._children.get(at.id, [])
        total, own, below = await self._store.read(
            lambda db: org_sql.figures(db, merchant, at.parent is None, at.id, children, since_ms, until_ms)
        )
        return Rollup(at, total, own, tuple((self._nodes[child], below[child]) for child in children))

    # --- inside ----------------------------------------------------------------------------------------------------

    def _within(self, by: Scope | None, merchant: str, node: str) -> Node | None:
        found = self._nodes.get(node)
        if found is None or found.merchant != merchant:
            return None
        return found if by is None or by.node in self._path(node) else None

    def _below(self, by: Scope | None, merchant: str, node: str) -> Node:
        """A node that ``by`` may change: below its own. Raises NotFound, Refused (forbidden)."""
        found = self.require_node(by, merchant, node)
        if by is not None and by.node == node:
            raise Refused("forbidden", "your own node is changed by who is above it")
        return found

    def _seatable(self, by: Scope | None, merchant: str, node: str, role: str) -> str:
        """The node for a seat that ``by`` may give. Raises NotFound, Invalid, Refused (forbidden)."""
        found = self.require_node(by, merchant, node)
        own = role == "guide" and found.kind != "guide"
        fault = child_fault("guide", found.kind) if own else seat_fault(role, found.kind)
        _clean(fault, "role")
        if by is not None and not may_give(by.role, role):
            raise Refused("forbidden", f"a seat of the role {role} is given by an owner")
        return node

    def _changeable(self, by: Scope | None, merchant: str, staff: str) -> None:
        """Raises NotFound, Refused (forbidden, already)."""
        seat = self._seats.get(staff)
        if seat is None:
            if by is not None and not by.whole:
                raise NotFound("no such account")
            return
        if self._within(by, merchant, seat.node) is None:
            raise NotFound("no such account")
        if seat.left_ms is not None:
            raise Refused("already", "this account has left")
        if by is not None and not may_give(by.role, seat.role):
            raise Refused("forbidden", f"a seat of the role {seat.role} is changed by an owner")

    async def changed(self, merchant: str, change: Callable[[Transaction], T]) -> T:
        """Do what begins with the turn of a merchant's tree, and take it in here and elsewhere."""
        result = await self._store.write(change)
        await self._follow(merchant)
        return result

    async def _follow(self, merchant: str) -> None:
        await self.load()
        for tell in self._tellers:
            tell(merchant)

    def _id(self) -> str:
        return fresh_id(self._clock())


def _name(value: str) -> str:
    return check.title(value, "name")


def _clean(fault: str | None, field: str) -> None:
    if fault is not None:
        raise Invalid(fault, field=field)


def _reason(value: str) -> str:
    clean = value.strip()
    if len(clean) > REASON_CHARACTERS_MAX or (clean and not clean.isprintable()):
        raise Invalid(f"reason has at most {REASON_CHARACTERS_MAX} characters on one line", field="reason")
    return clean
