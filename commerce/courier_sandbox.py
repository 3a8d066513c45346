"""A courier that needs nothing: errands move along by the clock, or when told to, and fail as a script says.

Callbacks are signed: hex HMAC-SHA256 of the body with ``secret`` in ``sandbox-signature``.
"""

import hmac
from collections.abc import Collection
from dataclasses import dataclass
from hashlib import sha256

import orjson

from commerce.courier import CourierNotice, CourierQuote, CourierRequest, CourierState
from commerce.domain.courier import ACCEPTED, BACK, CARRIED, DELIVERED, FAILED, STATES, WAITING
from commerce.domain.pos import distance_m
from commerce.errors import Busy, CommerceError, Invalid, Refused
from commerce.ledger import Clock
from commerce.payment import CallbackAnswer, SignedMessage

ERRANDS_MAX = 100_000
"""Errands remembered; the oldest are forgotten."""
PACE_MS = 15_000
"""Each step of an errand takes so long: a demonstration is a minute."""
BASE_FEN, PER_KM_FEN = 600, 150
PENALTY_FEN = 200
"""What calling off costs, once a rider has taken it."""
_STEPS = (WAITING, ACCEPTED, CARRIED, DELIVERED)
_BAD_END = (WAITING, ACCEPTED, CARRIED, BACK, FAILED)


@dataclass(slots=True)
class _Errand:
    request: CourierRequest
    begun_ms: int
    fixed: str = ""


class SandboxCourier:
    """Takes every errand but those of the goods' amounts in ``refused_amounts`` (分).

    Those in ``failed_amounts`` come back to the store; to those in ``mute_amounts`` it gives no answer, though it has
    taken them. ``pace_ms`` 0: errands stand until ``move`` is called.
    """

    name = "sandbox"
    merchants: frozenset[str] = frozenset()

    def __init__(
        self,
        secret: bytes,
        *,
        clock: Clock,
        pace_ms: int = PACE_MS,
        refused_amounts: Collection[int] = (),
        failed_amounts: Collection[int] = (),
        mute_amounts: Collection[int] = (),
    ) -> None:
        self._secret = secret
        self._clock = clock
        self._pace_ms = pace_ms
        self._refused = frozenset(refused_amounts)
        self._failed = frozenset(failed_amounts)
        self._mute = frozenset(mute_amounts)
        self.errands: dict[str, _Errand] = {}

    async def quote(self, request: CourierRequest) -> CourierQuote:
        """By the distance."""
        if request.amount in self._refused:
            raise Refused("courier_refused", "the sandbox was told to refuse this amount")
        ends = ((one.lat_e6, one.lng_e6) for one in (request.source, request.target))
        metres = distance_m(*ends)
        return CourierQuote(BASE_FEN + PER_KM_FEN * (metres // 1_000), metres)

    async def create(self, request: CourierRequest) -> CourierState:
        """Take an errand, or say how it stands."""
        await self.quote(request)
        known = request.number in self.errands
        if not known:
            if len(self.errands) >= ERRANDS_MAX:
                del self.errands[next(iter(self.errands))]
            self.errands[request.number] = _Errand(request, self._clock())
        if request.amount in self._mute and not known:
            raise Busy("the sandbox was told to be silent")
        return await self._state(request.number)

    async def cancel(self, number: str, reason: str) -> CourierState:
        """Call it off, unless the rider has the goods."""
        if number not in self.errands:
            return CourierState(number, FAILED, reason=reason)
        state = await self._state(number)
        if state.kind in (CARRIED, BACK, DELIVERED):
            raise Refused("courier_refused", "the rider has the goods")
        self.errands[number].fixed = FAILED
        penalty = PENALTY_FEN if state.kind == ACCEPTED else 0
        return CourierState(number, FAILED, state.fee, reason=reason, penalty=penalty)

    async def query(self, number: str) -> CourierState | None:
        """How it stands by the clock, or as it was moved."""
        return await self._state(number) if number in self.errands else None

    def move(self, number: str, kind: str) -> SignedMessage:
        """Let it stand so; the callback that follows."""
        self.errands[number].fixed = kind
        body = orjson.dumps({"number": number, "kind": kind, "at": self._clock()})
        return SignedMessage(body, {"sandbox-signature": self._signature(body)})

    async def parse(self, message: SignedMessage) -> CourierNotice:
        """Check a callback and read it."""
        given = message.headers.get("sandbox-signature", "")
        if not hmac.compare_digest(given.encode(), self._signature(message.body).encode()):
            raise Refused("bad_signature", "the callback is not signed by the courier")
        try:
            body = orjson.loads(message.body)
            number, kind, at_ms = str(body["number"]), str(body["kind"]), int(body["at"])
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
            raise Invalid("the callback cannot be read") from error
        if kind not in STATES:
            raise Invalid(f"nothing is known of an errand in state {kind[:20]!r}")
        return CourierNotice(f"{number}/{kind}/{at_ms}", CourierState(number, kind, rider="小沙", phone="13800000000"))

    def acknowledge(self, error: CommerceError | None) -> CallbackAnswer:
        """A status over 299 makes a courier repeat."""
        if error is None:
            return CallbackAnswer(200, b"{}", "application/json")
        return CallbackAnswer(400, orjson.dumps({"code": error.code, "detail": error.message}), "application/json")

    async def aclose(self) -> None:
        """There is nothing to close."""

    async def _state(self, number: str) -> CourierState:
        errand = self.errands[number]
        kind = errand.fixed
        if not kind:
            steps = _BAD_END if errand.request.amount in self._failed else _STEPS
            passed = (self._clock() - errand.begun_ms) // self._pace_ms if self._pace_ms else 0
            kind = steps[min(passed, len(steps) - 1)]
        fee = (await self.quote(errand.request)).fee
        rider = ("小沙", "13800000000") if kind in (ACCEPTED, CARRIED, BACK, DELIVERED) else ("", "")
        reason = "the sandbox was told to fail this amount" if kind == FAILED else ""
        return CourierState(number, kind, fee, *rider, reason)

    def _signature(self, body: bytes) -> str:
        return hmac.new(self._secret, b"courier." + body, sha256).hexdigest()
