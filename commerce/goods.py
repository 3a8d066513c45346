"""Goods by the sheet, and who changed a price or a count by hand: the shop side's facade.

Reads run on reader threads; a sheet is taken in by the ledger, in one transaction, and told to the rooms afterwards.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from commerce import catalogue_checks as check
from commerce import changes_sql, goods_sql
from commerce.catalogue_writes import CatalogueWrites
from commerce.changes import WHY_CHARACTERS_MAX
from commerce.errors import Invalid
from commerce.goods_sheet import (
    FILE_BYTES_MAX,
    FILE_ROWS_MAX,
    GoodsRow,
    RowFault,
    check_row,
    read_sheet,
    write_sheet,
)
from commerce.goods_sql import GOODS_MAX, GoodsReport, ImportGoods
from commerce.ledger import Ledger
from commerce.store_sql import Store


class Goods:
    """Sheets of goods and the trail of manual changes, of all merchants of one database."""

    def __init__(self, store: Store, ledger: Ledger, catalogue: CatalogueWrites) -> None:
        self._store = store
        self._ledger = ledger
        self._catalogue = catalogue

    async def import_file(
        self, merchant: str, staff: str, raw: bytes, why: str, *, try_only: bool = False
    ) -> GoodsReport:
        """Take a file in (goods_sheet says how it looks). Raises Invalid, Busy."""
        if len(raw) > FILE_BYTES_MAX:
            raise Invalid(f"a file has at most {FILE_BYTES_MAX} bytes: split it", field="file")
        # Thousands of lines would hold up the loop, and with it the room.
        rows, faults = await asyncio.to_thread(read_sheet, raw)
        return await self._import(merchant, staff, rows, faults, why, try_only)

    async def import_rows(
        self, merchant: str, staff: str, given: Iterable[Mapping[str, Any]], why: str, *, try_only: bool = False
    ) -> GoodsReport:
        """Take lines in as ``GoodsRow`` names them; ``line`` counts from 1. Raises Invalid, Busy."""
        rows: list[GoodsRow] = []
        faults: list[RowFault] = []
        for line, one in enumerate(given, 1):
            try:
                rows.append(check_row(line, one))
            except Invalid as error:
                faults.append(RowFault(line, str(error.extra.get("field", "")), error.message))
        return await self._import(merchant, staff, rows, faults, why, try_only)

    async def _import(
        self,
        merchant: str,
        staff: str,
        rows: Sequence[GoodsRow],
        faults: Sequence[RowFault],
        why: str,
        try_only: bool,
    ) -> GoodsReport:
        reason = check.words(why, "why", WHY_CHARACTERS_MAX)
        if not 0 < len(rows) + len(faults) <= FILE_ROWS_MAX:
            raise Invalid(f"1 to {FILE_ROWS_MAX} lines of goods", field="rows")
        command = ImportGoods(merchant, staff, reason, tuple(rows), tuple(faults), try_only)
        report = await self._ledger.submit(command)
        assert isinstance(report, GoodsReport)
        if report.written:
            await self._catalogue.tell(merchant, report.products)
        return report

    async def export_file(self, merchant: str) -> str:
        """All goods as a file that ``import_file`` takes. Raises Invalid when there are too many."""
        rows = await self.rows(merchant, limit=GOODS_MAX + 1)
        if len(rows) > GOODS_MAX:
            raise Invalid(f"more than {GOODS_MAX} goods: page through /api/v1/goods", field="format")
        names = await self._store.read(lambda db: goods_sql.store_names(db, merchant))
        return write_sheet(rows, list(names.values()))

    async def rows(self, merchant: str, after: str = "", limit: int = 50) -> list[GoodsRow]:
        """Goods as lines of a sheet, by age, those after the SKU id ``after``."""
        return await self._store.read(lambda db: goods_sql.read_goods(db, merchant, after, limit))

    async def runs(self, merchant: str, before: str | None, limit: int) -> list[dict[str, Any]]:
        """The sheets taken in, newest first."""
        return await self._store.read(lambda db: goods_sql.read_runs(db, merchant, before, limit))

    async def changes(self, merchant: str, sku: str, before: str | None, limit: int) -> list[dict[str, Any]]:
        """Manual changes, newest first; of one SKU, or (``sku`` empty) of all."""
        return await self._store.read(lambda db: changes_sql.read_changes(db, merchant, sku, before, limit))
