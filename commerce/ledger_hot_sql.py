"""The fast path: runs of holds and coupon claims, decided in arrival order and written as sets.

A run (the neighbours of one kind in a batch) is split by sale or drop; runs of different sales do not touch the same
rows, so order matters only within one. For each: reclaim due holds → read the row, the people's quotas, and the request
keys of those who have a quota (a key's effect always left one) → decide in Python → write holds, quotas and answers
with one statement each. An IntegrityError rolls the run back and the engine runs its commands one by one.

The request key's route is ``hold/SALE`` or ``claim/DROP``, as the target is part of an HTTP route.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy import Row, TextClause, text

from commerce.domain.coupon import DropRow, DropState, decide_claim, drop_state
from commerce.domain.sale import SaleRow, decide_hold, door
from commerce.errors import CommerceError, Conflict, NotFound, Refused
from commerce.events import CouponClaimed, CouponView
from commerce.ledger import EXPIRE_BATCH_MAX, Claim, CouponGranted, Hold, HoldGranted
from commerce.ledger_batch_sql import Batch, as_rows
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
}

_TAKE_SALE = text("UPDATE sale SET free = free - :units, held = held + :units WHERE id = :id")
_ISSUE = text("UPDATE drop_ SET issued = issued + :units WHERE id = :id")

Command = TypeVar("Command", Hold, Claim)
Result = HoldGranted | CouponGranted | CommerceError
EffectRow = tuple[str, str, str, str, int, int]
"""(id, person, key, hash, units, n): one JSON parameter for all statements of a run."""


def refusal(code: str, **extra: Any) -> Refused:
    """The refusal of a code, with its sentence."""
    return Refused(code, REFUSALS[code], **extra)


class _Past:
    """What the people of one run had before: units taken, and the answers stored under their keys.

    Whoever is not in ``used`` never had anything of this sale or drop, so no key of theirs is stored either.
    """

    def __init__(self, batch: Batch, merchant: str, route: str, scope: str, commands: Iterable[Hold | Claim]) -> None:
        commands = list(commands)
        people = {command.person for command in commands}
        used = batch.run(batch.texts.quotas, rows=as_rows(sorted(people)), scope=scope)
        self.used: dict[str, int] = {row.person: row.used for row in used}
        self.stored: dict[tuple[str, str], tuple[str, str]] = {}
        self.fresh: dict[tuple[str, str], tuple[str, int]] = {}
        if self.used:
            keys = as_rows((command.person, command.key) for command in commands if command.person in self.used)
            for row in batch.run(batch.texts.known_requests, rows=keys, merchant=merchant, route=route):
                self.stored[row.person, row.key] = (row.hash, row.answer)

    def repeat(self, command: Hold | Claim) -> str | int | None:
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
    past = _Past(batch, sale.merchant, f"hold/{sale.id}", sale.id, (command for _, command in numbered))
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
    rows: list[EffectRow] = []
    price = sale.price
    for (position, command), identifier in zip(granted, batch.mint_many(len(granted)), strict=True):
        rows.append((identifier, command.person, command.key, command.hash, command.quantity, 0))
        results[position] = HoldGranted(identifier, command.quantity, price, expires_ms)
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
        _remember(batch, packed, sale.merchant, f"hold/{sale.id}", sale.id)
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


def _remember(batch: Batch, packed: str, merchant: str, route: str, scope: str) -> None:
    batch.run(batch.texts.raise_quotas, rows=packed, scope=scope)
    batch.run(batch.texts.insert_requests, rows=packed, merchant=merchant, route=route, now=batch.now_ms)


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


def _give_coupons(
    batch: Batch,
    drop: DropRow,
    numbered: Sequence[tuple[int, Claim]],
    results: dict[int, Result],
) -> None:
    past = _Past(batch, drop.merchant, f"claim/{drop.id}", drop.id, (command for _, command in numbered))
    closed = drop_state(drop, batch.now_ms) is DropState.CLOSED
    expires_ms = batch.now_ms + drop.valid_ms
    left = drop.total - drop.issued
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
        except CommerceError as error:
            results[position] = error
            continue
        had = had or 0
        code = "closed" if closed else decide_claim(left, had, drop.per_person)
        if code is None:
            left -= 1
            used[command.person] = had + 1
            past.fresh[command.person, command.key] = (command.hash, position)
            granted.append((position, command, had + 1))
        else:
            results[position] = refusal(code)
            if code == "gone":
                batch.drop_refused(drop.id)
    rows: list[EffectRow] = []
    for (position, command, n), identifier in zip(granted, batch.mint_many(len(granted)), strict=True):
        rows.append((identifier, command.person, command.key, command.hash, 1, n))
        view = CouponView(identifier, drop.id, drop.title, drop.amount, drop.threshold, expires_ms, "unused")
        batch.emit(CouponClaimed(batch.mint(), drop.merchant, drop.room, batch.now_ms, command.person, view))
        results[position] = CouponGranted(identifier, drop.title, drop.amount, drop.threshold, expires_ms)
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
        )
        _remember(batch, packed, drop.merchant, f"claim/{drop.id}", drop.id)
        batch.drop_moved(drop.id)
    for position, row in _stored(batch, batch.texts.coupons, repeats).items():
        results[position] = CouponGranted(row.id, row.title, row.amount, row.threshold, row.expires_ms)
    _copy_fresh(repeats, results)
