"""A payment provider that needs nothing: it decides at once and calls back later, with bodies that are really signed.

Signature: hex HMAC-SHA256 with the given secret over ``timestamp "." nonce "." body``, in the headers
``sandbox-timestamp`` (Unix ms), ``sandbox-nonce`` and ``sandbox-signature``. Like a real provider it repeats a callback
that was not taken, and may deliver one twice.
"""

import asyncio
import hmac
import logging
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import asdict, dataclass, field, fields
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson

from commerce.domain.bill import Bill, BillLine
from commerce.domain.clearing import Funds, SettledLine
from commerce.domain.day import day_bounds_ms
from commerce.errors import CommerceError, Invalid, Refused
from commerce.ledger import Clock
from commerce.payment import (
    CALLBACK_BYTES_MAX,
    CallbackAnswer,
    PaymentNotice,
    PaymentOpened,
    PaymentRequest,
    RefundRequest,
    SignedMessage,
)
from commerce.sandbox_book import SandboxBook

log = logging.getLogger(__name__)

Deliver = Callable[[str, bytes, Mapping[str, str]], Awaitable[object]]
"""(provider, body, headers): the shop's ``settle``. An exception makes the sandbox repeat."""

TRANSACTIONS_MAX = 100_000
"""Transactions remembered; the oldest are forgotten."""
DECIDED = ("paid", "declined")
CALLBACK_TRIES_MAX = 8
"""Repeats of a callback that is not taken, each after twice the time."""
CALLBACK_DELAY_S = 0.05
SKEW_MS_MAX = 300_000
"""A signature's age or advance: older ones could be replays of a leaked body."""


_KEPT = ("number", "state", "refunds", "decided_ms", "refunded_ms")


@dataclass(slots=True)
class _Transaction:
    request: PaymentRequest
    number: str
    state: str = "open"
    refunds: dict[str, int] = field(default_factory=dict)
    decided_ms: int = 0
    refunded_ms: dict[str, int] = field(default_factory=dict)

    def entry(self) -> dict[str, Any]:
        """Its line in the book."""
        return {**asdict(self.request), **{name: getattr(self, name) for name in _KEPT}}


def _transaction(entry: dict[str, Any]) -> _Transaction:
    """Raises KeyError, TypeError, ValueError."""
    request = PaymentRequest(**{item.name: entry[item.name] for item in fields(PaymentRequest) if item.name in entry})
    refunds = {str(refund): int(amount) for refund, amount in entry["refunds"].items()}
    refunded_ms = {str(refund): int(at_ms) for refund, at_ms in entry.get("refunded_ms", {}).items()}
    decided_ms = int(entry.get("decided_ms", 0))
    return _Transaction(request, str(entry["number"]), str(entry["state"]), refunds, decided_ms, refunded_ms)


