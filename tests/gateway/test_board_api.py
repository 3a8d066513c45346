"""The board over HTTP: answers of the promised shape, rows behind the figures, files, and who may see them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.schemas_board import BoardAnswer, CohortsAnswer, CostReportAnswer, CostsAnswer, ModelsAnswer
from tests.gateway.rig import Rig, rig
from tests.gateway.test_distribution import bought, done


@pytest.fixture
async def live(tmp_path: Path) -> AsyncIterator[Rig]:
    async with rig(tmp_path) as running:
        yield running


async def get(live: Rig, path: str) -> Any:
    return await done(live, "GET", path, token=live.shop.merchant_token)


async def sold_by_a_link(live: Rig) -> dict[str, Any]:
    body = {"room": live.shop.room, "channel": "douyin", "campaign": "spring"}
    link: dict[str, Any] = await done(live, "POST", "/links", body, token=live.shop.merchant_token, status=201)
    await bought(live, await live.guest(scene=link["token"]), "o1")
    return link


async def test_every_answer_has_the_shape_that_the_contract_gives(live: Rig) -> None:
    await sold_by_a_link(live)
    for path, shape in (
        ("/board", BoardAnswer),
        ("/board?model=guide", BoardAnswer),
        ("/board/models", ModelsAnswer),
        ("/board/cohorts", CohortsAnswer),
        ("/board/costs", CostsAnswer),
    ):
        answer = await get(live, path)
        assert msgspec.to_builtins(msgspec.convert(answer, shape, strict=True)) == answer, path


async def test_a_figure_opens_to_its_rows_page_by_page_and_as_a_file(live: Rig) -> None:
    link = await sold_by_a_link(live)
    board = await get(live, "/board")
    (row,) = [one for one in board["by_campaign"] if one["campaign"] == "spring"]
    assert (row["entries"], row["paid"], row["cost"], row["roi"]) == (1, 1, 0, None)
    people = await get(live, "/board/people?step=entry&dimension=campaign&key=spring&limit=1")
    assert len(people["items"]) == 1 and people["next"] == people["items"][0]["person"]
    assert (await get(live, f"/board/people?step=entry&after={people['next']}"))["items"] == []
    orders = await get(live, "/board/orders?state=paid&dimension=campaign&key=spring")
    assert [one["amount"] for one in orders["items"]] == [row["amount"]]
    (week,) = (await get(live, "/board/cohorts"))["cohorts"]
    returned = await get(live, f"/board/cohorts/people?week={week['week']}&later=0")
    assert [one["person"] for one in returned["items"]] == [people["items"][0]["person"]]
    for path in (
        "/board/people?format=csv",
        "/board/orders?format=csv",
        "/board/models?format=csv",
        "/board/cohorts?format=csv",
        "/board?format=csv&table=by_link",
    ):
        answer = await live.call("GET", path, token=live.shop.merchant_token)
        assert answer.headers["content-type"].startswith("text/csv"), path
        assert len(answer.content.decode("utf-8-sig").splitlines()) >= 2, path
    assert link["token"] in answer.text


async def test_a_list_of_costs_is_taken_in_whole_or_reported_row_by_row(live: Rig) -> None:
    await sold_by_a_link(live)
    now_ms = (await get(live, "/board"))["until"]
    today = datetime.fromtimestamp(now_ms / 1000 + 8 * 3600, UTC).date()

    async def send(text: str, query: str = "") -> CostReportAnswer:
        answer = await live.client.post(
            f"/api/v1/board/costs{query}",
            content=text.encode(),
            headers={"authorization": f"Bearer {live.shop.merchant_token}"},
        )
        assert answer.status_code == 200, answer.text
        return msgspec.convert(answer.json(), CostReportAnswer)

    report = await send(f"date,campaign,cost\n{today},spring,10\n{today},spring,20\nx,y,z\n")
    assert not report.written and [fault.line for fault in report.faults] == [3, 4]
    assert (await get(live, "/board/costs"))["costs"] == []
    assert not (await send(f"date,campaign,cost\n{today},spring,10\n", "?try=1")).written
    assert (await send(f"date,campaign,cost\n{today},spring,10\n")).written
    (row,) = [one for one in (await get(live, "/board"))["by_campaign"] if one["campaign"] == "spring"]
    assert (row["cost"], row["roi"]) == (1_000, round(row["amount"] / 1_000, 4))


async def test_only_a_clip_of_the_shop_is_watched_and_what_is_sold_after_it_stands_under_it(live: Rig) -> None:
    shop, services = live.shop, live.application.services
    terms: dict[str, Any] = {"show": "s1", "start_ms": 0, "end_ms": 9, "length_ms": 9, "size": 9}
    for clip, of in (("mine", shop), ("theirs", live.other)):
        product = str(of.products[1]["product"])
        await services.catalogue.add_clip(clip, of.merchant, of.room, product, file=f"{clip}.mp4", **terms)
    guest = await live.guest(name="小雨")

    async def watched(body: dict[str, Any]) -> int:
        answer = await live.call("POST", "/touches", {"room": shop.room, **body}, token=guest["token"])
        return answer.status_code

    assert await watched({"kind": "clip_view", "clip": "theirs"}) == 404
    assert await watched({"kind": "clip_view"}) == 400
    assert await watched({"kind": "card_click", "clip": "mine"}) == 400
    assert await watched({"kind": "clip_view", "clip": "mine", "sku": shop.products[1]["sku"]}) == 202
    await bought(live, guest, "o1")
    board = await get(live, "/board")
    assert [(one["clip"], one["visits"], one["paid"]) for one in board["by_clip"]] == [("mine", 1, 1)]
    [host] = board["by_host"]
    assert (host["entries"], host["paid"], host["amount"]) == (1, 1, board["gmv"])
    for dimension, key in (("clip", "mine"), ("host", host["host"])):
        for rows in (f"people?dimension={dimension}&key={key}", f"orders?dimension={dimension}&key={key}"):
            assert len((await get(live, f"/board/{rows}"))["items"]) == 1, rows
        file = await live.client.get(
            f"/api/v1/board?format=csv&table=by_{dimension}", headers={"authorization": f"Bearer {shop.merchant_token}"}
        )
        assert key in file.text
    for table, columns in (("series", "at,visits,entries"), ("tree", ""), ("orders", "order,person,name")):
        path = f"/api/v1/board?format=csv&table={table}"
        file = await live.client.get(path, headers={"authorization": f"Bearer {shop.merchant_token}"})
        assert file.status_code == 200 and columns in file.text, table


@pytest.mark.parametrize(
    "path",
    [
        "/board?model=luck",
        "/board?table=people",
        "/board?format=xml",
        "/board/people?step=walk",
        "/board/people?dimension=person",
        "/board/orders?state=lost",
        "/board/orders?dimension=shared",
        "/board/orders?since=5&until=4",
        "/board/cohorts/people?week=1&later=99999",
    ],
)
async def test_what_a_board_cannot_be_asked_is_said(live: Rig, path: str) -> None:
    answer = await live.call("GET", path, token=live.shop.merchant_token)
    assert answer.status_code == 400 and answer.json()["code"] == "invalid", answer.text


async def test_viewers_see_nothing_of_it(live: Rig) -> None:
    guest = await live.guest()
    for path in ("/board", "/board/models", "/board/cohorts", "/board/people", "/board/orders", "/board/costs"):
        assert (await live.call("GET", path, token=guest["token"])).status_code == 403, path
