"""Recurring sales, lines, draws and group buys through the API: who may do what, and what the room is told."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from commerce.domain.draw import commitment, ranking
from tests.gateway.rig import Rig, rig
from tests.stream.media import make_clip
from tests.stream.stage import Host

ROOT = Path(__file__).resolve().parent.parent.parent


async def staff(app: Rig, method: str, path: str, body: Any = None, *, status: int = 200, **more: Any) -> Any:
    answer = await app.call(method, f"/rooms/{app.shop.room}{path}", body, token=app.shop.host_token, **more)
    assert answer.status_code == status, answer.text
    return answer.json()


async def viewer(app: Rig, token: str, path: str, body: Any = None, *, method: str = "POST", **more: Any) -> Any:
    answer = await app.call(method, f"/rooms/{app.shop.room}{path}", body or {}, token=token, **more)
    return answer.status_code, answer.json()


async def sku_of(app: Rig) -> str:
    return str((await app.call("GET", f"/rooms/{app.shop.room}/products")).json()[0]["sku"])


async def due(app: Rig, seconds: float) -> None:
    """Let time pass, and what is due be done."""
    app.clock.ahead_ms += int(seconds * 1000)
    for _ in range(2):
        await app.application.services.shop.sweep()
    await app.application.services.shop.told()


def section(app: Rig, name: str) -> list[dict[str, Any]]:
    """What the bridge keeps of the room."""
    return list(getattr(app.application.bridge._states[app.shop.room], name).values())


async def test_a_recurring_sale_is_planned_listed_and_ended_by_the_host_alone(tmp_path: Path) -> None:
    async with rig(tmp_path) as app:
        body = {
            "sku": await sku_of(app),
            "price": 990,
            "total": 5,
            "rule": "FREQ=WEEKLY;BYDAY=MO,WE,FR;BYHOUR=10;BYMINUTE=0",
        }
        plan = await staff(app, "POST", "/plans", body, status=201)
        assert plan["next"] % 3_600_000 == 0 and plan["made"] == 0
        assert [one["plan"] for one in await staff(app, "GET", "/plans")] == [plan["plan"]]
        guest = await app.guest()
        assert (await viewer(app, guest["token"], "/plans", body))[0] == 403
        status, _ = await viewer(app, guest["token"], f"/sales/{plan['plan']}/remind")
        assert status == 200
        bad = await staff(app, "POST", "/plans", body | {"rule": "FREQ=SECONDLY"}, status=400)
        assert bad["code"] == "invalid"
        assert (await staff(app, "POST", f"/plans/{plan['plan']}/end"))["ended"] is not None
        assert await staff(app, "GET", "/plans") == []
        await staff(app, "POST", f"/plans/{plan['plan']}/end", status=404)


async def test_a_live_only_price_is_refused_while_nobody_is_live(tmp_path: Path) -> None:
    async with rig(tmp_path) as app:
        body = {"sku": await sku_of(app), "price": 990, "total": 5, "live_only": True}
        sale = await staff(app, "POST", "/sales", body, status=201)
        await staff(app, "POST", f"/sales/{sale['sale']}/start", {"countdown_s": 0})
        await due(app, 0)
        guest = await app.guest()
        path = f"/sales/{sale['sale']}/holds"
        status, problem = await viewer(app, guest["token"], path, key="k")
        assert (status, problem["code"]) == (422, "not_live")
        directory = app.application.services.directory
        publication = directory.publish(app.shop.room, Host(), app.clock())
        for packet in make_clip(1, (160, 96), b_frames=0).looped(1):
            publication.push(packet, app.clock())
        assert directory.info(app.shop.room).live
        status, held = await viewer(app, guest["token"], path, key="k")
        assert status == 201 and held["price"] == 990


async def test_a_presale_runs_through_the_api_from_deposit_to_balance(tmp_path: Path) -> None:
    async with rig(tmp_path) as app:
        app.clock.stop()
        times = {"balance_from": app.clock() + 60_000, "balance_until": app.clock() + 86_400_000}
        body = {"sku": await sku_of(app), "price": 990, "total": 2, "deposit": 100, "balance_missed": "keep", **times}
        bad = await staff(app, "POST", "/sales", body | {"deposit": 990}, status=400)
        assert (bad["code"], bad["field"]) == ("invalid", "deposit")
        sale = await staff(app, "POST", "/sales", body, status=201)
        await staff(app, "POST", f"/sales/{sale['sale']}/start", {"countdown_s": 0})
        token = (await app.guest())["token"]
        _, held = await viewer(app, token, f"/sales/{sale['sale']}/holds", key="k")
        asked = {"room": app.shop.room, "hold": held["hold"]}
        assert (await app.call("POST", "/quotes", asked, token=token)).json()["due"] == 100
        order = (await app.call("POST", "/orders", asked, token=token, key="o")).json()["order"]
        paid = (await app.call("POST", f"/orders/{order['order']}/pay", {}, token=token, key="p")).json()["order"]
        assert (paid["status"], paid["presale"]["part"]) == ("paid", "deposit")
        rest = f"/orders/{paid['presale']['balance_order']}"
        early = await app.call("POST", f"{rest}/pay", {}, token=token, key="q")
        assert (early.status_code, early.json()["opens"]) == (422, times["balance_from"])
        app.clock.ahead_ms += 60_000
        done = (await app.call("POST", f"{rest}/pay", {}, token=token, key="q")).json()["order"]
        assert (done["status"], done["amount"], done["discount"]) == ("paid", 890, 100)


async def test_a_sale_by_draw_runs_through_the_api_and_can_be_recomputed_from_it(tmp_path: Path) -> None:
    async with rig(tmp_path) as app:
        app.clock.stop()
        body = {"sku": await sku_of(app), "price": 990, "total": 2, "mode": "draw", "enter_s": 60}
        sale = await staff(app, "POST", "/sales", body, status=201)
        started = await staff(app, "POST", f"/sales/{sale['sale']}/start", {"countdown_s": 0})
        assert started["state"] == "entering"
        entries = f"/draws/{started['draw']}/entries"
        guests = [await app.guest(device=f"d{n}") for n in range(4)]
        for guest in guests:
            status, entered = await viewer(app, guest["token"], entries)
            assert status == 201, entered
        status, problem = await viewer(app, guests[0]["token"], f"/sales/{sale['sale']}/holds", key="k")
        assert (status, problem["code"]) == (422, "by_draw")
        before = (await app.call("GET", f"/draws/{started['draw']}")).json()
        assert before["tickets"] == [] and before["draw"]["seed"] is None
        await due(app, 60)
        proof = (await app.call("GET", f"/draws/{started['draw']}")).json()
        seed = bytes.fromhex(proof["draw"]["seed"])
        assert commitment(seed) == before["draw"]["commitment"]
        tickets = [entry["ticket"] for entry in proof["tickets"]]
        won = sorted((e for e in proof["tickets"] if e["place"] is not None), key=lambda e: e["place"])
        assert [entry["ticket"] for entry in won] == ranking(seed, tickets)[:2]
        lucky = 0
        for guest in guests:
            mine = (await app.call("GET", f"/draws/{started['draw']}/entry", token=guest["token"])).json()
            if mine["prize"] is None:
                continue
            lucky += 1
            order = {"room": app.shop.room, "hold": mine["prize"]}
            made = await app.call("POST", "/orders", order, token=guest["token"], key="o")
            assert made.json()["order"]["amount"] == 990
        assert lucky == 2
        [draw] = section(app, "draws")
        assert (draw["state"], draw["entries"], draw["won"]) == ("drawn", 4, 2)


async def test_the_documented_script_finds_a_draw_right_and_a_changed_one_wrong(tmp_path: Path) -> None:
    script = (ROOT / "docs" / "draws.md").read_text("utf-8").partition("```python\n")[2].partition("```")[0]
    check, file = tmp_path / "check.py", tmp_path / "proof.json"
    check.write_text(script, "utf-8")
    async with rig(tmp_path / "shop") as app:
        app.clock.stop()
        body: dict[str, Any] = {"kind": "packet", "title": "红包", "pool": 1_000, "winners": 3, "least": 10}
        draw = (await staff(app, "POST", "/draws", body, status=201))["draw"]
        for n in range(5):
            guest = await app.guest(device=f"d{n}")
            assert (await viewer(app, guest["token"], f"/draws/{draw}/entries"))[0] == 201
        await due(app, 60)
        proof = (await app.call("GET", f"/draws/{draw}")).json()
    changed = json.loads(json.dumps(proof))
    loser = next(entry for entry in changed["tickets"] if entry["place"] is None)
    winner = next(entry for entry in changed["tickets"] if entry["place"] == 0)
    loser |= {"place": 0, "amount": winner["amount"]}
    winner |= {"place": None, "amount": 0}
    for content, code in ((proof, 0), (changed, 1)):
        file.write_text(json.dumps(content), "utf-8")
        command = [sys.executable, str(check), file.as_uri()]
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=180)
        assert done.returncode == code, done.stderr
    assert "others won" in done.stderr


async def test_a_comment_enters_by_being_said_in_the_room_and_who_may_not_speak_does_not_enter(tmp_path: Path) -> None:
    async with rig(tmp_path) as app:
        app.clock.stop()
        body = {"kind": "packet", "title": "红包", "pool": 1_000, "winners": 2, "task": "comment", "word": "开播大吉"}
        draw = await staff(app, "POST", "/draws", body, status=201)
        entries = f"/draws/{draw['draw']}/entries"
        ann, mute = await app.guest(device="a"), await app.guest(device="b")
        status, problem = await viewer(app, ann["token"], entries, {"comment": "hello"})
        assert (status, problem["code"], problem["word"]) == (422, "task", "开播大吉")
        hub = app.application.services.hub
        hub.mute(app.shop.room, mute["person"], app.clock() + 60_000)
        status, problem = await viewer(app, mute["token"], entries, {"comment": "开播大吉"})
        assert status == 422 and problem["code"] == "muted"
        for _ in range(2):
            status, entered = await viewer(app, ann["token"], entries, {"comment": "祝 开播大吉！"})
            assert (status, entered["n"]) == (201, 1)
        assert hub.stats(app.shop.room).chat_lines == 1
        answer = await app.call("POST", f"/rooms/{app.shop.room}{entries}", {}, token=app.shop.host_token)
        assert answer.status_code == 403
        await due(app, 60)
        coupons = (await app.call("GET", "/coupons", token=ann["token"])).json()
        assert [coupon["title"] for coupon in coupons] == ["红包"]


async def test_a_group_fills_up_in_the_room_s_sight(tmp_path: Path) -> None:
    async with rig(tmp_path, sandbox=True) as app:
        app.clock.stop()
        body = {"sku": await sku_of(app), "price": 500, "total": 4, "mode": "team", "team_size": 2, "team_s": 600}
        sale = await staff(app, "POST", "/sales", body, status=201)
        await staff(app, "POST", f"/sales/{sale['sale']}/start", {"countdown_s": 0})
        ann, bob = await app.guest(device="a", name="安安"), await app.guest(device="b")
        path = f"/sales/{sale['sale']}/teams"
        status, seat = await viewer(app, ann["token"], path, key="j")
        assert status == 201
        status, joined = await viewer(app, bob["token"], path, {"team": seat["team"]}, key="j")
        assert status == 201 and joined["team"] == seat["team"]
        [team] = section(app, "teams")
        assert (team["leader"], team["taken"], team["paid"], team["state"]) == ("安**", 2, 0, "open")
        for guest, hold in ((ann, seat["hold"]), (bob, joined["hold"])):
            order = {"room": app.shop.room, "hold": hold}
            made = (await app.call("POST", "/orders", order, token=guest["token"], key="o")).json()["order"]["order"]
            paid = await app.call("POST", f"/orders/{made}/pay", token=guest["token"], key="p")
            assert paid.json()["order"]["status"] == "paid"
        [team] = section(app, "teams")
        assert (team["paid"], team["state"]) == (2, "full")
        found = await app.call("GET", f"/teams/{seat['team']}", token=ann["token"])
        assert found.json() == team
        listed = (await app.call("GET", f"/rooms/{app.shop.room}")).json()
        assert [one["team"] for one in listed["teams"]] == [seat["team"]]


async def test_what_belongs_to_another_shop_or_room_is_not_there(tmp_path: Path) -> None:
    async with rig(tmp_path) as app:
        body = {"kind": "bag", "sku": await sku_of(app), "winners": 1}
        draw = await staff(app, "POST", "/draws", body, status=201)
        stranger = await app.guest(app.other.room)
        status, problem = await viewer(app, stranger["token"], f"/draws/{draw['draw']}/entries")
        assert (status, problem["code"]) == (404, "no_room")
        path = f"/rooms/{app.other.room}/draws/{draw['draw']}"
        answers = [
            await app.call("POST", f"{path}/entries", {}, token=stranger["token"]),
            await app.call("POST", f"{path}/void", token=app.other.host_token),
            await app.call("GET", "/draws/none"),
            await app.call("GET", "/teams/none", token=stranger["token"]),
        ]
        assert [answer.status_code for answer in answers] == [404] * 4
        nonsense: list[dict[str, Any]] = [
            body | {"pool": 5},
            {"kind": "packet", "winners": 2, "pool": 100},
            body | {"winners": 0},
            body | {"task": "comment"},
        ]
        for bad in nonsense:
            assert (await staff(app, "POST", "/draws", bad, status=400))["code"] == "invalid"
        terms: list[dict[str, Any]] = [
            {"mode": "team"},
            {"enter_s": 5},
            {"mode": "draw"},
            {"mode": "bag"},
            {"team_size": 3},
        ]
        for bad in terms:
            sale = {"sku": await sku_of(app), "price": 5, "total": 1}
            assert (await staff(app, "POST", "/sales", sale | bad, status=400))["code"] == "invalid"
