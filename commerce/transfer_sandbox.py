"""Transfers that move no money: the sandbox says that it paid, at once, whatever is asked of it."""

import hmac
from collections.abc import Collection
from dataclasses import replace
from hashlib import sha256

import orjson

from commerce.domain.money import AMOUNT_MAX
from commerce.errors import CommerceError, Invalid, Refused
from commerce.payment import CallbackAnswer, SignedMessage
from commerce.transfer import FAILED, PAID, WAITING, TransferRequest, TransferState

TRANSFERS_MAX = 100_000
"""Transfers remembered; the oldest are forgotten, and would be paid once more if anybody asked."""


class SandboxTransfers:
    """Pays everything except the amounts in ``failed_amounts`` (分). ``hold_back``: the person takes it by ``take``.

    Callbacks are signed: hex HMAC-SHA256 of the body with ``secret`` in ``sandbox-signature``.
    """

    name = "sandbox"
    merchants: frozenset[str] = frozenset()
    appid = ""
    amount_max = AMOUNT_MAX

    def __init__(self, secret: bytes, *, failed_amounts: Collection[int] = (), hold_back: bool = False) -> None:
        self._secret = secret
        self._failed = frozenset(failed_amounts)
        self._hold_back = hold_back
        self.transfers: dict[str, TransferState] = {}

    async def start(self, request: TransferRequest) -> TransferState:
        """Pay, or say how it stands."""
        known = self.transfers.get(request.number)
        if known is not None:
            return known
        if len(self.transfers) >= TRANSFERS_MAX:
            del self.transfers[next(iter(self.transfers))]
        kind = FAILED if request.amount in self._failed else WAITING if self._hold_back else PAID
        confirm = {"package": f"sandbox-{request.number}"} if kind == WAITING else {}
        reason = "the sandbox was told to fail this amount" if kind == FAILED else ""
        made = TransferState(request.number, kind, request.amount, f"t-{request.number}", reason, confirm)
        self.transfers[request.number] = made
        return made

    def take(self, number: str) -> SignedMessage:
        """The person takes the money in their wallet; the callback that follows."""
        self.transfers[number] = made = replace(self.transfers[number], kind=PAID, confirm={})
        body = orjson.dumps({"number": made.number, "kind": made.kind, "amount": made.amount})
        return SignedMessage(body, {"sandbox-signature": self._signature(body)})

    async def query(self, number: str) -> TransferState | None:
        """How a transfer stands."""
        return self.transfers.get(number)

    async def parse(self, message: SignedMessage) -> TransferState:
        """Check a callback and read it."""
        given = message.headers.get("sandbox-signature", "")
        if not hmac.compare_digest(given.encode(), self._signature(message.body).encode()):
            raise Refused("bad_signature", "the callback is not signed by the provider")
        try:
            body = orjson.loads(message.body)
            return TransferState(str(body["number"]), str(body["kind"]), int(body["amount"]), f"t-{body['number']}")
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
            raise Invalid("the callback cannot be read") from error

    def acknowledge(self, error: CommerceError | None) -> CallbackAnswer:
        """A JSON object; a status over 299 makes a provider repeat."""
        if error is None:
            return CallbackAnswer(200, b"{}", "application/json")
        return CallbackAnswer(400, orjson.dumps({"code": error.code, "detail": error.message}), "application/json")

    async def aclose(self) -> None:
        """There is nothing to close."""

    def _signature(self, body: bytes) -> str:
        return hmac.new(self._secret, b"transfer." + body, sha256).hexdigest()
