"""The shop's day: Asia/Shanghai, which has known no summer time since 1991."""

import re
from datetime import UTC, date, datetime, timedelta

OFFSET_MS = 8 * 3_600_000
DAY_MS = 86_400_000
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def day_bounds_ms(day: str) -> tuple[int, int]:
    """The first millisecond of a day ``YYYY-MM-DD`` and of the next one. Raises ValueError."""
    if not _DAY.fullmatch(day):
        raise ValueError("a day is written YYYY-MM-DD")
    begins = date.fromisoformat(day)
    if not 1971 <= begins.year <= 2999:
        raise ValueError("a day lies in the years 1971 to 2999")
    since_ms = (begins - date(1970, 1, 1)).days * DAY_MS - OFFSET_MS
    return since_ms, since_ms + DAY_MS


def day_of(now_ms: int) -> str:
    """The day ``YYYY-MM-DD`` of a moment."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=now_ms + OFFSET_MS)).date().isoformat()


def rfc3339(at_ms: int) -> str:
    """A moment in the shop's time, to the whole second before it (RFC 3339)."""
    return local(at_ms).strftime("%Y-%m-%dT%H:%M:%S+08:00")


def local(at_ms: int) -> datetime:
    """A moment as the shop's wall clock shows it, without milliseconds and without a zone."""
    return datetime(1970, 1, 1) + timedelta(seconds=(at_ms + OFFSET_MS) // 1000)  # noqa: DTZ001 - a wall clock's