class SandboxProvider:
    """Pays everything except the amounts in ``declined_amounts`` (分), refunds all but ``failed_refunds``.

    ``hold_back`` leaves payments open until ``pay`` is called, as a customer does who dawdles in the wallet.
    ``book`` is a file in which payments are kept over a restart; without it they are forgotten.
    ``mute_refunds`` takes refunds and says nothing, as a provider whose callbacks are lost.
    """

    name = "sandbox"
    appid = ""
    methods: tuple[str, ...] = ()
    merchants: frozenset[str] = frozenset()

    def __init__(
        self,
        secret: bytes,
        *,
        clock: Clock,
        declined_amounts: Collection[int] = (),
        failed_refunds: Collection[int] = (),
        mute_refunds: bool = False,
        hold_back: bool = False,
        callback_delay_s: float = CALLBACK_DELAY_S,
        deliveries: int = 1,
        book: Path | None = None,
    ) -> None:
        self._secret = secret
        self._clock = clock
        self._declined_amounts = frozenset(declined_amounts)
        self._failed_refunds = frozenset(failed_refunds)
        self.mute_refunds = mute_refunds
        self._hold_back = hold_back
        self._delay_s = callback_delay_s
        self._deliveries = deliveries
        self._transactions: dict[str, _Transaction] = {}
        self._deliver: Deliver | None = None
        self._calls: set[asyncio.Task[None]] = set()
        self._book = None if book is None else SandboxBook(book, payments_max=TRANSACTIONS_MAX)
        if self._book is not None:
            self._book.compact()
            self._hear()

    def _hear(self) -> None:
        """Take up the payments of the runs before, and of the other processes that keep this book."""
        if self._book is None:
            return
        for entry in self._book.news():
            try:
                self._transactions[str(entry["payment"])] = _transaction(entry)
            except (AttributeError, KeyError, TypeError, ValueError):
                log.warning("a payment in the sandbox's book cannot be read and is forgotten")
        while len(self._transactions) > TRANSACTIONS_MAX:
            del self._transactions[next(iter(self._transactions))]

    def _keep(self, transaction: _Transaction) -> None:
        """Write down how a payment stands."""
        if self._book is not None:
            self._book.write(transaction.entry())

    def deliver_to(self, deliver: Deliver) -> None:
        """Send callbacks there from now on."""
        self._deliver = deliver

    async def start(self, request: PaymentRequest) -> PaymentOpened | None:
        """Open a payment and, unless held back, decide it; there is nothing for the customer to do."""
        self._hear()
        if request.payment in self._transactions:
            return None
        if len(self._transactions) >= TRANSACTIONS_MAX:
            del self._transactions[next(iter(self._transactions))]
        self._transactions[request.payment] = transaction = _Transaction(request, secrets.token_hex(12))
        self._keep(transaction)
        if not self._hold_back:
            self.pay(request.payment)
        return None

    def pay(self, payment: str) -> SignedMessage | None:
        """The customer confirms in the wallet; the notice, or None when it is closed or too late."""
        self._hear()
        transaction = self._transactions[payment]
        if transaction.state != "open" or self._clock() >= transaction.request.expires_ms:
            return None
        declined = transaction.request.amount in self._declined_amounts
        transaction.state = "declined" if declined else "paid"
        transaction.decided_ms = self._clock()
        self._keep(transaction)
        message = self._notice(transaction)
        self._send(message)
        return message

    async def query(self, payment: str) -> SignedMessage | None:
        """The latest notice of a payment, or None."""
        self._hear()
        transaction = self._transactions.get(payment)
        if transaction is None or transaction.state not in DECIDED:
            return None
        # Signed now: it may have been decided hours ago, and an old signature is refused.
        return self._notice(transaction)

    async def close(self, payment: str) -> None:
        """Close an open payment."""
        self._hear()
        transaction = self._transactions.get(payment)
        if transaction is not None and transaction.state == "open":
            transaction.state = "closed"
            self._keep(transaction)

    async def refund(self, request: RefundRequest) -> SignedMessage | None:
        """Give money back, under one number once; its notice comes by itself.

        A payment that it has forgotten (too many since, or no book) is taken on the shop's word.
        Raises Refused (refund_refused) for a payment known to be unpaid, or for more than was paid.
        """
        self._hear()
        transaction = self._transactions.get(request.payment)
        before = {} if transaction is None else transaction.refunds
        others = sum(amount for refund, amount in before.items() if refund != request.refund)
        if (transaction is not None and transaction.state != "paid") or others + request.amount > request.paid:
            raise Refused("refund_refused", "the sandbox never took that much for this payment")
        before[request.refund] = request.amount
        if transaction is not None:
            transaction.refunded_ms.setdefault(request.refund, self._clock())
            self._keep(transaction)
        if self.mute_refunds:
            return None
        body = {
            # The same after a restart, as a real provider's: a repeated notice is known to be one.
            "number": f"r-{request.refund}",
            "kind": "refund_failed" if request.amount in self._failed_refunds else "refunded",
            "payment": request.payment,
            "merchant": request.merchant,
            "amount": request.amount,
            "refund": request.refund,
        }
        self._send(self.sign(orjson.dumps(body)))
        return None

    def acknowledge(self, error: CommerceError | None) -> CallbackAnswer:
        """A JSON object; a status over 299 makes the provider repeat."""
        if error is None:
            return CallbackAnswer(200, b"{}", "application/json")
        return CallbackAnswer(400, orjson.dumps({"code": error.code, "detail": error.message}), "application/json")

    async def bill(self, day: str) -> Bill | None:
        """What the sandbox took and gave back on a day that is over. Raises Invalid."""
        try:
            since_ms, until_ms = day_bounds_ms(day)
        except ValueError as error:
            raise Invalid(str(error)) from error
        if self._clock() < until_ms:
            return None
        self._hear()
        lines = []
        for transaction in self._transactions.values():
            request = transaction.request
            where = (transaction.number, request.payment)
            if transaction.state == "paid" and since_ms <= transaction.decided_ms < until_ms:
                lines.append(BillLine("paid", *where, "", request.amount, 0, request.merchant))
            for refund, amount in transaction.refunds.items():
                failed = amount in self._failed_refunds
                if not failed and since_ms <= transaction.refunded_ms.get(refund, 0) < until_ms:
                    number = f"r-{refund}"
                    lines.append(BillLine("refunded", number, request.payment, refund, amount, 0, request.merchant))
        return Bill(orjson.dumps([asdict(line) for line in lines]), tuple(lines))

    async def funds(self, day: str) -> Funds | None:
        """The same as movements of accounts, and what is left at the day's end paid out to each shop's bank."""
        bill = await self.bill(day)
        if bill is None:
            return None
        _, until_ms = day_bounds_ms(day)
        lines: list[SettledLine] = []
        left: Counter[str] = Counter()
        for one in bill.lines:
            amount = one.amount if one.kind == "paid" else -one.amount
            left[one.merchant] += amount
            moved = (f"f-{one.number}", one.kind, one.number, amount, until_ms - 1, "", one.payment)
            lines.append(SettledLine(*moved, merchant=one.merchant))
        for merchant, amount in sorted(left.items()):
            if amount > 0:
                paid = (f"out-{merchant}-{day}", "payout", "", -amount, until_ms - 1)
                lines.append(SettledLine(*paid, merchant=merchant))
        return Funds(orjson.dumps([asdict(line) for line in lines]), tuple(lines))

    def sign(self, body: bytes) -> SignedMessage:
        """A body with the headers that prove it is ours."""
        timestamp, nonce = str(self._clock()), secrets.token_hex(8)
        headers = {
            "sandbox-timestamp": timestamp,
            "sandbox-nonce": nonce,
            "sandbox-signature": self._signature(timestamp, nonce, body),
        }
        return SignedMessage(body, headers)

    async def parse(self, message: SignedMessage) -> PaymentNotice:
        """Check a message and read it. Raises Refused (bad_signature) and Invalid."""
        if len(message.body) > CALLBACK_BYTES_MAX:
            raise Invalid("a callback is at most 16 KiB")
        headers = {name.lower(): value for name, value in message.headers.items()}
        timestamp, nonce = headers.get("sandbox-timestamp", ""), headers.get("sandbox-nonce", "")
        given = headers.get("sandbox-signature", "")
        if not hmac.compare_digest(given.encode(), self._signature(timestamp, nonce, message.body).encode()):
            raise Refused("bad_signature", "the callback is not signed by the provider")
        if not timestamp.isascii() or not timestamp.isdigit() or abs(self._clock() - int(timestamp)) > SKEW_MS_MAX:
            raise Refused("bad_signature", "the callback's time is off")
        try:
            body = orjson.loads(message.body)
            return PaymentNotice(
                number=str(body["number"]),
                kind=str(body["kind"]),
                payment=str(body["payment"]),
                merchant=str(body["merchant"]),
                amount=int(body["amount"]),
                refund=str(body.get("refund", "")),
            )
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
            raise Invalid("the callback cannot be read") from error

    async def aclose(self) -> None:
        """End the callbacks that are still to be made."""
        for call in list(self._calls):
            call.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)
        if self._book is not None:
            self._book.close()

    def _signature(self, timestamp: str, nonce: str, body: bytes) -> str:
        return hmac.new(self._secret, f"{timestamp}.{nonce}.".encode() + body, sha256).hexdigest()

    def _notice(self, transaction: _Transaction) -> SignedMessage:
        """What was decided about a payment."""
        request = transaction.request
        body = {
            "number": transaction.number,
            "kind": transaction.state,
            "payment": request.payment,
            "merchant": request.merchant,
            "amount": request.amount,
        }
        return self.sign(orjson.dumps(body))

    def _send(self, message: SignedMessage) -> None:
        if self._deliver is not None:
            for _ in range(self._deliveries):
                call = asyncio.get_running_loop().create_task(self._call_back(self._deliver, message))
                self._calls.add(call)
                call.add_done_callback(self._calls.discard)

    async def _call_back(self, deliver: Deliver, message: SignedMessage) -> None:
        delay_s = self._delay_s
        for _ in range(CALLBACK_TRIES_MAX):
            await asyncio.sleep(delay_s)
            # Signed at the moment of sending, as the receiver refuses old signatures.
            message = self.sign(message.body)
            try:
                await deliver(self.name, message.body, message.headers)
            except CommerceError as error:
                log.info("the shop did not take a callback (%s); it will be repeated", error.code)
                delay_s *= 2
            else:
                return
        log.warning("the shop never took a callback of the sandbox")
