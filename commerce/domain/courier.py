"""A same-city courier's errand: which state may follow which, whatever order its notices come in. Pure.

    asked ──▶ waiting ──▶ accepted ──▶ carried ──▶ delivered
                 ▲            │            └──▶ back ──▶ failed
                 └────────────┘ (another rider)
    from every state that has not ended ──▶ failed

The order stays where it is until the goods are delivered; then it is sent and done in one step. So an errand that
fails, at whatever point, leaves the order to be shipped another way, and nothing has to be undone.
"""

from collections.abc import Mapping

ASKED, WAITING, ACCEPTED, CARRIED = "asked", "waiting", "accepted", "carried"
DELIVERED, BACK, FAILED = "delivered", "back", "failed"
STATES = (ASKED, WAITING, ACCEPTED, CARRIED, BACK, DELIVERED, FAILED)
ENDED = frozenset({DELIVERED, FAILED})
CANCELLABLE = frozenset({ASKED, WAITING, ACCEPTED})
"""Until the rider has the goods."""

_AFTER: Mapping[str, frozenset[str]] = {
    ASKED: frozenset({WAITING, ACCEPTED, CARRIED, BACK, DELIVERED, FAILED}),
    WAITING: frozenset({ACCEPTED, CARRIED, BACK, DELIVERED, FAILED}),
    ACCEPTED: frozenset({WAITING, CARRIED, BACK, DELIVERED, FAILED}),
    CARRIED: frozenset({BACK, DELIVERED, FAILED}),
    BACK: frozenset({DELIVERED, FAILED}),
}


def moves(state: str, told: str) -> bool:
    """Whether what is told takes an errand on: not when it ended, and not back from the rider's hands."""
    return told in _AFTER.get(state, frozenset())


def ask_again_ms(tries: int) -> int:
    """How long after the ``tries``-th asking an errand is asked about again: 10 s, doubling up to five minutes."""
    return min(10_000 << min(tries, 10), 300_000)
