"""Draws inside the ledger's transaction: opened with a commitment, entered, drawn by the duty, called off.

One core for all kinds (domain/draw.py says who wins). What is won is an ordinary hold or coupon:

    sale     a sale by draw: winners get holds of one unit, the others stand in the waiting list in the order drawn
    bag      prizes of a lucky bag: winners get holds; what nobody won goes back to the shelf
    packet   a red packet: winners get coupons without a threshold whose sum is at most the pool
    team     a lottery group: among its paid seats (teams_sql)
"""

import secrets
from collections.abc import Mapping, Sequence
from itertools import islice

from sqlalchemy import text

from commerce.deadlines_sql import arm, disarm
from commerce.domain.draw import (
    SEED_BYTES,
    DrawRow,
    commitment,
    decide_entry,
    ranking,
    shares,
)
from commerce.domain.sale import SaleMode, SaleRow
from commerce.errors import CommerceError, NotFound, Refused
from commerce.events import CouponClaimed, CouponView, DrawChanged, DrawView
from commerce.ledger_batch_sql import Batch, as_rows
from commerce.ledger_moments import Enter, Entered, Follow, Followed, OpenPacket, VoidDraw
from commerce.units_sql import close_sale, grant_holds
from commerce.views_moments_sql import draw_row, draw_view
from commerce.waiting_sql import enter_waiting

DUE = "draw"
"""The kind of a draw's deadline."""

_DRAW = text("SELECT * FROM draw WHERE id = :id")
_INSERT = text(
    "INSERT INTO draw (id, merchant, room, kind, subject, title, task, word, seed, commitment, winners, pool, least,"
    " valid_ms, opens_ms, closes_ms, announced) VALUES (:id, :merchant, :room, :kind, :subject, :title, :task, :word,"
    " :seed, :commitment, :winners, :pool, :least, :valid_ms, :opens, :closes, '')"
)
_MOVE = text("UPDATE draw SET opens_ms = :opens, closes_ms = :closes WHERE id = :id")
_COUNT = text("UPDATE draw SET entries = entries + :units WHERE id = :id")
_DRAWN = text("UPDATE draw SET drawn_ms = :now, won = :won WHERE id = :id AND drawn_ms IS NULL AND voided_ms IS NULL")
_VOID = text("UPDATE draw SET voided_ms = :now WHERE id = :id AND drawn_ms IS NULL AND voided_ms IS NULL")
# Who goes on as another counts by that one's ticket, if there is one (``merge`` leaves behind what both have).
_ENTRIES = text(
    "SELECT e.person, e.ticket, o.ticket AS other FROM draw_entry AS e"
    " LEFT JOIN person_alias AS a ON a.alias = e.person AND a.person <> e.person"
    " LEFT JOIN draw_entry AS o ON o.draw = e.draw AND o.person = a.person WHERE e.draw = :draw ORDER BY e.n"
)
_MAKE_VOID = text("UPDATE draw_entry SET void = 1 WHERE draw = :draw AND person = :person")
_PLACE = text(
    "UPDATE draw_entry SET place = :place, amount = :amount, prize = :prize WHERE draw = :draw AND person = :person"
)
_SALE_DRAWN = text("UPDATE sale SET drawn_ms = :now, announced = '' WHERE id = :id")
_GIVE_DRAW = text("UPDATE sale SET draw = :draw WHERE id = :id")
_UNFOLLOW = text("DELETE FROM follower WHERE merchant = :merchant AND person = :person")
_FOLLOWERS = text("SELECT count(*) FROM follower WHERE merchant = :merchant")


def find_draw(batch: Batch, draw: str) -> DrawRow | None:
    """One draw's row."""
    row = batch.run(_DRAW, id=draw).mappings().one_or_none()
    return None if row is None else draw_row(row)


def tell_draw(batch: Batch, draw: str) -> DrawView:
    """Tell of a draw as it is now."""
    row = find_draw(batch, draw)
    assert row is not None
    view = draw_view(batch.connection, row, batch.now_ms)
    batch.emit(DrawChanged(batch.mint(), row.merchant, row.room, batch.now_ms, view))
    return view


def insert_draw(batch: Batch, kind: str, subject: str | None, of: Mapping[str, object]) -> str:
    """Write a draw with a seed of its own; ``of`` has the other columns. Its deadline is the caller's matter."""
    draw = batch.mint()
    seed = secrets.token_bytes(SEED_BYTES)
    common = {"task": "none", "word": "", "pool": 0, "least": 0, "valid_ms": 0}
    parameters = {**common, **of, "id": draw, "kind": kind, "subject": subject}
    batch.run(_INSERT, seed=seed.hex(), commitment=commitment(seed), **parameters)
    return draw


