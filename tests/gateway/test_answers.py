"""What the hub's commands of commerce answer: the shapes of docs/hub.md, and nothing that is not the buyer's."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import Any

import pytest

from chat.hub import CommandContext, CommandRefused
from chat.member import Member
from chat.message import PreparedRefusal, refusal
from gateway.commands import hub_commands
from gateway.routes_rooms import midnight_ms
from tests.gateway.rig import Rig, rig

COUPON = {"coupon", "title", "amount", "threshold", "expires", "percent"}
ORDER = {"order", "status", "amount", "discount", "lines", "steps", "coupon", "created", "expires", "paid"}


@pytest.fixture
async def live(tmp_path: Path) -> AsyncIterator[Rig]:
    async with rig(tmp_path) as running:
        yield running


async def said(live: Rig, person: str, name: str, **fields: Any) -> dict[str, Any]:
    """The answer to one command of ``person``."""
    services = live.application.services
    member = Member(person, "小雨", "viewer", live.shop.merchant, live.clock() + 60_000)
    context = CommandContext(live.shop.room, member, live.clock())
    answer = hub_commands(services.desk, services.audit)[name](context, {"id": 1, "cmd": name, **fields})
    assert not isinstance(answer, PreparedRefusal)
    return dict(await answer if isinstance(answer, Awaitable) else answer)


async def started(live: Rig) -> dict[str, Any]:
    """A drop, and the seeded sale open; the drop."""
    base = f"/rooms/{live.shop.room}"
    body = {"title": "立减", "reason": "上新", "amount": 300, "threshold": 500, "total": 5}
    drop = await live.call("POST", f"{base}/drops", body, token=live.shop.host_token)
    assert drop.status_code == 201, drop.text
    path = f"{base}/sales/{live.shop.sale}/start"
    assert (await live.call("POST", path, {"countdown_s": 0}, token=live.shop.host_token)).status_code == 200
    view: dict[str, Any] = drop.json()
    return view


async def test_coupon_hold_order_and_payment_are_answered_as_the_protocol_says(live: Rig) -> None:
    drop = await started(live)
    person = (await live.guest())["person"]
    coupon = (await said(live, person, "coupon.claim", drop=drop["drop"], key="c"))["coupon"]
    assert set(coupon) == COUPON and coupon["expires"] > live.clock()
    hold = await said(live, person, "sale.hold", sale=live.shop.sale, quantity=1, key="h")
    assert set(hold) == {"hold", "quantity", "price", "expires"}
    assert (hold["quantity"], hold["price"]) == (1, 990) and hold["expires"] > live.clock()
    order = (await said(live, person, "order.create", hold=hold["hold"], coupon=coupon["coupon"], key="o"))["order"]
    assert set(order) >= ORDER and (order["amount"], order["discount"]) == (690, 300)
    paid = (await said(live, person, "order.pay", order=order["order"], key="p"))["order"]
    assert set(paid) >= ORDER and paid["status"] == "paid" and paid["paid"] is not None


async def test_a_repeated_command_is_answered_with_the_same_words(live: Rig) -> None:
    drop = await started(live)
    person = (await live.guest())["person"]
    for name, fields in (
        ("coupon.claim", {"drop": drop["drop"], "key": "c"}),
        ("sale.hold", {"sale": live.shop.sale, "quantity": 1, "key": "h"}),
    ):
        assert await said(live, person, name, **fields) == await said(live, person, name, **fields)


async def test_the_api_answers_a_hold_as_its_contract_says(live: Rig) -> None:
    await started(live)
    path = f"/rooms/{live.shop.room}/sales/{live.shop.sale}/holds"
    answer = await live.call("POST", path, {"quantity": 1}, token=(await live.guest())["token"], key="h")
    assert answer.status_code == 201 and set(answer.json()) == {"hold", "quantity", "price", "expires"}


async def test_who_is_credited_for_an_order_is_told_to_staff_and_never_to_the_buyer(live: Rig) -> None:
    room, merchant = live.shop.room, live.shop.merchant_token
    link = (await live.call("POST", "/links", {"room": room, "channel": "社群"}, token=merchant)).json()
    guest = await live.guest(scene=link["token"])
    token = guest["token"]
    body = {"room": room, "lines": [{"sku": live.shop.products[1]["sku"], "quantity": 1}]}
    made = await live.call("POST", "/orders", body, token=token, key="o")
    order = made.json()["order"]["order"]
    buyer = [
        made,
        await live.call("POST", f"/orders/{order}/pay", token=token, key="p"),
        await live.call("GET", f"/orders/{order}", token=token),
        await live.call("GET", "/orders", token=token),
    ]
    assert [answer.status_code for answer in buyer] == [201, 200, 200, 200]
    assert not [answer.text for answer in buyer if "decision" in answer.text or "社群" in answer.text]
    hub = await said(live, guest["person"], "order.create", lines=body["lines"], key="o2")
    assert "decision" not in hub["order"]
    shown = (await live.call("GET", f"/orders/{order}", token=merchant)).json()["order"]
    assert shown["decision"]["winner"]["link"]


async def test_the_host_reads_what_the_room_has_sold_today_and_nothing_of_yesterday(live: Rig) -> None:
    room, token = live.shop.room, (await live.guest())["token"]

    async def sold() -> dict[str, Any]:
        answer = await live.call("GET", f"/rooms/{room}/stats", token=live.shop.host_token)
        assert answer.status_code == 200, answer.text
        view: dict[str, Any] = answer.json()["sold"]
        return view

    async def order(key: str) -> str:
        body = {"room": room, "lines": [{"sku": live.shop.products[2]["sku"], "quantity": 1}]}
        made = await live.call("POST", "/orders", body, token=token, key=key)
        number: str = made.json()["order"]["order"]
        return number

    # Noon of a day to come: the test must not run into a midnight.
    noon = midnight_ms(live.clock() + 86_400_000) + 43_200_000
    live.clock.ahead_ms += noon - live.clock()
    token = (await live.guest())["token"]
    await order("unpaid")
    for key in ("one", "two"):
        paid = await live.call("POST", f"/orders/{await order(key)}/pay", token=token, key=key)
        assert paid.status_code == 200, paid.text
    assert await sold() == {"since": midnight_ms(noon), "orders": 2, "amount": 7_800}
    live.clock.ahead_ms += 86_400_000
    assert (await sold())["orders"] == 0


async def test_what_is_sold_out_is_refused_at_once_in_the_very_words_of_the_ledger(live: Rig) -> None:
    drop = (await started(live))["drop"]
    services, sale = live.application.services, live.shop.sale
    for n in range((await services.shop.sale(sale)).left):
        await said(live, f"early{n}", "sale.hold", sale=sale, quantity=1, key="h")
    for n in range(5):
        await said(live, f"early{n}", "coupon.claim", drop=drop)
    # The last of them were told what is left; a hint is made for whoever is refused.
    for name, fields in (("sale.hold", {"sale": sale, "key": "h"}), ("coupon.claim", {"drop": drop})):
        services.shop.ledger._latches.clear()
        with pytest.raises(CommandRefused) as slow:
            await said(live, "late", name, **fields)
        batches = services.shop.ledger.batches
        member = Member("later", "小雨", "viewer", live.shop.merchant, live.clock() + 60_000)
        context = CommandContext(live.shop.room, member, live.clock())
        quick = hub_commands(services.desk, services.audit)[name](context, fields)
        assert isinstance(quick, PreparedRefusal)
        assert quick.to(7) == refusal(7, slow.value)
        assert services.shop.ledger.batches == batches
