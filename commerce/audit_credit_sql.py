"""Invariants of sale on account: debts, balances, limits."""

# ruff: noqa: S608 - the queries are constants.

from commerce.audit_aftersale_sql import Check
from commerce.domain.credit import DEBT

_LEFT = "amount - repaid - returned - lost"
_BY = (
    "SELECT merchant, owner, sum(CASE kind WHEN 'credit_owed' THEN balance ELSE 0 END) AS owed,"
    " sum(CASE kind WHEN 'credit_spare' THEN balance ELSE 0 END) AS spare FROM account"
    " WHERE kind IN ('credit_owed', 'credit_spare') GROUP BY merchant, owner"
)

CREDIT = (
    Check(
        "credit: each person owes what is left of their orders' debts, and the shop owes nobody less than nothing",
        f"SELECT count(*) AS debts, CAST(coalesce(sum({_LEFT}), 0) AS bigint) AS owed FROM receivable",
        f"SELECT a.merchant, a.owner, a.owed, a.spare, coalesce(d.owed, 0) AS of_debts FROM ({_BY}) AS a LEFT JOIN"
        f" (SELECT merchant, person, sum({_LEFT}) AS owed FROM receivable GROUP BY merchant, person) AS d"
        " ON d.merchant = a.merchant AND d.person = a.owner"
        " WHERE a.owed <> coalesce(d.owed, 0) OR a.owed < 0 OR a.spare > 0",
    ),
    Check(
        "credit: whoever owes what is not due yet will be told when it is",
        "SELECT count(*) AS debts FROM deadline WHERE kind = 'debt'",
        "SELECT r.order_id, r.due_ms FROM receivable AS r WHERE r.closed_ms IS NULL AND r.due_ms >= :now"
        " AND NOT EXISTS (SELECT 1 FROM deadline AS d WHERE d.kind = 'debt' AND d.subject = r.order_id)",
    ),
    Check(
        "credit: receivables = orders paid on account - refunds - repayments - debts given up + money given back",
        "SELECT count(*) AS bookings, CAST(coalesce(sum(amount), 0) AS bigint) AS amount,"
        " (SELECT CAST(coalesce(sum(applied), 0) AS bigint) FROM repayment) AS through_providers FROM credit_booking",
        "SELECT * FROM (SELECT"
        " (SELECT coalesce(sum(balance), 0) FROM account WHERE kind IN ('credit_owed', 'credit_spare')) AS receivables,"
        " (SELECT coalesce(sum(amount), 0) FROM payment WHERE provider = 'account' AND state = 'settled')"
        " - (SELECT coalesce(sum(amount - stored), 0) FROM refund WHERE provider = 'account' AND kind = 'order')"
        " - (SELECT coalesce(sum(CASE kind WHEN 'given' THEN -amount ELSE amount END), 0) FROM credit_booking"
        " WHERE kind <> 'lost')"
        " - (SELECT coalesce(sum(applied), 0) FROM repayment)"
        " - (SELECT coalesce(sum(balance), 0) FROM account WHERE kind = 'credit_lost') AS made) AS sums"
        " WHERE receivables <> made",
    ),
    Check(
        "credit: every order that was paid on account has its debt, of its person and amount, and no other has one",
        "SELECT count(*) AS orders FROM payment WHERE provider = 'account' AND state = 'settled'",
        "SELECT p.order_id, p.amount, d.amount AS owed FROM payment AS p LEFT JOIN receivable AS d"
        " ON d.order_id = p.order_id WHERE p.provider = 'account' AND p.state = 'settled'"
        " AND (d.order_id IS NULL OR d.amount <> p.amount OR d.person <> p.person OR d.merchant <> p.merchant)"
        " UNION ALL SELECT d.order_id, d.amount, 0 FROM receivable AS d WHERE NOT EXISTS (SELECT 1 FROM payment AS p"
        " WHERE p.order_id = d.order_id AND p.provider = 'account' AND p.state = 'settled')",
    ),
    Check(
        "credit: commission of what is not paid is not available",
        "SELECT count(*) AS commissions FROM commission AS c JOIN receivable AS d ON d.order_id = c.order_id",
        "SELECT c.id, c.order_id, c.state FROM commission AS c JOIN receivable AS d ON d.order_id = c.order_id"
        " WHERE d.closed_ms IS NULL AND c.state = 'available'",
    ),
    Check(
        "credit: each repayment has its payment, lowered debts by what it says, and the rest of what came goes back",
        "SELECT count(*) AS repayments, coalesce(sum(CASE state WHEN 'open' THEN 1 ELSE 0 END), 0) AS open,"
        " CAST(coalesce(sum(amount), 0) AS bigint) AS amount FROM repayment",
        "SELECT * FROM (SELECT y.id, y.state, y.amount, y.applied, p.state AS payment,"
        " coalesce((SELECT sum(amount) FROM entry WHERE ref = y.id AND why = 'repaid' AND kind = 'credit_cleared'), 0)"
        " AS booked, coalesce((SELECT sum(amount) FROM payment_event AS e WHERE e.payment = p.id"
        " AND e.provider = p.provider AND e.kind = 'paid'), 0) AS came,"
        " coalesce((SELECT sum(amount) FROM refund AS r WHERE r.payment = p.id), 0) AS back"
        f" FROM repayment AS y LEFT JOIN payment AS p ON p.order_id = y.id AND p.kind = '{DEBT}'"
        " AND p.amount = y.amount AND p.merchant = y.merchant AND p.person = y.person) AS one"
        " WHERE payment IS NULL OR booked <> applied OR came <> applied + back"
        " OR (state = 'open') <> (payment = 'started') OR (state = 'paid') <> (came > 0)"
        " OR (payment = 'settled') <> (applied > 0)",
    ),
)
