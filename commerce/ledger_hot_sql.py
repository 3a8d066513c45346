"""The fast path: runs of holds and coupon claims, decided in arrival order and written as sets.

A run (the neighbours of one kind in a batch) is split by sale or drop; runs of different sales do not touch the same
rows, so order matters only within one. For each: reclaim due holds → read the row, the people's quotas, and the request
keys of those who have a quota (a key's effect always left one) → decide in Python → write effects and quotas with one
statement each. An IntegrityError rolls the run back and the engine runs its commands one by one.

A hold's request key stands in the hold itself, which the quota's chain leads to; a claim's in ``request`` with the
route ``claim/DROP``, as the target is part of an HTTP route.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy import Row, TextClause, text

from commerce.accounts_sql import balance, move
from commerce.domain.accounts import Leg
from commerce.domain.coupon import DropRow, DropState, decide_claim, drop_state, in_audience
from commerce.domain.sale import SaleRow, decide_hold, door
from commerce.errors import CommerceError, Conflict, NotFound, Refused
from commerce.events import CouponClaimed, CouponView
from commerce.ledger import EXPIRE_BATCH_MAX, Claim, CouponGranted, Hold, HoldGranted
from commerce.ledger_batch_sql import Batch, as_rows
from commerce.ledger_moments import JoinTeam
from commerce.orders_sql import reclaim

REFUSALS = {
    "sold_out": "nothing is left; units come back when holds expire",
    "limit": "the limit per person is reached",
    "not_open": "the sale is not open yet",
    "paused": "the sale is paused",
    "closed": "it has closed",
    "by_draw": "enter its draw: it does not go to who comes first",
    "by_team": "join or open a group: it is sold to groups only",
    "gone": "all are taken",
    "not_for_you": "this coupon is for others: new customers, members of a tier, or who has a tag",
}

_TAKE_SALE = text("UPDATE sale SET free = free - :units, held = held + :units WHERE id = :id")
_ISSUE = text("UPDATE drop_ SET issued = issued + :units WHERE id = :id")

Command = TypeVar("Command", Hold, Claim)
Result = HoldGranted | CouponGranted | CommerceError
HoldRow = tuple[str, str, str, str, int, str | None]
"""(id, person, key, hash, units, earlier): one JSON parameter for all holds of a run."""
CouponRow = tuple[str, str, str, str, int, int]
"""(id, person, key, hash, units, n): one JSON parameter for coupons and their requests."""


def refusal(code: str, **extra: Any) -> Refused:
    """The refusal of a code, with its sentence."""
    return Refused(code, REFUSALS[code], **extra)


class Past:
    """What the people of one run had before: units taken, and the answers stored under their keys.

    Whoever is not in ``used`` never had anything of this sale or drop, so no key of theirs is stored either.
    """

    def __init__(self, batch: Batch, merchant: str, scope: str, commands: Iterable[Hold | Claim | JoinTeam]) -> None:
        commands = list(commands)
        people = {command.person for command in commands}
        used = batch.run(batch.texts.quotas, rows=as_rows(sorted(people)), scope=scope)
        self.used: dict[str, int] = {}
        self.latest: dict[str, str] = {}
        for row in used:
            self.used[row.person] = row.used
            if row.latest is not None:
                self.latest[row.person] = row.latest
        self.stored: dict[tuple[str, str], tuple[str, str]] = {}
        self.fresh: dict[tuple[str, str], tuple[str, int]] = {}
        known: Iterable[Row[Any]] = ()
        if self.latest:
            known = batch.run(batch.texts.known_holds, rows=as_rows(self.latest.values()))
        elif self.used:
            keys = as_rows((command.person, command.key) for command in commands if command.person in self.used)
            route = f"claim/{scope}"
            known = batch.run(batch.texts.known_requests, rows=keys, merchant=merchant, route=route)
        for row in known:
            self.stored[row.person, row.key] = (row.hash, row.answer)

    def repeat(self, command: Hold | Claim | JoinTeam) -> str | int | None:
        """What this command had before: the id of its effect, or its position in this run. Raises Conflict."""
        pair = (command.person, command.key)
        known = self.stored.get(pair) or self.fresh.get(pair)
        if known is None:
            return None
        if known[0] != command.hash:
            raise Conflict
        return known[1]


def _by_target(commands: Sequence[Command], target: Callable[[Command], str]) -> dict[str, list[tuple[int, Command]]]:
    groups: dict[str, list[tuple[int, Command]]] = {}
    for numbered in enumerate(commands):
        groups.setdefault(target(numbered[1]), []).append(numbered)
    return groups


def run_holds(batch: Batch, commands: Sequence[Hold]) -> list[Result]:
    """Decide and write a run of hold requests; results are in their order."""
    groups = _by_target(commands, lambda command: command.sale)
    fresh = groups.keys() - batch.reclaimed
    if fresh:
        batch.reclaimed |= fresh
        reclaim(batch, EXPIRE_BATCH_MAX, fresh)
    sales = batch.sales(groups)
    results: dict[int, Result] = {}
    for sale_id, numbered in groups.items():
        sale = sales.get(sale_id)
        if sale is None:
            results.update((position, NotFound("no such sale in this room")) for position, _ in numbered)
        else:
            _hold_units(batch, sale, numbered, results)
    return [results[position] for position in range(len(commands))]


def _hold_units(batch: Batch, sale: SaleRow, numbered: Sequence[tuple[int, Hold]], results: dict[int, Result]) -> None:
    past = Past(batch, sale.merchant, sale.id, (command for _, command in numbered))
    closed = door(sale, batch.now_ms)
    expires_ms = batch.now_ms + sale.hold_ms
    free = sale.free
    used = past.used
    granted: list[tuple[int, Hold]] = []
    repeats: dict[int, str | int] = {}
    for position, command in numbered:
        had = used.get(command.person)
        try:
            repeat = None if had is None else past.repeat(command)
            if repeat is not None:
                repeats[position] = repeat
                continue
            code = _hold_refused(sale, closed, command)
        except CommerceError as error:
            results[position] = error
            continue
        had = had or 0
        quantity = command.quantity
        code = code or decide_hold(free, had, sale.per_person, quantity)
        if code is None:
            free -= quantity
            used[command.person] = had + quantity
            past.fresh[command.person, command.key] = (command.hash, position)
            granted.append((position, command))
        elif code == "sold_out" and free:
            results[position] = Refused(code, "not that many are left", left=free)
        else:
            results[position] = refusal(code)
            if code == "sold_out":
                batch.sale_refused(sale.id)
    rows: list[HoldRow] = []
    units: dict[str, int] = {}
    latest, price = past.latest, sale.price
    for (position, command), identifier in zip(granted, batch.mint_many(len(granted)), strict=True):
        person, quantity = command.person, command.quantity
        rows.append((identifier, person, command.key, command.hash, quantity, latest.get(person)))
        latest[person] = identifier
        units[person] = units.get(person, 0) + quantity
        results[position] = HoldGranted(identifier, quantity, price, expires_ms)
    if rows:
        packed = as_rows(rows)
        batch.run(_TAKE_SALE, id=sale.id, units=sale.free - free)
        batch.run(
            batch.texts.insert_holds,
            rows=packed,
            merchant=sale.merchant,
            sale=sale.id,
            sku=sale.sku,
            price=sale.price,
            expires_ms=expires_ms,
        )
        _raise_quotas(batch, sale.id, units, latest)
        batch.sale_moved(sale.id)
    for position, row in _stored(batch, batch.texts.holds, repeats).items():
        results[position] = HoldGranted(row.id, row.quantity, row.price, row.expires_ms)
    _copy_fresh(repeats, results)


def _stored(batch: Batch, statement: TextClause, repeats: Mapping[int, str | int]) -> dict[int, Row[Any]]:
    """The rows of earlier effects, by the position of the repeat."""
    ids = {position: answer for position, answer in repeats.items() if isinstance(answer, str)}
    if not ids:
        return {}
    rows = {row.id: row for row in batch.run(statement, rows=as_rows(ids.values()))}
    return {position: rows[identifier] for position, identifier in ids.items()}


def _copy_fresh(repeats: Mapping[int, str | int], results: dict[int, Result]) -> None:
    """Answer repeats of commands of this very run."""
    for position, answer in repeats.items():
        if isinstance(answer, int):
            results[position] = results[answer]


def _hold_refused(sale: SaleRow, closed: str | None, command: Hold) -> str | None:
    """Why nobody, or nobody with this request, gets units; raises NotFound and Refused (price_changed)."""
    if sale.merchant != command.merchant or sale.room != command.room:
        raise NotFound("no such sale in this room")
    if closed is None and command.version is not None and command.version != sale.version:
        raise Refused("price_changed", "the price has changed", price=sale.price, version=sale.version)
    return closed


def _raise_quotas(batch: Batch, scope: str, units: Mapping[str, int], latest: Mapping[str, str]) -> None:
    """Count what people took, in the order of their ids: neighbours share pages, and locks have one order."""
    rows = as_rows((person, units[person], latest.get(person)) for person in sorted(units))
    batch.run(batch.texts.raise_quotas, rows=rows, scope=scope)


def run_claims(batch: Batch, commands: Sequence[Claim]) -> list[Result]:
    """Decide and write a run of coupon claims; results are in their order."""
    groups = _by_target(commands, lambda command: command.drop)
    drops = batch.drops(groups)
    results: dict[int, Result] = {}
    for drop_id, numbered in groups.items():
        drop = drops.get(drop_id)
        if drop is None:
            results.update((position, NotFound("no such coupon drop in this room")) for position, _ in numbered)
        else:
            _give_coupons(batch, drop, numbered, results)
    return [results[position] for position in range(len(commands))]


def _left(batch: Batch, drop: DropRow) -> int:
    """Coupons that can still be given: of the drop, and out of the budget of who issues them."""
    left = drop.total - drop.issued
    if not drop.issuer:
        return left
    return min(left, balance(batch.connection, drop.merchant, drop.issuer, "budget") // drop.amount)


def _audience(batch: Batch, drop: DropRow, numbered: Sequence[tuple[int, Claim]]) -> set[str] | None:
    """Those of the claimants whom a drop is for; None when it is for all."""
    if drop.audience == "all":
        return None
    people = {command.person for _, command in numbered}
    if drop.for_tag:
        asked = {"rows": as_rows(sorted(people)), "merchant": drop.merchant, "tag": drop.for_tag}
        return set(batch.run(batch.texts.tagged, **asked).scalars())
    bought: set[str] = set()
    tiers: dict[str, int] = {}
    if drop.audience == "new":
        bought = set(batch.run(batch.texts.buyers, rows=as_rows(sorted(people)), merchant=drop.merchant).scalars())
    else:
        rows = as_rows(sorted(people))
        tiers = {row.person: row.tier for row in batch.run(batch.texts.tiers, rows=rows, merchant=drop.merchant)}
    return {person for person in people if in_audience(drop.audience, person, bought, tiers)}


def _give_coupons(
    batch: Batch,
    drop: DropRow,
    numbered: Sequence[tuple[int, Claim]],
    results: dict[int, Result],
) -> None:
    past = Past(batch, drop.merchant, drop.id, (command for _, command in numbered))
    closed = drop_state(drop, batch.now_ms) is DropState.CLOSED
    left = _left(batch, drop)
    welcome = _audience(batch, drop, numbered)
    used = past.used
    granted: list[tuple[int, Claim, int]] = []
    repeats: dict[int, str | int] = {}
    for position, command in numbered:
        had = used.get(command.person)
        try:
            repeat = None if had is None else past.repeat(command)
            if repeat is not None:
                repeats[position] = repeat
                continue
            if drop.merchant != command.merchant or drop.room != command.room:
                raise NotFound("no such coupon drop in this room")
            if drop.way not in (command.way, "entry"):
                # What comes with a sign-in or a payment is not to be caught by a tap.
                raise NotFound("no such coupon drop in this room")
        except CommerceError as error:
            results[position] = error
            continue
        had = had or 0
        here = welcome is None or command.person in welcome
        code = "closed" if closed else decide_claim(left, had, drop.per_person, here)
        if code is None:
            left -= 1
            used[command.person] = had + 1
            past.fresh[command.person, command.key] = (command.hash, position)
            granted.append((position, command, had + 1))
        else:
            results[position] = refusal(code)
            if code == "gone":
                batch.drop_refused(drop.id)
    _write_coupons(batch, drop, granted, results)
    for position, row in _stored(batch, batch.texts.coupons, repeats).items():
        results[position] = CouponGranted(row.id, row.title, row.amount, row.threshold, row.expires_ms, row.percent)
    _copy_fresh(repeats, results)


def _write_coupons(
    batch: Batch, drop: DropRow, granted: Sequence[tuple[int, Claim, int]], results: dict[int, Result]
) -> None:
    """Write what a run gives: coupons, quotas, request keys, and what their issuer has promised."""
    expires_ms = batch.now_ms + drop.valid_ms
    rows: list[CouponRow] = []
    for (position, command, n), identifier in zip(granted, batch.mint_many(len(granted)), strict=True):
        rows.append((identifier, command.person, command.key, command.hash, 1, n))
        view = CouponView(
            identifier,
            drop.id,
            drop.title,
            drop.amount,
            drop.threshold,
            expires_ms,
            "unused",
            drop.percent,
            drop.stack,
            drop.reason,
        )
        batch.emit(CouponClaimed(batch.mint(), drop.merchant, drop.room, batch.now_ms, command.person, view))
        results[position] = CouponGranted(identifier, drop.title, drop.amount, drop.threshold, expires_ms, drop.percent)
    if rows:
        packed = as_rows(rows)
        batch.run(_ISSUE, id=drop.id, units=len(rows))
        batch.run(
            batch.texts.insert_coupons,
            rows=packed,
            merchant=drop.merchant,
            drop=drop.id,
            title=drop.title,
            amount=drop.amount,
            threshold=drop.threshold,
            expires_ms=expires_ms,
            now=batch.now_ms,
            percent=drop.percent,
            stack=drop.stack,
            reason=drop.reason,
            issuer=drop.issuer,
        )
        if drop.issuer:
            worth = len(rows) * drop.amount
            legs = [Leg(drop.issuer, "budget", -worth), Leg(drop.issuer, "budget_reserved", worth)]
            move(batch, drop.merchant, "promised", drop.id, legs)
        route = f"claim/{drop.id}"
        _raise_quotas(batch, drop.id, Counter(row[1] for row in rows), {})
        batch.run(batch.texts.insert_requests, rows=packed, merchant=drop.merchant, route=route, now=batch.now_ms)
        batch.drop_moved(drop.id)
