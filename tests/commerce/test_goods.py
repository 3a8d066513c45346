"""Sheets of goods: all or nothing, the same file twice, what was sold meanwhile, and the trail of manual changes."""

import csv
import io
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from commerce.catalogue import Catalogue
from commerce.catalogue_views import ShelfChanged
from commerce.changes import Hand
from commerce.errors import Invalid
from commerce.goods import Goods
from commerce.goods_sheet import COLUMNS, FILE_ROWS_MAX, read_sheet, write_sheet
from commerce.goods_sql import GoodsReport
from tests.commerce.people_kit import cheap_passwords
from tests.commerce.shop_world import MERCHANT, OTHER_SKU, ROOM, SKU, World, shop_world

HEAD = "product,title,sku,name,price,list_price,unit,stock,on_shelf\r\n"
TEA = HEAD + "tea,龙井,tea-50,50 克,68.00,88,piece,30,yes\r\ntea,龙井,tea-250,250 克,298,,piece,5,是\r\n"


class Sheets:
    """A shop with goods by the sheet."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.catalogue = Catalogue(world.store, clock=world.clock, passwords=cheap_passwords())
        self.goods = Goods(world.store, world.shop.ledger, self.catalogue)

    async def take(self, sheet: str | bytes, merchant: str = MERCHANT, **more: Any) -> GoodsReport:
        raw = sheet if isinstance(sheet, bytes) else sheet.encode("utf-8-sig")
        return await self.goods.import_file(merchant, "boss", raw, "spring list", **more)

    async def sheet(self, change: Callable[[dict[str, str]], None] | None = None) -> str:
        """The export, with ``change`` made to each of its lines."""
        rows = list(csv.DictReader(io.StringIO(await self.goods.export_file(MERCHANT))))
        for row in rows:
            if change is not None:
                change(row)
        out = io.StringIO()
        writer = csv.DictWriter(out, list(COLUMNS), lineterminator="\r\n")
        writer.writeheader()
        writer.writerows(rows)
        return out.getvalue()

    async def free(self, code: str) -> int:
        [row] = [one for one in await self.goods.rows(MERCHANT) if one.sku == code]
        assert row.stock is not None
        return row.stock


@asynccontextmanager
async def sheets(where: Path | str) -> AsyncIterator[Sheets]:
    async with shop_world(where) as world:
        shop = Sheets(world)
        yield shop
        await shop.catalogue.close()


@pytest.fixture
async def shop(place: Path | str) -> AsyncIterator[Sheets]:
    async with sheets(place) as opened:
        yield opened


@pytest.fixture
async def quick(tmp_path: Path) -> AsyncIterator[Sheets]:
    async with sheets(tmp_path) as opened:
        yield opened


def _run(statement: str, db: Connection) -> None:
    db.execute(text(statement))


def faults(report: GoodsReport) -> list[tuple[int, str]]:
    return [(row.line, row.column) for row in report.rows if row.outcome == "fault"]


async def test_a_sheet_makes_products_with_variants_and_stock_and_twice_it_changes_nothing(shop: Sheets) -> None:
    first = await shop.take(TEA)
    assert (first.written, first.counts["created"]) == (True, 2)
    [product] = first.products
    view = await shop.catalogue.product(MERCHANT, product)
    assert [(one.name, one.price, one.list_price, one.stock) for one in view.variants] == [
        ("50 克", 6_800, 8_800, 30),
        ("250 克", 29_800, 29_800, 5),
    ]
    again = await shop.take(TEA)
    assert (again.written, again.run, again.counts["same"]) == (False, "", 2)
    assert await shop.catalogue.product(MERCHANT, product) == view
    assert len(await shop.goods.runs(MERCHANT, None, 9)) == 1
    order = await shop.world.shop.create_order(MERCHANT, ROOM, "one", "o", lines=[(view.sku, 2)])
    assert order.amount == 13_600


async def test_a_fault_in_one_line_keeps_the_whole_sheet_out_and_every_faulty_line_is_named(shop: Sheets) -> None:
    sheet = TEA + (
        "tea,龙井,tea-50,again,1,,,,\r\n"
        "cup,杯,cup-1,,9.999,,,,\r\n"
        "cup,杯,cup-2,,9,8,,,\r\n"
        "cup,杯,cup-3,,9,,,-1,\r\n"
        "cup,杯,bad code,,9,,,,\r\n"
        "cup,杯,cup-4\r\n"
    )
    before = await shop.goods.rows(MERCHANT)
    report = await shop.take(sheet)
    assert not report.written
    assert faults(report) == [(4, "sku"), (5, "price"), (6, "list_price"), (7, "stock"), (8, "sku"), (9, "")]
    assert faults(await shop.take(HEAD + "cup,杯,bad code,,9,,,,\r\n")) == [(2, "sku")]
    assert await shop.goods.rows(MERCHANT) == before
    assert await shop.goods.changes(MERCHANT, "", None, 50) == []
    assert await shop.goods.runs(MERCHANT, None, 9) == []


async def test_what_is_tried_only_says_what_it_would_do_and_does_nothing(quick: Sheets) -> None:
    tried = await quick.take(TEA, try_only=True)
    assert (tried.written, tried.counts["created"]) == (False, 2)
    assert len(await quick.goods.rows(MERCHANT)) == 2


async def test_an_export_goes_in_again_without_a_change_whatever_was_sold_meanwhile(shop: Sheets) -> None:
    await shop.take(TEA)
    sheet = await shop.sheet()
    tea = next(row.id for row in await shop.goods.rows(MERCHANT) if row.sku == "tea-50")
    await shop.world.shop.create_order(MERCHANT, ROOM, "one", "o", lines=[(tea, 3)])
    report = await shop.take(sheet)
    assert (report.written, report.counts["same"]) == (False, len(report.rows))
    assert await shop.free("tea-50") == 27


async def test_a_shop_of_more_goods_than_go_in_at_once_gets_its_export_in_again(
    quick: Sheets, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("commerce.goods_sql.ROWS_MAX", 3)
    for part in range(2):
        await quick.take("product,sku,title,price\r\n" + "".join(f"p{part}{n},s{part}{n},茶,1\r\n" for n in range(3)))
    sheet = await quick.sheet()
    report = await quick.take(sheet)
    assert (report.written, report.counts["same"]) == (False, 8)
    with pytest.raises(Invalid, match="6 lines change something"):
        await quick.take(sheet.replace("茶", "茶叶"))
    assert {row.title for row in await quick.goods.rows(MERCHANT) if row.sku.startswith("s")} == {"茶"}


def test_a_file_may_have_more_lines_than_are_written_at_once() -> None:
    rows, bad = read_sheet(b"product,sku\n" + b"".join(b"p%d,s%d\n" % (n, n) for n in range(FILE_ROWS_MAX)))
    assert (len(rows), bad) == (5_000, [])


async def test_a_count_is_refused_when_units_were_sold_since_the_sheet_was_written(shop: Sheets) -> None:
    await shop.take(TEA)

    def recount(row: dict[str, str]) -> None:
        if row["sku"] == "tea-50":
            row["stock"] = "40"

    sheet = await shop.sheet(recount)
    tea = next(row.id for row in await shop.goods.rows(MERCHANT) if row.sku == "tea-50")
    order = await shop.world.shop.create_order(MERCHANT, ROOM, "one", "o", lines=[(tea, 3)])
    report = await shop.take(sheet)
    assert not report.written
    assert [column for _, column in faults(report)] == ["stock"]
    await shop.world.shop.cancel_order(MERCHANT, "one", order.order)
    assert (await shop.take(sheet)).written
    assert await shop.free("tea-50") == 40
    assert not (await shop.take(sheet)).written


async def test_a_price_is_refused_when_somebody_repriced_since_and_else_gets_the_next_version(shop: Sheets) -> None:
    await shop.take(TEA)

    def reprice(row: dict[str, str]) -> None:
        if row["sku"] == "tea-250":
            row["price"] = row["list_price"] = "288"

    sheet = await shop.sheet(reprice)
    tea = next(row for row in await shop.goods.rows(MERCHANT) if row.sku == "tea-250")
    await shop.catalogue.set_sku_price(MERCHANT, tea.id, 27_800)
    assert [column for _, column in faults(await shop.take(sheet))] == ["price"]
    assert (await shop.take(await shop.sheet(reprice))).written
    assert not (await shop.take(await shop.sheet(reprice))).written
    now = next(row for row in await shop.goods.rows(MERCHANT) if row.sku == "tea-250")
    assert (now.price, now.version) == (28_800, 3)


async def test_goods_by_weight_are_counted_in_whole_grams_of_whole_units(shop: Sheets) -> None:
    rice = HEAD + "rice,大米,rice,,6.5,,500g,12500,\r\n"
    report = await shop.take(rice)
    assert report.written
    row = next(one for one in await shop.goods.rows(MERCHANT) if one.sku == "rice")
    assert (row.grams, row.stock) == (500, 12_500)
    assert (await shop.catalogue.product(MERCHANT, report.products[0])).stock == 25
    assert faults(await shop.take(rice.replace("12500", "12600"))) == [(2, "stock")]
    assert faults(await shop.take(rice.replace("500g", "1kg"))) == [(2, "unit")]
    assert "500g" in await shop.goods.export_file(MERCHANT)


async def test_every_change_by_hand_says_who_when_from_what_to_what_and_why(shop: Sheets) -> None:
    await shop.take(TEA)
    tea = next(row.id for row in await shop.goods.rows(MERCHANT) if row.sku == "tea-50")
    shop.world.clock.advance(1_000)
    by = Hand("clerk", "母亲节")
    await shop.catalogue.set_sku_price(MERCHANT, tea, 6_600, 8_800, by)
    await shop.catalogue.set_offer(MERCHANT, tea, 6_000, 0, shop.world.clock() + 60_000, by)
    await shop.world.shop.stock_up(MERCHANT, tea, -4, "broken", "clerk")
    found = await shop.goods.changes(MERCHANT, tea, None, 50)
    assert {(one["what"], one["before"], one["after"], one["staff"], one["why"]) for one in found} == {
        ("price", None, 6_800, "boss", "spring list"),
        ("list_price", None, 8_800, "boss", "spring list"),
        ("stock", 0, 30, "boss", "spring list"),
        ("price", 6_800, 6_600, "clerk", "母亲节"),
        ("offer", None, 6_000, "clerk", "母亲节"),
        ("stock", 30, 26, "clerk", "broken"),
    }
    assert {one["created_ms"] for one in found if one["staff"] == "clerk"} == {shop.world.clock()}
    [run] = await shop.goods.runs(MERCHANT, None, 9)
    assert {one["import_run"] for one in found if one["staff"] == "boss"} == {run["id"]}
    assert await shop.goods.changes("m2", "", None, 50) == []


async def test_the_trail_of_changes_cannot_be_rewritten(shop: Sheets) -> None:
    await shop.take(TEA)
    for statement in ("UPDATE manual_change SET why = 'x'", "DELETE FROM manual_change"):
        with pytest.raises(DBAPIError, match="kept as they were written"):
            await shop.world.store.write(partial(_run, statement))


async def test_goods_of_before_are_found_by_our_ids_and_other_merchants_are_not(quick: Sheets) -> None:
    world = quick.world
    await world.shop.stock_up(MERCHANT, OTHER_SKU, 7)
    sheet = HEAD + f"p2,tea p2,{OTHER_SKU},,20,,,9,\r\n"
    assert (await quick.take(sheet)).counts["changed"] == 1
    assert await quick.free(OTHER_SKU) == 9
    theirs = await quick.take(sheet, merchant="m2")
    assert theirs.counts["created"] == 1
    assert await quick.free(OTHER_SKU) == 9


async def test_the_rooms_that_show_goods_hear_of_a_sheet(quick: Sheets) -> None:
    heard: list[Any] = []
    quick.catalogue.listen(heard.append)
    await quick.world.store.write(
        lambda db: db.execute(
            text(
                "INSERT INTO room (id, merchant, title, host_name, cover, created_ms)"
                " VALUES ('r1', 'm1', '', '', '', 0)"
            )
        )
    )
    await quick.catalogue.put_on_shelf(MERCHANT, ROOM, "p1")
    await quick.take(HEAD + f"p1,tea p1,{SKU},,55,,,12,\r\n")
    await quick.world.shop.told()
    [*_, last] = [event for event in heard if isinstance(event, ShelfChanged)]
    assert (last.shelf[0].price, last.shelf[0].stock) == (5_500, 12)
    await quick.catalogue.pin(MERCHANT, ROOM, "p1")
    await quick.take(HEAD + f"p1,tea p1,{SKU},,,,,,no\r\n")
    assert await quick.world.query("SELECT product FROM pin") == []


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"\xff\xfe\x00\xff", "neither UTF-8"),
        (b"", "the first line"),
        (b"product,price\n", "the first line"),
        (b"product,sku,colour\n", "colour"),
        (b'product,sku\n"a', "not CSV"),
        (b"product,sku\n" + b"a,b\n" * (FILE_ROWS_MAX + 1), "at most"),
    ],
)
def test_what_is_no_sheet_is_refused_in_words(raw: bytes, words: str) -> None:
    with pytest.raises(Invalid, match=words):
        read_sheet(raw)


def test_a_sheet_of_a_chinese_spreadsheet_is_read_and_formulas_survive_the_way_back() -> None:
    rows, bad = read_sheet("商品编码,规格编码,商品名称,售价,单位\r\na,b,'=茶,1.5,2公斤\r\n".encode("gb18030"))
    assert not bad
    assert (rows[0].title, rows[0].price, rows[0].grams) == ("=茶", 150, 2_000)
    again, _ = read_sheet(write_sheet(rows).encode())
    assert again == rows
    assert "'=茶" in write_sheet(rows)
