"""Rules of what customers are told outside the room: consent, caps, quiet hours, retries; and what makes a fan.

A message is ``service`` (about their own order, or what they asked to be reminded of) or ``marketing``. Marketing needs
the person's consent to it (PIPL art. 13, 16; 广告法 art. 43) and can be refused as easily; a subscribe message has its
own consent: one grant, one message.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from commerce.domain.day import DAY_MS, OFFSET_MS

CHANNELS = ("subscribe", "wecom", "sms")
STAFF_CHANNEL = "wecomapp"
"""Messages of a shop's own application at WeCom, to its staff: no customer is ever told anything by it."""
PURPOSES = ("service", "marketing")
TRIES_MAX = 6
BACK_OFF_FIRST_MS = 60_000
BACK_OFF_MOST_MS = 3_600_000
GOOD_MS = 2 * DAY_MS
"""A message that could not be sent in two days says nothing new any more."""
_HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class CrmTerms:
    """A shop's terms.

    ``fan_days``: days with a visit that make a fan; ``loyal_orders``: paid orders that make a loyal customer.
    ``…_day``, ``…_week``: marketing messages one person gets at most by a channel, in a day and in seven.
    ``helping`` 1: helper tasks are on. Marketing is sent from ``open_hour`` until ``close_hour`` of the shop's time.
    """

    fan_days: int = 3
    loyal_orders: int = 3
    subscribe_day: int = 3
    subscribe_week: int = 10
    wecom_day: int = 1
    wecom_week: int = 3
    sms_day: int = 1
    sms_week: int = 2
    open_hour: int = 8
    close_hour: int = 21
    helping: int = 0

    def as_json(self) -> dict[str, Any]:
        """The JSON shape, as it is stored and shown."""
        return asdict(self)


_BOUNDS: Mapping[str, tuple[int, int]] = {
    "fan_days": (1, 90),
    "loyal_orders": (2, 100),
    **{f"{channel}_day": (0, 20) for channel in CHANNELS},
    **{f"{channel}_week": (0, 100) for channel in CHANNELS},
    "open_hour": (0, 23),
    "close_hour": (1, 24),
    "helping": (0, 1),
}


def crm_terms_of(stored: Mapping[str, Any]) -> CrmTerms:
    """Terms from their JSON shape; what an older release stored without has its default."""
    known = {one.name for one in fields(CrmTerms)}
    return CrmTerms(**{name: value for name, value in stored.items() if name in known})


def terms_fault(terms: CrmTerms) -> tuple[str, str] | None:
    """The field that is wrong and why, as a sentence, or None."""
    for name, (least, most) in _BOUNDS.items():
        value = getattr(terms, name)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            return name, f"{name} is a whole number from {least} to {most}"
    if terms.open_hour >= terms.close_hour:
        return "close_hour", "close_hour comes after open_hour"
    return None


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known when a message's turn comes: consent, marketing messages sent within a day and within a week."""

    consents: bool
    sent_day: int
    sent_week: int


def drop_cause(channel: str, purpose: str, terms: CrmTerms, standing: Standing) -> str | None:
    """Why a message is not sent at all, or None: ``no_consent`` or ``cap``."""
    if purpose != "marketing":
        return None
    # Who granted a subscribe message agreed to this very one.
    if channel != "subscribe" and not standing.consents:
        return "no_consent"
    over = standing.sent_day >= getattr(terms, f"{channel}_day") or standing.sent_week >= getattr(
        terms, f"{channel}_week"
    )
    return "cap" if over else None


def waits_until_ms(purpose: str, terms: CrmTerms, now_ms: int) -> int:
    """When a message may go: now, or for marketing at night the next morning."""
    if purpose != "marketing":
        return now_ms
    midnight_ms = (now_ms + OFFSET_MS) // DAY_MS * DAY_MS - OFFSET_MS
    opens_ms, closes_ms = midnight_ms + terms.open_hour * _HOUR_MS, midnight_ms + terms.close_hour * _HOUR_MS
    if now_ms < opens_ms:
        return opens_ms
    return now_ms if now_ms < closes_ms else opens_ms + DAY_MS
