"""The mini-program's pages beside the room: each is opened, does its main thing against a real server, and says no."""

from __future__ import annotations

import hashlib
import hmac
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.miniprogram.phone import Phone, node, pocket, unpack
from tests.gateway.miniprogram.shop import Shop
from tests.gateway.test_pictures import picture
from tests.harness import live_server

HOME = {"userName": "王芳", "telNumber": "13800138022", "provinceName": "浙江省", "cityName": "杭州市"}
HOME |= {"countyName": "西湖区", "detailInfo": "龙井路 1 号"}
NEAR = {"latitude": 30.2501, "longitude": 120.1501, "name": "湖滨银泰", "address": "杭州市上城区"}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with live_server(tmp_path_factory.mktemp("pages")) as running:
        yield Shop(running)


@pytest.fixture(scope="module")
def folder(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpack(shop.server, tmp_path_factory.mktemp("sample"))


@pytest.fixture
def mine(folder: Path) -> Iterator[Phone]:
    with pocket(folder) as opened:
        yield opened


def named(rows: list[dict[str, Any]], **fields: Any) -> dict[str, Any]:
    """The row that has these values."""
    [found] = [row for row in rows if fields.items() <= row.items()]
    return found


def address(mine: Phone) -> dict[str, Any]:
    """Fill in a name and a phone as fingers do."""
    mine.tap("onField", "王芳", name="name")
    return mine.tap("onField", "13800138022", name="phone")


def test_what_lies_on_the_shelf_is_sent_by_express_to_an_address_of_wechats(shop: Shop, mine: Phone) -> None:
    shelf = mine.open("shop/goods/goods")
    assert shelf["title"] == "购物袋"
    tea = named(shelf["goods"], title="明前龙井 50g")
    assert tea["image"] == f"{shop.server.base}/static/img/tea.svg"
    shown = mine.tap("onBuy", sku=tea["sku"])
    assert shown["route"] == "shop/checkout/checkout" and shown["button"] == "支付 ¥88"
    mine.tap("onCount", by="1")
    assert mine.tap("onWay", way="express")["delivery"]["withAddress"]
    assert "请填写完整的收货信息" in mine.tap("onPay")["toasts"]
    mine.bearer(address=HOME)
    assert mine.tap("onAddress")["delivery"]["address"] == "浙江省杭州市西湖区龙井路 1 号"
    paid = mine.tap("onPay")
    assert paid["paid"] and paid["amount"] == "¥176"
    order = shop.newest()
    assert (order["status"], order["lines"][0]["quantity"]) == ("paid", 2)
    assert order["delivery"]["name"] == "王芳" and order["delivery"]["method"] == "express"
    assert mine.back()["route"] == "shop/goods/goods"


def test_who_keeps_their_address_to_themselves_is_asked_for_nothing_more(mine: Phone) -> None:
    shelf = mine.open("shop/goods/goods")
    mine.tap("onBuy", sku=shelf["goods"][0]["sku"])
    mine.tap("onWay", way="express")
    mine.bearer(privacy=False, address=HOME)
    before = mine.screen()["toasts"]
    shown = mine.tap("onAddress")
    assert shown["delivery"]["address"] == "" and shown["toasts"] == before


def test_goods_are_fetched_in_the_nearest_store_that_is_open_by_the_code_of_the_receipt(
    shop: Shop, mine: Phone
) -> None:
    sku = shop.goods("青团", 1500)
    far = shop.store("城西店", 30.30, 120.05, pickup=True)
    near = shop.store("湖滨店", 30.25, 120.15, pickup=True)
    mine.open("shop/checkout/checkout", sku=sku)
    shown = mine.tap("onWay", way="pickup")
    assert shown["delivery"]["stores"][0]["name"] == "由商家安排"
    mine.bearer(place=NEAR)
    shown = mine.tap("onLocate")
    stores = [one["outlet"] for one in shown["delivery"]["stores"] if one["outlet"] in (near, far)]
    assert stores == [near, far] and named(shown["delivery"]["stores"], outlet=near)["on"]
    assert "0.0 公里" in named(shown["delivery"]["stores"], outlet=near)["note"]
    assert named(mine.tap("onStore", outlet=far, can=True)["delivery"]["stores"], outlet=far)["on"]
    mine.tap("onStore", outlet=near, can=True)
    address(mine)
    paid = mine.tap("onPay")
    order = shop.newest()
    assert order["delivery"]["outlet"] == near
    assert paid["code"].startswith("取货码 ")
    mine.tap("onOrders")
    shown = mine.screen()
    assert shown["route"] == "shop/orders/orders"
    assert named(shown["orders"], order=order["order"])["code"] == paid["code"]


def test_a_courier_comes_from_a_store_that_is_near_enough_and_from_no_other(shop: Shop, mine: Phone) -> None:
    sku = shop.goods("鲜奶", 2600)
    near = shop.store("武林店", 30.25, 120.15, courier=True, radius=3000)
    far = shop.store("临平店", 30.42, 120.30, courier=True, radius=3000)
    mine.open("shop/checkout/checkout", sku=sku)
    mine.tap("onWay", way="courier")
    address(mine)
    mine.tap("onField", "龙井路 1 号", name="address")
    assert "请先选择位置，再选能配送的门店" in mine.tap("onPay")["toasts"]
    mine.bearer(place=NEAR)
    stores = mine.tap("onLocate")["delivery"]["stores"]
    assert named(stores, outlet=near)["on"]
    assert not named(stores, outlet=far)["can"] and "超出配送范围" in named(stores, outlet=far)["note"]
    assert not named(mine.tap("onStore", outlet=far, can=False)["delivery"]["stores"], outlet=far)["on"]
    bands = {"outlet": near, "way": "courier", "bands": [[3000, 600]]}
    shop.ask("PUT", "/freight", bands)
    shown = mine.tap("again")
    assert shown["steps"][-1] == {"name": "配送费", "amount": "¥6"} and shown["button"] == "支付 ¥32"
    assert mine.tap("onPay")["paid"]
    order = shop.newest()
    assert (order["delivery"]["method"], order["delivery"]["outlet"]) == ("courier", near)
    assert order["amount"] == 3200


def test_a_coupon_is_taken_off_unless_the_buyer_keeps_it(shop: Shop, mine: Phone) -> None:
    sku = shop.goods("桂花酱", 5000)
    giving = {"title": "进店礼", "reason": "进店送券", "amount": 300, "total": 50, "way": "entry", "days": 7}
    shop.ask("POST", f"/rooms/{shop.room}/givings", giving)
    mine.open("pages/room/room")
    mine.sees(lambda room: room.get("title"))
    mine.open("shop/checkout/checkout", sku=sku)
    shown = mine.screen()
    assert shown["purse"]["coupons"][2] == "减 ¥3（进店礼）" and shown["amount"] == "¥47"
    assert mine.tap("onCoupon", 1)["amount"] == "¥50"
    assert mine.tap("onCoupon", 2)["amount"] == "¥47"
    assert mine.tap("onPay")["paid"]
    wallet = mine.open("my/wallet/wallet")
    assert [one["state"] for one in wallet["coupons"]] == ["已使用"]


def test_what_grew_dearer_is_not_paid_before_the_buyer_has_seen_it(shop: Shop, mine: Phone) -> None:
    sku = shop.goods("老白茶", 4000)
    mine.open("shop/checkout/checkout", sku=sku)
    products = shop.ask("GET", f"/rooms/{shop.room}/products")
    product = named(products, sku=sku)["product"]
    shop.ask("PATCH", f"/rooms/{shop.room}/products/{product}", {"price": 4500})
    shown = mine.tap("onPay")
    assert not shown["paid"] and shown["amount"] == "¥45"
    assert "价格有变化，请确认后再付" in shown["toasts"]
    assert mine.tap("onPay")["paid"] and shop.newest()["amount"] == 4500


def test_an_order_is_paid_again_cancelled_received_and_given_back_from_the_list(shop: Shop, mine: Phone) -> None:
    assert mine.open("shop/orders/orders")["orders"] == []
    token = mine.call("token")
    sku = shop.goods("紫砂壶", 9900)
    bought = {"room": shop.room, "lines": [{"sku": sku, "quantity": 1}]}
    kept = shop.ask("POST", "/orders", bought, token=token)["order"]["order"]
    dropped = shop.ask("POST", "/orders", bought, token=token)["order"]["order"]
    assert named(mine.tap("again")["orders"], order=kept)["canPay"]
    mine.bearer(confirm=False)
    assert named(mine.tap("onCancel", order=dropped)["orders"], order=dropped)["canCancel"]
    mine.bearer(confirm=True, content="颜色不对")
    assert named(mine.tap("onCancel", order=dropped)["orders"], order=dropped)["status"] == "已取消"
    shown = named(mine.tap("onPay", order=kept)["orders"], order=kept)
    assert shown["status"] == "已付款，待发货" and shown["canAsk"]
    shop.ask("POST", f"/orders/{kept}/ship", {"carrier": "顺丰", "number": "SF1234567890"})
    shown = named(mine.tap("again")["orders"], order=kept)
    assert shown["news"] == ["顺丰 SF1234567890"] and shown["canReceive"]
    shown = named(mine.tap("onReceive", order=kept)["orders"], order=kept)
    assert shown["status"] == "已完成"
    asking = mine.tap("onAfterSale", order=kept)
    assert asking["route"] == "shop/aftersale/aftersale" and asking["kind"] == "return"
    mine.tap("onReason", name="faulty")
    mine.tap("onField", "壶嘴漏水", name="text")
    [asked] = mine.tap("onAsk")["requests"]
    assert asked["state"] == "待商家处理" and asked["canWithdraw"]
    path = f"/after-sales/{asked['request']}"
    shop.ask("POST", f"{path}/offer", {"amount": 900, "keeps": True})
    [offered] = mine.tap("again")["requests"]
    assert offered["news"][0] == "商家提议：退 ¥9，商品留下" and offered["canTake"]
    assert mine.tap("onLeave", request=asked["request"])["requests"][0]["state"] == "待商家处理"
    shop.ask("POST", f"{path}/approve", {"answer": "抱歉"})
    mine.tap("again")
    mine.tap("onField", "顺丰", name="carrier")
    mine.tap("onField", "SF99", name="number")
    [under_way] = mine.tap("onSend", request=asked["request"])["requests"]
    assert under_way["state"] == "寄回途中" and "顺丰 SF99" in under_way["news"]
    shop.ask("POST", f"{path}/receive", {"lines": [{"sku": sku, "sellable": 1}]})
    [done] = mine.tap("again")["requests"]
    assert (done["state"], done["amount"]) == ("已退款", "¥99")


@pytest.mark.soak
def test_what_is_not_sent_yet_is_asked_back_and_the_request_withdrawn(shop: Shop, mine: Phone) -> None:
    sku = shop.goods("茶针", 1200)
    mine.open("shop/checkout/checkout", sku=sku)
    mine.tap("onPay")
    order = shop.newest()["order"]
    mine.open("shop/orders/orders")
    shown = mine.tap("onAfterSale", order=order)
    assert [one["name"] for one in shown["kinds"]] == ["refund"] and shown["lines"][0]["units"] == 1
    [asked] = mine.tap("onAsk")["requests"]
    assert asked["kind"] == "仅退款"
    mine.bearer(confirm=True)
    shown = mine.tap("onWithdraw", request=asked["request"])
    assert shown["requests"][0]["state"] == "已撤回" and shown["lines"][0]["units"] == 1


@pytest.mark.soak
def test_a_membership_is_joined_and_then_renewed(shop: Shop, mine: Phone) -> None:
    sku = shop.goods("年度会员", 19900)
    shop.ask("PUT", f"/memberships/plans/{sku}", {"months": 12, "price_percent": 95, "points_percent": 200})
    shown = mine.open("shop/membership/membership")
    plan = named(shown["plans"], sku=sku)
    assert plan["button"] == "开通 ¥199" and plan["benefits"] == "商品 9.5 折 · 积分 ×2"
    mine.tap("onJoin", sku=sku)
    assert mine.tap("onPay")["paid"]
    mine.back()
    shown = mine.tap("again")
    assert [one["state"] for one in shown["mine"]] == ["有效"]
    assert named(shown["plans"], sku=sku)["button"] == "续费 ¥199"


def test_a_free_event_gives_its_code_at_once_and_takes_the_place_back(shop: Shop, mine: Phone) -> None:
    event = shop.event("春茶品鉴")
    shown = named(mine.open("shop/events/events")["events"], event=event)
    assert (shown["join"], shown["price"]) == ("报名", "免费")
    mine.bearer(content="小雨")
    shown = named(mine.tap("onJoin", event=event)["events"], event=event)
    assert shown["state"] == "报名成功" and shown["qr"].startswith("data:image/")
    ticket = named(shop.ask("GET", f"/events/{event}/tickets")["items"], event=event)
    assert ticket["name"] == "小雨"
    shown = named(mine.tap("onLeave", event=event)["events"], event=event)
    assert shown["code"] == "" and shown["join"] == "报名"


@pytest.mark.soak
def test_a_place_that_costs_is_reserved_paid_and_then_good(shop: Shop, mine: Phone) -> None:
    event = shop.event("制茶一日", sku=shop.goods("制茶一日", 12000))
    mine.open("shop/events/events")
    shown = named(mine.tap("onJoin", event=event)["events"], event=event)
    assert shown["pay"] == "支付 ¥120" and "前支付" in shown["state"]
    mine.tap("onPay", sku=shown["sku"])
    assert mine.tap("onPay")["paid"]
    mine.back()
    shown = named(mine.tap("again")["events"], event=event)
    assert shown["state"] == "报名成功" and shown["code"] and not shown["leave"]


def test_a_group_is_opened_shared_and_filled_by_who_comes_by_the_card(shop: Shop, folder: Path, mine: Phone) -> None:
    sku = shop.goods("茶点拼盘", 1800)
    sale = shop.group_sale(sku)
    mine.open("shop/team/team")
    shown = mine.tap("onJoin", sale=sale)
    assert shown["route"] == "shop/checkout/checkout" and shown["lines"][0]["price"] == "¥7"
    assert mine.tap("onPay")["paid"]
    shown = mine.back()
    [team] = [one for one in mine.tap("again")["teams"] if one["mine"]]
    assert (team["progress"], team["state"], team["invite"]) == ("1/2 已付款", "还差 1 人", True)
    card = mine.call("onShareAppMessage", {"from": "button", "target": {"dataset": {"team": team["team"]}}})
    page, _, query = card["path"].partition("?")
    assert "茶点拼盘" in card["title"] and card["title"].startswith("拼团 ¥7")
    with pocket(folder) as friend:
        shown = friend.open(page.lstrip("/"), **dict(pair.split("=") for pair in query.split("&")))
        assert shown["teams"][0]["team"] == team["team"] and shown["teams"][0]["can"]
        friend.tap("onJoin", sale=sale, team=team["team"])
        assert friend.tap("onPay")["paid"]
    assert named(mine.tap("again")["teams"], team=team["team"])["state"] == "拼团成功"
    orders = shop.ask("GET", "/orders?limit=2")["items"]
    assert {one["status"] for one in orders} == {"paid"}


def test_a_draw_is_entered_in_the_room_and_its_result_recomputed_on_the_phone(shop: Shop, mine: Phone) -> None:
    mine.open("pages/room/room")
    mine.sees(lambda room: room.get("title"))
    packet = {"kind": "packet", "title": "开播红包", "pool": 1000, "winners": 3, "seconds": 2, "task": "comment"}
    draw = shop.ask("POST", f"/rooms/{shop.room}/draws", {**packet, "word": "开播大吉"})["draw"]
    mine.sees(lambda room: room["draw"] and room["draw"]["draw"] == draw and room["draw"]["can"])
    assert mine.screen()["room"]["draw"]["button"] == "发“开播大吉”参与"
    mine.tap("onDraw")
    mine.sees(lambda room: room["draw"] and room["draw"]["proof"])
    shown = mine.tap("onDraw")
    if shown["route"] == "pages/room/room":
        shown = mine.open("shop/draw/draw", draw=draw)
    assert [one["text"] for one in shown["proof"]["verdicts"]] == ["种子与承诺一致", "在你的手机上重新计算，结果一致"]
    assert len(shown["proof"]["mine"]) == 2 and shown["proof"]["mine"][1].startswith("中奖了，第 1 名 ¥")
    assert named(mine.open("shop/draw/draw")["draws"], draw=draw)["state"] == "已开奖"


def test_the_phones_own_hashes_are_those_of_the_standard(folder: Path) -> None:
    messages = [bytes(range(n % 256)) * (n // 256 + 1) for n in (0, 1, 3, 55, 56, 63, 64, 65, 119, 120, 255)]
    script = (
        f'globalThis.wx = {{}}; const {{ sha256, hmac }} = await import("{(folder / "shared/sha256.js").as_uri()}");'
        f"for (const hex of {[one.hex() for one in messages]!r}) console.log(sha256(hex), hmac(hex, 'cut:1'));"
    )
    command = [node(), "--input-type=module", "-e", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=True)
    wanted = [f"{hashlib.sha256(one).hexdigest()} {hmac.digest(one, b'cut:1', 'sha256').hex()}" for one in messages]
    assert done.stdout.splitlines() == wanted


def test_an_order_is_paid_on_account_by_who_has_one_and_picks_it_and_paid_back(shop: Shop, mine: Phone) -> None:
    shop.ask("PUT", "/policy", {"credit_sale": True})
    sku = shop.goods("面粉", 3000)

    def buys(choice: str) -> Any:
        mine.open("shop/checkout/checkout", sku=sku)
        mine.tap("onWay", way="")
        mine.bearer(choice=choice)
        return mine.tap("onPay")

    # Who has no account is asked nothing: there is one way to pay.
    assert buys("")["paid"]
    person = shop.newest()["person"]
    shop.ask("PUT", f"/credit/{person}", {"most": 3_500, "days": 30})
    left = buys("")
    assert not left["paid"] and shop.newest()["status"] == "pending" and not left["problem"]
    mine.bearer(choice="赊账")
    assert mine.tap("onPay")["paid"]
    refused = buys("赊账")
    assert not refused["paid"] and any("赊账额度" in one for one in refused["toasts"])
    # What may not be owed can be paid, from the list of orders.
    order = shop.newest()["order"]
    mine.open("shop/orders/orders")
    mine.bearer(choice="直接支付")
    mine.tap("onPay", order=order)
    assert shop.order(order)["status"] == "paid"
    credit = mine.open("my/wallet/wallet")["credit"]
    assert (credit["owed"], len(credit["debts"]), "到期" in credit["debts"][0]["due"]) == ("¥30", 1, True)
    assert mine.tap("onRepay", order="", amount=3000)["credit"]["owed"] == "¥0"
    shop.ask("PUT", f"/credit/{person}", {"most": 3_500, "days": 30, "open": False})


@pytest.mark.soak
def test_what_is_owed_on_account_is_seen_and_paid_back(shop: Shop, mine: Phone) -> None:
    shop.ask("PUT", "/policy", {"credit_sale": True})
    assert mine.open("my/wallet/wallet")["credit"] is None
    token, sku = mine.call("token"), shop.goods("大米", 4000)
    bought = {"room": shop.room, "lines": [{"sku": sku, "quantity": 1}]}
    first, second = (shop.ask("POST", "/orders", bought, token=token)["order"]["order"] for _ in range(2))
    shop.ask("PUT", f"/credit/{shop.order(first)['person']}", {"most": 20_000, "days": 30})
    for order in (first, second):
        shop.ask("POST", f"/orders/{order}/pay", {"provider": "account"}, token=token)
    credit = mine.tap("again")["credit"]
    assert (credit["owed"], credit["overdue"], len(credit["debts"])) == ("¥80", "", 2)
    shown = mine.tap("onRepay", order=second, amount=4000)
    assert shown["credit"]["owed"] == "¥40" and "已还款" in shown["toasts"]
    assert [one["order"] for one in shown["credit"]["debts"]] == [first]
    shown = mine.tap("onRepay", order="", amount=4000)
    assert (shown["credit"]["owed"], shown["credit"]["debts"]) == ("¥0", [])


@pytest.mark.soak
def test_points_are_exchanged_in_the_mall(shop: Shop, mine: Phone) -> None:
    program = {"yuan_points": 10, "points_percent": 50, "sign_in": [500, 500]}
    shop.ask("PUT", "/program", program)
    sku = shop.goods("公道杯", 3000)
    shop.ask("PUT", f"/mall/{sku}", {"points": 300, "cash": 1})
    assert mine.open("my/me/me")["signIn"]
    shown = mine.tap("onSignIn")
    assert (shown["points"], shown["streak"]) == (500, "已签 1 天")
    shown = mine.open("my/wallet/wallet")
    assert named(shown["mall"], sku=sku) | {"image": ""} == {
        "sku": sku, "title": "公道杯", "image": "", "costs": "300 积分 + ¥0.01", "can": True,
    }  # fmt: skip
    assert mine.tap("onExchange", sku=sku)["amount"] == "¥0.01"
    assert mine.tap("onPay")["paid"]
    shown = mine.open("my/wallet/wallet")
    assert shown["points"] == 200 and any(one["amount"] == "+500" for one in shown["entries"])


@pytest.mark.soak
def test_an_advisor_answers_and_what_they_recommend_is_bought_as_theirs(shop: Shop, mine: Phone) -> None:
    sku = shop.goods("盖碗", 4600)
    staff = shop.ask("GET", "/advisors")["accounts"][0]["staff"]
    shop.ask("PUT", f"/advisors/{staff}", {"skills": ["冲泡"], "most": 5})
    assert mine.open("my/advice/advice")["skills"] == ["不限", "冲泡"]
    mine.tap("onSkill", 1)
    mine.tap("onBody", "几度水？")
    shown = mine.tap("onSend")
    assert shown["body"] == "" and [one["body"] for one in shown["questions"]] == ["几度水？"]
    question = shown["questions"][0]["question"]
    shop.ask("POST", f"/questions/{question}/answers", {"body": "80 度。", "skus": [sku]})
    shown = mine.tap("again")["questions"][0]
    goods = shown["answers"][0]["goods"][0]
    assert shown["can"] and (goods["title"], goods["price"]) == ("盖碗", "¥46")
    assert not mine.tap("onAccept", question=question, open="1")["questions"][0]["can"]
    shown = mine.tap("onGoods", sku=sku, token=goods["token"])
    assert shown["route"] == "shop/checkout/checkout" and shown["lines"][0]["title"] == "盖碗"


@pytest.mark.soak
def test_the_licence_is_shown_and_praise_arrives(shop: Shop, mine: Phone) -> None:
    licence = {"company": "思语茶业有限公司", "number": "91330100MA2B12345X"}
    shop.ask("PUT", "/licence", licence)
    assert mine.open("my/feedback/feedback")["licence"]["company"] == "思语茶业有限公司"
    assert named(mine.tap("onKind", kind="praise")["kinds"], on=True)["kind"] == "praise"
    mine.tap("onField", "主播讲得真好", name="text")
    assert mine.tap("onSend")["text"] == ""
    assert named(shop.ask("GET", "/complaints")["items"], text="主播讲得真好")["kind"] == "praise"


def test_consent_is_given_and_taken_back_and_who_is_forgotten_comes_back_as_a_stranger(shop: Shop, mine: Phone) -> None:
    shown = mine.open("my/privacy/privacy")
    assert not any(one["on"] for one in shown["purposes"] if one["purpose"] == "marketing")
    shown = mine.tap("onTurn", True, purpose="marketing")
    assert named(shown["purposes"], purpose="marketing")["on"]
    shown = mine.tap("onTurn", False, purpose="marketing")
    assert not named(shown["purposes"], purpose="marketing")["on"]
    assert "marketing" in mine.tap("onCopy")["clipboard"]
    before = mine.call("token")
    mine.tap("onErase")
    assert "已删除" in mine.screen()["toasts"] and mine.call("token") != before


def test_the_whole_order_page_takes_over_a_unit_that_is_held_in_the_room(shop: Shop, mine: Phone) -> None:
    sku = shop.goods("限量茶饼", 20000)
    terms = {"sku": sku, "price": 9900, "total": 2, "per_person": 1, "hold_s": 600, "length_s": 600}
    sale = shop.ask("POST", f"/rooms/{shop.room}/sales", terms)["sale"]
    mine.open("pages/room/room")
    shop.ask("POST", f"/rooms/{shop.room}/sales/{sale}/start", {"countdown_s": 0})
    mine.sees(lambda room: room.get("sale") and room["sale"]["sale"] == sale and room["sale"]["can"])
    mine.tap("onSale")
    mine.sees(lambda room: room["sheet"] and room["sheet"]["options"])
    shown = mine.tap("onOptions")
    assert shown["route"] == "shop/checkout/checkout" and shown["lines"][0]["price"] == "¥99" and shown["time"]
    mine.tap("onWay", way="express")
    mine.bearer(address=HOME)
    mine.tap("onAddress")
    assert mine.tap("onPay")["paid"]
    mine.back()
    mine.sees(lambda room: room["sale"]["state"] != "held" and not room["sale"]["can"])
    assert shop.newest()["delivery"]["method"] == "express"
    shop.ask("POST", f"/rooms/{shop.room}/sales/{sale}/close")


@pytest.mark.soak
def test_one_votes_once_and_asks_the_host_until_enough_questions_wait(shop: Shop, mine: Phone) -> None:
    mine.open("pages/room/room")
    mine.sees(lambda room: room.get("title"))
    poll = {"cmd": "poll.start", "title": "先看哪款", "options": ["红茶", "绿茶"]}
    shop.ask("POST", f"/rooms/{shop.room}/commands", poll)
    mine.sees(lambda room: room["poll"] and room["poll"]["can"])
    mine.tap("onVote", option=1)
    green = {"text": "绿茶", "index": 1, "mine": True, "share": 100, "shown": True}
    mine.sees(lambda room: room["poll"]["options"][1] == green)
    mine.bearer(content="红茶几月采？")
    for _ in range(3):
        assert mine.tap("onAsk")["toasts"][-1] == "提问已送达，等主播回答"
    assert mine.tap("onAsk")["toasts"][-1] == "已达到每人上限"


def test_who_stands_in_line_holds_the_unit_that_another_gave_up(shop: Shop, mine: Phone) -> None:
    mine.open("pages/room/room")
    sku = shop.goods("孤品", 20000, 1)
    terms = {"sku": sku, "price": 9900, "total": 1, "per_person": 1, "hold_s": 600, "length_s": 600}
    sale = shop.ask("POST", f"/rooms/{shop.room}/sales", terms)["sale"]
    shop.ask("POST", f"/rooms/{shop.room}/sales/{sale}/start", {"countdown_s": 0})
    first = shop.server.guest()["token"]
    hold = shop.ask("POST", f"/rooms/{shop.room}/sales/{sale}/holds", {"quantity": 1}, token=first)
    order = shop.ask("POST", "/orders", {"room": shop.room, "hold": hold["hold"]}, token=first)["order"]
    mine.sees(lambda room: room.get("sale") and room["sale"]["sale"] == sale and room["sale"]["wish"] == "wait")
    mine.tap("onSale")
    mine.sees(lambda room: room["sale"]["button"] == "候补第 1 位")
    shop.ask("POST", f"/orders/{order['order']}/cancel", {}, token=first)
    mine.sees(lambda room: room["sale"]["state"] == "held")
    assert any(toast.startswith("候补成功") for toast in mine.screen()["toasts"])


def test_a_token_that_lapsed_meanwhile_is_replaced_without_a_word(shop: Shop, mine: Phone) -> None:
    mine.open("shop/orders/orders")
    mine.call("spoil")
    assert mine.tap("again")["problem"] == "" and mine.call("token") != "lapsed"
    mine.open("my/feedback/feedback")
    mine.call("spoil")
    mine.tap("onField", "很好", name="text")
    assert mine.tap("onSend")["text"] == "很好"
    assert mine.tap("onSend")["text"] == ""


def test_goods_that_another_bought_meanwhile_are_neither_ordered_nor_paid(shop: Shop, mine: Phone) -> None:
    sku = shop.goods("最后一盒", 1000, 1)
    assert mine.open("shop/checkout/checkout", sku=sku)["amount"] == "¥10"
    line = {"sku": sku, "quantity": 1}
    first = shop.server.guest()["token"]
    shop.ask("POST", "/orders", {"room": shop.room, "lines": [line]}, token=first)
    shown = mine.tap("onPay")
    assert "手慢了，已抢光" in shown["toasts"] and not shown["paid"]
    assert mine.open("shop/orders/orders")["orders"] == []


def test_goods_are_made_after_a_picture_and_others_are_asked_for(shop: Shop, mine: Phone, tmp_path: Path) -> None:
    sketch, note = tmp_path / "sketch.png", tmp_path / "note.txt"
    sketch.write_bytes(picture(300, 200))
    note.write_text("no picture")
    ring, kitchen = shop.goods("银戒", 10_000), shop.goods("橱柜", 99_900)
    fields = [
        {"label": "图案", "kind": "picture", "most": 1, "amount": 800, "required": True},
        {"label": "木盒", "kind": "choice", "options": [{"value": "橡木"}, {"value": "胡桃木", "amount": 3000}]},
    ]
    shop.ask("PUT", f"/custom/forms/{ring}", {"fields": fields, "making_days": 7})
    shop.ask("PUT", f"/custom/forms/{kitchen}", {"asked": True})
    shown = mine.open("shop/checkout/checkout", sku=ring)
    assert shown["route"] == "shop/custom/custom" and shown["notes"] == ["制作约 7 天"]
    assert mine.tap("onNext")["toasts"] == ["请填写「图案」"]
    mine.bearer(pictures=[str(note)])
    assert mine.tap("onPictures", label="图案")["toasts"][-1] == "请选择 JPG、PNG 或 WebP 图片"
    mine.bearer(pictures=[str(sketch), str(note)])
    field = named(mine.tap("onPictures", label="图案")["fields"], label="图案")
    assert len(field["pictures"]) == 1 and not field["can"]
    mine.tap("onChoice", 2, label="木盒")
    shown = mine.tap("onNext")
    assert shown["route"] == "shop/checkout/checkout" and shown["amount"] == "¥138"
    assert mine.tap("onPay")["paid"]
    wishes = shop.newest()["lines"][0]["wishes"]
    assert [(wish["label"], wish["value"]) for wish in wishes] == [("图案", "×1"), ("木盒", "胡桃木")]

    shown = mine.open("shop/checkout/checkout", sku=kitchen)
    assert shown["route"] == "shop/custom/custom" and shown["button"] == "询价" and not shown["fields"]
    mine.bearer(pictures=[str(sketch)])
    mine.tap("onPictures", label="")
    mine.tap("onWords", "三米长")
    shown = mine.tap("onNext")
    assert (shown["requests"][0]["wishes"], shown["button"]) == ("参考图片 ×1 · 三米长", "")
    request, now_ms = shown["requests"][0]["request"], time.time_ns() // 1_000_000
    terms = {"price": 80_000, "valid": now_ms + 86_400_000, "deliver": now_ms + 30 * 86_400_000, "answer": "可以做"}
    shop.ask("POST", f"/custom/requests/{request}/offer", terms)
    shown = mine.tap("again")
    assert shown["requests"][0]["canAccept"] and shown["requests"][0]["price"] == "¥800"
    shown = mine.tap("onAccept", request=request)
    assert shown["route"] == "shop/checkout/checkout" and not shown["turn"] and shown["amount"] == "¥800"
    assert mine.tap("onPay")["paid"]
    mine.back()
    assert mine.tap("again")["requests"][0]["state"] == "已下单"


def test_without_a_network_every_page_says_so_and_comes_back_by_a_tap(mine: Phone) -> None:
    pages = ["goods", "orders", "membership", "events", "team", "draw"]
    mine.network("off")
    for page in [*(f"shop/{one}/{one}" for one in pages), "my/me/me", "my/wallet/wallet", "my/advice/advice"]:
        assert mine.open(page)["problem"] == "网络不通，请稍后再试"
        mine.network("on")
        shown = mine.tap("again")
        assert (shown["problem"], shown["ready"]) == ("", True), page
        mine.network("off")
        mine.back()
