"""Partners of another trade, read and (rarely) written outside the ledger: who, what was agreed, who came."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, bindparam, text

from commerce.attribution.decision import DAY_MS, Binding
from commerce.domain.partner import Contract
from commerce.errors import Conflict, NotFound, Refused
from commerce.identity.merge_sql import survivor
from commerce.partner_share_sql import agreed, contract

PARTNERS_MAX = 1_000
"""Partners of one merchant: a list of the shop's neighbours, read whole."""
CONTRACTS_MAX = 100
"""Contracts of one partner that are read: one a year is many."""
STATES = ("active", "paused", "ended")

Row = dict[str, Any]

_INSERT = text(
    "INSERT INTO partner (id, merchant, name, trade, counterpart, owner, state, created_ms)"
    " VALUES (:id, :merchant, :name, :trade, :counterpart, :owner, 'active', :now)"
)
_COUNT = text("SELECT count(*) FROM partner WHERE merchant = :merchant")
_ONE = text("SELECT * FROM partner WHERE id = :id AND merchant = :merchant")
_KNOWN = text("SELECT * FROM partner WHERE id = :id")
_SAME = text(
    "SELECT 1 FROM partner WHERE merchant = :merchant AND counterpart = :counterpart AND state <> 'ended' LIMIT 1"
)
_MERCHANT = text("SELECT name FROM merchant WHERE id = :id")
_PERSON = text("SELECT 1 FROM person WHERE id = :id AND merchant = :merchant")
_SET = text("UPDATE partner SET state = :state, name = :name, trade = :trade WHERE id = :id")
_KEY = text("UPDATE partner SET key_generation = key_generation + 1, key_ms = :now WHERE id = :id")
_PROPOSE = text(
    "INSERT INTO partner_contract (id, partner, merchant, state, since, until, days, first_only, cap_order, cap_month,"
    " sees, rates, coupon_bp, note, proposed_ms, proposed_by, decided_ms, decided_by) VALUES (:id, :partner, :merchant,"
    " :state, :since, :until, :days, :first_only, :cap_order, :cap_month, :sees, :rates, :coupon_bp, :note, :now, :by,"
    " :decided_ms, :decided_by)"
)
_DROP_PROPOSED = text(
    "UPDATE partner_contract SET state = 'refused', closed_ms = :now, decided_ms = :now, decided_by = :by"
    " WHERE partner = :partner AND state = 'proposed'"
)
_CLOSE = text(
    "UPDATE partner_contract SET state = 'closed', closed_ms = :now WHERE partner = :partner AND state = 'agreed'"
)
_DECIDE = text(
    "UPDATE partner_contract SET state = :state, decided_ms = :now, decided_by = :by"
    " WHERE id = :id AND state = 'proposed'"
)
_CONTRACT = text("SELECT * FROM partner_contract WHERE id = :id")
_CONTRACTS = text("SELECT * FROM partner_contract WHERE partner = :partner ORDER BY id DESC LIMIT :limit")
_LIST = (
    "SELECT p.*, m.name AS merchant_name, c.name AS counterpart_name, a.balance AS available, f.balance AS frozen,"
    " g.balance AS pending, l.balance AS leaving, (SELECT count(DISTINCT coalesce(i.person, v.person))"
    " FROM partner_visit AS v LEFT JOIN person_alias AS i ON i.alias = v.person WHERE v.partner = p.id)"
    " AS visitors, (SELECT count(*) FROM partner_sale AS s WHERE s.partner = p.id) AS sales FROM partner AS p"
    " JOIN merchant AS m ON m.id = p.merchant LEFT JOIN merchant AS c ON c.id = p.counterpart"
    " LEFT JOIN account AS a ON a.merchant = p.merchant AND a.owner = p.id AND a.kind = 'share_available'"
    " LEFT JOIN account AS f ON f.merchant = p.merchant AND f.owner = p.id AND f.kind = 'share_frozen'"
    " LEFT JOIN account AS g ON g.merchant = p.merchant AND g.owner = p.id AND g.kind = 'share_pending'"
    " LEFT JOIN account AS l ON l.merchant = p.merchant AND l.owner = p.id AND l.kind = 'share_leaving'"
)
_OF_MERCHANT = text(f"{_LIST} WHERE p.merchant = :merchant ORDER BY p.id DESC LIMIT :limit")
_OF_COUNTERPART = text(f"{_LIST} WHERE p.counterpart = :merchant ORDER BY p.id DESC LIMIT :limit")
_ALONE = text(f"{_LIST} WHERE p.id = :id")
_TITLES = text(
    "SELECT s.id, p.title FROM sku AS s JOIN product AS p ON p.id = s.product WHERE s.merchant = :merchant"
    " AND s.id IN :skus"
).bindparams(bindparam("skus", expanding=True))
_STANDING = text("SELECT id, state FROM partner WHERE merchant = :merchant AND id IN :ids").bindparams(
    bindparam("ids", expanding=True)
)
_VISIT = text(
    "INSERT INTO partner_visit (merchant, person, partner, link, channel, first_ms, last_ms) VALUES (:merchant,"
    " :person, :partner, :link, :channel, :now, :now) ON CONFLICT (merchant, person, partner) DO UPDATE SET"
    " link = excluded.link, channel = excluded.channel, last_ms = excluded.last_ms"
    " WHERE partner_visit.last_ms < excluded.last_ms"
)
_VISITS = text("SELECT * FROM partner_visit WHERE merchant = :merchant AND person IN :persons").bindparams(
    bindparam("persons", expanding=True)
)


