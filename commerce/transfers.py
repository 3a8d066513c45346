"""Paying commission out through providers: begun by staff, asked about until a notice or an answer ends it."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from commerce import withdrawals_sql
from commerce.commissions import SettleTransfer, StartTransfer, WithdrawalView
from commerce.errors import CommerceError, NotFound, Refused
from commerce.ledger import Ledger
from commerce.payment import PROVIDER_TIMEOUT_S, CallbackAnswer, SignedMessage
from commerce.store_sql import Store
from commerce.transfer import FAILED, OPEN, TransferProvider, TransferRequest, TransferState
from commerce.withdrawals_sql import Outgoing

log = logging.getLogger(__name__)

REMARK = "推广佣金"
"""What the person reads beside the money."""


class Transfers:
    """``providers``: the first that serves a merchant pays its distributors. ``clock``: Unix milliseconds."""

    def __init__(
        self, store: Store, ledger: Ledger, providers: Sequence[TransferProvider], *, clock: Callable[[], int]
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._providers = {provider.name: provider for provider in providers}
        self._clock = clock

    def of(self, merchant: str) -> TransferProvider | None:
        """Who pays a merchant's distributors; None: they are paid by hand."""
        for provider in self._providers.values():
            if not provider.merchants or merchant in provider.merchants:
                return provider
        return None

    async def aclose(self) -> None:
        """Close the connections."""
        for provider in self._providers.values():
            await provider.aclose()

    async def start(self, merchant: str, withdrawal: str, by: str) -> WithdrawalView:
        """Pay an approved withdrawal; as it stands when the provider has answered, or did not in time.

        Raises NotFound, Refused (no_provider, no_payee, limit, already).
        """
        provider = self.of(merchant)
        if provider is None:
            raise Refused("no_provider", "this shop has no account that pays persons: pay it yourself and say so")
        row = await self._store.read(lambda db: withdrawals_sql.one(db, merchant, withdrawal))
        if row.amount - row.tax > provider.amount_max:
            raise Refused("limit", f"{provider.name} moves at most {provider.amount_max} 分 at a time: pay it by hand")
        payee = row.person
        if provider.appid:
            found = await self._store.read(lambda db: withdrawals_sql.openid(db, merchant, row.person, provider.appid))
            if found is None:
                raise Refused("no_payee", "this person never entered by the mini-program: pay them by hand")
            payee = found
        await self._do(StartTransfer(merchant, withdrawal, by, provider.name, payee))
        # Committed before the provider is asked: whatever happens now, the transfer is known to have been begun.
        row = await self._store.read(lambda db: withdrawals_sql.one(db, merchant, withdrawal))
        return await self._look(row, first=True)

    async def chase(self) -> int:
        """Ask about every transfer that is due; how many. Several processes may: a number is paid once."""
        rows = await self._store.read(lambda db: withdrawals_sql.due(db, self._clock()))
        for row in rows:
            try:
                await self._look(row)
            except CommerceError as error:
                log.warning("transfer %s was not settled and will be asked about again: %r", row.id, error)
        return len(rows)

    async def answer(self, name: str, raw: bytes, headers: Mapping[str, str]) -> CallbackAnswer:
        """Take a provider's callback and say what it is to hear. Raises NotFound for one that is not set up."""
        provider = self._named(name)
        try:
            state = await provider.parse(SignedMessage(raw, headers))
            row = await self._store.read(lambda db: withdrawals_sql.by_number(db, name, state.number))
            await self._settle(row, state)
        except CommerceError as error:
            log.warning("a transfer's notice of %s was not taken: %s (%s)", name, error.message, error.code)
            return provider.acknowledge(error)
        return provider.acknowledge(None)

    async def _look(self, row: Outgoing, *, first: bool = False) -> WithdrawalView:
        provider = self._named(row.provider)
        request = TransferRequest(row.id, row.merchant, row.payee, row.amount - row.tax, REMARK)
        try:
            async with asyncio.timeout(PROVIDER_TIMEOUT_S):
                state = None if first else await provider.query(row.id)
                if state is None:
                    state = await self._ask(provider, request)
        except (CommerceError, TimeoutError) as error:
            log.warning("transfer %s: %s did not say how it stands: %r", row.id, provider.name, error)
            reason = error.message if isinstance(error, CommerceError) else "the provider did not answer"
            state = TransferState(row.id, OPEN, request.amount, reason=reason)
        return await self._settle(row, state)

    async def _ask(self, provider: TransferProvider, request: TransferRequest) -> TransferState:
        try:
            return await provider.start(request)
        except Refused as error:
            if error.code != "transfer_refused":
                raise
            # An earlier request may have got there although nobody heard the answer: only if not, nothing is paid.
            known = await provider.query(request.number)
            if known is None:
                return TransferState(request.number, FAILED, request.amount, reason=error.message)
            return known

    async def _settle(self, row: Outgoing, state: TransferState) -> WithdrawalView:
        return await self._do(
            SettleTransfer(
                row.merchant,
                row.id,
                row.provider,
                state.kind,
                state.amount,
                state.provider_number,
                state.reason,
                orjson.dumps(dict(state.confirm)).decode() if state.confirm else "",
            )
        )

    def _named(self, name: str) -> TransferProvider:
        found = self._providers.get(name)
        if found is None:
            raise NotFound("no such account to pay persons from")
        return found

    async def _do(self, command: Any) -> WithdrawalView:
        result = await self._ledger.submit(command)
        assert isinstance(result, WithdrawalView)
        return result
