"""Everything that a shop holds of a person, table by table, and what becomes of it when they ask to be forgotten.

The export (PIPL art. 45) reads these tables, and every other in which a person stands, so nothing is held that is not
told. What an erasure (art. 47) leaves is what other laws want kept: orders, payments and their accounts (电子商务法
art. 31: three years; 会计法 art. 23), what was agreed to and who looked (art. 69: the shop must be able to show it),
and bans, which protect others.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

DELETED, EMPTIED, KEPT = "deleted", "emptied", "kept"


@dataclass(frozen=True, slots=True)
class Held:
    """A table with rows of a person: in which columns the person stands, and what an erasure does to the rows.

    ``hidden`` columns are not told: keys and sealed texts that mean nothing outside, and who of the staff did it.
    """

    table: str
    columns: tuple[str, ...]
    erased: str
    hidden: tuple[str, ...] = ()


HELD = (
    Held("person", ("id",), EMPTIED),
    Held("identity", ("person",), DELETED),
    Held("person_phone", ("person",), DELETED, ("digest", "sealed")),
    Held("person_alias", ("person",), KEPT),
    Held("minor", ("person",), DELETED, ("sealed", "by")),
    Held("consent", ("person",), KEPT),
    Held("privacy_log", ("person",), KEPT, ("by",)),
    Held("erasure_due", ("person",), DELETED),
    Held("merge_journal", ("elder", "younger"), EMPTIED, ("moved", "by", "undone_by")),
    Held("merge_conflict", ("person", "other"), EMPTIED, ("sealed", "value", "decided_by")),
    Held("orders", ("person",), EMPTIED, ("decision",)),
    Held("payment", ("person",), KEPT),
    Held("pos_receipt", ("person",), KEPT, ("hash", "decision", "told", "told_by", "told_why")),
    Held("custom_request", ("person",), EMPTIED, ("staff",)),
    # The pictures themselves are given one by one: GET /custom/pictures/{picture}.
    Held("custom_picture", ("person",), DELETED, ("jpeg", "digest")),
    Held("after_sale", ("person",), EMPTIED, ("staff",)),
    Held("credit_line", ("person",), EMPTIED, ("staff",)),
    Held("receivable", ("person",), KEPT),
    Held("credit_booking", ("person",), KEPT, ("staff",)),
    Held("repayment", ("person",), KEPT),
    Held("credit_reminder", ("person",), EMPTIED, ("staff",)),
    Held("payment_gift", ("person",), KEPT),
    Held("hold", ("person",), KEPT, ("hash", "key", "earlier")),
    Held("quota", ("person",), KEPT, ("latest",)),
    Held("request", ("person",), KEPT, ("hash", "key")),
    Held("coupon", ("person",), KEPT),
    Held("account", ("owner",), KEPT),
    Held("entry", ("owner",), KEPT),
    Held("points_lot", ("person",), KEPT),
    Held("member", ("person",), KEPT),
    Held("sign_in", ("person",), DELETED),
    Held("follower", ("person",), DELETED),
    Held("reminder", ("person",), DELETED),
    Held("waiter", ("person",), KEPT),
    Held("seat", ("person",), KEPT),
    Held("team", ("leader",), KEPT),
    Held("draw_entry", ("person",), KEPT),
    Held("binding", ("person", "issuer"), KEPT),
    Held("link", ("issuer",), KEPT),
    Held("distributor", ("person", "parent"), EMPTIED),
    Held("commission", ("person",), KEPT),
    Held("withdrawal", ("person",), KEPT, ("decided_by", "payee", "confirm")),
    Held("ban", ("person",), KEPT, ("by", "devices")),
    Held("room_rule", ("person",), KEPT, ("name", "body")),
    Held("room_question", ("person",), DELETED),
    Held("room_vote", ("person",), DELETED),
    Held("community_member", ("person",), DELETED),
    Held("customer_advisor", ("person",), DELETED, ("staff",)),
    Held("question", ("person",), DELETED, ("advisor", "tried", "choice")),
    Held("answer", ("person",), DELETED, ("staff",)),
    Held("visit_note", ("person",), DELETED, ("staff",)),
    # The visit stays as nobody's, so that what was reported to the partner stands.
    Held("partner_visit", ("person",), DELETED),
    Held("partner_sale", ("person",), KEPT, ("contract",)),
    Held("help_poster", ("person",), KEPT),
    Held("helping", ("person",), EMPTIED, ("network",)),
    Held("person_tag", ("person",), DELETED, ("staff",)),
    Held("person_day", ("person",), DELETED),
    Held("person_stage", ("person",), DELETED),
    Held("automation_run", ("person",), DELETED),
    Held("popup_shown", ("person",), DELETED),
    Held("message", ("person",), EMPTIED, ("key",)),
    Held("complaint", ("person",), EMPTIED, ("staff",)),
    Held("ticket", ("person",), EMPTIED, ("used_by",)),
    Held("pass_", ("person",), KEPT),
    Held("membership", ("person",), KEPT),
    # Who a customer is to the shop beside: an advisor's own face, a keeper of rooms, a leader, a seller, a neighbour.
    Held("advisor", ("person",), EMPTIED, ("staff",)),
    Held("appointment", ("person",), DELETED, ("appointed_by",)),
    Held("appointment_step", ("person",), KEPT, ("by",)),
    Held("station", ("person",), EMPTIED, ("staff",)),
    Held("pos_code", ("issuer",), EMPTIED),
    Held("partner", ("owner",), EMPTIED, ("counterpart", "key_generation")),
    # Three years, as a show's own recording.
    Held("chat_line", ("person",), KEPT),
    Held("staff_action", ("person",), KEPT, ("by",)),
)

TELLING_COLUMNS = ("person", "owner")
"""A table that is not named above and has one of these is told as well: nothing new is held in silence."""
HIDDEN_COLUMNS = frozenset({"hash", "key", "secret", "sealed", "digest", "by", "staff", "decided_by"})
"""What is not told of such a table."""


def held_of(columns: Mapping[str, Collection[str]]) -> tuple[Held, ...]:
    """What is held of persons in a database with these tables and columns: the list, and what it does not name."""
    named = {held.table for held in HELD}
    others = []
    for table in sorted(columns.keys() - named):
        of_persons = tuple(column for column in TELLING_COLUMNS if column in columns[table])
        if of_persons:
            others.append(Held(table, of_persons, KEPT, tuple(sorted(HIDDEN_COLUMNS & set(columns[table])))))
    return (*HELD, *others)
