"""A stand-in for Dada's open platform, made from its document without the code under test: signs, refuses, stalls."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
from collections.abc import AsyncIterator
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.commerce.stand_in import served

KEY, SECRET, SOURCE = "dada-key", "dada-secret", "73753"


class DadaStandIn:
    """Errands by ``origin_id``; ``script`` holds faults to come, path by path, each used once."""

    def __init__(self) -> None:
        self.errands: dict[str, dict[str, Any]] = {}
        self.asked: list[str] = []
        self.script: dict[str, list[str]] = {}

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[str]:
        paths = ("queryDeliverFee", "addOrder", "formalCancel", "status/query")
        app = Starlette(routes=[Route(f"/api/order/{path}", self.answer, methods=["POST"]) for path in paths])
        async with served(app) as address:
            yield address

    async def answer(self, request: Request) -> Response:
        """One request, checked as the document says."""
        path = request.url.path.removeprefix("/api/order/")
        self.asked.append(path)
        given = json.loads(await request.body())
        signature = given.pop("signature")
        joined = "".join(name + str(given[name]) for name in sorted(given))
        if hashlib.md5(f"{SECRET}{joined}{SECRET}".encode()).hexdigest().upper() != signature:
            return _fault(2003, "签名错误")
        if (given["app_key"], given["source_id"], given["v"], given["format"]) != (KEY, SOURCE, "1.0", "json"):
            return _fault(2001, "app_key无效")
        fault = self.script[path].pop(0) if self.script.get(path) else ""
        if fault == "broken":
            return Response("<html>502</html>", 502)
        if fault.isdigit():
            return _fault(int(fault), "scripted")
        done: Response = {
            "queryDeliverFee": self._quote,
            "addOrder": self._add,
            "formalCancel": self._cancel,
            "status/query": self._query,
        }[path](json.loads(given["body"]))
        if fault == "lost":
            # It was done, and nobody hears of it in time: until the one who asked has gone.
            while not await request.is_disconnected():
                await asyncio.sleep(0.02)
        return done

    def _quote(self, body: dict[str, Any]) -> Response:
        return _result({"distance": 1_200.0, "fee": 7.35, "deliverFee": 7.35, "deliveryNo": "D1"})

    def _add(self, body: dict[str, Any]) -> Response:
        number = body["origin_id"]
        if number in self.errands:
            return _fault(2105, "订单已下发,如要重发,请使用重发接口")
        self.errands[number] = {**body, "statusCode": 1}
        return _result({"distance": 1_200.0, "fee": 7.35, "deliverFee": 7.35})

    def _cancel(self, body: dict[str, Any]) -> Response:
        errand = self.errands.get(body["order_id"])
        if errand is None:
            return _fault(2005, "订单不存在,请核查订单号")
        if errand["statusCode"] not in (1, 2, 5):
            return _fault(2050, "订单配送中,无法取消")
        if errand["statusCode"] == 5:
            return _fault(2076, "订单已取消,无法重复取消")
        # A rider who has taken it is paid for it.
        errand["deductFee"] = 2.0 if errand["statusCode"] == 2 else 0.0
        errand["statusCode"] = 5
        return _result({"deduct_fee": errand["deductFee"]})

    def _query(self, body: dict[str, Any]) -> Response:
        errand = self.errands.get(body["order_id"])
        if errand is None:
            return _fault(2005, "订单不存在,请核查订单号")
        rider = {"transporterName": "达达骑手", "transporterPhone": "13900000000"} if errand["statusCode"] > 1 else {}
        more = {"orderId": body["order_id"], "statusCode": errand["statusCode"], "statusMsg": "x", "actualFee": 7.35}
        more |= {"deductFee": errand.get("deductFee", 0.0)}
        return _result(more | rider)

    def notice(self, number: str, status: int, at: int = 1) -> bytes:
        """The callback when an errand comes to stand so."""
        if number in self.errands:
            self.errands[number]["statusCode"] = status
        parts = ["client-1", number, str(at)]
        signature = hashlib.md5("".join(sorted(parts)).encode()).hexdigest()
        body = dict(zip(("client_id", "order_id", "update_time"), parts, strict=True))
        return json.dumps(body | {"order_status": status, "signature": signature}).encode()


def _result(result: dict[str, Any]) -> Response:
    return JSONResponse({"status": "success", "code": 0, "msg": "成功", "result": result})


def _fault(code: int, text: str) -> Response:
    return JSONResponse({"status": "fail", "code": code, "msg": text})
