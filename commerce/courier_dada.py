"""Dada (达达快送), open platform: one of the couriers that Chinese shops use.

Each request is a JSON object with ``app_key``, ``source_id`` (the merchant at Dada), ``timestamp`` (s), ``format``
json, ``v`` 1.0, ``body`` (a JSON text) and ``signature``: upper-case hex MD5 of all of these as name and value, one
after the other in the order of their names, with the secret before and behind.

    quote    POST /api/order/queryDeliverFee
    create   POST /api/order/addOrder        2105, 2063 … when it is there already: then it is asked about
    cancel   POST /api/order/formalCancel    2076 when it is off already; 2050, 2051, 2460 when the rider has the goods
    query    POST /api/order/status/query    2005 when nothing is known of it

A callback's ``signature`` is the MD5 of the values of client_id, order_id and update_time, sorted and joined: there is
no secret in it, so whoever knows an order's number can make one. It is taken for a hint alone: what it tells is asked
for at Dada, over TLS, and only the answer counts. Money is in yuan with decimals on the wire. Stores have their own
numbers at Dada: ``shops`` maps ours to theirs, otherwise ours is used.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

import orjson

from commerce.courier import CourierNotice, CourierQuote, CourierRequest, CourierState
from commerce.domain.courier import ACCEPTED, BACK, CARRIED, DELIVERED, FAILED, WAITING
from commerce.errors import Busy, CommerceError, Invalid, Refused
from commerce.ledger import Clock
from commerce.payment import CallbackAnswer, SignedMessage
from commerce.payment_http import ProviderHttp

API = "https://newopen.imdada.cn"
UNKNOWN, CANCELLED = 2005, 2076
TRANSIENT = frozenset({-1, 999, 1000, 2012, 2090, 2304})
"""System errors and "being worked on": the same request may go through later."""
OTHER_REASON = 10_000
"""取消原因：其他; then the text says why."""
REASON_CHARACTERS_MAX = 100
KINDS = {
    1: WAITING,
    2: ACCEPTED,
    100: ACCEPTED,
    8: WAITING,
    3: CARRIED,
    4: DELIVERED,
    5: FAILED,
    9: BACK,
    10: FAILED,
    1000: FAILED,
}
"""待接单, 待取货, 骑士到店, 指派单, 配送中, 已完成, 已取消, 返回中, 返回完成, 创建运单失败."""


@dataclass(frozen=True, slots=True)
class DadaAccount:
    """An application at Dada and the merchant that it acts for. ``city`` is the area code, such as 021."""

    name: str
    app_key: str
    app_secret: str
    source_id: str
    city: str
    notify_url: str
    cargo: int = 5
    shops: Mapping[str, str] = field(default_factory=dict)
    merchants: frozenset[str] = frozenset()
    api: str = API


class Dada:
    """Runs errands by one account."""

    def __init__(self, account: DadaAccount, *, clock: Clock) -> None:
        self._account = account
        self._clock = clock
        self._http = ProviderHttp(account.api)

    @property
    def name(self) -> str:
        """The account's name."""
        return self._account.name

    @property
    def merchants(self) -> frozenset[str]:
        """The merchants whose errands it runs; empty for all."""
        return self._account.merchants

    async def quote(self, request: CourierRequest) -> CourierQuote:
        """查询运费."""
        given = _done(await self._ask("/api/order/queryDeliverFee", self._errand(request)))
        return CourierQuote(_fen(given.get("fee")), int(_number(given.get("distance"))))

    async def create(self, request: CourierRequest) -> CourierState:
        """下单; where it is there already, how it stands."""
        answer = await self._ask("/api/order/addOrder", self._errand(request))
        if answer.get("code") != 0:
            known = await self.query(request.number)
            if known is not None:
                return known
        given = _done(answer)
        return CourierState(request.number, WAITING, _fen(given.get("fee")))

    async def cancel(self, number: str, reason: str) -> CourierState:
        """取消订单."""
        body = {"order_id": number, "cancel_reason_id": OTHER_REASON, "cancel_reason": reason[:REASON_CHARACTERS_MAX]}
        answer = await self._ask("/api/order/formalCancel", body)
        if answer.get("code") not in (CANCELLED, UNKNOWN):
            return CourierState(number, FAILED, reason=reason, penalty=_fen(_done(answer).get("deduct_fee") or 0))
        return CourierState(number, FAILED, reason=reason)

    async def query(self, number: str) -> CourierState | None:
        """订单详情查询."""
        answer = await self._ask("/api/order/status/query", {"order_id": number})
        if answer.get("code") == UNKNOWN:
            return None
        given = _done(answer)
        code = given.get("statusCode")
        if given.get("orderId") != number or code not in KINDS:
            raise Invalid(f"the courier answers about another errand, or one in a state {code!r} that is not known")
        fee = given.get("actualFee", given.get("deliveryFee"))
        return CourierState(
            number,
            KINDS[code],
            None if fee is None else _fen(fee),
            str(given.get("transporterName") or ""),
            str(given.get("transporterPhone") or ""),
            str(given.get("statusMsg") or "") if KINDS[code] == FAILED else "",
            _fen(given.get("deductFee") or 0) if KINDS[code] == FAILED else 0,
        )

    async def parse(self, message: SignedMessage) -> CourierNotice:
        """A callback: its signature is checked, and then Dada is asked."""
        try:
            body = orjson.loads(message.body)
            parts = [str(body[name]) for name in ("client_id", "order_id", "update_time")]
            signature, number = str(body["signature"]), str(body["order_id"])
        except (orjson.JSONDecodeError, KeyError, TypeError) as error:
            raise Invalid("the callback cannot be read") from error
        if signature.lower() != _md5("".join(sorted(parts))):
            raise Refused("bad_signature", "the callback is not signed as the courier's document says")
        known = await self.query(number)
        if known is None:
            raise Refused("bad_signature", "the courier knows of no such errand")
        return CourierNotice(f"{number}/{body.get('order_status')}/{parts[2]}", known)

    def acknowledge(self, error: CommerceError | None) -> CallbackAnswer:
        """200 ends the repeats."""
        if error is None:
            return CallbackAnswer(200, b'{"status":"ok"}', "application/json")
        return CallbackAnswer(500, b'{"status":"fail"}', "application/json")

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    def _errand(self, request: CourierRequest) -> dict[str, Any]:
        return {
            "shop_no": self._account.shops.get(request.outlet, request.outlet),
            "origin_id": request.number,
            "city_code": self._account.city,
            "cargo_price": request.amount / 100,
            "cargo_type": self._account.cargo,
            "cargo_weight": max(1, round(request.grams / 1_000, 1)),
            "is_prepay": 0,
            "receiver_name": request.target.name,
            "receiver_phone": request.target.phone,
            "receiver_address": request.target.address,
            "receiver_lat": request.target.lat_e6 / 1e6,
            "receiver_lng": request.target.lng_e6 / 1e6,
            "callback": self._account.notify_url,
        }

    async def _ask(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """One signed request; what Dada says. Raises Busy when it does not, or says to come back."""
        fields = {
            "app_key": self._account.app_key,
            "body": orjson.dumps(body).decode(),
            "format": "json",
            "source_id": self._account.source_id,
            "timestamp": str(self._clock() // 1_000),
            "v": "1.0",
        }
        content = orjson.dumps(fields | {"signature": sign(fields, self._account.app_secret)})
        answer = await self._http.ask("POST", path, headers={"content-type": "application/json"}, content=content)
        try:
            given: dict[str, Any] = orjson.loads(answer.body)
            code = given["code"]
        except (orjson.JSONDecodeError, KeyError, TypeError) as error:
            raise Busy(f"the courier answers {answer.status} without a result") from error
        if answer.status >= 500 or code in TRANSIENT:
            raise Busy(f"the courier asks to come back ({code})")
        return given


def sign(fields: Mapping[str, str], secret: str) -> str:
    """The signature of a request."""
    joined = "".join(f"{name}{fields[name]}" for name in sorted(fields))
    return _md5(f"{secret}{joined}{secret}").upper()


def _md5(text: str) -> str:
    # The platform's document prescribes it.
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _done(answer: Mapping[str, Any]) -> dict[str, Any]:
    if answer.get("code") != 0:
        raise Refused("courier_refused", f"the courier says: {str(answer.get('msg'))[:100]} ({answer.get('code')})")
    result = answer.get("result")
    return result if isinstance(result, dict) else {}


def _number(value: Any) -> Decimal:
    try:
        return Decimal(str(value))
    except InvalidOperation as error:
        raise Invalid("the courier's answer has no number where one belongs") from error


def _fen(value: Any) -> int:
    return int((_number(value) * 100).to_integral_value())
