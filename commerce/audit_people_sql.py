"""Invariants of helper tasks and of community groups."""

from commerce.audit_aftersale_sql import Check

PEOPLE = (
    Check(
        "helper tasks: each coupon of a task is of a poster that is done, and of one alone",
        "SELECT count(*) AS posters, coalesce(sum(CASE WHEN coupon <> '' THEN 1 ELSE 0 END), 0) AS given"
        " FROM help_poster",
        "SELECT p.id, p.coupon, 'no such coupon of the task' AS fault FROM help_poster AS p WHERE p.coupon <> ''"
        " AND (p.done_ms IS NULL OR NOT EXISTS (SELECT 1 FROM coupon AS c JOIN drop_ AS d ON d.id = c.drop_id"
        " WHERE c.id = p.coupon AND d.issuer = p.task))"
        " UNION ALL SELECT min(p.id), p.coupon, 'given twice' FROM help_poster AS p WHERE p.coupon <> ''"
        " GROUP BY p.coupon HAVING count(*) > 1"
        # A coupon that was given and is not yet written down belongs to a poster that is owed one.
        " UNION ALL SELECT t.id, '', 'more coupons than finished posters' FROM help_task AS t WHERE"
        " (SELECT count(*) FROM coupon AS c JOIN drop_ AS d ON d.id = c.drop_id WHERE d.issuer = t.id)"
        " > (SELECT count(*) FROM help_poster AS p WHERE p.task = t.id AND p.done_ms IS NOT NULL)",
    ),
    Check(
        "helper tasks: who helped did so in the task of the poster",
        "SELECT count(*) AS helpers FROM helping",
        "SELECT h.task, h.person, h.poster FROM helping AS h LEFT JOIN help_poster AS p ON p.id = h.poster"
        " WHERE p.id IS NULL OR p.task <> h.task",
    ),
    Check(
        "questions: one that is answered has an answer",
        "SELECT count(*) AS questions FROM question",
        "SELECT q.id, q.state FROM question AS q WHERE q.state IN ('answered', 'accepted')"
        " AND NOT EXISTS (SELECT 1 FROM answer AS a WHERE a.question = q.id AND a.person = q.person)",
    ),
)
