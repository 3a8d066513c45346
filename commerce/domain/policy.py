"""What a shop has switched on of what the regulator asks (docs/compliance.md), and what is fixed whoever asks.

Legal points as we understand them; a lawyer checks them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

DAY_MS = 86_400_000
KEEP_DAYS_MIN = 1_096
"""Three years and a day: transactions (电子商务法 31), a show's video and chat (网络直播营销管理办法) stay so long."""
KEEP_DAYS_MAX = 36_500
RETURN_DAYS_MIN = 7
"""Goods bought at a distance may be given back within seven days without a reason (消费者权益保护法 25)."""
RETURN_DAYS_MAX = 90
SEVEN_DAYS = "seven_days"
"""The ``returns`` of goods that fall under no exception; the others name theirs."""


@dataclass(frozen=True, slots=True)
class Policy:
    """A shop's switches.

    ``return_days``: days after the goods arrived in which a buyer may give them back without a reason, at least 7.
    ``keep_chat_days``: chat is kept so long, 0 for not at all. ``list_basis_required``: a struck-through price needs
    its basis. ``host_identity_required``: nobody broadcasts in a room without a record of who they are.
    ``licence_shown``: the viewer page shows the shop's licence. ``complaints_days``: a complaint is answered within.
    ``credit_sale``: customers who were granted a limit may buy on account.

    Of requests after the sale (domain/aftersale.py): the shop answers within ``answer_hours``, a buyer answers an offer
    within ``offer_hours`` and sends goods back within ``send_back_days``, the shop looks at them within
    ``check_back_days``. ``fault_days`` after they arrived goods go back for a reason such as a fault. ``back_to`` is
    where they are sent.
    """

    return_days: int = RETURN_DAYS_MIN
    keep_chat_days: int = 0
    list_basis_required: bool = False
    host_identity_required: bool = False
    licence_shown: bool = True
    complaints_days: int = 15
    credit_sale: bool = False
    answer_hours: int = 48
    offer_hours: int = 72
    send_back_days: int = 7
    check_back_days: int = 10
    fault_days: int = 15
    back_to: str = ""


AFTER_SALE_BOUNDS: Mapping[str, tuple[int, int]] = {
    "answer_hours": (1, 168),
    "offer_hours": (1, 168),
    "send_back_days": (3, 30),
    "check_back_days": (3, 30),
    "fault_days": (7, 365),
}
"""What each may be: a week for an answer, a month for a parcel."""
BACK_TO_CHARACTERS_MAX = 200


def policy_of(stored: Mapping[str, Any]) -> Policy:
    """Switches from their JSON shape; what an older release stored without has its default."""
    known = {field.name for field in fields(Policy)}
    return Policy(**{name: value for name, value in stored.items() if name in known})


def policy_fault(policy: Policy) -> tuple[str, str] | None:
    """The field at fault and why, or None."""
    if not RETURN_DAYS_MIN <= policy.return_days <= RETURN_DAYS_MAX:
        return (
            "return_days",
            f"return_days is {RETURN_DAYS_MIN} to {RETURN_DAYS_MAX}: goods that cannot be given back say so",
        )
    if policy.keep_chat_days and not KEEP_DAYS_MIN <= policy.keep_chat_days <= KEEP_DAYS_MAX:
        return "keep_chat_days", f"keep_chat_days is 0, or {KEEP_DAYS_MIN} to {KEEP_DAYS_MAX}"
    if not 1 <= policy.complaints_days <= 60:
        return "complaints_days", "complaints_days is 1 to 60"
    for name, (least, most) in AFTER_SALE_BOUNDS.items():
        if not least <= getattr(policy, name) <= most:
            return name, f"{name} is {least} to {most}"
    if len(policy.back_to) > BACK_TO_CHARACTERS_MAX or not policy.back_to.isprintable():
        return "back_to", f"back_to has at most {BACK_TO_CHARACTERS_MAX} printable characters"
    return None


def return_fault(
    policy: Policy, kind: str, exceptions: set[str], shipped_ms: int | None, done_ms: int | None, now_ms: int
) -> str | None:
    """Why an order's goods cannot be given back without a reason, as a code, or None.

    ``kind`` of the order; ``exceptions`` are the ``returns`` of the goods; times are when they were sent and arrived.
    """
    if kind != "goods" or exceptions - {SEVEN_DAYS}:
        return "no_return"
    if shipped_ms is None and done_ms is None:
        return "not_open"
    # While it is under way its time has not begun.
    if done_ms is not None and now_ms > done_ms + policy.return_days * DAY_MS:
        return "expired"
    return None
