"""Custom orders and sale on account in the crowded shop: forms, offers, the making; limits, debts, bookings."""

from typing import Any

import orjson

from commerce.compliance_sql import set_policy
from commerce.domain.credit import CreditTerms
from commerce.domain.custom import CustomField, CustomForm, Offer
from commerce.domain.day import DAY_MS
from commerce.domain.order import Delivery, WantedLine
from tests.commerce.crowded_desk import Desk, Names, operation, simple
from tests.commerce.shop_world import MERCHANT, OTHER_SKU, ROOM

RING, KITCHEN = "ring", "kitchen"
FORM = CustomForm((CustomField("name", "text", required=True, most=20, amount=300),), making_days=3)
ON_REQUEST = CustomForm(making_days=3, asked=True)
WISHED = (("name", "Ann"),)
TERMS = CreditTerms(4_500, 30)
NOTICE = {
    "channel": "sms", "due_template": "DUE", "overdue_template": "LATE", "page": "",
    "fields": {"sum": "amount", "day": "due"},
}  # fmt: skip
TO = Delivery("express", "Ann", "13800138000", "some road 1")


async def furnish_custom(desk: Desk, names: Names) -> None:
    """Fill the workshop."""
    for sku, form in ((RING, FORM), (KITCHEN, ON_REQUEST)):
        await desk.shop.stock_up(MERCHANT, sku, 3)
        await desk.shop.custom.set_form(MERCHANT, "boss", sku, form)
    names["ring"] = await _ring(desk, "ann", "ring")
    names["asked"] = (await _ask(desk, "di", "asked")).request
    for person in ("cy", "lou"):
        names[f"offer of {person}"] = request = (await _ask(desk, person, "ask")).request
        await _offer(desk, request, 30)
    order = await desk.shop.create_order(
        MERCHANT, ROOM, "lou", "kitchen", offer=(names["offer of lou"], 1), delivery=TO
    )
    names["kitchen"] = order.order
    paid = await desk.shop.pay_order(MERCHANT, "lou", order.order, "pay-kitchen")
    assert paid.presale is not None and paid.presale.balance_order is not None
    names["kitchen balance"] = paid.presale.balance_order
    await _credit(desk, names)


async def _credit(desk: Desk, names: Names) -> None:
    terms = orjson.dumps({"credit_sale": True}).decode()
    await desk.store.write(lambda db: set_policy(db, merchant=MERCHANT, terms=terms, staff="boss", now=desk.clock()))
    for person in ("bo", "cy"):
        await desk.shop.credit.set_line(MERCHANT, "boss", person, TERMS)
    names["owed"] = await _on_account(desk, "bo", "owed")
    await desk.shop.credit.book(MERCHANT, "boss", "bo", "repaid", "some", amount=500)
    names["came back"] = await _on_account(desk, "cy", "back")
    await desk.shop.credit.book(MERCHANT, "boss", "cy", "repaid", "all", amount=2_000)
    await desk.shop.aftersale.refund(MERCHANT, "boss", names["came back"], "back", stock="sellable")
    await desk.shop.credit.set_line(MERCHANT, "boss", "ed", TERMS)
    names["overdue"] = await _on_account(desk, "ed", "overdue")
    late = f"UPDATE receivable SET due_ms = created_ms - 1 WHERE order_id = '{names['overdue']}'"
    await desk.store.write(lambda db: db.exec_driver_sql(late))
    # Of what bo owes something is due tomorrow: a sweep tells of it.
    await desk.shop.credit.set_notice(MERCHANT, NOTICE)
    soon = f"UPDATE deadline SET due_ms = {desk.clock()} WHERE kind = 'debt' AND subject = '{names['owed']}'"
    await desk.store.write(lambda db: db.exec_driver_sql(soon))
    # Of what bo owes, a part is asked of the provider, which has not heard of the payer yet.
    desk.provider._hold_back = True
    begun = await desk.shop.credit.repay(MERCHANT, "bo", 900, "begun")
    desk.provider._hold_back = False
    repayment = begun.repayment.repayment
    names["debt payment"] = str(await desk.one(f"SELECT id FROM payment WHERE order_id = '{repayment}'"))


async def _on_account(desk: Desk, person: str, key: str) -> str:
    lines = [WantedLine(OTHER_SKU, 1)]
    order = await desk.shop.create_order(MERCHANT, ROOM, person, f"account {key}", lines=lines)
    paid = await desk.shop.payments.pay(MERCHANT, person, order.order, f"account {key}", provider="account")
    return paid.order.order


async def _ring(desk: Desk, person: str, key: str) -> str:
    lines = [WantedLine(RING, 1, None, WISHED)]
    order = await desk.shop.create_order(MERCHANT, ROOM, person, key, lines=lines, delivery=TO)
    return (await desk.shop.pay_order(MERCHANT, person, order.order, f"pay-{key}")).order