# --- what the decision asks ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether a partner may be credited now, and for how many days after a visit."""

    active: bool
    days: int


def standing(db: Connection, merchant: str, issuers: Sequence[str], now_ms: int) -> dict[str, Standing]:
    """Those of some issuers who are partners of a merchant, as they stand."""
    found: dict[str, Standing] = {}
    if not issuers:
        return found
    for row in db.execute(_STANDING, {"merchant": merchant, "ids": sorted(set(issuers))}).all():
        now = agreed(db, row.id)
        terms = None if now is None else contract(now)
        holds = terms is not None and row.state == "active" and terms.holds_at(now_ms)
        found[row.id] = Standing(holds, 0 if terms is None else terms.days)
    return found


def visit(db: Connection, merchant: str, person: str, partner: str, link: str, channel: str, now_ms: int) -> bool:
    """Note that a person came by a partner's code; whether that is one of the merchant's partners."""
    if db.execute(_ONE, {"id": partner, "merchant": merchant}).one_or_none() is None:
        return False
    row = {"merchant": merchant, "person": survivor(db, person), "partner": partner, "link": link, "channel": channel}
    db.execute(_VISIT, {**row, "now": now_ms})
    return True


def visits(db: Connection, merchant: str, persons: Sequence[str], now_ms: int) -> list[Binding]:
    """A person's last visits by each partner, under all ids that they have had, as the decision judges them."""
    rows = db.execute(_VISITS, {"merchant": merchant, "persons": list(persons)}).all()
    if not rows:
        return []
    stand = standing(db, merchant, [row.partner for row in rows], now_ms)
    found = []
    for row in rows:
        at = stand.get(row.partner, Standing(False, 0))
        problem = None if at.active else "the contract with the partner does not stand"
        name = f"{row.partner}:{row.person}"
        days = max(1, at.days)
        found.append(
            Binding(name, row.last_ms, row.partner, "partner", days, -1, row.link, row.channel, problem=problem)
        )
    return found


def too_old(standing: Mapping[str, Standing], issuer: str, touched_ms: int, now_ms: int) -> str | None:
    """Why a touch of a partner counts no more, in words; None when it does, and for anybody else's."""
    found = standing.get(issuer)
    if found is None:
        return None
    if not found.active:
        return "the contract with the partner does not stand"
    return f"the contract counts {found.days} days" if touched_ms + found.days * DAY_MS < now_ms else None


# --- partners and contracts ------------------------------------------------------------------------------------------


def add(db: Connection, **row: Any) -> None:
    """Write a partner. Raises NotFound (counterpart, owner), Refused (limit, already)."""
    if db.execute(_COUNT, {"merchant": row["merchant"]}).scalar_one() >= PARTNERS_MAX:
        raise Refused("limit", f"a shop has at most {PARTNERS_MAX} partners")
    if row["counterpart"] is not None:
        if row["counterpart"] == row["merchant"]:
            raise Refused("not_open", "nobody is their own partner")
        if db.execute(_MERCHANT, {"id": row["counterpart"]}).one_or_none() is None:
            raise NotFound("no such merchant on this server", field="counterpart")
        if db.execute(_SAME, {"merchant": row["merchant"], "counterpart": row["counterpart"]}).first() is not None:
            raise Refused("already", "this merchant is a partner: propose another contract to it")
    person = {"id": row["owner"], "merchant": row["merchant"]}
    if row["owner"] is not None and db.execute(_PERSON, person).one_or_none() is None:
        raise NotFound("no such person", field="owner")
    db.execute(_INSERT, row)


