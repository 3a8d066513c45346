"""Invariants of polls."""

from commerce.audit_aftersale_sql import Check

FLOOR = (
    Check(
        "polls: one that is open has its votes for options that there are, one that ended has its sums alone",
        "SELECT count(*) AS polls, (SELECT count(*) FROM room_vote) AS open_votes FROM room_poll",
        "SELECT p.id, p.room, p.ended_ms FROM room_poll AS p WHERE (p.ended_ms = 0) <> (p.votes IS NULL)"
        " OR (p.ended_ms > 0 AND EXISTS (SELECT 1 FROM room_vote AS v WHERE v.poll = p.id))"
        " UNION ALL SELECT v.poll, v.person, v.option FROM room_vote AS v WHERE v.option < 0 OR v.option > 9",
    ),
)
