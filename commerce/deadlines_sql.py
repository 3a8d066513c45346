"""Deadlines: what the duty does when its time has come, once, whichever process does it and however late.

A row per kind and subject. It is done and deleted (or moved on) in one transaction of the ledger, whose turn lets one
process at a time decide for a merchant's units; so a crash before the commit leaves it due, after it there is no row.
What fails is put off, ever longer, and keeps nothing else waiting.
"""

import logging
from collections.abc import Callable, Mapping

from sqlalchemy import text
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError

from commerce.ledger_batch_sql import Batch

log = logging.getLogger(__name__)

DUE_MAX = 50
"""Deadlines met in one transaction: a draw of ten thousand takes half a second of work."""
PUT_OFF_MS = 5_000
PUT_OFF_MS_MAX = 600_000

_ARM = text(
    "INSERT INTO deadline (kind, subject, due_ms) VALUES (:kind, :subject, :due)"
    " ON CONFLICT (kind, subject) DO UPDATE SET due_ms = excluded.due_ms, tries = 0"
)
_DISARM = text("DELETE FROM deadline WHERE kind = :kind AND subject = :subject")
_DUE = text("SELECT kind, subject, due_ms, tries FROM deadline WHERE due_ms <= :now ORDER BY due_ms LIMIT :limit")
_PUT_OFF = text("UPDATE deadline SET due_ms = :due, tries = tries + 1 WHERE kind = :kind AND subject = :subject")

Meet = Callable[[Batch, str], None]
"""Do what is due for a subject; arms it anew when there is more to come."""


def arm(batch: Batch, kind: str, subject: str, due_ms: int) -> None:
    """Set (or move) the deadline of a subject."""
    batch.run(_ARM, kind=kind, subject=subject, due=due_ms)


def disarm(batch: Batch, kind: str, subject: str) -> None:
    """Take a deadline away."""
    batch.run(_DISARM, kind=kind, subject=subject)


def meet_due(batch: Batch, kinds: Mapping[str, Meet], limit: int = DUE_MAX) -> bool:
    """Meet what is due; whether there may be more."""
    due = batch.run(_DUE, now=batch.now_ms, limit=limit).all()
    for row in due:
        events = len(batch.events)
        try:
            with batch.connection.begin_nested():
                disarm(batch, row.kind, row.subject)
                kinds[row.kind](batch, row.subject)
        except Exception as error:
            if isinstance(error, DBAPIError) and not isinstance(error, IntegrityError | DataError):
                raise
            # A rule that says no, or a fault of ours, must not keep the other deadlines and the sweep from their work.
            del batch.events[events:]
            later_ms = min(PUT_OFF_MS << min(row.tries, 10), PUT_OFF_MS_MAX)
            log.warning("the deadline %s of %s is put off", row.kind, row.subject, exc_info=error)
            batch.run(_PUT_OFF, kind=row.kind, subject=row.subject, due=batch.now_ms + later_ms)
    return len(due) >= limit
