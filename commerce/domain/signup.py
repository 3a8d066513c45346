"""Sign-up for events: places, a waiting list, tickets with a code. Pure.

    free:  sign up ─▶ good ──check in──▶ used          paid:  sign up ─▶ reserved ──its order is paid──▶ good ─▶ used
    full:  sign up ─▶ waiting ──a place is free──▶ good, or (paid) reserved for a while ──not paid──▶ cancelled

``taken`` counts the tickets that are reserved, good or used; whoever leaves frees a place for who waits longest.
"""

from dataclasses import dataclass

PLACES_MAX = 1_000
"""Places of one event: its tickets are gone through in one transaction when it is called off."""
CODE_DIGITS = 12
DETAIL_CHARACTERS_MAX = 2_000
NAME_CHARACTERS_MAX = 40
PAY_S_MAX = 7 * 86_400
AHEAD_MS_MAX = 732 * 86_400_000
"""Two years: what lies further ahead is a slip of the finger."""
LENGTH_MS_MAX = 31 * 86_400_000


@dataclass(frozen=True, slots=True)
class EventTerms:
    """What an event is: from when to when, until when people sign up, how many, and the SKU that pays a place."""

    title: str
    detail: str
    place: str
    starts_ms: int
    ends_ms: int
    closes_ms: int
    places: int
    sku: str | None = None
    pay_s: int = 900


def terms_fault(terms: EventTerms, now_ms: int) -> tuple[str, str] | None:
    """The field at fault and why, or None; the texts have been checked."""
    if not 1 <= terms.places <= PLACES_MAX:
        return "places", f"an event has 1 to {PLACES_MAX} places"
    if not now_ms < terms.starts_ms <= now_ms + AHEAD_MS_MAX:
        return "starts", "an event begins in the future, within two years"
    if not terms.starts_ms < terms.ends_ms <= terms.starts_ms + LENGTH_MS_MAX:
        return "ends", "an event ends after it begins, within 31 days"
    if not now_ms < terms.closes_ms <= terms.ends_ms:
        return "closes", "people sign up from now until some time before the event's end"
    if not 60 <= terms.pay_s <= PAY_S_MAX:
        return "pay_s", f"a place is kept for payment for 60 to {PAY_S_MAX} seconds"
    return None


def ticket_after_sign_up(taken: int, places: int, *, paid: bool) -> str:
    """The state of a new ticket."""
    if taken >= places:
        return "waiting"
    return "reserved" if paid else "good"


def refuse_check_in(state: str, starts_ms: int, ends_ms: int, now_ms: int) -> str | None:
    """Why a ticket does not open the door now, as a code, or None. Doors open a day ahead."""
    if state == "used":
        return "already"
    if state != "good" or now_ms < starts_ms - 86_400_000:
        return "not_open"
    return "expired" if now_ms >= ends_ms else None
