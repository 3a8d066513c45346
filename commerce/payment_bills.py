"""Providers' daily files: unpacked within bounds, checked, and read into lines.

    WeChat   gzip of UTF-8 CSV, each cell behind a back-quote; last a line of titles and one of sums
    Alipay   zip of GBK CSVs, one with 业务明细 but not 汇总 in its name; lines of # around a table with tabs in cells

Columns are found by their titles: providers add some now and then.
"""

import csv
import hashlib
import io
import zipfile
import zlib
from collections.abc import Mapping, Sequence

from commerce.domain.bill import BillLine
from commerce.domain.money import fen
from commerce.errors import Invalid
from commerce.payment_http import BILL_BYTES_MAX

ZIP_FILES_MAX = 20
_WECHAT = ("商户订单号", "微信订单号", "交易状态", "订单金额", "商户退款单号", "微信退款单号", "申请退款金额", "手续费")
_ALIPAY = ("支付宝交易号", "商户订单号", "业务类型", "订单金额（元）", "退款批次号/请求号", "服务费（元）")


def unpack_gzip(packed: bytes, sha1: str) -> bytes:
    """The file inside a gzip, whose SHA-1 the provider told of. Raises Invalid."""
    unpack = zlib.decompressobj(wbits=31)
    try:
        raw = unpack.decompress(packed, BILL_BYTES_MAX + 1)
    except zlib.error as error:
        raise Invalid("the provider's file is no gzip") from error
    if len(raw) > BILL_BYTES_MAX or not unpack.eof:
        raise Invalid(f"the provider's file is cut short, or longer than {BILL_BYTES_MAX} bytes")
    if hashlib.sha1(raw, usedforsecurity=False).hexdigest() != sha1.lower():
        raise Invalid("the provider's file is not the one that it told of")
    return raw


def parse_wechat(raw: bytes) -> tuple[BillLine, ...]:
    """The lines of a trade bill of all kinds (交易账单, ALL). Raises Invalid."""
    rows = rows_of(raw, "utf-8-sig")
    column = columns_of(rows[0] if rows else [], _WECHAT)
    lines: list[BillLine] = []
    for index, row in enumerate(rows[1:], start=1):
        cells = [cell.strip().removeprefix("`") for cell in row]
        if cells[0] == "总交易单数":
            _check_count(rows, index, len(lines))
            return tuple(lines)
        refund = column(cells, "商户退款单号").strip("0")
        back = bool(refund) and column(cells, "交易状态") == "REFUND"
        lines.append(
            BillLine(
                kind="refunded" if back else "paid",
                number=column(cells, "微信退款单号" if back else "微信订单号"),
                payment=column(cells, "商户订单号"),
                refund=column(cells, "商户退款单号") if back else "",
                amount=_fen(column(cells, "申请退款金额" if back else "订单金额")),
                fee=_fen(column(cells, "手续费")),
                merchant=column(cells, "商户数据包"),
            )
        )
    raise Invalid("the provider's file has no line of sums: it is cut short")


def _check_count(rows: Sequence[Sequence[str]], index: int, lines: int) -> None:
    told = rows[index + 1][0].strip().removeprefix("`") if index + 1 < len(rows) else ""
    if told != str(lines):
        raise Invalid(f"the provider's file says {told or 'not'} how many lines it has, and has {lines}")


def unpack_zip(packed: bytes, named: str = "业务明细") -> bytes:
    """The file of single movements inside Alipay's zip, by what its name has in it. Raises Invalid."""
    try:
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            for entry in archive.infolist()[:ZIP_FILES_MAX]:
                name = entry.filename if entry.flag_bits & 0x800 else _gbk(entry.filename)
                if named in name and "汇总" not in name:
                    if entry.file_size > BILL_BYTES_MAX:
                        raise Invalid(f"the provider's file is longer than {BILL_BYTES_MAX} bytes")
                    with archive.open(entry) as file:
                        return file.read(BILL_BYTES_MAX)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError) as error:
        raise Invalid("the provider's file is no zip that can be read") from error
    raise Invalid(f"the provider's zip has no file of single movements ({named})")


def _gbk(name: str) -> str:
    """A name inside a zip that was made without the mark for UTF-8: zipfile takes its bytes for code page 437."""
    try:
        return name.encode("cp437").decode("gbk")
    except (UnicodeEncodeError, UnicodeDecodeError):
        return name


def parse_alipay(raw: bytes) -> tuple[BillLine, ...]:
    """The lines of 业务明细. Raises Invalid."""
    rows = [row for row in rows_of(raw, "gb18030") if row and not row[0].lstrip().startswith("#")]
    column = columns_of(rows[0] if rows else [], _ALIPAY)
    lines = []
    for row in rows[1:]:
        cells = [cell.strip() for cell in row]
        back = column(cells, "业务类型") == "退款"
        refund = column(cells, "退款批次号/请求号") if back else ""
        lines.append(
            BillLine(
                kind="refunded" if back else "paid",
                number=f"r-{refund}" if back else column(cells, "支付宝交易号"),
                payment=column(cells, "商户订单号"),
                refund=refund,
                # A refund stands there with a minus, and so does a fee that was taken.
                amount=abs(_fen(column(cells, "订单金额（元）"))),
                fee=-_fen(column(cells, "服务费（元）")),
            )
        )
    return tuple(lines)


def rows_of(raw: bytes, encoding: str) -> list[list[str]]:
    """The rows of a CSV that are not empty. Raises Invalid."""
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError as error:
        raise Invalid(f"the provider's file is not {encoding}") from error
    try:
        return [row for row in csv.reader(io.StringIO(text, newline="")) if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise Invalid(f"the provider's file is not CSV: {error}") from error


class Columns:
    """The columns of a table by their titles."""

    def __init__(self, places: Mapping[str, int]) -> None:
        self._places = places

    def __call__(self, cells: Sequence[str], title: str) -> str:
        """The cell under a title; empty where the column or the cell is missing."""
        place = self._places.get(title)
        return cells[place] if place is not None and place < len(cells) else ""


def columns_of(titles: Sequence[str], needed: Sequence[str]) -> Columns:
    """Where each title stands; those needed are there. Raises Invalid."""
    places = {title.strip().strip("`"): place for place, title in enumerate(titles)}
    missing = [title for title in needed if title not in places]
    if missing:
        raise Invalid(f"the provider's file has no column {', '.join(missing)}")
    return Columns(places)


def _fen(text: str) -> int:
    try:
        return fen(text or "0")
    except ValueError as error:
        raise Invalid(f"the provider's file has an amount that is none: {text[:20]!r}") from error
