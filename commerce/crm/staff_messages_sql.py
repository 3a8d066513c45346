"""What staff are told by the shop's application at WeCom: judged and worded when its turn comes, not before.

A message holds only whom it is for and what about: what a customer asked stands in the question alone, so erasing it
there is enough, and an advisor who was passed by meanwhile, has looked, or wants none any more gets none.
"""

from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, text

from commerce.domain.day import local
from commerce.domain.outreach import CrmTerms, waits_until_ms

TITLE_BYTES_MAX = 128
WORDS_BYTES_MAX = 512
"""Of a card's description (developer.work.weixin.qq.com/document/path/90236, textcard)."""

_QUESTION = text(
    "SELECT a.wecom_user, a.told, a.active, a.hours, n.app_url, q.body, q.skill, q.due_ms, q.opened_ms"
    " FROM advisor AS a JOIN advice_notice AS n ON n.merchant = a.merchant"
    " JOIN question AS q ON q.merchant = a.merchant AND q.advisor = a.staff AND q.state = 'given'"
    " WHERE a.merchant = :merchant AND a.staff = :staff AND q.id = :question"
)


@dataclass(frozen=True, slots=True)
class Told:
    """A member's userid at WeCom, and the card: ``title``, ``text``, and ``url`` where it leads ("" for nowhere)."""

    user: str
    card: dict[str, Any]


def told(db: Connection, merchant: str, about: dict[str, Any], terms: CrmTerms, now_ms: int) -> Told | str:
    """What an advisor is told of a question now, or why nothing: gone_on, seen, opted_out, no_address or night."""
    asked = {"merchant": merchant, "staff": about["staff"], "question": about["question"]}
    row = db.execute(_QUESTION, asked).one_or_none()
    if row is None or not row.active or row.due_ms <= now_ms:
        return "gone_on"
    if row.opened_ms is not None:
        return "seen"
    if not row.told:
        return "opted_out"
    if not row.wecom_user:
        return "no_address"
    # Whoever has hours is given questions in these alone.
    if not orjson.loads(row.hours) and waits_until_ms("marketing", terms, now_ms) > now_ms:
        return "night"
    title = f"客户提问：{row.skill}" if row.skill else "客户提问"
    words = f"{_cut(row.body, WORDS_BYTES_MAX - 48)}\n请在 {local(row.due_ms):%H:%M} 前打开，否则转给下一位"
    return Told(row.wecom_user, {"title": _cut(title, TITLE_BYTES_MAX), "text": words, "url": row.app_url})


def _cut(words: str, bytes_max: int) -> str:
    """Words up to so many bytes of UTF-8, an ellipsis behind those that are cut."""
    raw = words.encode()
    return words if len(raw) <= bytes_max else raw[: bytes_max - 3].decode(errors="ignore") + "…"
