"""What people and programs send by mistake or on purpose: a clear refusal, and nothing is changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from commerce.audit_sql import audit
from tests.gateway.rig import rig

QUANTITIES: tuple[Any, ...] = (-1, 0, 1.5, 10**9, 10**30, "1", "１", "一", "١", None, True, [1], {"n": 1}, "", "\u0000")


async def test_quantities_ids_keys_and_times_that_cannot_be_are_refused_and_lose_nothing(tmp_path: Path) -> None:
    async with rig(tmp_path) as live:
        guest, room = await live.guest(), live.shop.room
        token, sku = guest["token"], live.shop.products[1]["sku"]
        foreign = live.other.products[1]["sku"]

        async def order(line: Any, key: str, **more: Any) -> Any:
            return await live.call("POST", "/orders", {"room": room, "lines": [line], **more}, token=token, key=key)

        for n, quantity in enumerate(QUANTITIES):
            answer = await order({"sku": sku, "quantity": quantity, "version": 1}, f"q{n}")
            assert answer.status_code in (400, 422) and answer.json()["code"], (quantity, answer.text)
        # Unknown things, those of another merchant, and another shop's room.
        for n, other in enumerate(("nosuch", foreign, "'; DROP TABLE orders; --", "茶" * 20)):
            answer = await order({"sku": other, "quantity": 1, "version": 1}, f"s{n}")
            assert answer.status_code in (400, 404, 422), (other, answer.text)
        line = {"sku": sku, "quantity": 1, "version": 1}
        elsewhere = await live.call("POST", "/orders", {"room": live.other.room, "lines": [line]}, token=token, key="e")
        assert elsewhere.status_code in (403, 404), elsewhere.text
        made = await order(line, "good")
        assert made.status_code == 201, made.text
        # The same key with another body is a conflict, and the first answer stays.
        assert (await order({**line, "quantity": 2}, "good")).status_code == 409
        assert (await order(line, "good")).json() == made.json()
        identifier = made.json()["order"]["order"]
        stranger = (await live.guest())["token"]
        for path in (f"/orders/{identifier}", f"/orders/{identifier}/refunds"):
            assert (await live.call("GET", path, token=stranger)).status_code == 404
        foreign_staff = await live.call("GET", f"/orders/{identifier}", token=live.other.merchant_token)
        assert foreign_staff.status_code == 404
        # Times that are past, or are none.
        for path in ("/statements?day=1600-01-01", "/statements?day=2026-13-01", "/board?since=-1", "/board?since=x"):
            answer = await live.call("GET", path, token=live.shop.merchant_token)
            assert answer.status_code == 400, (path, answer.text)
        listed = (await live.call("GET", "/orders", token=token)).json()["items"]
        assert [one["order"] for one in listed] == [identifier]
    assert [finding for finding in audit(tmp_path / "data") if not finding.ok] == []
