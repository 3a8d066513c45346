"""Invariants of waiting lists, draws, group buys and deadlines."""

# ruff: noqa: S608 - the queries are constants.

from sqlalchemy import Connection, text

from commerce.audit_aftersale_sql import Check
from commerce.domain.draw import commitment, ranking, shares


def _own(thing: str, of: str) -> str:
    """What was had before its owner was found to be somebody known may be either's, and stay so when that is undone."""
    return (
        f"({thing}.person IN ({of}.person, (SELECT a.person FROM person_alias AS a WHERE a.alias = {of}.person))"
        f" OR {thing}.person IN (SELECT j.elder FROM merge_journal AS j WHERE j.younger = {of}.person))"
    )


MOMENTS = (
    Check(
        "waiting: an open sale has free units or people who wait, never both",
        "SELECT coalesce(sum(waiting), 0) AS waiting FROM sale",
        "SELECT id, free, waiting FROM sale WHERE waiting > 0 AND free > 0 AND closed_ms IS NULL AND paused_ms IS NULL"
        " AND opens_ms <= :now AND closes_ms > :now",
    ),
    Check(
        "waiting: counts equal the lists, and who was served has a hold of that sale",
        "SELECT count(*) AS people FROM waiter",
        "SELECT s.id, s.waiting, coalesce(w.there, 0) AS there FROM sale AS s LEFT JOIN (SELECT sale, count(*) AS there"
        " FROM waiter WHERE state = 'waiting' GROUP BY sale) AS w ON w.sale = s.id"
        " WHERE s.waiting <> coalesce(w.there, 0)"
        " UNION ALL SELECT w.sale, w.place, 0 FROM waiter AS w LEFT JOIN hold AS h ON h.id = w.hold AND h.sale = w.sale"
        f" AND {_own('h', 'w')} WHERE w.state = 'served' AND h.id IS NULL",
    ),
    Check(
        "draws: entries and winners are numbered without a gap, and nobody has won before the draw",
        "SELECT count(*) AS draws, coalesce(sum(entries), 0) AS entries, coalesce(sum(won), 0) AS won FROM draw",
        "SELECT d.id, d.entries, d.won, e.there, e.placed FROM draw AS d LEFT JOIN (SELECT draw, count(*) AS there,"
        " max(n) AS last, count(place) AS placed, max(place) AS lowest, count(DISTINCT place) AS places FROM draw_entry"
        " GROUP BY draw) AS e ON e.draw = d.id WHERE d.entries <> coalesce(e.there, 0)"
        " OR d.entries <> coalesce(e.last, 0) OR d.won <> coalesce(e.placed, 0) OR d.won <> coalesce(e.places, 0)"
        " OR d.won <> coalesce(e.lowest + 1, 0) OR (d.drawn_ms IS NULL AND d.won > 0)",
    ),
    Check(
        "draws: each prize is a hold of the sale or a coupon of the packet, the winner's own",
        "SELECT count(*) AS prizes FROM draw_entry WHERE place IS NOT NULL",
        "SELECT e.draw, e.person, e.prize, d.kind FROM draw_entry AS e JOIN draw AS d ON d.id = e.draw"
        f" LEFT JOIN hold AS h ON h.id = e.prize AND {_own('h', 'e')} LEFT JOIN coupon AS c ON c.id = e.prize"
        f" AND {_own('c', 'e')} AND c.drop_id = d.id AND c.amount = e.amount"
        " WHERE (e.place IS NULL) <> (e.prize IS NULL)"
        " OR (e.place IS NOT NULL AND d.kind = 'packet' AND c.id IS NULL)"
        " OR (e.place IS NOT NULL AND d.kind <> 'packet' AND h.id IS NULL)"
        " OR (e.place IS NOT NULL AND d.kind IN ('sale', 'bag') AND h.sale <> d.subject)",
    ),
    Check(
        "draws: a packet gives at most its pool, in the coupons of its winners",
        "SELECT coalesce(sum(pool), 0) AS pool, (SELECT coalesce(sum(amount), 0) FROM draw_entry) AS given FROM draw",
        "SELECT d.id, d.pool, e.given FROM draw AS d JOIN (SELECT draw, sum(amount) AS given FROM draw_entry"
        " GROUP BY draw) AS e ON e.draw = d.id WHERE e.given > d.pool",
    ),
    Check(
        "teams: seats are counted, a full team has all of its seats, a failed one none",
        "SELECT count(*) AS teams, coalesce(sum(paid), 0) AS paid FROM team",
        "SELECT t.id, t.state, t.size, t.taken, t.paid, s.held, s.paid AS seats_paid, s.refunded FROM team AS t"
        " LEFT JOIN (SELECT team, sum(CASE state WHEN 'held' THEN 1 ELSE 0 END) AS held,"
        " sum(CASE state WHEN 'paid' THEN 1 ELSE 0 END) AS paid,"
        " sum(CASE state WHEN 'refunded' THEN 1 ELSE 0 END) AS refunded FROM seat GROUP BY team) AS s ON s.team = t.id"
        " WHERE (t.state = 'open' AND (t.taken <> coalesce(s.held + s.paid, 0) OR t.paid <> coalesce(s.paid, 0)))"
        " OR (t.state = 'full' AND (coalesce(s.held, 0) <> 0 OR coalesce(s.paid + s.refunded, 0) < t.size))"
        " OR (t.state = 'failed' AND coalesce(s.held + s.paid, 0) <> 0)",
    ),
    Check(
        "teams: each seat has the hold and the order that its state says",
        "SELECT count(*) AS seats FROM seat",
        "SELECT s.hold, s.team, s.state, h.state AS hold_state, o.status FROM seat AS s JOIN team AS t ON t.id = s.team"
        f" LEFT JOIN hold AS h ON h.id = s.hold AND {_own('h', 's')} AND h.sale = t.sale"
        " LEFT JOIN orders AS o ON o.id = s.order_id WHERE h.id IS NULL"
        " OR (s.state = 'held' AND h.state <> 'held') OR (s.state = 'left' AND h.state NOT IN ('released', 'expired'))"
        " OR (s.state IN ('paid', 'refunded') AND (h.state <> 'sold' OR o.id IS NULL))"
        " OR (s.state = 'paid' AND o.status = 'refunded') OR (s.state = 'refunded' AND o.status <> 'refunded')",
    ),
    Check(
        "teams: nobody has more seats of an offer than the limit",
        "SELECT count(*) AS seats FROM seat WHERE state IN ('held', 'paid')",
        "SELECT t.sale, s.person, count(*) AS seats, a.per_person FROM seat AS s JOIN team AS t ON t.id = s.team"
        " JOIN sale AS a ON a.id = t.sale WHERE s.state IN ('held', 'paid') AND s.person NOT IN"
        " (SELECT elder FROM merge_journal WHERE undone_ms IS NULL) GROUP BY t.sale, s.person, a.per_person"
        " HAVING count(*) > a.per_person",
    ),
    Check(
        "deadlines: what is to be done at a time has its deadline, and nothing due waits for long",
        "SELECT count(*) AS deadlines, min(due_ms) AS next_ms FROM deadline",
        "SELECT kind, subject, due_ms FROM deadline WHERE due_ms < :leaked"
        " UNION ALL SELECT 'draw', d.id, d.closes_ms FROM draw AS d LEFT JOIN sale AS s ON s.id = d.subject"
        " WHERE d.kind <> 'team' AND d.drawn_ms IS NULL AND d.voided_ms IS NULL AND s.paused_ms IS NULL"
        " AND NOT EXISTS (SELECT 1 FROM deadline WHERE kind = 'draw' AND subject = d.id)"
        " UNION ALL SELECT 'team', t.id, t.deadline_ms FROM team AS t LEFT JOIN draw AS d ON d.id = t.draw WHERE"
        " (t.state = 'open' OR (t.state = 'full' AND d.id IS NOT NULL AND d.drawn_ms IS NULL))"
        " AND NOT EXISTS (SELECT 1 FROM deadline WHERE kind = 'team' AND subject = t.id)"
        " UNION ALL SELECT 'plan', p.id, p.next_ms FROM sale_plan AS p WHERE p.next_ms IS NOT NULL"
        " AND NOT EXISTS (SELECT 1 FROM deadline WHERE kind = 'plan' AND subject = p.id)",
    ),
)

