"""A distributor over the API: enrolled, credited, paid out, told why; and nobody reaches what is not theirs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from commerce.attribution.explain import explain
from tests.gateway.rig import Rig, rig

DAY_MS = 86_400_000


@pytest.fixture
async def live(tmp_path: Path) -> AsyncIterator[Rig]:
    async with rig(tmp_path) as running:
        yield running


async def done(
    live: Rig, method: str, path: str, body: Any = None, *, token: str, status: int = 200, **more: Any
) -> Any:
    answer = await live.call(method, path, body, token=token, **more)
    assert answer.status_code == status, answer.text
    return answer.json()


async def bought(live: Rig, guest: dict[str, Any], key: str, scene: str | None = None) -> dict[str, Any]:
    """A paid order of one unit of the second product."""
    sku = str(live.shop.products[1]["sku"])
    body = {"room": live.shop.room, "lines": [{"sku": sku, "quantity": 1}]}
    order = (await done(live, "POST", "/orders", body, token=guest["token"], status=201, key=key))["order"]
    await done(live, "POST", f"/orders/{order['order']}/pay", token=guest["token"], key=f"pay-{key}")
    return dict(order)


async def enrolled(live: Rig, name: str = "阿芬") -> dict[str, Any]:
    guest = await live.guest(name=name)
    applied = await done(live, "POST", "/me/distributor", {"name": name}, token=guest["token"], status=201)
    assert applied["state"] == "applied"
    assert (await done(live, "GET", "/me/distributor", token=guest["token"]))["state"] == "applied"
    boss = live.shop.merchant_token
    await done(live, "PATCH", f"/distributors/{guest['person']}", {"state": "active"}, token=boss)
    return guest


async def test_a_distributor_earns_is_paid_and_is_told_why(live: Rig) -> None:
    live.clock.stop()
    boss, room = live.shop.merchant_token, live.shop.room
    await done(live, "PUT", "/distribution/rates", {"scope": "shop", "first_bp": 1_000}, token=boss)
    fen = await enrolled(live)
    link = await done(live, "POST", "/links", {"room": room}, token=fen["token"], status=201)
    buyer = await live.guest(name="小雨", scene=link["token"])
    assert (await done(live, "GET", "/me/distributor", token=buyer["token"]))["state"] == "none"
    order = await bought(live, buyer, "o1")
    earned = order["amount"] // 10
    mine = await done(live, "GET", "/me/commission", token=fen["token"])
    assert (mine["frozen"], mine["available"]) == (earned, 0)
    assert mine["items"][0]["order"] == order["order"] and mine["items"][0]["rate"] == "shop"

    why = await done(live, "GET", f"/orders/{order['order']}/explanation", token=fen["token"])
    assert any("分销佣金" in said and "阿芬" in said for said in why["sentences"]) and why["decision"] is None
    english = await done(live, "GET", f"/orders/{order['order']}/explanation?lang=en", token=boss)
    assert any(said.startswith("For commission: 阿芬") for said in english["sentences"])
    await done(live, "GET", f"/orders/{order['order']}/explanation", token=buyer["token"], status=404)

    live.clock.ahead_ms += 16 * DAY_MS
    await live.application.services.distribution.release()
    # The tokens of 16 days ago are no good any more.
    fen_again = live.application.services.tokens.mint(
        person=fen["person"], name="阿芬", role="viewer", merchant=live.shop.merchant, room=room
    )[0]
    body = {"amount": earned}
    asked = await done(live, "POST", "/me/withdrawals", body, token=fen_again, status=201, key="w1")
    boss = live.application.services.tokens.mint(
        person="boss", name="boss", role="merchant", merchant=live.shop.merchant, room=None
    )[0]
    path = f"/withdrawals/{asked['withdrawal']}"
    await done(live, "POST", path, {"decision": "approved"}, token=boss)
    paid = await done(live, "POST", path, {"decision": "transfer"}, token=boss)
    assert (paid["state"], paid["provider"]) == ("paid", "sandbox")
    await done(live, "POST", path, {"decision": "paid", "number": "T1"}, token=boss, status=422)
    assert (await done(live, "GET", "/withdrawals", token=boss))["items"][0]["number"] == paid["number"]
    notice = await live.client.post("/api/v1/transfers/sandbox", content=b"{}")
    assert (notice.status_code, notice.json()["code"]) == (400, "bad_signature")
    days = await done(live, "GET", "/me/commission/days", token=fen_again)
    assert sum(move["leaving"] for move in days["moves"]) == days["closing"]["leaving"] == 0
    assert days["opening"]["available"] + sum(move["available"] for move in days["moves"]) == 0
    table = await live.call("GET", f"/distributors/{fen['person']}/commission/days?format=csv", token=boss)
    assert table.headers["content-type"].startswith("text/csv") and b"closing" in table.content
    last = await done(live, "GET", "/me/commission", token=fen_again)
    assert (last["available"], last["leaving"]) == (0, 0)


async def test_the_board_as_csv_has_the_same_figures_and_runs_nothing(live: Rig) -> None:
    fen = await enrolled(live, "=cmd()")
    link = await done(live, "POST", "/links", {"room": live.shop.room}, token=fen["token"], status=201)
    await bought(live, await live.guest(scene=link["token"]), "o1")
    answer = await live.call("GET", "/board?format=csv", token=live.shop.merchant_token)
    assert answer.headers["content-type"].startswith("text/csv")
    rows = [line.split(",") for line in answer.content.decode("utf-8-sig").splitlines()]
    (mine,) = [row for row in rows if row[0] == "by_issuer" and row[1] == fen["person"]]
    assert mine[2:] == ["'=cmd()", "distributor", "1", "1", "0", "1", "1", "5900", "0"]


async def test_nothing_of_another_merchant_is_reached(live: Rig) -> None:
    fen = await enrolled(live)
    theirs = live.other.merchant_token
    person = fen["person"]
    for method, path, body in (
        ("GET", f"/distributors/{person}/commission", None),
        ("PATCH", f"/distributors/{person}", {"state": "disabled"}),
        ("POST", "/distributors", {"person": person, "name": "x"}),
        ("GET", f"/people/{person}", None),
        ("POST", f"/people/{person}/phone", {"reason": "x"}),
        ("POST", f"/people/{person}/merges", {"other": person, "reason": "x"}),
        ("POST", f"/people/{person}/erase", {"reason": "x"}),
        ("POST", f"/people/{person}/bindings", {"issuer": person, "role": "distributor", "reason": "x"}),
    ):
        await done(live, method, path, body, token=theirs, status=404)
    assert (await done(live, "GET", "/distributors", token=theirs))["items"] == []
    assert await done(live, "GET", f"/people/{person}/bindings", token=theirs) == []


async def test_every_operation_refuses_every_role_that_it_does_not_name(live: Rig) -> None:
    contract = (await live.client.get("/openapi.json")).json()
    services = live.application.services
    tried = 0
    for role in ("viewer", "guest", "host", "guide", "assistant", "merchant"):
        token = services.tokens.mint(
            person="somebody", name="x", role=role, merchant=live.shop.merchant, room=live.shop.room
        )[0]
        for path, methods in contract["paths"].items():
            for method, operation in methods.items():
                allowed = operation.get("description", "").removeprefix("Roles: ").split(", ")
                if allowed == [""] or role in allowed:
                    continue
                url = path.replace("{", "").replace("}", "")
                answer = await live.client.request(method, url, headers={"authorization": f"Bearer {token}"})
                assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), (role, method, path)
                tried += 1
    assert tried > 100


@pytest.mark.parametrize("language", ["zh", "en"])
def test_a_decision_without_winner_is_explained_too(language: str) -> None:
    decision: dict[str, Any] = {
        "window_ms": 7 * DAY_MS,
        "decided_ms": 1,
        "winner": None,
        "rule": "no valid candidate",
        "losers": [],
    }
    said = explain(decision, language, lambda issuer, role: "?", lambda ms: "then")
    assert len(said) == 4 and "then" in said[0]
