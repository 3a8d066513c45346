"""Recurring sales: which moments a rule names (RFC 5545 section 3.3.10, RRULE), in Asia/Shanghai.

    FREQ=WEEKLY;BYDAY=MO,WE,FR;BYHOUR=10;BYMINUTE=0        Mondays, Wednesdays and Fridays at 10:00

The rule is read by python-dateutil. What it makes of a rule is bounded here: at its times of day only, no
INTERVAL of 0 (an endless loop), and nothing later than ``HORIZON`` (a rule like February 30th never comes).
"""

import re
from datetime import UTC, datetime, timedelta

from dateutil.rrule import rrule, rrulestr

from commerce.domain.day import OFFSET_MS

RULE_CHARACTERS_MAX = 200
HORIZON = timedelta(days=366 * 4)
"""The longest wait for a next moment: a leap day's."""
_PART = re.compile(r"(FREQ|INTERVAL|BYDAY|BYMONTHDAY|BYMONTH|BYHOUR|BYMINUTE|WKST|UNTIL)=([0-9A-Z,+-]{1,80})")
_FREQUENCIES = frozenset({"DAILY", "WEEKLY", "MONTHLY", "YEARLY"})
_INTERVAL = re.compile(r"[1-9][0-9]?")
_UNTIL = re.compile(r"[0-9]{8}T[0-9]{6}")
# Local times of a place without summer time are counted plainly.
_EPOCH = datetime.fromtimestamp(0, UTC).replace(tzinfo=None)
_NO_END = _EPOCH.replace(year=9000)


def rule_fault(rule: str) -> str | None:
    """Why a rule cannot be kept, in a sentence; None when it can."""
    try:
        _parse(rule, _EPOCH)
    except ValueError as error:
        return str(error)
    return None


def next_ms(rule: str, since_ms: int, after_ms: int) -> int | None:
    """The first moment after ``after_ms`` (Unix ms) of a rule that began at ``since_ms``; None when none is left.

    Raises ValueError for a rule that ``rule_fault`` finds fault with.
    """
    after = _local(after_ms)
    parsed, until = _parse(rule, _local(since_ms).replace(second=0, microsecond=0))
    found = parsed.replace(until=min(until, after + HORIZON)).after(after)
    return None if found is None else int((found - _EPOCH) / timedelta(milliseconds=1)) - OFFSET_MS


def _local(now_ms: int) -> datetime:
    return datetime.fromtimestamp((now_ms + OFFSET_MS) / 1000, UTC).replace(tzinfo=None)


def _parse(rule: str, since: datetime) -> tuple[rrule, datetime]:
    """The rule without its end, and its end."""
    if not 0 < len(rule) <= RULE_CHARACTERS_MAX:
        raise ValueError(f"a rule has 1 to {RULE_CHARACTERS_MAX} characters")
    parts: dict[str, str] = {}
    for part in rule.split(";"):
        match = _PART.fullmatch(part)
        if match is None or match[1] in parts:
            raise ValueError(f"{part!r} is not a part of a rule like FREQ=WEEKLY;BYDAY=MO,WE,FR;BYHOUR=10;BYMINUTE=0")
        parts[match[1]] = match[2]
    if parts.get("FREQ") not in _FREQUENCIES:
        raise ValueError("FREQ is DAILY, WEEKLY, MONTHLY or YEARLY")
    if "BYHOUR" not in parts or "BYMINUTE" not in parts:
        raise ValueError("a rule names its time of day: BYHOUR and BYMINUTE")
    if not _INTERVAL.fullmatch(parts.get("INTERVAL", "1")):
        raise ValueError("INTERVAL is 1 to 99")
    if "UNTIL" in parts and not _UNTIL.fullmatch(parts["UNTIL"]):
        raise ValueError("UNTIL is a local time like 20261231T235959")
    until = parts.pop("UNTIL", None)
    ends = _NO_END if until is None else datetime.fromisoformat(until)
    try:
        parsed = rrulestr(";".join(f"{name}={value}" for name, value in parts.items()) + ";BYSECOND=0", dtstart=since)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"the rule is not understood: {error}") from error
    assert isinstance(parsed, rrule)
    return parsed, ends