def open_sale_draw(batch: Batch, sale: SaleRow, opens_ms: int, task: str = "none", word: str = "") -> None:
    """Publish the commitment of a sale's draw, or move the one that it has; entries are taken from ``opens_ms`` on."""
    closes_ms = opens_ms + sale.enter_ms
    draw = sale.draw
    if draw is None:
        kind = "bag" if sale.mode == SaleMode.BAG else "sale"
        of = {"merchant": sale.merchant, "room": sale.room, "title": sale.title, "task": task, "word": word}
        when = {"winners": sale.total, "opens": opens_ms, "closes": closes_ms}
        draw = insert_draw(batch, kind, sale.id, {**of, **when})
        batch.run(_GIVE_DRAW, draw=draw, id=sale.id)
    else:
        batch.run(_MOVE, id=draw, opens=opens_ms, closes=closes_ms)
    arm(batch, DUE, draw, closes_ms)
    tell_draw(batch, draw)


def rest_draw(batch: Batch, sale: SaleRow) -> None:
    """A paused sale's draw waits; ``open_sale_draw`` lets it go on."""
    if sale.draw is not None:
        disarm(batch, DUE, sale.draw)


def void_sale_draw(batch: Batch, sale: SaleRow) -> None:
    """A sale was closed: its draw, unless it was drawn, is called off."""
    if sale.draw is not None and batch.run(_VOID, id=sale.draw, now=batch.now_ms).rowcount:
        disarm(batch, DUE, sale.draw)
        tell_draw(batch, sale.draw)


def open_packet(batch: Batch, command: OpenPacket) -> DrawView:
    """Open a red packet."""
    of = {
        "merchant": command.merchant,
        "room": command.room,
        "title": command.title,
        "task": command.task,
        "word": command.word,
        "winners": command.winners,
        "pool": command.pool,
        "least": command.least,
        "valid_ms": command.valid_ms,
        "opens": batch.now_ms,
        "closes": batch.now_ms + command.enter_ms,
    }
    draw = insert_draw(batch, "packet", None, of)
    arm(batch, DUE, draw, batch.now_ms + command.enter_ms)
    return tell_draw(batch, draw)


def void_draw(batch: Batch, command: VoidDraw) -> DrawView:
    """Call a bag or packet off. Raises NotFound, Refused (already) when it was drawn."""
    draw = find_draw(batch, command.draw)
    if draw is None or draw.merchant != command.merchant or draw.kind not in ("bag", "packet"):
        raise NotFound("no such draw")
    if draw.drawn_ms is not None:
        raise Refused("already", "it was drawn")
    if draw.kind == "bag" and draw.subject is not None:
        sale = batch.sales([draw.subject])[draw.subject]
        close_sale(batch, sale)
        void_sale_draw(batch, sale)
    elif batch.run(_VOID, id=draw.id, now=batch.now_ms).rowcount:
        disarm(batch, DUE, draw.id)
        tell_draw(batch, draw.id)
    after = find_draw(batch, draw.id)
    assert after is not None
    return draw_view(batch.connection, after, batch.now_ms)


def run_entries(batch: Batch, commands: Sequence[Enter]) -> list[Entered | CommerceError]:
    """Decide and write a run of entries; results are in their order. Who has entered gets the same ticket again."""
    groups: dict[str, list[int]] = {}
    for position, command in enumerate(commands):
        groups.setdefault(command.draw, []).append(position)
    results: dict[int, Entered | CommerceError] = {}
    for draw_id, positions in groups.items():
        draw = find_draw(batch, draw_id)
        if draw is None:
            results.update((position, NotFound("no such draw in this room")) for position in positions)
        else:
            results.update(_enter(batch, draw, {position: commands[position] for position in positions}))
    return [results[position] for position in range(len(commands))]


def _enter(batch: Batch, draw: DrawRow, numbered: dict[int, Enter]) -> dict[int, Entered | CommerceError]:
    people = as_rows(sorted({command.person for command in numbered.values()}))
    have = {
        row.person: Entered(draw.id, row.ticket, row.n)
        for row in batch.run(batch.texts.entries, rows=people, draw=draw.id)
    }
    results: dict[int, Entered | CommerceError] = {}
    rows: list[tuple[str, str, int]] = []
    for (position, command), ticket in zip(numbered.items(), batch.mint_many(len(numbered)), strict=True):
        if draw.merchant != command.merchant or draw.room != command.room or draw.kind == "team":
            results[position] = NotFound("no such draw in this room")
            continue
        if command.person not in have:
            code = decide_entry(draw, draw.entries + len(rows), batch.now_ms)
            if code is None and draw.task == "follow" and not command.follow:
                code = "task"
            if code is not None:
                results[position] = Refused(code, _WHY[code])
                continue
            rows.append((command.person, ticket, draw.entries + len(rows) + 1))
            have[command.person] = Entered(draw.id, ticket, rows[-1][2])
        results[position] = have[command.person]
    if rows:
        packed = as_rows(rows)
        batch.run(batch.texts.insert_entries, rows=packed, draw=draw.id)
        batch.run(_COUNT, id=draw.id, units=len(rows))
        if draw.task == "follow":
            batch.run(batch.texts.insert_followers, rows=packed, merchant=draw.merchant, now=batch.now_ms)
        tell_draw(batch, draw.id)
    return results


