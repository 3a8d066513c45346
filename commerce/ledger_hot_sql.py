"""The fast path: runs of holds and coupon claims, decided in arrival order and written as sets.

A segment (the neighbours of one kind in a batch) is: reclaim due holds of its sales → read rows, quotas and request
keys → decide in Python → write holds, quotas and answers with one statement each. An IntegrityError anywhere rolls the
segment back and the engine runs its commands one by one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, TypeVar

from sqlalchemy import text

from commerce.domain.coupon import DropRow, decide_claim
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
    "gone": "all are taken",
}

_TAKE_SALE = text("UPDATE sale SET free = free - :units, held = held + :units WHERE id = :id")
_ISSUE = text("UPDATE drop_ SET issued = issued + :count WHERE id = :id")

Granted = TypeVar("Granted", HoldGranted, CouponGranted)
Known = dict[tuple[str, str, str], tuple[str, str]]
"""(merchant, person, key) → (hash, id of the effect)."""


def refusal(code: str, **extra: Any) -> Refused:
    """The refusal of a code, with its sentence."""
    return Refused(code, REFUSALS[code], **extra)


@dataclass(slots=True)
class _Writes:
    """Rows to write at the end of a segment."""

    effects: dict[str, list[tuple[Any, ...]]] = field(default_factory=dict)
    requests: dict[str, list[tuple[str, str, str, str]]] = field(default_factory=dict)
    quotas: dict[tuple[str, str], int] = field(default_factory=dict)
    taken: dict[str, int] = field(default_factory=dict)

    def add(self, command: Hold | Claim, scope: str, units: int, effect: tuple[Any, ...]) -> None:
        """Note one granted command; ``effect[0]`` is its id."""
        self.effects.setdefault(command.merchant, []).append(effect)
        row = (command.person, command.key, command.hash, effect[0])
        self.requests.setdefault(command.merchant, []).append(row)
        pair = (scope, command.person)
        self.quotas[pair] = self.quotas.get(pair, 0) + units
        self.taken[scope] = self.taken.get(scope, 0) + units


def _merchant(command: Hold | Claim) -> str:
    return command.merchant


def _known_requests(batch: Batch, commands: Sequence[Hold] | Sequence[Claim], route: str) -> Known:
    known: Known = {}
    for merchant, group in groupby(commands, key=_merchant):
        asked: list[Hold | Claim] = list(group)
        rows = as_rows([(command.person, command.key) for command in asked])
        for row in batch.run(batch.texts.known_requests, rows=rows, merchant=merchant, route=route):
            command = asked[row.position]
            known[merchant, command.person, command.key] = (row.hash, row.answer)
    return known


def _quotas(batch: Batch, pairs: set[tuple[str, str]]) -> dict[tuple[str, str], int]:
    return {(row.scope, row.person): row.used for row in batch.run(batch.texts.quotas, rows=as_rows(pairs))}


def _repeat(known: Known, command: Hold | Claim) -> str | CommerceError | None:
    """The id of the effect that this command had before, a conflict, or None when it is new."""
    stored = known.get((command.merchant, command.person, command.key))
    if stored is None:
        return None
    return stored[1] if stored[0] == command.hash else Conflict()


def _again(
    repeat: str | CommerceError, granted: Mapping[str, Granted], repeats: dict[int, str], position: int
) -> Granted | CommerceError:
    """The answer of a repeat: from this segment, or noted in ``repeats`` to be read from the database."""
    if not isinstance(repeat, str):
        return repeat
    answer = granted.get(repeat)
    if answer is not None:
        return answer
    repeats[position] = repeat
    return NotFound("what this key made is no longer kept")


def run_holds(batch: Batch, commands: Sequence[Hold]) -> list[HoldGranted | CommerceError]:
    """Decide and write a run of hold requests; results are in their order."""
    wanted = {command.sale for command in commands}
    fresh = wanted - batch.reclaimed
    if fresh:
        batch.reclaimed |= fresh
        reclaim(batch, EXPIRE_BATCH_MAX, fresh)
    sales = batch.sales(wanted)
    doors = {sale.id: door(sale, batch.now_ms) for sale in sales.values()}
    free = {sale.id: sale.free for sale in sales.values()}
    used = _quotas(batch, {(command.sale, command.person) for command in commands})
    known = _known_requests(batch, commands, "hold")
    ids = batch.mint_many(len(commands))
    writes = _Writes()
    granted: dict[str, HoldGranted] = {}
    repeats: dict[int, str] = {}
    results: list[HoldGranted | CommerceError] = []
    for command, identifier in zip(commands, ids, strict=True):
        repeat = _repeat(known, command)
        if repeat is not None:
            results.append(_again(repeat, granted, repeats, len(results)))
            continue
        sale = sales.get(command.sale)
        refused = _hold_refused(sale, doors, free, used, command)
        if refused is not None or sale is None:
            if refused is not None and refused.code == "sold_out":
                batch.sale_refused(command.sale)
            results.append(refused or NotFound("no such sale"))
            continue
        pair = (sale.id, command.person)
        free[sale.id] -= command.quantity
        used[pair] = used.get(pair, 0) + command.quantity
        expires_ms = batch.now_ms + sale.hold_ms
        answer = HoldGranted(identifier, command.quantity, sale.price, expires_ms)
        effect = (identifier, sale.id, sale.sku, command.person, command.quantity, sale.price, expires_ms)
        writes.add(command, sale.id, command.quantity, effect)
        granted[identifier] = answer
        known[command.merchant, command.person, command.key] = (command.hash, identifier)
        results.append(answer)
    for sale_id, units in sorted(writes.taken.items()):
        batch.run(_TAKE_SALE, id=sale_id, units=units)
        batch.sale_moved(sale_id)
    for merchant, rows in writes.effects.items():
        batch.run(batch.texts.insert_holds, rows=as_rows(rows), merchant=merchant)
    _write_common(batch, writes, "hold")
    if repeats:
        _answer_repeated_holds(batch, repeats, results)
    return results


def _hold_refused(
    sale: SaleRow | None,
    doors: dict[str, str | None],
    free: dict[str, int],
    used: dict[tuple[str, str], int],
    command: Hold,
) -> CommerceError | None:
    if sale is None or sale.merchant != command.merchant or sale.room != command.room:
        return NotFound("no such sale in this room")
    code = doors[sale.id]
    if code is None:
        if command.version is not None and command.version != sale.version:
            return Refused("price_changed", "the price has changed", price=sale.price, version=sale.version)
        left = free[sale.id]
        code = decide_hold(left, used.get((sale.id, command.person), 0), sale.per_person, command.quantity)
        if code is None:
            return None
        if code == "sold_out" and left:
            return Refused("sold_out", "not that many are left", left=left)
    return refusal(code)


def _answer_repeated_holds(batch: Batch, repeats: dict[int, str], results: list[HoldGranted | CommerceError]) -> None:
    stored = {row.id: row for row in batch.run(batch.texts.holds, rows=as_rows(set(repeats.values())))}
    for position, identifier in repeats.items():
        row = stored.get(identifier)
        if row is not None:
            results[position] = HoldGranted(row.id, row.quantity, row.price, row.expires_ms)


def run_claims(batch: Batch, commands: Sequence[Claim]) -> list[CouponGranted | CommerceError]:
    """Decide and write a run of coupon claims; results are in their order."""
    drops = batch.drops({command.drop for command in commands})
    left = {drop.id: drop.total - drop.issued for drop in drops.values()}
    used = _quotas(batch, {(command.drop, command.person) for command in commands})
    known = _known_requests(batch, commands, "claim")
    ids = batch.mint_many(len(commands))
    writes = _Writes()
    granted: dict[str, CouponGranted] = {}
    repeats: dict[int, str] = {}
    results: list[CouponGranted | CommerceError] = []
    for command, identifier in zip(commands, ids, strict=True):
        repeat = _repeat(known, command)
        if repeat is not None:
            results.append(_again(repeat, granted, repeats, len(results)))
            continue
        drop = drops.get(command.drop)
        refused = _claim_refused(batch, drop, left, used, command)
        if refused is not None or drop is None:
            results.append(refused or NotFound("no such drop"))
            continue
        pair = (drop.id, command.person)
        n = used.get(pair, 0) + 1
        left[drop.id] -= 1
        used[pair] = n
        expires_ms = batch.now_ms + drop.valid_ms
        effect = (identifier, drop.id, command.person, n, drop.title, drop.amount, drop.threshold, expires_ms)
        writes.add(command, drop.id, 1, effect)
        known[command.merchant, command.person, command.key] = (command.hash, identifier)
        view = CouponView(identifier, drop.id, drop.title, drop.amount, drop.threshold, expires_ms, "unused")
        batch.emit(CouponClaimed(batch.mint(), drop.merchant, drop.room, batch.now_ms, command.person, view))
        granted[identifier] = CouponGranted(identifier, drop.title, drop.amount, drop.threshold, expires_ms)
        results.append(granted[identifier])
    for drop_id, count in sorted(writes.taken.items()):
        batch.run(_ISSUE, id=drop_id, count=count)
        batch.drop_moved(drop_id)
    for merchant, rows in writes.effects.items():
        batch.run(batch.texts.insert_coupons, rows=as_rows(rows), merchant=merchant, now=batch.now_ms)
    _write_common(batch, writes, "claim")
    if repeats:
        stored = {row.id: row for row in batch.run(batch.texts.coupons, rows=as_rows(set(repeats.values())))}
        for position, identifier in repeats.items():
            row = stored.get(identifier)
            if row is not None:
                results[position] = CouponGranted(row.id, row.title, row.amount, row.threshold, row.expires_ms)
    return results


def _claim_refused(
    batch: Batch,
    drop: DropRow | None,
    left: dict[str, int],
    used: dict[tuple[str, str], int],
    command: Claim,
) -> CommerceError | None:
    if drop is None or drop.merchant != command.merchant or drop.room != command.room:
        return NotFound("no such coupon drop in this room")
    if drop.closed_ms is not None or batch.now_ms >= drop.ends_ms:
        return refusal("closed")
    code = decide_claim(left[drop.id], used.get((drop.id, command.person), 0), drop.per_person)
    if code is None:
        return None
    if code == "gone":
        batch.drop_refused(drop.id)
    return refusal(code)


def _write_common(batch: Batch, writes: _Writes, route: str) -> None:
    if writes.quotas:
        rows = as_rows((scope, person, units) for (scope, person), units in sorted(writes.quotas.items()))
        batch.run(batch.texts.raise_quotas, rows=rows)
    for merchant, requests in writes.requests.items():
        parameters = {"merchant": merchant, "route": route, "now": batch.now_ms}
        batch.run(batch.texts.insert_requests, rows=as_rows(requests), **parameters)
