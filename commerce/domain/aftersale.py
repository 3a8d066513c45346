"""After-sale requests (售后): what a buyer may ask of a paid order, which step follows which, and by when.

    asked ──approve──▶ done (refund) or approved (return)     offered ──take──▶ done or approved
      │ ◀──leave── offered ◀──offer──┘                        approved ──send──▶ sent ──receive──▶ done
      └──refuse──▶ refused        asked, offered, approved ──withdraw──▶ withdrawn
                                  offered, approved ──lapse──▶ closed      any that is open ──overtake──▶ closed

A request is of lines of one order: money alone (``refund``: nothing was sent, or it never arrived or is kept), or goods
back and money (``return``). Each open state has a deadline, after which the clock takes a step: a shop that does not
answer has approved, a buyer who does not answer or send wants it no more, a parcel that nobody looked at has come.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from commerce.domain.policy import DAY_MS, SEVEN_DAYS, Policy, return_fault

HOUR_MS = 3_600_000
WORDS_CHARACTERS_MAX = 500
"""Of a buyer's words and of the shop's answer: what is longer belongs into the complaint inbox."""
REQUESTS_MAX = 20
"""Requests of one order in all: who asks once more is talked to."""
OFFERS_MAX = 3
"""Offers that a buyer leaves: after that the shop approves or refuses, or it could ask for ever."""


class Kind(StrEnum):
    """What is asked for."""

    REFUND = "refund"
    RETURN = "return"


class State(StrEnum):
    """Where a request is."""

    ASKED = "asked"
    OFFERED = "offered"
    APPROVED = "approved"
    SENT = "sent"
    DONE = "done"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    CLOSED = "closed"


class Move(StrEnum):
    """What can be done to a request."""

    APPROVE = "approve"
    REFUSE = "refuse"
    OFFER = "offer"
    TAKE = "take"
    LEAVE = "leave"
    WITHDRAW = "withdraw"
    SEND = "send"
    RECEIVE = "receive"
    LAPSE = "lapse"
    OVERTAKE = "overtake"


OPEN = frozenset({State.ASKED, State.OFFERED, State.APPROVED, State.SENT})
_BOTH: Mapping[tuple[State, Move], State] = {
    (State.ASKED, Move.REFUSE): State.REFUSED,
    (State.OFFERED, Move.REFUSE): State.REFUSED,
    (State.ASKED, Move.OFFER): State.OFFERED,
    (State.OFFERED, Move.OFFER): State.OFFERED,
    (State.OFFERED, Move.LEAVE): State.ASKED,
    (State.OFFERED, Move.LAPSE): State.CLOSED,
    (State.ASKED, Move.WITHDRAW): State.WITHDRAWN,
    (State.OFFERED, Move.WITHDRAW): State.WITHDRAWN,
    (State.ASKED, Move.OVERTAKE): State.CLOSED,
    (State.OFFERED, Move.OVERTAKE): State.CLOSED,
}
STATE_AFTER: Mapping[Kind, Mapping[tuple[State, Move], State]] = {
    Kind.REFUND: {
        **_BOTH,
        (State.ASKED, Move.APPROVE): State.DONE,
        (State.OFFERED, Move.APPROVE): State.DONE,
        (State.OFFERED, Move.TAKE): State.DONE,
    },
    Kind.RETURN: {
        **_BOTH,
        (State.ASKED, Move.APPROVE): State.APPROVED,
        (State.OFFERED, Move.APPROVE): State.APPROVED,
        (State.OFFERED, Move.TAKE): State.APPROVED,
        (State.APPROVED, Move.WITHDRAW): State.WITHDRAWN,
        (State.APPROVED, Move.LAPSE): State.CLOSED,
        (State.APPROVED, Move.SEND): State.SENT,
        # A wrong number is put right; and what is brought to the shop has none.
        (State.SENT, Move.SEND): State.SENT,
        (State.APPROVED, Move.RECEIVE): State.DONE,
        (State.SENT, Move.RECEIVE): State.DONE,
        # What came is not what was sent, or nothing came.
        (State.SENT, Move.REFUSE): State.REFUSED,
        (State.APPROVED, Move.OVERTAKE): State.CLOSED,
        (State.SENT, Move.OVERTAKE): State.CLOSED,
    },
}
BY_CLOCK: Mapping[State, Move] = {
    State.ASKED: Move.APPROVE,
    State.OFFERED: Move.LAPSE,
    State.APPROVED: Move.LAPSE,
    State.SENT: Move.RECEIVE,
}
"""What the clock does to a request whose time in a state is over."""

UNSENT, KEPT, BACK = "unsent", "kept", "back"
"""What a request finds: goods that are still with the shop, that the buyer keeps or never got, that go back."""
REASONS: Mapping[str, tuple[str, ...]] = {
    UNSENT: ("mind", "mistake", "late", "other"),
    KEPT: ("not_arrived", "missing", "damaged", "faulty", "not_as_described", "other"),
    BACK: ("no_reason", "faulty", "damaged", "not_as_described", "wrong_goods", "other"),
}
BUYER_PAYS = frozenset({"no_reason", "other"})
"""Reasons for which the buyer pays the way back (消费者权益保护法 25): for the others the shop does."""


@dataclass(frozen=True, slots=True)
class Bought:
    """What the rules want to know of an order.

    ``kind`` is the order's; ``exceptions`` are the ``returns`` of the goods that are asked about; times are when the
    goods left and when they arrived.
    """

    kind: str
    exceptions: frozenset[str]
    left_ms: int | None
    arrived_ms: int | None


def situation(kind: Kind, left_ms: int | None) -> str:
    """Which reasons there are for a request."""
    if kind is Kind.RETURN:
        return BACK
    return UNSENT if left_ms is None else KEPT


def ask_fault(policy: Policy, kind: Kind, reason: str, bought: Bought, now_ms: int) -> str | None:
    """Why something cannot be asked for, as a code (no_return, not_open, expired), or None.

    Without a reason goods go back within the policy's days, if they fall under no exception; for a reason of the
    shop's, whatever they are, within ``fault_days`` after they arrived.
    """
    if bought.kind != "goods":
        return "no_return"
    if kind is Kind.RETURN and reason == "no_reason":
        return return_fault(policy, bought.kind, set(bought.exceptions), bought.left_ms, bought.arrived_ms, now_ms)
    if kind is Kind.RETURN and bought.left_ms is None:
        return "not_open"
    if kind is Kind.RETURN and reason == "other" and bought.exceptions - {SEVEN_DAYS}:
        return "no_return"
    if bought.arrived_ms is not None and now_ms > bought.arrived_ms + policy.fault_days * DAY_MS:
        return "expired"
    return None


def state_after(kind: Kind, state: State, move: Move, *, keeps: bool = False) -> State | None:
    """Where a step leads, or None when it is not legal. An offer that ``keeps`` the goods where they are ends there."""
    to = STATE_AFTER[kind].get((state, move))
    return State.DONE if to is not None and keeps and move is Move.TAKE else to


def wait_ms(policy: Policy, state: State) -> int:
    """How long a request may stay in an open state before the clock takes its step."""
    return {
        State.ASKED: policy.answer_hours * HOUR_MS,
        State.OFFERED: policy.offer_hours * HOUR_MS,
        State.APPROVED: policy.send_back_days * DAY_MS,
        State.SENT: policy.check_back_days * DAY_MS,
    }[state]


@dataclass(frozen=True, slots=True)
class AskedLine:
    """Units that are asked about, and the 分 that they cost."""

    sku: str
    quantity: int
    amount: int


@dataclass(frozen=True, slots=True)
class Counted:
    """Units of a SKU as the shop found them: back on sale, or aside to be looked at."""

    sku: str
    sellable: int
    quarantined: int

    @property
    def units(self) -> int:
        """Those that came."""
        return self.sellable + self.quarantined


def came_fault(asked: Sequence[AskedLine], came: Sequence[Counted]) -> str | None:
    """What is wrong with a count of what came back, as a sentence, or None."""
    wanted = {line.sku: line.quantity for line in asked}
    if len({one.sku for one in came}) < len(came) or any(one.sku not in wanted for one in came):
        return "count each of the request's SKUs once"
    if any(one.sellable < 0 or one.quarantined < 0 or one.units > wanted[one.sku] for one in came):
        return "no more units come back than were asked about"
    if not any(one.units for one in came):
        return "nothing came: refuse the request and say so"
    return None


def amount_for(asked: Sequence[AskedLine], agreed: int, came: Sequence[Counted]) -> int:
    """分 of an agreed amount for the units that came: in proportion to what they cost."""
    units = {one.sku: one.units for one in came}
    worth = sum(line.amount * units.get(line.sku, 0) // line.quantity for line in asked)
    whole = sum(line.amount for line in asked)
    return agreed if worth == whole else agreed * worth // whole
