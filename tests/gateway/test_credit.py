"""Sale on account over the API: the switch, a limit, paying by it, bookings, one's own statement, and who may."""

from __future__ import annotations

from pathlib import Path

import msgspec

from commerce.domain.day import DAY_MS
from gateway.schemas_credit import CreditPage, CreditView, DunningView, RepaidAnswer, StatementOfCredit
from tests.gateway.rig import rig


async def test_a_customer_buys_on_account_and_pays_it_back(tmp_path: Path) -> None:
    async with rig(tmp_path) as live:
        boss, room = live.shop.merchant_token, live.shop.room
        guest = await live.guest(name="思语餐饮")
        token, line = guest["token"], f"/credit/{guest['person']}"
        made = {"title": "大米", "price": 10_000, "stock": 5}
        sku = (await live.call("POST", f"/rooms/{room}/products", made, token=live.shop.host_token)).json()["sku"]
        limit = {"most": 15_000, "days": 30, "name": "思语餐饮"}
        off = await live.call("PUT", line, limit, token=boss)
        assert (off.status_code, off.json()["code"]) == (422, "closed")
        assert (await live.call("PUT", "/policy", {"credit_sale": True}, token=boss)).json()["credit_sale"] is True
        assert (await live.call("PUT", line, limit, token=token)).status_code == 403
        assert msgspec.convert((await live.call("PUT", line, limit, token=boss)).json(), CreditView).free == 15_000
        ways = (await live.call("GET", "/payments", token=token)).json()
        assert "account" in [one["provider"] for one in ways]
        stranger = (await live.guest())["token"]
        assert "account" not in [
            one["provider"] for one in (await live.call("GET", "/payments", token=stranger)).json()
        ]

        orders = []
        for key in ("a", "b"):
            basket = {"room": room, "lines": [{"sku": sku, "quantity": 1}], "coupons": []}
            order = (await live.call("POST", "/orders", basket, token=token, key=key)).json()["order"]["order"]
            way = {"provider": "account"}
            orders.append(await live.call("POST", f"/orders/{order}/pay", way, token=token, key=f"p{key}"))
        assert orders[0].json()["order"]["status"] == "paid"
        assert (orders[1].status_code, orders[1].json()["code"], orders[1].json()["left"]) == (
            422,
            "insufficient",
            5_000,
        )

        slip = {"kind": "repaid", "amount": 4_000, "reference": "8812"}
        assert (await live.call("POST", f"{line}/bookings", slip, token=token, key="s")).status_code == 403
        booked = await live.call("POST", f"{line}/bookings", slip, token=boss, key="s")
        assert (booked.status_code, booked.json()["owed"]) == (201, 6_000)
        over = await live.call("POST", f"{line}/bookings", slip | {"amount": 6_001}, token=boss, key="t")
        assert (over.status_code, over.json()["code"]) == (422, "over_payment")
        mine = msgspec.convert((await live.call("GET", "/credit/mine", token=token)).json(), StatementOfCredit)
        assert mine.account is not None and [one.owed for one in mine.entries] == [10_000, 6_000]
        nobody = msgspec.convert((await live.call("GET", "/credit/mine", token=stranger)).json(), StatementOfCredit)
        assert nobody.account is None and not nobody.debts
        page = msgspec.convert((await live.call("GET", "/credit", token=boss)).json(), CreditPage)
        assert [(one.owed, one.ages.not_due) for one in page.items] == [(6_000, 6_000)]
        assert "思语餐饮,150.00,60.00" in (await live.call("GET", "/credit/export", token=boss)).text
        erased = await live.call("POST", f"/people/{guest['person']}/erase", {"reason": "asked"}, token=boss)
        assert erased.status_code == 422


async def test_a_debtor_pays_back_through_a_provider_and_who_does_not_is_reminded(tmp_path: Path) -> None:
    async with rig(tmp_path) as live:
        boss, room = live.shop.merchant_token, live.shop.room
        guest = await live.guest(name="思语餐饮")
        token, line = guest["token"], f"/credit/{guest['person']}"
        made = {"title": "大米", "price": 10_000, "stock": 5}
        sku = (await live.call("POST", f"/rooms/{room}/products", made, token=live.shop.host_token)).json()["sku"]
        await live.call("PUT", "/policy", {"credit_sale": True}, token=boss)
        await live.call("PUT", line, {"most": 15_000, "days": 1, "name": "思语餐饮"}, token=boss)
        basket = {"room": room, "lines": [{"sku": sku, "quantity": 1}], "coupons": []}
        order = (await live.call("POST", "/orders", basket, token=token, key="o")).json()["order"]["order"]
        await live.call("POST", f"/orders/{order}/pay", {"provider": "account"}, token=token, key="p")

        path = "/credit/mine/repayments"
        assert (await live.call("POST", path, {"amount": 4_000}, token=token)).status_code == 400
        over = await live.call("POST", path, {"amount": 10_001}, token=token, key="k0")
        assert (over.status_code, over.json()["code"], over.json()["left"]) == (422, "over_payment", 10_000)
        for wrong in ({"amount": -1}, {"amount": 1.5}, {"amount": "4000"}, {"amount": 1, "provider": "nosuch"}):
            assert (await live.call("POST", path, wrong, token=token, key="k1")).status_code in (400, 422)
        answer = await live.call("POST", path, {"amount": 4_000, "order": order}, token=token, key="k2")
        paid = msgspec.convert(answer.json(), RepaidAnswer)
        assert (paid.repayment.state, paid.repayment.applied, paid.payment) == ("paid", 4_000, None)
        again = await live.call("POST", path, {"amount": 4_000, "order": order}, token=token, key="k2")
        assert again.json() == answer.json()
        other = await live.call("POST", path, {"amount": 4_001, "order": order}, token=token, key="k2")
        assert other.status_code == 409
        mine = msgspec.convert((await live.call("GET", "/credit/mine", token=token)).json(), StatementOfCredit)
        assert mine.account is not None and mine.account.owed == 6_000
        assert [one.applied for one in mine.repayments] == [4_000] and mine.reminders == []

        reminders = f"{line}/reminders"
        early = await live.call("POST", reminders, {"note": "请还款"}, token=boss, key="r")
        assert (early.status_code, early.json()["code"]) == (422, "already")
        assert (await live.call("GET", "/credit/overdue", token=boss)).json() == []
        assert (await live.call("GET", "/credit/overdue", token=token)).status_code == 403
        assert (await live.call("POST", reminders, {"note": "请还款"}, token=token, key="r")).status_code == 403
        live.clock.ahead_ms += DAY_MS + 1_000
        late = msgspec.convert((await live.call("GET", "/credit/overdue", token=boss)).json(), list[DunningView])
        assert [(one.name, one.overdue, one.days, one.reminders) for one in late] == [("思语餐饮", 6_000, 0, 0)]
        told = await live.call("POST", reminders, {"note": "请还款"}, token=boss, key="r2")
        assert (told.status_code, told.json()[0]["overdue"]) == (201, 6_000)
        late = msgspec.convert((await live.call("GET", "/credit/overdue", token=boss)).json(), list[DunningView])
        assert (late[0].reminders, late[0].note) == (1, "请还款")
        retry = await live.call("POST", f"{line}/repayments/{paid.repayment.repayment}/retry", token=boss)
        assert retry.status_code == 404