def propose(db: Connection, partner: str, merchant: str, wanted: Contract, row: Mapping[str, Any]) -> str:
    """Write a contract, agreed at once where the partner is not on this server; its state.

    What was proposed before and not decided is proposed no more. Raises NotFound, Refused (not_open).
    """
    found = one(db, merchant, partner)
    if found["state"] == "ended":
        raise Refused("not_open", "this partnership has ended: record a new partner")
    state = "agreed" if found["counterpart"] is None else "proposed"
    db.execute(_DROP_PROPOSED, {"partner": partner, "now": row["now"], "by": row["by"]})
    if state == "agreed":
        db.execute(_CLOSE, {"partner": partner, "now": row["now"]})
    done = state == "agreed"
    db.execute(
        _PROPOSE,
        {
            **row,
            "partner": partner,
            "merchant": merchant,
            "state": state,
            "since": wanted.since,
            "until": wanted.until,
            "days": wanted.days,
            "first_only": wanted.first_only,
            "cap_order": wanted.cap_order,
            "cap_month": wanted.cap_month,
            "sees": wanted.sees,
            "coupon_bp": wanted.coupon_bp,
            "rates": orjson.dumps([rate.to_json() for rate in wanted.rates]).decode(),
            "decided_ms": row["now"] if done else None,
            "decided_by": row["by"] if done else None,
        },
    )
    return state


def decide(db: Connection, counterpart: str, identifier: str, state: str, by: str, now_ms: int) -> None:
    """The other merchant agrees to a contract, or refuses it. Raises NotFound, Conflict (decided before)."""
    row = db.execute(_CONTRACT, {"id": identifier}).one_or_none()
    found = None if row is None else db.execute(_KNOWN, {"id": row.partner}).one()
    if row is None or found is None or found.counterpart != counterpart:
        raise NotFound("no such contract")
    if row.state != "proposed":
        raise Conflict(f"this contract is {row.state}")
    if state == "agreed":
        db.execute(_CLOSE, {"partner": row.partner, "now": now_ms})
    db.execute(_DECIDE, {"id": identifier, "state": state, "by": by, "now": now_ms})


def one(db: Connection, merchant: str, partner: str) -> Row:
    """A partner of a merchant. Raises NotFound."""
    found = db.execute(_ONE, {"id": partner, "merchant": merchant}).mappings().one_or_none()
    if found is None:
        raise NotFound("no such partner")
    return dict(found)


def of_counterpart(db: Connection, counterpart: str, partner: str) -> Row:
    """A partnership in which a merchant is the partner. Raises NotFound."""
    found = db.execute(_KNOWN, {"id": partner}).mappings().one_or_none()
    if found is None or found["counterpart"] != counterpart:
        raise NotFound("no such partnership")
    return dict(found)


def known(db: Connection, partner: str) -> Row | None:
    """A partner, whosever it is."""
    found = db.execute(_KNOWN, {"id": partner}).mappings().one_or_none()
    return None if found is None else dict(found)


def change(db: Connection, merchant: str, partner: str, given: Mapping[str, Any], now_ms: int) -> None:
    """Change name, trade or state; one that ended stays so, its contract closed. Raises NotFound, Refused."""
    had = one(db, merchant, partner)
    if had["state"] == "ended":
        raise Refused("already", "this partnership has ended")
    wanted = {name: given.get(name) or had[name] for name in ("state", "name", "trade")}
    db.execute(_SET, {"id": partner, **wanted})
    if wanted["state"] == "ended":
        db.execute(_CLOSE, {"partner": partner, "now": now_ms})
        db.execute(_DROP_PROPOSED, {"partner": partner, "now": now_ms, "by": merchant})


def renew_key(db: Connection, merchant: str, partner: str, now_ms: int) -> int:
    """Make the partner's former key void; the new one's generation. Raises NotFound."""
    one(db, merchant, partner)
    db.execute(_KEY, {"id": partner, "now": now_ms})
    return int(one(db, merchant, partner)["key_generation"])


def page(db: Connection, merchant: str, *, incoming: bool) -> list[Row]:
    """A merchant's partners, or the partnerships in which it is the partner, newest first, with their contracts."""
    query = _OF_COUNTERPART if incoming else _OF_MERCHANT
    rows = [dict(row) for row in db.execute(query, {"merchant": merchant, "limit": PARTNERS_MAX}).mappings()]
    return [_whole(db, row) for row in rows]


def alone(db: Connection, partner: str) -> Row:
    """One partner with its contracts and sums."""
    return _whole(db, dict(db.execute(_ALONE, {"id": partner}).mappings().one()))


def _whole(db: Connection, row: Row) -> Row:
    sums = {name: row[name] or 0 for name in ("pending", "frozen", "available", "leaving")}
    contracts = db.execute(_CONTRACTS, {"partner": row["id"], "limit": CONTRACTS_MAX}).mappings()
    found = [{**one, "rates": orjson.loads(one["rates"])} for one in contracts]
    skus = sorted({rate["target"] for one in found for rate in one["rates"] if rate["scope"] == "sku"})
    asked = {"merchant": row["merchant"], "skus": skus}
    titles = {sku.id: sku.title for sku in db.execute(_TITLES, asked)} if skus else {}
    for one in found:
        one["rates"] = [{**rate, "title": titles.get(rate["target"], "")} for rate in one["rates"]]
    return {**row, **sums, "contracts": found}
