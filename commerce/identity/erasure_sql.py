# ruff: noqa: S608 (statements are put together from this module's constants alone)
"""A person is forgotten, inside the ledger's transaction: what names them goes, what other laws want kept stays.

What becomes of each table is said in ``holdings.py``; what stays and why in docs/compliance.md.
"""

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import text

from commerce.domain.order import Fulfilment
from commerce.errors import Refused
from commerce.identity.join import Erase, Erased
from commerce.identity.join_sql import known, log
from commerce.identity.merge_sql import aliases_of, survivor
from commerce.keepers_sql import dismiss
from commerce.ledger_batch_sql import Batch
from commerce.org_sql import take_turn

ORDER_OPEN = (
    "(o.status = 'pending' OR (o.status IN ('paid', 'fulfilled', 'partly_refunded')"
    f" AND o.fulfilment <> '{Fulfilment.DONE}' AND o.kind = 'goods' AND NOT EXISTS"
    " (SELECT 1 FROM presale AS p WHERE p.id = o.id AND p.balance IS NOT NULL)))"
)
"""Whether order ``o`` still needs its buyer: money or goods are to come.

A partly refunded order keeps that status when its goods have arrived; what only buys stored value has no goods; and of
a presale the balance's order is the one that brings them.
"""
_ALIASES_AND_SELF = "SELECT alias FROM person_alias WHERE person = :person UNION SELECT :person"
_THEIRS = f"person IN ({_ALIASES_AND_SELF})"
_ERASE = (
    text(f"DELETE FROM person_phone WHERE {_THEIRS}"),
    text(f"UPDATE person SET name = '' WHERE id IN ({_ALIASES_AND_SELF})"),
    text(
        "UPDATE merge_conflict SET state = 'dismissed', value = '', sealed = NULL, decided_ms = :now, decided_by = :by"
        f" WHERE merchant = :merchant AND ({_THEIRS} OR other IN ({_ALIASES_AND_SELF}))"
    ),
    text(f"UPDATE orders SET delivery = NULL WHERE merchant = :merchant AND {_THEIRS}"),
    *(
        text(f"DELETE FROM {table} WHERE merchant = :merchant AND {_THEIRS}")
        for table in ("person_tag", "person_day", "person_stage", "customer_advisor")
    ),
    *(
        text(f"DELETE FROM {table} WHERE {what} IN (SELECT id FROM {what} WHERE merchant = :merchant) AND {_THEIRS}")
        # What is still to run would write to them.
        for table, what in (("automation_run", "automation"), ("popup_shown", "popup"))
    ),
    text(
        "UPDATE message SET body = '{}', state = CASE WHEN state = 'waiting' THEN 'dropped' ELSE state END"
        f" WHERE merchant = :merchant AND {_THEIRS}"
    ),
    # An engraving is often a name. What it cost is in the price.
    text(
        "UPDATE order_line SET wishes = '[]' WHERE wishes IS NOT NULL AND order_id IN"
        f" (SELECT id FROM orders WHERE merchant = :merchant AND {_THEIRS})"
    ),
    text(
        "UPDATE custom_request SET words = '', wishes = '[]', answer = '',"
        " state = CASE WHEN state IN ('asked', 'offered') THEN 'withdrawn' ELSE state END"
        f" WHERE merchant = :merchant AND {_THEIRS}"
    ),
    text(f"DELETE FROM custom_picture WHERE merchant = :merchant AND {_THEIRS}"),
    # The tracking number leads to who sent it.
    text(
        "UPDATE after_sale SET words = '', answer = '', carrier = '', number = ''"
        f" WHERE merchant = :merchant AND {_THEIRS}"
    ),
    # Words and numbers of a complaint; that there was one, when, and whether it was answered stays.
    text(f"UPDATE complaint SET text = '', contact = '', answer = '' WHERE merchant = :merchant AND {_THEIRS}"),
    text(f"UPDATE ticket SET name = '' WHERE merchant = :merchant AND {_THEIRS}"),
    text(f"UPDATE credit_line SET name = '' WHERE merchant = :merchant AND {_THEIRS}"),
    # When they were asked for which sum stays with the debt; the words are about them.
    text(f"UPDATE credit_reminder SET note = '' WHERE merchant = :merchant AND {_THEIRS}"),
    # Whose customers ask an advisor: the account stays, who it is as a customer does not.
    text(f"UPDATE advisor SET person = NULL WHERE merchant = :merchant AND {_THEIRS}"),
    text(f"UPDATE partner SET owner = NULL WHERE merchant = :merchant AND owner IN ({_ALIASES_AND_SELF})"),
    text(
        "UPDATE pos_code SET name = '', closed_ms = coalesce(closed_ms, :now)"
        f" WHERE merchant = :merchant AND issuer IN ({_ALIASES_AND_SELF})"
    ),
    # A leader's pickup station is often their home.
    text(f"UPDATE station SET name = '', address = '', open = 0 WHERE merchant = :merchant AND {_THEIRS}"),
    # Nobody will read what they were told in rooms.
    text(
        "DELETE FROM personal WHERE box IN (SELECT r.id || '/' || p.id FROM room AS r"
        f" JOIN person AS p ON p.id IN ({_ALIASES_AND_SELF}) WHERE r.merchant = :merchant)"
    ),
    text(f"DELETE FROM minor WHERE {_THEIRS}"),
    text(f"DELETE FROM erasure_due WHERE {_THEIRS}"),
    text(f"DELETE FROM follower WHERE merchant = :merchant AND {_THEIRS}"),
    *(
        text(f"DELETE FROM {table} WHERE {_THEIRS}")
        for table in (
            "community_member",
            "answer",
            "question",
            "visit_note",
            "room_question",
            "room_vote",
        )
    ),
    text(f"DELETE FROM reminder WHERE {_THEIRS}"),
    text(f"UPDATE helping SET network = '' WHERE {_THEIRS}"),
    text(f"DELETE FROM sign_in WHERE merchant = :merchant AND {_THEIRS}"),
    text(f"UPDATE distributor SET name = '', state = 'disabled' WHERE merchant = :merchant AND {_THEIRS}"),
    # What was merged into them cannot be taken apart again.
    text(
        "UPDATE merge_journal SET moved = '{}', undone_by = coalesce(undone_by, :by),"
        " undone_ms = coalesce(undone_ms, :now) WHERE elder = :person"
    ),
)
_VISITED = text(
    f"SELECT person, partner FROM partner_visit WHERE merchant = :merchant AND {_THEIRS} ORDER BY partner, first_ms"
)
# What was reported of visitors stays as it was, and each visit is nobody's: nothing says that one came to two partners.
_NOT_VISITED = text("DELETE FROM partner_visit WHERE merchant = :merchant AND person = :person AND partner = :partner")
_VISITED_BY_NOBODY = text(
    "UPDATE partner_visit SET person = :nobody, link = '', channel = ''"
    " WHERE merchant = :merchant AND person = :person AND partner = :partner"
)
_ERASE_IDENTITIES = text("DELETE FROM identity WHERE merchant = :merchant AND person = :person")
_OPEN_ORDERS = text(
    f"SELECT count(*) FROM orders AS o WHERE o.merchant = :merchant AND o.person = :person AND {ORDER_OPEN}"
)
_COMPLAINTS = text(
    f"SELECT count(*) FROM complaint WHERE merchant = :merchant AND {_THEIRS} AND state = 'open'"
    " AND kind <> 'praise' AND due_ms > :now"
)
_TO_FETCH = text(
    "SELECT count(*) FROM station AS s JOIN station_order AS w ON w.station = s.id"
    " JOIN orders AS o ON o.id = w.order_id"
    f" WHERE s.merchant = :merchant AND s.person IN ({_ALIASES_AND_SELF}) AND w.counted = 1 AND {ORDER_OPEN}"
)
_PLACES = text(f"SELECT DISTINCT place FROM appointment WHERE merchant = :merchant AND {_THEIRS}")
_KEYS = text("SELECT kind, value FROM identity WHERE merchant = :merchant AND person = :person")
_KEPT_BY_KEY = {
    # What is known of a mini-program's customer by the bare openid, and of WeCom's by the external id.
    "wechat": (text("DELETE FROM subscribe_grant WHERE merchant = :merchant AND openid = :key"),),
    "wecom": (
        text("DELETE FROM wecom_contact WHERE merchant = :merchant AND external = :key"),
        text(
            "UPDATE wecom_delivery SET external = '', ask_ms = NULL,"
            " outcome = CASE WHEN outcome = 'waiting' THEN 'untapped' ELSE outcome END"
            " WHERE merchant = :merchant AND external = :key"
        ),
    ),
}
_OWED = text(
    "SELECT count(*) FROM withdrawal WHERE merchant = :merchant AND person = :person"
    " AND state IN ('requested', 'approved', 'transferring')"
)
_REQUESTS = text("SELECT count(*) FROM after_sale WHERE merchant = :merchant AND person = :person AND ended_ms IS NULL")
_DEBTS = text(
    "SELECT count(*) FROM account WHERE merchant = :merchant AND owner = :person"
    " AND kind IN ('credit_owed', 'credit_spare') AND balance <> 0"
)
_ORDERS = text("SELECT count(*) FROM orders WHERE merchant = :merchant AND person = :person")


