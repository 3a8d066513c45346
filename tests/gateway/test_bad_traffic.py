"""Scenes, lists and numbers that cannot be, over HTTP: a clear answer, nothing half-done, and the door stays open."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.gateway.rig import Rig, rig
from tests.gateway.test_distribution import done


@pytest.fixture
async def live(tmp_path: Path) -> AsyncIterator[Rig]:
    async with rig(tmp_path) as running:
        yield running


async def test_a_bad_scene_lets_a_guest_in_and_credits_nobody(live: Rig) -> None:
    ours, theirs = live.shop.merchant_token, live.other.merchant_token
    good = (await done(live, "POST", "/links", {"room": live.shop.room}, token=ours, status=201))["token"]
    foreign = (await done(live, "POST", "/links", {"room": live.other.room}, token=theirs, status=201))["token"]
    forged = good[:-1] + ("a" if good[-1] != "a" else "b")
    for scene, reasons in (
        (forged, {"forged"}),
        (good[:-3], {"truncated"}),
        (good[:6], {"truncated"}),
        (foreign, {"foreign_merchant"}),
        ("2" + good[1:], {"foreign_version"}),
        # A mini-program's scene has 32 characters at the most: this is somebody's text, not a code of ours.
        ("x" * 33, {"foreign_version", "too_long"}),
        ("1" + "x" * 32, {"too_long"}),
        ("小语" * 10, {"bad_characters"}),
    ):
        guest = await live.guest(name="小雨", scene=scene)
        touches = (await done(live, "GET", "/me/data", token=guest["token"]))["touches"]
        told = {(touch["link"], touch["reason"]) for touch in touches if touch["reason"] is not None}
        assert len(told) == 1, (scene, touches)
        ((link, reason),) = told
        assert link is None and reason in reasons, (scene, reason)
    long = await live.call("POST", "/auth/guest", {"room": live.shop.room, "scene": "x" * 500})
    assert long.status_code in (200, 400)


async def test_a_list_with_broken_rows_names_each_and_writes_none(live: Rig) -> None:
    boss = live.shop.merchant_token
    path = "/api/v1/people/import?basis=membership_form&source=forms"
    rows = "phone,name\n13800138022,安\n12,短\n+1 415 555 2671,Sam\n13800138022,又\nabc,字\n+85251234567,港\n"
    answer = await live.client.post(
        path, content=rows.encode(), headers={"authorization": f"Bearer {boss}", "content-type": "text/csv"}
    )
    told = answer.json()
    assert (told["written"], told["new"]) == (False, 0)
    assert {3, 6} <= {fault["line"] for fault in told["faults"]} and all(fault["message"] for fault in told["faults"])
    clean = "phone,name\n13800138022,安\n+1 415 555 2671,Sam\n+85251234567,港\n"
    answer = await live.client.post(path, content=clean.encode(), headers={"authorization": f"Bearer {boss}"})
    assert (answer.json()["written"], answer.json()["new"]) == (True, 3)
