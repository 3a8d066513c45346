"""Asks a merchant's own server whether a host may go live: a signed POST that is waited for.

    200–299  yes        400–499  no, with ``{"reason": "…"}`` if the host is to be told why
    anything else, or nothing in time: as the merchant chose, refused by default

The question is asked after the key was found good, and never instead of it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

import orjson

from commerce.domain.webhook import sign
from commerce.fresh_ids import fresh_id
from commerce.media_hook_sql import MediaHook, MediaHooks
from gateway.errors import Problem
from gateway.outgoing import DeliveryError, Outgoing
from stream.origin import Origin

logger = logging.getLogger("siyu.hooks")

ASKED_MAX = 64
"""Questions that wait for their answer at a time; more count as unanswered."""
ANSWER_BYTES_MAX = 4_096
REASON_CHARACTERS_MAX = 200
ASK_TYPE = "publish.authorize"


@dataclass(slots=True)
class HookStats:
    """Figures for metrics: questions asked, and how they were answered."""

    asked: int = 0
    refused: int = 0
    unanswered: int = 0


class PublishHook:
    """Asks, if the merchant wants to be asked."""

    def __init__(self, hooks: MediaHooks, outgoing: Outgoing, *, clock: Callable[[], int]) -> None:
        self._hooks = hooks
        self._outgoing = outgoing
        self._clock = clock
        self._asking = 0
        self._stats = HookStats()

    async def ask(self, merchant: str, room: str, origin: Origin) -> bool:
        """Ask about a host; whether somebody was asked. Raises ``Problem`` when it may not go live."""
        hook = self._hooks.of(merchant)
        if hook is None:
            return False
        self._stats.asked += 1
        status, reason = await self._answer(hook, room, origin)
        if status is not None and 200 <= status < 300:
            return True
        fields = {"room": room, "status": status}
        if status is not None and 400 <= status < 500:
            self._stats.refused += 1
            logger.info("a host was refused by the merchant's hook", extra={"fields": fields})
            raise Problem(403, "publish_refused", f"the shop refused this broadcast: {reason}")
        self._stats.unanswered += 1
        logger.warning("a merchant's hook gave no answer: %s", reason, extra={"fields": fields})
        if not hook.fail_open:
            raise Problem(
                503,
                "hook_unanswered",
                "the shop's own server, which has to agree to a broadcast, did not answer: try again",
                retry_ms=3_000,
            )
        return True

    async def _answer(self, hook: MediaHook, room: str, origin: Origin) -> tuple[int | None, str]:
        """The status (None: no answer), and the reason in one line."""
        if self._asking >= ASKED_MAX:
            return None, "too many hosts are being asked about"
        self._asking += 1
        try:
            async with asyncio.timeout(hook.timeout_ms / 1000):
                url, body = hook.url, self._question(room, origin)
                now_ms = self._clock()
                headers = {
                    "User-Agent": "siyu-live",
                    "Content-Type": "application/json",
                    "Connection": "close",
                    "Siyu-Event": ASK_TYPE,
                    "Siyu-Timestamp": str(now_ms),
                    "Siyu-Signature": sign(hook.secret, now_ms, body),
                }
                answer = await self._outgoing.post(url, headers, body, body_bytes_max=ANSWER_BYTES_MAX)
        except DeliveryError as error:
            return None, str(error)
        except TimeoutError:
            return None, f"nothing came within {hook.timeout_ms} ms"
        except (OSError, ValueError) as error:
            return None, f"it cannot be reached: {type(error).__name__}"
        finally:
            self._asking -= 1
        return answer.status, _reason(answer.body) or f"it answered {answer.status}"

    def _question(self, room: str, origin: Origin) -> bytes:
        now_ms = self._clock()
        return orjson.dumps(
            {
                "id": fresh_id(now_ms),
                "type": ASK_TYPE,
                "room": room,
                "created": now_ms,
                "protocol": origin.protocol,
                "key": origin.credential,
                "name": origin.name,
                "address": origin.address,
            }
        )

    def stats(self) -> HookStats:
        """Figures for metrics."""
        return self._stats


def _reason(body: bytes) -> str:
    """The reason in an answer, in one line that an encoder can show; empty when there is none."""
    try:
        given = orjson.loads(body)
    except orjson.JSONDecodeError:
        return ""
    reason = given.get("reason") if isinstance(given, dict) else None
    if not isinstance(reason, str):
        return ""
    return "".join(c if c.isprintable() else " " for c in reason)[:REASON_CHARACTERS_MAX].strip()