def erase(batch: Batch, command: Erase) -> Erased:
    """Forget names, keys, phone and addresses; orders stay, as the E-Commerce Law (art. 31) wants them for 3 years.

    Raises NotFound, Refused (not_open) while something is under way that needs them: ``_refuse_open``.
    """
    person = known(batch, command.merchant, survivor(batch.connection, command.person)).person
    who = {"merchant": command.merchant, "person": person}
    _refuse_open(batch, who)
    _dismiss(batch, command, who)
    for statement in _ERASE:
        batch.run(statement, now=batch.now_ms, by=command.by, **who)
    partners: set[str] = set()
    for row in batch.run(_VISITED, **who).all():
        visited = {"merchant": command.merchant, "person": row.person, "partner": row.partner}
        if row.partner in partners:
            batch.run(_NOT_VISITED, **visited)
        else:
            batch.run(_VISITED_BY_NOBODY, **visited, nobody=batch.mint())
            partners.add(row.partner)
    for key in batch.run(_KEYS, **who).all():
        for statement in _KEPT_BY_KEY.get(key.kind, ()):
            batch.run(statement, merchant=command.merchant, key=str(key.value).partition(":")[2])
    gone = batch.run(_ERASE_IDENTITIES, **who).rowcount
    log(batch, command.merchant, person, command.by, "erase", command.reason)
    return Erased(person, gone, {"orders": int(batch.run(_ORDERS, **who).scalar_one())})