_WHY = {
    "not_open": "entries are not open yet",
    "closed": "entries are over",
    "gone": "the draw takes no more entries",
    "task": "follow the shop to enter",
}


def follow(batch: Batch, command: Follow) -> Followed:
    """Follow the shop, or not; doing it twice changes nothing."""
    if command.on:
        rows = as_rows([(command.person,)])
        batch.run(batch.texts.insert_followers, rows=rows, merchant=command.merchant, now=batch.now_ms)
    else:
        batch.run(_UNFOLLOW, merchant=command.merchant, person=command.person)
    return Followed(command.on, int(batch.run(_FOLLOWERS, merchant=command.merchant).scalar_one()))


def draw_due(batch: Batch, draw_id: str) -> None:
    """Draw, and give out what was won: what the duty does at a draw's deadline."""
    draw = find_draw(batch, draw_id)
    if draw is None or draw.drawn_ms is not None or draw.voided_ms is not None:
        return
    entries, order = rank_entries(batch, draw)
    if draw.kind == "packet":
        won = _give_shares(batch, draw, entries, order)
    else:
        won = _give_units(batch, draw, entries, order)
    batch.run(_DRAWN, id=draw.id, now=batch.now_ms, won=won)
    tell_draw(batch, draw.id)


def rank_entries(batch: Batch, draw: DrawRow) -> tuple[dict[str, str], list[str]]:
    """The person of each ticket in order of entry, and the tickets that may win, first place first.

    One entry per person: of two that have become one person only one can win, the other is made void.
    """
    rows = batch.run(_ENTRIES, draw=draw.id).all()
    void = {row.ticket: row.person for row in rows if row.other is not None}
    batch.run_many(_MAKE_VOID, [{"draw": draw.id, "person": person} for person in void.values()])
    entries = {row.ticket: row.person for row in rows}
    return entries, ranking(bytes.fromhex(draw.seed), list(entries), void)


def _give_units(batch: Batch, draw: DrawRow, entries: dict[str, str], order: list[str]) -> int:
    assert draw.subject is not None
    sale = batch.sales([draw.subject])[draw.subject]
    lucky = [entries[ticket] for ticket in islice(order, min(sale.free, draw.winners))]
    holds = grant_holds(batch, sale, lucky, batch.now_ms + sale.hold_ms, "draw")
    place_winners(batch, draw.id, [(person, 0, hold) for person, hold in zip(lucky, holds, strict=True)])
    batch.run(_SALE_DRAWN, id=sale.id, now=batch.now_ms)
    if sale.mode == SaleMode.BAG:
        close_sale(batch, batch.sales([sale.id])[sale.id])
    else:
        enter_waiting(batch, sale, [entries[ticket] for ticket in order[len(lucky) :]])
    batch.sale_moved(sale.id)
    return len(lucky)


def place_winners(batch: Batch, draw: str, won: Sequence[tuple[str, int, str]]) -> None:
    """Write (person, amount, prize) of the winners, first place first."""
    # Row by row, as each is looked up by its key: an UPDATE joined to a parameter scanned the table once per winner.
    rows = [
        {"draw": draw, "person": person, "place": place, "amount": amount, "prize": prize}
        for place, (person, amount, prize) in enumerate(won)
    ]
    batch.run_many(_PLACE, rows)


_PLAIN = {"threshold": 0, "percent": 0, "stack": "", "reason": "", "issuer": ""}
"""Terms of a packet's coupons: an amount off whatever is bought, alone, at the shop's own cost."""


def _give_shares(batch: Batch, draw: DrawRow, entries: dict[str, str], order: list[str]) -> int:
    parts = shares(bytes.fromhex(draw.seed), list(entries), draw.pool, draw.winners, draw.least)
    lucky = [entries[ticket] for ticket in order[: draw.winners]]
    coupons = batch.mint_many(len(lucky))
    expires_ms = batch.now_ms + draw.valid_ms
    won = list(zip(lucky, parts, coupons, strict=False))
    for person, amount, coupon in won:
        given = {"merchant": draw.merchant, "drop": draw.id, "title": draw.title, "amount": amount, **_PLAIN}
        # One statement a coupon, as each has its own amount; a packet has some hundred shares, not thousands.
        batch.run(
            batch.texts.insert_coupons,
            rows=as_rows([(coupon, person, "", "", 1, 1)]),
            expires_ms=expires_ms,
            now=batch.now_ms,
            **given,
        )
        view = CouponView(coupon, draw.id, draw.title, amount, 0, expires_ms, "unused")
        batch.emit(CouponClaimed(batch.mint(), draw.merchant, draw.room, batch.now_ms, person, view))
    # Counted like those of a drop, so that one rule holds for all coupons.
    counted = as_rows((person, 1, None) for person, _, _ in sorted(won))
    batch.run(batch.texts.raise_quotas, rows=counted, scope=draw.id)
    place_winners(batch, draw.id, won)
    return len(won)