RECOMPUTED = "draws: recomputed from seed and tickets, the winners and their shares are the same"
_DRAWN = text("SELECT * FROM draw WHERE drawn_ms IS NOT NULL ORDER BY id")
_ENTRIES = text("SELECT ticket, place, amount, void FROM draw_entry WHERE draw = :draw ORDER BY n")


def recompute_draws(connection: Connection) -> tuple[int, list[dict[str, str]]]:
    """How many draws were drawn, and those whose commitment, winners or shares are not what their seed says."""
    broken = []
    drawn = connection.execute(_DRAWN).all()
    for draw in drawn:
        entries = connection.execute(_ENTRIES, {"draw": draw.id}).all()
        seed = bytes.fromhex(draw.seed)
        tickets = [entry.ticket for entry in entries]
        won = {entry.place: (entry.ticket, entry.amount) for entry in entries if entry.place is not None}
        void = {entry.ticket for entry in entries if entry.void}
        due = ranking(seed, tickets, void)[: draw.won]
        parts = shares(seed, tickets, draw.pool, draw.winners, draw.least) if draw.pool else [0] * draw.won
        if commitment(seed) != draw.commitment:
            broken.append({"draw": draw.id, "what": "the seed is not the one that was promised"})
        elif won != dict(enumerate(zip(due, parts, strict=False))):
            broken.append({"draw": draw.id, "what": "others won than the seed says"})
    return len(drawn), broken