def _refuse_open(batch: Batch, who: Mapping[str, str]) -> None:
    """Raise Refused (not_open) while goods, money or an answer are to come, or others wait for goods at their home."""
    if batch.run(_OPEN_ORDERS, **who).scalar_one():
        raise Refused("not_open", "an order is under way: erase when it is done or cancelled")
    if batch.run(_OWED, **who).scalar_one():
        raise Refused("not_open", "a withdrawal is under way: erase when it is paid or rejected")
    if batch.run(_REQUESTS, **who).scalar_one():
        raise Refused("not_open", "a request after a sale is open: erase when it has ended")
    if batch.run(_DEBTS, **who).scalar_one():
        raise Refused("not_open", "something is owed on account: erase when it is paid or given up")
    if batch.run(_COMPLAINTS, now=batch.now_ms, **who).scalar_one():
        raise Refused("not_open", "a complaint is open: erase when it is answered, or its day has passed")
    if batch.run(_TO_FETCH, **who).scalar_one():
        raise Refused("not_open", "orders wait at their pickup station: give it another leader first")


def _dismiss(batch: Batch, command: Erase, who: Mapping[str, str]) -> None:
    """Take back what they were appointed, as a keeper of rooms is dismissed: every process hears of it."""
    places = batch.run(_PLACES, **who).scalars().all()
    if not places:
        return
    take_turn(batch.connection, command.merchant)
    ids = aliases_of(batch.connection, who["person"])
    for place in places:
        dismiss(batch.connection, batch.mint, command.merchant, place, ids, command.by, batch.now_ms)


HANDLERS: Mapping[type, Callable[[Batch, Any], Any]] = {Erase: erase}