async def _ask(desk: Desk, person: str, key: str) -> Any:
    return await desk.shop.custom.ask(MERCHANT, ROOM, person, KITCHEN, 1, (), "white", key)


async def _offer(desk: Desk, request: str, percent: int) -> Any:
    now_ms = desk.clock()
    offer = Offer(5_000, percent, "keep", now_ms + 2 * DAY_MS, now_ms + DAY_MS)
    return await desk.shop.custom.offer(MERCHANT, "boss", request, offer, "")


simple("buy_a_ring", lambda d, n: _ring(d, "bo", "another ring"))
simple("set_no_form", lambda d, n: d.shop.custom.set_form(MERCHANT, "boss", RING, None))
simple("confirm_the_ring", lambda d, n: d.shop.custom.produce(MERCHANT, n["ring"], "confirmed"))
simple("cancel_the_ring", lambda d, n: d.shop.custom.cancel(MERCHANT, "ann", n["ring"], "no ring"))
simple("refund_the_ring", lambda d, n: d.shop.aftersale.refund(MERCHANT, "boss", n["ring"], "ring", stock="sellable"))
simple("ask_for_a_kitchen", lambda d, n: _ask(d, "ed", "new"))
simple("offer_a_kitchen", lambda d, n: _offer(d, n["asked"], 0))
simple("offer_it_anew", lambda d, n: _offer(d, n["offer of cy"], 20))
simple("decline_the_kitchen", lambda d, n: d.shop.custom.decline(MERCHANT, "boss", n["offer of cy"], "too far"))
simple("withdraw_the_request", lambda d, n: d.shop.custom.withdraw(MERCHANT, "cy", n["offer of cy"]))
simple("accept_the_offer", lambda d, n: d.shop.create_order(
    MERCHANT, ROOM, "cy", "accepted", offer=(n["offer of cy"], 1), delivery=TO
))  # fmt: skip
simple("pay_the_kitchen", lambda d, n: d.shop.pay_order(MERCHANT, "lou", n["kitchen balance"], "kitchen balance"))
simple("cancel_the_kitchen", lambda d, n: d.shop.custom.cancel(MERCHANT, "lou", n["kitchen"], "no kitchen"))
simple("let_the_balance_go", lambda d, n: d.shop.cancel_order(MERCHANT, "lou", n["kitchen balance"]))

simple("grant_a_limit", lambda d, n: d.shop.credit.set_line(MERCHANT, "boss", "cy", CreditTerms(1_000, 7)))
simple("buy_on_account", lambda d, n: _on_account(d, "bo", "new"))
# Both together are more than bo may owe.
simple("buy_on_account_with_the_other_hand", lambda d, n: _on_account(d, "bo", "other hand"))
simple("tell_who_owes", lambda d, n: d.shop.sweep())
simple("buy_with_what_is_spare", lambda d, n: _on_account(d, "cy", "new"))
simple("repay", lambda d, n: d.shop.credit.book(MERCHANT, "boss", "bo", "repaid", "rest", amount=1_500))
simple("repay_some", lambda d, n: d.shop.credit.book(MERCHANT, "boss", "bo", "repaid", "more", amount=900))
simple("ask_again_for_the_repayment", lambda d, n: d.shop.credit.repay(MERCHANT, "bo", 900, "begun"))
simple("pay_it_all_back", lambda d, n: d.shop.credit.repay(MERCHANT, "bo", 1_500, "all"))
simple("pay_that_order_back", lambda d, n: d.shop.credit.repay(
    MERCHANT, "bo", 700, "one", order=n["owed"], provider="wallet"
))  # fmt: skip
simple("remind_who_is_overdue", lambda d, n: d.shop.credit.remind(MERCHANT, "boss", "ed", "pay", "remind"))


@operation
async def money_comes_for_the_debt(desk: Desk, names: Names) -> Any:
    """The debtor confirms in the wallet; the callback comes twice."""
    message = desk.provider.pay(names["debt payment"])
    if message is None:
        return "closed"
    await desk.shop.settle("sandbox", message.body, message.headers)
    return await desk.shop.settle("sandbox", message.body, message.headers)


simple("give_a_debt_up", lambda d, n: d.shop.credit.book(
    MERCHANT, "boss", "bo", "lost", "lost", order=n["owed"], reason="bankrupt"
))  # fmt: skip
simple("give_the_spare_back", lambda d, n: d.shop.credit.book(MERCHANT, "boss", "cy", "given", "given", amount=2_000))
simple("refund_what_is_owed", lambda d, n: d.shop.aftersale.refund(
    MERCHANT, "boss", n["owed"], "owed", stock="sellable"
))  # fmt: skip
