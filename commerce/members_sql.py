# ruff: noqa: S608 (statements are put together from constants)
"""Members inside the ledger's transaction: terms, tiers, what a payment earns, sign-in, gifts, the points' clock."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, Row, text

from commerce import points_sql
from commerce.accounts_sql import balances
from commerce.domain.day import DAY_MS, day_of
from commerce.domain.member import (
    Program,
    points_for,
    sign_in_points,
    streak_after,
    tier_at,
)
from commerce.domain.money import portion
from commerce.drops_sql import give_open
from commerce.errors import Refused
from commerce.freight_sql import CARRIED, EARNS, EARNS_BACK, earning_of
from commerce.ledger_batch_sql import Batch
from commerce.ledger_members import MemberView, SetProgram, SignedIn, SignIn
from commerce.memberships_sql import benefits_of
from commerce.wallet_sql import read_program

_SET_PROGRAM = text(
    "INSERT INTO member_program (merchant, terms, version, staff, updated_ms)"
    " VALUES (:merchant, :terms, 1, :staff, :now) ON CONFLICT (merchant) DO UPDATE SET terms = excluded.terms,"
    " version = member_program.version + 1, staff = excluded.staff, updated_ms = excluded.updated_ms"
)
_MEMBER = text("SELECT * FROM member WHERE merchant = :merchant AND person = :person")
# In rooms and in stores alike.
_SPENT = text(
    f"SELECT coalesce(sum(spent), 0) AS spent FROM (SELECT sum({EARNS} - {EARNS_BACK}) AS spent"
    f" FROM orders AS o {CARRIED} WHERE o.merchant = :merchant AND o.person = :person AND o.kind = 'goods'"
    " AND o.status NOT IN ('pending', 'cancelled')"
    " UNION ALL SELECT sum(amount - refunded) FROM pos_receipt WHERE merchant = :merchant AND person = :person) AS sold"
)
_SET_MEMBER = text(
    "INSERT INTO member (merchant, person, spent, tier, updated_ms) VALUES (:merchant, :person, :spent, :tier, :now)"
    " ON CONFLICT (merchant, person) DO UPDATE SET spent = excluded.spent, tier = excluded.tier,"
    " updated_ms = excluded.updated_ms"
)
_SIGNED = text(
    "INSERT INTO member (merchant, person, spent, tier, signed_day, streak, updated_ms)"
    " VALUES (:merchant, :person, 0, 0, :day, :streak, :now) ON CONFLICT (merchant, person)"
    " DO UPDATE SET signed_day = excluded.signed_day, streak = excluded.streak, updated_ms = excluded.updated_ms"
)
_DAY = text("SELECT * FROM sign_in WHERE merchant = :merchant AND person = :person AND day = :day")
_INSERT_DAY = text(
    "INSERT INTO sign_in (merchant, person, day, streak, points, coupon, created_ms)"
    " VALUES (:merchant, :person, :day, :streak, :points, :coupon, :now)"
)
_GIFT = text(
    "INSERT INTO payment_gift (payment, merchant, order_id, person, points, coupon, created_ms)"
    " VALUES (:payment, :merchant, :order, :person, :points, :coupon, :now) ON CONFLICT (payment) DO NOTHING"
)
_NEXT_EXPIRY = text(
    "SELECT expires_ms, sum(left_units) AS points FROM points_lot WHERE merchant = :merchant AND person = :person"
    " AND state = 'ready' AND left_units > 0 GROUP BY expires_ms ORDER BY expires_ms LIMIT 1"
)
_WALLET = ("points", "points_pending", "points_held", "points_owed", "principal", "bonus")


def set_program(batch: Batch, command: SetProgram) -> Program:
    """Write a shop's terms: they hold for what happens from now on."""
    terms = orjson.dumps(command.program.as_json()).decode()
    batch.run(_SET_PROGRAM, merchant=command.merchant, terms=terms, staff=command.staff, now=batch.now_ms)
    return command.program


@dataclass(frozen=True, slots=True)
class Standing:
    """What a person's purse and tier are."""

    tier: int
    spent: int
    on: dict[str, int]
    streak: int
    signed_day: str | None


def standing(connection: Connection, merchant: str, person: str) -> Standing:
    """Read a person's tier and balances."""
    on = balances(connection, merchant, person, _WALLET)
    row = connection.execute(_MEMBER, {"merchant": merchant, "person": person}).one_or_none()
    if row is None:
        return Standing(0, 0, on, 0, None)
    return Standing(row.tier, row.spent, on, row.streak, row.signed_day)


