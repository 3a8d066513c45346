"""The mini-program sample on phones beside a real server: what a viewer in WeChat sees, does and buys."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.miniprogram_archive import sample_files
from tests.e2e.stage import publishing
from tests.gateway.miniprogram.phone import ANSWER_S, Phone, node, phone, unpack
from tests.gateway.rig import rig
from tests.harness import LiveServer, live_server
from tests.outside import npm_package


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    with live_server(tmp_path_factory.mktemp("miniprogram")) as running:
        yield running


@pytest.fixture(scope="module")
def folder(server: LiveServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpack(server, tmp_path_factory.mktemp("sample"))


@pytest.fixture
def mine(folder: Path) -> Iterator[Phone]:
    with phone(folder) as opened:
        yield opened


def as_host(server: LiveServer, method: str, path: str, body: Any = None) -> Any:
    answer = server.call(method, f"/rooms/{server.room}{path}", body, token=server.seed["host_token"])
    assert answer.status_code < 300, answer.text
    return answer.json()


def paid_orders(server: LiveServer) -> list[dict[str, Any]]:
    answer = server.call("GET", "/orders?limit=200", token=server.seed["merchant_token"])
    return [order for order in answer.json()["items"] if order["status"] == "paid"]


def test_what_one_phone_says_another_shows(server: LiveServer, folder: Path, mine: Phone) -> None:
    with phone(folder) as other:
        mine.say("这条裙子有黑色吗")
        other.sees(lambda room: "这条裙子有黑色吗" in [line["text"] for line in room["lines"]])
    assert mine.screen()["text"] == ""


def test_where_only_followers_may_write_one_tap_follows_and_sends(
    server: LiveServer, folder: Path, mine: Phone
) -> None:
    as_host(server, "POST", "/commands", {"cmd": "chat.audience", "who": "followers"})
    with phone(folder) as other:
        mine.say("关注一下")
        other.sees(lambda room: "关注一下" in [line["text"] for line in room["lines"]])
        assert "关注店铺后可以发言" in mine.screen()["toasts"]
    as_host(server, "POST", "/commands", {"cmd": "chat.audience", "who": "everyone"})


def test_the_pinned_card_is_bought_and_paid(server: LiveServer, mine: Phone) -> None:
    card = as_host(server, "GET", "/products")[0]
    before = len(paid_orders(server))
    as_host(server, "POST", "/pin", {"product": card["product"], "explaining": True})
    shown = mine.sees(lambda room: room["pinned"])
    assert shown["product"] == card["product"] and shown["tag"] == "讲解中"
    mine.call("onBuy")
    mine.call("onPay")
    sheet = mine.sees(lambda room: room["sheet"] and room["sheet"]["paid"] and room["sheet"])
    assert len(paid_orders(server)) == before + 1
    assert paid_orders(server)[0]["order"] in sheet["order"]
    mine.call("onPay")
    mine.sees(lambda room: room["sheet"] is None)
    as_host(server, "DELETE", f"/pin/{card['product']}")
    mine.sees(lambda room: room["pinned"] is None)


def test_a_coupon_is_caught_once_and_taken_off_the_next_price(server: LiveServer, mine: Phone) -> None:
    card = as_host(server, "GET", "/products")[0]
    drop = {"title": "试用券", "reason": "上新", "amount": 300, "threshold": 0, "total": 5, "per_person": 1}
    made = as_host(server, "POST", "/drops", {**drop, "seconds": 600})
    mine.sees(lambda room: room["drop"] and room["drop"]["drop"] == made["drop"] and room["drop"]["can"])
    mine.call("onClaim")
    mine.sees(lambda room: room["drop"]["button"] == "已领取")
    assert any("¥3" in toast for toast in mine.screen()["toasts"])
    as_host(server, "POST", "/pin", {"product": card["product"], "explaining": False})
    mine.sees(lambda room: room["pinned"])
    mine.call("onBuy")
    mine.sees(lambda room: room["sheet"] and "¥3" in room["sheet"]["coupon"])
    mine.call("onPay")
    mine.sees(lambda room: room["sheet"]["paid"])
    assert paid_orders(server)[0]["discount"] == 300
    as_host(server, "POST", f"/drops/{made['drop']}/close")
    as_host(server, "DELETE", f"/pin/{card['product']}")


def flash_sale(server: LiveServer, *, countdown_s: int) -> dict[str, Any]:
    card = as_host(server, "GET", "/products")[0]
    terms = {"price": 990, "total": 3, "per_person": 1, "hold_s": 600, "length_s": 600}
    sale: dict[str, Any] = as_host(server, "POST", "/sales", {"sku": card["sku"], **terms})
    as_host(server, "POST", f"/sales/{sale['sale']}/start", {"countdown_s": countdown_s})
    return sale


def test_a_flash_sale_is_counted_down_by_the_servers_clock_and_won(server: LiveServer, mine: Phone) -> None:
    sale = flash_sale(server, countdown_s=2)
    mine.sees(lambda room: room["sale"] and room["sale"]["sale"] == sale["sale"])
    mine.sees(lambda room: room["sale"]["can"] and room["sale"]["button"] == "马上抢")
    mine.call("onSale")
    sheet = mine.sees(lambda room: room["sheet"])
    assert sheet["unit"] == "¥9.90" and sheet["time"]
    assert mine.screen()["room"]["sale"]["state"] == "held"
    mine.call("onPay")
    mine.sees(lambda room: room["sheet"]["paid"])
    assert paid_orders(server)[0]["amount"] == 990
    mine.call("onPay")
    mine.sees(lambda room: not room["sale"]["can"])
    as_host(server, "POST", f"/sales/{sale['sale']}/close")


def test_a_hold_whose_answer_was_lost_is_asked_for_again_and_not_held_twice(server: LiveServer, mine: Phone) -> None:
    sale = flash_sale(server, countdown_s=0)
    mine.sees(lambda room: room["sale"] and room["sale"]["sale"] == sale["sale"] and room["sale"]["can"])
    mine.network("deaf")
    asked = mine.tell(call="onSale")
    deadline = time.monotonic() + ANSWER_S
    while time.monotonic() < deadline:
        [now] = [one for one in as_host(server, "GET", "/sales") if one["sale"] == sale["sale"]]
        if now["left"] == 2:
            break
        time.sleep(0.05)
    mine.network("off")
    mine.network("on")
    mine.end(asked)
    mine.sees(lambda room: room["sale"]["state"] == "held")
    [now] = [one for one in as_host(server, "GET", "/sales") if one["sale"] == sale["sale"]]
    assert now["left"] == 2
    as_host(server, "POST", f"/sales/{sale['sale']}/close")


def test_what_was_said_while_the_network_was_away_is_there_once_when_it_is_back(
    server: LiveServer, folder: Path, mine: Phone
) -> None:
    with phone(folder) as other:
        other.say("断线前")
        mine.sees(lambda room: "断线前" in [line["text"] for line in room["lines"]])
        mine.network("off")
        assert mine.screen()["sockets"] == 0
        other.say("断线时")
        other.sees(lambda room: "断线时" in [line["text"] for line in room["lines"]])
        mine.network("on")
        mine.sees(lambda room: "断线时" in [line["text"] for line in room["lines"]])
    assert [mine.lines().count(text) for text in ("断线前", "断线时")] == [1, 1]


def test_where_no_websocket_comes_through_the_room_goes_on_by_plain_requests(
    server: LiveServer, folder: Path, mine: Phone
) -> None:
    sale = flash_sale(server, countdown_s=0)
    with phone(folder) as other:
        mine.network("plain")
        other.say("换个网络")
        mine.sees(lambda room: "换个网络" in [line["text"] for line in room["lines"]])
        mine.shows("connection", "")
        assert mine.screen()["sockets"] == 0
        mine.say("我还在")
        other.sees(lambda room: "我还在" in [line["text"] for line in room["lines"]])
        # What is bought is bought once, and what is personal comes this way, too.
        mine.sees(lambda room: room["sale"] and room["sale"]["sale"] == sale["sale"] and room["sale"]["can"])
        mine.call("onSale")
        mine.call("onPay")
        mine.sees(lambda room: room["sheet"] and room["sheet"]["paid"])
        as_host(server, "POST", "/commands", {"cmd": "mute", "person": mine.screen()["person"], "seconds": 600})
        mine.sees(lambda room: room["muted"])
        as_host(server, "POST", "/commands", {"cmd": "unmute", "person": mine.screen()["person"]})
        mine.sees(lambda room: not room["muted"])
        # Back in a network that lets sockets through, it uses one.
        mine.network("on")
        deadline = time.monotonic() + ANSWER_S
        while not mine.screen()["sockets"]:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        other.say("又快了")
        mine.sees(lambda room: "又快了" in [line["text"] for line in room["lines"]])
        assert [mine.lines().count(text) for text in ("换个网络", "我还在", "又快了")] == [1, 1, 1]
    as_host(server, "POST", f"/sales/{sale['sale']}/close")


def test_a_poll_and_an_announcement_are_there_after_a_reconnect_and_a_vote_counts_once(
    server: LiveServer, folder: Path, mine: Phone
) -> None:
    def command(cmd: str, **arguments: Any) -> dict[str, Any]:
        path, body = "/commands?client=test", {"id": time.monotonic_ns() % 2**50, "cmd": cmd, **arguments}
        answer: dict[str, Any] = as_host(server, "POST", path, body)[0]
        return answer

    poll = command("poll.start", title="下一件讲哪款？", options=["围巾", "茶杯"], seconds=3_600)["poll"]["poll"]
    assert mine.sees(lambda room: room.get("poll"))["can"] is True
    mine.call("onVote", {"currentTarget": {"dataset": {"option": 1}}})
    mine.sees(lambda room: room["poll"]["options"][1]["mine"] and room["poll"]["options"][1]["share"] == 100)
    mine.network("off")
    command("announce", text="七点抽奖", seconds=3_600)
    mine.network("on")
    back = mine.sees(lambda room: "七点抽奖" in [line["text"] for line in room["lines"]] and room)
    assert (back["poll"]["can"], back["poll"]["options"][1]["mine"], bool(back["poll"]["time"])) == (False, True, True)
    with phone(folder) as later:
        # Who comes now is shown both, though they were said before.
        later.sees(lambda room: "七点抽奖" in [line["text"] for line in room["lines"]])
        later.sees(lambda room: room["poll"] and room["poll"]["can"])
    assert command("poll.end", poll=poll)["ok"]
    assert mine.sees(lambda room: room["poll"]["state"] == "ended" and room["poll"])["total"] in ("1 人投票", "1 votes")


def test_who_is_muted_sees_it_at_once_and_for_how_long_and_after_a_reconnect_until_it_is_lifted(
    server: LiveServer, folder: Path, mine: Phone
) -> None:
    person = mine.screen()["person"]
    as_host(server, "POST", "/commands", {"cmd": "mute", "person": person, "seconds": 7_200})
    assert re.search(r"1:59:\d\d|2:00:00", mine.sees(lambda room: room["muted"]))
    assert mine.screen()["toasts"].count("你已被禁言") == 1
    mine.network("off")
    mine.network("on")
    mine.sees(lambda room: room["muted"])
    as_host(server, "POST", "/commands", {"cmd": "unmute", "person": person})
    mine.sees(lambda room: room["muted"] == "")
    assert "你可以发言了" in mine.screen()["toasts"]
    with phone(folder) as other:
        # Of what is in the shadow nobody is told: what this phone is told next comes behind it.
        as_host(server, "POST", "/commands", {"cmd": "mute", "person": person, "seconds": 60, "shadow": True})
        other.say("接着说")
        mine.sees(lambda room: "接着说" in [line["text"] for line in room["lines"]])
        assert mine.screen()["room"]["muted"] == ""
    as_host(server, "POST", "/commands", {"cmd": "unmute", "person": person})


def test_who_is_made_a_moderator_is_told_and_keeps_order_by_a_long_press(
    server: LiveServer, folder: Path, mine: Phone
) -> None:
    def about(text: str) -> str:
        return str(mine.sees(lambda room: next((one for one in room["lines"] if one["text"] == text), None))["id"])

    person = mine.screen()["person"]
    with phone(folder) as other:
        other.say("加微信领奖")
        mine.bearer(choice="撤回")
        mine.tap("onLine", line=about("加微信领奖"))
        as_host(server, "POST", "/commands", {"cmd": "moderator.add", "person": person})
        deadline = time.monotonic() + ANSWER_S
        while "你现在管理评论：长按可撤回、禁言、封禁" not in mine.screen()["toasts"]:
            assert time.monotonic() < deadline, mine.screen()["toasts"]
            time.sleep(0.05)
        # What a viewer pressed before did nothing; the same press takes the line back now, on every screen.
        mine.tap("onLine", line=about("加微信领奖"))
        other.sees(lambda room: "加微信领奖" not in [line["text"] for line in room["lines"]])
        other.say("还来")
        mine.bearer(choice="禁言 10 分钟")
        mine.tap("onLine", line=about("还来"))
        other.sees(lambda room: room["muted"])
        mine.say("请文明发言")
        line = other.sees(lambda room: next((one for one in room["lines"] if one["text"] == "请文明发言"), None))
        assert (line["kind"], line["badge"]) == ("staff", "房管")
    as_host(server, "POST", "/commands", {"cmd": "moderator.remove", "person": person})
    deadline = time.monotonic() + ANSWER_S
    while "你不再管理评论" not in mine.screen()["toasts"]:
        assert time.monotonic() < deadline, mine.screen()["toasts"]
        time.sleep(0.05)


def test_who_is_removed_is_told_and_does_not_come_back_by_itself(server: LiveServer, mine: Phone) -> None:
    as_host(server, "POST", "/kick", {"person": mine.screen()["person"], "reason": "spam"})
    mine.shows("closed", "你已被移出直播间")
    mine.network("on")
    assert mine.screen()["sockets"] == 0


def test_who_comes_by_a_shared_card_stands_below_who_shared_it(server: LiveServer, folder: Path, mine: Phone) -> None:
    card = mine.call("onShareAppMessage")
    query = dict(pair.split("=") for pair in card["path"].partition("?")[2].split("&"))
    assert card["path"].startswith("/pages/room/room?") and query["room"] == server.room
    # What fits a code's scene: 32 characters of a small alphabet.
    assert re.fullmatch(r"[0-9A-Za-z]{1,32}", query["s"])
    with phone(folder, scene=query["s"]) as friend:
        again = friend.call("onShareAppMessage")["path"].rpartition("&s=")[2]
    links = server.call("GET", "/links", token=server.seed["merchant_token"]).json()
    by_token = {link["token"]: link for link in links}
    assert by_token[again]["parent"] == by_token[query["s"]]["link"]


@pytest.mark.soak
def test_the_picture_comes_with_its_host_and_begins_anew_when_the_player_was_lost(
    server: LiveServer, mine: Phone
) -> None:
    with publishing(server):
        mine.sees(lambda room: room["live"])
        mine.shows("source", f"{server.base}/live/{server.room}.flv")
        mine.call("onPlayerState", {"detail": {"code": 2004}})
        mine.call("onPlayerState", {"detail": {"code": -2301}})
        mine.shows("source", f"{server.base}/live/{server.room}.flv")


def test_the_archive_names_the_server_and_its_room_and_holds_the_sdk() -> None:
    files = sample_files("https://shop.example", 'R"1')
    config = files["config.js"].decode()
    assert 'BASE = "https://shop.example";' in config and 'ROOM = "R\\"1";' in config
    assert {"app.json", "project.config.json", "lib/siyu.js", "lib/siyu_platform.js", "lib/store.js"} <= set(files)


async def test_the_server_gives_the_sample_away_for_rooms_it_has(tmp_path: Path) -> None:
    async with rig(tmp_path) as live:
        answer = await live.client.get("/miniprogram.zip", params={"room": live.shop.room})
        assert answer.status_code == 200 and answer.headers["content-type"] == "application/zip"
        again = await live.client.get("/miniprogram.zip", params={"room": live.shop.room})
        assert again.content == answer.content
        assert (await live.client.get("/miniprogram.zip", params={"room": "NOSUCH"})).status_code == 404


def test_the_sdk_and_the_sample_hold_against_the_official_typings(folder: Path, tmp_path: Path) -> None:
    typescript = npm_package("typescript", "5.9.3")
    typings = npm_package("miniprogram-api-typings", "5.2.3")
    options = {
        "strict": True,
        "checkJs": True,
        "allowJs": True,
        "noEmit": True,
        "skipLibCheck": True,
        "target": "es2022",
        "module": "es2022",
        "moduleResolution": "bundler",
        "lib": ["es2022", "dom", "dom.iterable"],
        "types": [typings.name],
        "typeRoots": [str(typings.parent)],
    }
    project = tmp_path / "tsconfig.json"
    project.write_text(json.dumps({"compilerOptions": options, "include": [f"{folder}/**/*.js"]}), "utf-8")
    command = [node(), str(typescript / "bin" / "tsc"), "--project", str(project)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.stdout, done.returncode) == ("", 0)
