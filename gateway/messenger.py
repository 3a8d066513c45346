"""Sends what waits for customers: claims it, hands it to the channel's adapter, writes down what became of it.

A provider's limit makes a message wait as long as it says; a fault of the network or the account makes it wait ever
longer, six times; a refusal for this person ends it. WeCom's mass messages are put together by sender and text, as each
is a task for a member of staff; what became of it is asked for afterwards.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

import orjson

from commerce.crm.messages_sql import Due
from commerce.crm.outreach import Outreach
from commerce.domain.outreach import BACK_OFF_FIRST_MS, BACK_OFF_MOST_MS, STAFF_CHANNEL
from commerce.domain.refund import back_off_ms
from commerce.errors import CommerceError, NotFound
from commerce.identity.service import Identities
from gateway.errors import Problem
from gateway.sms import SmsAccount, SmsApi
from gateway.wechat import WechatApi
from gateway.wecom import WecomApi, WecomCorp

logger = logging.getLogger("siyu.messenger")

CLAIM_MAX = 100
"""Messages claimed at once: at four at a time and 5 s each at the worst, they are done long before the lease ends."""
UNDER_WAY_MAX = 4
IDLE_S = 15.0
FAILURE_PAUSE_S = 1.0
FOR_NOBODY = frozenset({"message_refused", "no_contact", "no_member", "wechat_blocked"})
"""What a provider says of this person: trying again does not help."""


@dataclass(frozen=True, slots=True)
class MessengerStats:
    """Figures for metrics: messages that providers took, tries put off, messages refused or given up."""

    sent: int
    put_off: int
    failed: int


class Messenger:
    """Sends until closed. ``clock`` gives Unix milliseconds."""

    def __init__(
        self,
        outreach: Outreach,
        identities: Identities,
        wechat: WechatApi,
        wecom: WecomApi,
        sms: SmsApi,
        *,
        clock: Callable[[], int],
    ) -> None:
        self._outreach = outreach
        self._identities = identities
        self._wechat = wechat
        self._wecom = wecom
        self._sms = sms
        self._clock = clock
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.sent = 0
        self.put_off = 0
        self.failed = 0

    def start(self) -> None:
        """Begin, with what was left by the last run."""
        self._outreach.wake = self._wake.set
        self._task = asyncio.get_running_loop().create_task(self._run())

    def stats(self) -> MessengerStats:
        """Figures for metrics."""
        return MessengerStats(self.sent, self.put_off, self.failed)

    async def close(self) -> None:
        """Send no more; what was claimed is sent after its lease."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def aclose(self) -> None:
        """Close the connections of the adapter that is ours alone."""
        await self._sms.aclose()

    async def work(self) -> int:
        """Send what is due now; how many messages that were."""
        while await self._outreach.fill():
            pass
        count = 0
        while due := await self._outreach.claim(CLAIM_MAX):
            count += len(due)
            slots = asyncio.Semaphore(UNDER_WAY_MAX)

            async def send(batch: Sequence[Due], slots: asyncio.Semaphore = slots) -> None:
                async with slots:
                    await self._send(batch)

            async with asyncio.TaskGroup() as group:
                for batch in _batches(due):
                    group.create_task(send(batch))
        return count

    async def ask_results(self) -> int:
        """Ask WeCom what became of mass messages; of how many that was news. One that fails is asked again later."""
        news = 0
        for task in await self._outreach.tasks():
            try:
                account = await self._outreach.account(task.merchant, "wecom")
                corp = WecomCorp(account["corpid"], account["secret"])
                outcomes = await self._wecom.send_result(corp, task.number, task.sender)
            except (Problem, CommerceError) as error:
                logger.warning("what became of task %s at WeCom is asked later: %s", task.number, error)
                continue
            news += await self._outreach.told(task, outcomes)
        return news

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            wait_s = IDLE_S
            try:
                await self.work()
                await self.ask_results()
                next_ms = await self._outreach.next_due()
                if next_ms is not None:
                    wait_s = min(IDLE_S, max(0.05, (next_ms - self._clock()) / 1000))
            except Exception:
                # Whatever the store has: the messages wait in it.
                logger.exception("messages cannot be sent; trying again")
                wait_s = FAILURE_PAUSE_S
            try:
                async with asyncio.timeout(wait_s):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def _send(self, batch: Sequence[Due]) -> None:
        """One request, for several people at WeCom, and what became of each."""
        lost: frozenset[str] = frozenset()
        number = ""
        try:
            number, lost = await self._hand_over(batch)
        except (Problem, CommerceError) as error:
            await self._put_off(batch, error)
            return
        for message in batch:
            if message.address in lost:
                self.failed += 1
                await self._outreach.refused(message, "no_contact")
            else:
                self.sent += 1
                await self._outreach.done(message, number)

    async def _hand_over(self, batch: Sequence[Due]) -> tuple[str, frozenset[str]]:
        """Send; the provider's number, and those addresses that it cannot reach. Raises Problem, CommerceError."""
        first = batch[0]
        if first.channel == "subscribe":
            app = await self._identities.wechat_app(first.merchant)
            if app is None:
                raise NotFound("this shop has no mini-program")
            body = first.body
            page, data = body.get("page", ""), body.get("data", {})
            await self._wechat.subscribe_message(app, first.address, body["template"], page, data)
            return "", frozenset()
        account = await self._outreach.account(first.merchant, first.channel)
        if first.channel == "sms":
            sms = SmsAccount(account["key"], account["secret"], account["sign_name"])
            number = self._outreach.number(first)
            params = first.body.get("params", {})
            return await self._sms.send(sms, number, first.body["template"], params, first.id), frozenset()
        corp = WecomCorp(account["corpid"], account["secret"])
        if first.channel == STAFF_CHANNEL:
            number = await self._wecom.app_message(corp, int(account["agentid"]), first.address, first.body)
            return number, frozenset()
        return await self._wecom.mass_message(corp, first.sender, [one.address for one in batch], first.body)

    async def _put_off(self, batch: Sequence[Due], error: Problem | CommerceError) -> None:
        why = f"{error.code}: {error.detail if isinstance(error, Problem) else error.message}"
        for message in batch:
            if error.code in FOR_NOBODY:
                self.failed += 1
                await self._outreach.refused(message, why)
                continue
            limited = isinstance(error, Problem) and error.status == 429
            wait_ms = (error.retry_ms or 0) if limited else 0
            wait_ms = wait_ms or back_off_ms(message.tries, BACK_OFF_FIRST_MS, BACK_OFF_MOST_MS)
            given_up = await self._outreach.later(message, why, wait_ms, limited=limited)
            self.failed += given_up
            self.put_off += not given_up


def _batches(due: Sequence[Due]) -> list[list[Due]]:
    """Those of WeCom by merchant, sender and text; the others each by itself."""

    def key(message: Due) -> tuple[str, ...]:
        if message.channel != "wecom":
            return ("", message.id)
        body = orjson.dumps(message.body, option=orjson.OPT_SORT_KEYS).decode()
        return (message.merchant, message.sender, body)

    return [list(batch) for _, batch in groupby(sorted(due, key=key), key)]