def read_member(connection: Connection, merchant: str, person: str, now_ms: int) -> MemberView:
    """A person's membership as they see it."""
    program, now = read_program(connection, merchant), standing(connection, merchant, person)
    expiry = connection.execute(_NEXT_EXPIRY, {"merchant": merchant, "person": person}).first()
    today = day_of(now_ms)
    signed = now.signed_day == today
    # A streak that was not kept up yesterday or today has ended.
    on = signed or streak_after(now.signed_day, now.streak, today) > 1
    tiers = program.tiers
    return MemberView(
        person=person,
        tier=now.tier,
        tier_name=tiers[now.tier - 1].name if 0 < now.tier <= len(tiers) else "",
        spent=now.spent,
        next_tier=tiers[now.tier].name if now.tier < len(tiers) else None,
        next_spent=tiers[now.tier].spent if now.tier < len(tiers) else None,
        points=now.on["points"],
        points_pending=now.on["points_pending"],
        points_owed=-now.on["points_owed"],
        points_expire=None if expiry is None else expiry.expires_ms,
        points_expiring=0 if expiry is None else expiry.points,
        principal=now.on["principal"],
        bonus=now.on["bonus"],
        signed_today=signed,
        streak=now.streak if on else 0,
        sign_in=bool(program.sign_in),
        points_percent=program.points_percent,
    )


def rank(batch: Batch, merchant: str, person: str, program: Program) -> int:
    """Recompute what a person has spent and the tier that it gives; the tier."""
    row = batch.one(_SPENT, merchant=merchant, person=person)
    assert row is not None
    tier = tier_at(program, row.spent)
    batch.run(_SET_MEMBER, merchant=merchant, person=person, spent=row.spent, tier=tier, now=batch.now_ms)
    return tier


def order_paid(batch: Batch, row: Row[Any], payment: str) -> None:
    """What a payment brings its buyer: points that wait, perhaps a gift, a tier. ``row`` is the order as paid."""
    if row.kind != "goods":
        return
    program = read_program(batch.connection, row.merchant)
    # By the tier before this order: what lifts somebody into a tier does not count by it.
    tier = standing(batch.connection, row.merchant, row.person).tier
    more = benefits_of(batch.connection, row.merchant, row.person, batch.now_ms).points_percent
    earning = earning_of(batch.connection, row.id, row.amount)
    paid = earning - portion(row.bonus, earning, row.amount)
    points = points_for(program, tier, paid, batch.now_ms, more)
    points_sql.grant(batch, row.merchant, row.person, points, "order", row.id)
    _give_gift(batch, row, payment, program, earning)
    rank(batch, row.merchant, row.person, program)


def _give_gift(batch: Batch, row: Row[Any], payment: str, program: Program, paid: int) -> None:
    """The gift of a payment, at most once: the row's key is the payment's."""
    if paid < program.gift_amount:
        return
    points = program.gift_points
    coupons = give_open(batch, row.merchant, row.person, "gift", f"gift-{payment}")
    if not points and not coupons:
        return
    gift = {"merchant": row.merchant, "order": row.id, "person": row.person, "now": batch.now_ms}
    coupon = coupons[0] if coupons else None
    if batch.run(_GIFT, payment=payment, points=points, coupon=coupon, **gift).rowcount:
        points_sql.grant(batch, row.merchant, row.person, points, "gift", row.id)


def order_refunded(batch: Batch, row: Row[Any]) -> None:
    """A refund changes what was spent, and so perhaps the tier."""
    if row.kind == "goods":
        rank(batch, row.merchant, row.person, read_program(batch.connection, row.merchant))


def order_done(batch: Batch, row: Row[Any]) -> None:
    """From here on the refund window of the order's points runs."""
    program = read_program(batch.connection, row.merchant)
    points_sql.order_done(batch, row.id, batch.now_ms + program.window_days * DAY_MS)


def sign_in(batch: Batch, command: SignIn) -> SignedIn:
    """Sign in for the day, once: asking again the same day gives the same answer. Raises Refused (not_open)."""
    program = read_program(batch.connection, command.merchant)
    today = day_of(batch.now_ms)
    who = {"merchant": command.merchant, "person": command.person}
    done = batch.one(_DAY, day=today, **who)
    if done is not None:
        return SignedIn(done.day, done.streak, done.points, done.coupon, fresh=False)
    now = batch.one(_MEMBER, **who)
    streak = streak_after(None if now is None else now.signed_day, 0 if now is None else now.streak, today)
    points = sign_in_points(program, streak)
    coupons = give_open(batch, command.merchant, command.person, "sign_in", f"sign-{today}")
    if not program.sign_in and not coupons:
        raise Refused("not_open", "this shop has no sign-in")
    coupon = coupons[0] if coupons else None
    batch.run(_INSERT_DAY, day=today, streak=streak, points=points, coupon=coupon, now=batch.now_ms, **who)
    batch.run(_SIGNED, day=today, streak=streak, now=batch.now_ms, **who)
    expires_ms = batch.now_ms + program.valid_days * DAY_MS
    points_sql.grant(batch, command.merchant, command.person, points, "sign_in", today, expires_ms=expires_ms)
    return SignedIn(today, streak, points, coupon, fresh=True)


def sweep_points(batch: Batch, limit: int) -> bool:
    """Make points ready, end old ones; whether there may be more."""
    merchants = points_sql.due_merchants(batch, limit)
    valid = {name: read_program(batch.connection, name).valid_days * DAY_MS for name in merchants}
    ready = points_sql.take_ready(batch, valid, limit)
    return ready >= limit or points_sql.expire(batch, limit) >= limit


HANDLERS: Mapping[type, Callable[[Batch, Any], Any]] = {SetProgram: set_program, SignIn: sign_in}
