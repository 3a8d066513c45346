"""Settlement files read into lines. Pure.

    wechat    资金账单: UTF-8 CSV, each cell behind a back-quote; last a line of titles and one of sums
    alipay    账务明细: GB18030 CSV; lines of # around a table with tabs in cells
    csv       UTF-8, our own columns in English or Chinese: of banks, of couriers, of any other provider

A file of a provider says the balance after each line; its lines must add up, or some are missing.
"""

import csv
import hashlib
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from commerce.domain.clearing import PROVIDER_KINDS, SettledLine
from commerce.domain.day import OFFSET_MS
from commerce.domain.money import AMOUNT_MAX, fen
from commerce.errors import Invalid
from commerce.payment_bills import columns_of, rows_of
from commerce.sheet import Fault, read_sheet

FILE_BYTES_MAX = 8 * 1024 * 1024
"""A day of a large shop, or a quarter of its bank account."""
LINES_MAX = 50_000
NUMBER_CHARACTERS_MAX = 64
TEXT_CHARACTERS_MAX = 200
FORMATS = ("csv", "wechat", "alipay")

_WECHAT = (
    "记账时间", "微信支付业务单号", "资金流水单号", "业务类型", "收支类型", "收支金额(元)", "账户结余(元)",
    "业务凭证号",
)  # fmt: skip
_ALIPAY = (
    "账务流水号", "业务流水号", "商户订单号", "发生时间", "收入金额（+元）", "支出金额（-元）", "账户余额（元）",
    "业务类型",
)  # fmt: skip
_KINDS = (("手续费", "fee"), ("收费", "fee"), ("服务费", "fee"), ("退款", "refunded"), ("提现", "payout"))
_PAID = ("交易", "在线支付", "交易付款")
_TIMES = ("%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d")
_COLUMNS: Mapping[str, Mapping[str, str]] = {
    "provider": {
        "number": "流水号", "time": "时间", "kind": "类型", "amount": "金额", "key": "业务单号", "order": "商户单号",
        "balance": "余额", "text": "备注",
    },
    "bank": {
        "number": "流水号", "time": "时间", "amount": "金额", "in": "收入", "out": "支出", "balance": "余额",
        "text": "摘要", "party": "对方户名",
    },
    "courier": {"number": "账单行号", "time": "时间", "key": "配送单号", "amount": "金额", "text": "备注"},
}  # fmt: skip
_REQUIRED = {"provider": ("number", "time", "kind", "amount"), "bank": ("number", "time"),
             "courier": ("number", "time", "key", "amount")}  # fmt: skip
SOURCES = tuple(_COLUMNS)


def read_file(source: str, form: str, raw: bytes) -> tuple[list[SettledLine], list[Fault]]:
    """The lines of a file, and what is wrong with others. Raises Invalid when it is no such file at all."""
    if b"\0" in raw:
        raise Invalid("the file is no text: save it as CSV", field="file")
    if form not in FORMATS or (form != "csv" and source != "provider"):
        raise Invalid(f"a provider's file is one of {', '.join(FORMATS)}; all others are csv", field="format")
    faults: list[Fault] = []
    if form == "wechat":
        lines = parse_wechat_funds(raw)
    elif form == "alipay":
        lines = parse_alipay_funds(raw)
    else:
        lines, faults = _read_csv(source, raw)
    if not lines and not faults:
        raise Invalid("the file has no lines", field="file")
    numbers: set[str] = set()
    for n, line in enumerate(lines, start=2):
        if line.number in numbers:
            faults.append(Fault(n, "number", f"{line.number} is there twice"))
        numbers.add(line.number)
    return lines, faults


def opening_of(lines: Sequence[SettledLine]) -> int | None:
    """The balance before the first line; None of a file that says none. Raises Invalid when lines are missing."""
    if not lines or lines[0].balance is None or lines[-1].balance is None:
        return None
    opening = lines[0].balance - lines[0].amount
    if opening + sum(line.amount for line in lines) != lines[-1].balance:
        raise Invalid("the lines do not lead from the first balance to the last: some are missing", field="file")
    return opening


def parse_wechat_funds(raw: bytes) -> list[SettledLine]:
    """The lines of a 资金账单 of the basic account, the oldest first. Raises Invalid."""
    rows = rows_of(raw.replace("（".encode(), b"(").replace("）".encode(), b")"), "utf-8-sig")
    column = columns_of(rows[0] if rows else [], _WECHAT)
    lines: list[SettledLine] = []
    for index, row in enumerate(rows[1:], start=1):
        cells = [cell.strip().removeprefix("`") for cell in row]
        if cells[0] == "资金流水总笔数":
            told = rows[index + 1][0].strip().removeprefix("`") if index + 1 < len(rows) else ""
            if _whole(told) != len(lines):
                raise Invalid(f"the file says {told or 'not'} how many lines it has, and has {len(lines)}")
            return _bounded(lines)
        amount = _fen(column(cells, "收支金额(元)"))
        lines.append(
            SettledLine(
                number=column(cells, "资金流水单号"),
                kind=_kind(column(cells, "业务类型")),
                key=column(cells, "微信支付业务单号"),
                amount=amount if column(cells, "收支类型") == "收入" else -amount,
                at_ms=_ms(column(cells, "记账时间")),
                text=" ".join(filter(None, (column(cells, "业务名称"), column(cells, "备注"))))[:TEXT_CHARACTERS_MAX],
                other=column(cells, "业务凭证号"),
                balance=_fen(column(cells, "账户结余(元)")),
            )
        )
    raise Invalid("the file has no line of sums: it is cut short")


def parse_alipay_funds(raw: bytes) -> list[SettledLine]:
    """The lines of 账务明细, the oldest first. Raises Invalid."""
    rows = [row for row in rows_of(raw, "gb18030") if row and not row[0].lstrip().startswith("#")]
    column = columns_of(rows[0] if rows else [], _ALIPAY)
    lines = []
    for row in rows[1:]:
        cells = [cell.strip() for cell in row]
        # What goes out stands there with a minus, or without one.
        out = abs(_fen(column(cells, "支出金额（-元）")))
        lines.append(
            SettledLine(
                number=column(cells, "账务流水号"),
                kind=_kind(column(cells, "业务类型")),
                key=column(cells, "业务流水号"),
                amount=_fen(column(cells, "收入金额（+元）")) - out,
                at_ms=_ms(column(cells, "发生时间")),
                text=column(cells, "备注")[:TEXT_CHARACTERS_MAX],
                other=column(cells, "商户订单号"),
                balance=_fen(column(cells, "账户余额（元）")),
            )
        )
    return _bounded(lines)


def _kind(told: str) -> str:
    found = next((kind for word, kind in _KINDS if word in told), "")
    return found or ("paid" if told in _PAID else "other")


def _bounded(lines: list[SettledLine]) -> list[SettledLine]:
    """A provider's lines, the oldest first, without those that moved nothing. Raises Invalid."""
    for line in lines:
        if not 0 < len(line.number) <= NUMBER_CHARACTERS_MAX or abs(line.amount) > AMOUNT_MAX:
            raise Invalid(f"the provider's file has a line whose number or amount cannot be: {line.number[:80]!r}")
    if len(lines) > LINES_MAX:
        raise Invalid(f"a file has at most {LINES_MAX} lines")
    cut = NUMBER_CHARACTERS_MAX
    return _forward([replace(one, key=one.key[:cut], other=one.other[:cut]) for one in lines if one.amount])


def _forward(lines: list[SettledLine]) -> list[SettledLine]:
    """Some write the newest first."""
    turned = len(lines) > 1 and lines[0].at_ms > lines[-1].at_ms
    return lines[::-1] if turned else lines


def _read_csv(source: str, raw: bytes) -> tuple[list[SettledLine], list[Fault]]:
    titles = _COLUMNS[source]
    names = {name: name for name in titles} | {chinese: name for name, chinese in titles.items()}
    required = _REQUIRED[source]
    lines: list[SettledLine] = []
    faults: list[Fault] = []
    for number, cells in read_sheet(raw, names, required, ", ".join(titles)):
        if len(lines) + len(faults) >= LINES_MAX:
            raise Invalid(f"a file has at most {LINES_MAX} lines: split it", field="file")
        read = cells if isinstance(cells, Fault) else _line(source, number, cells)
        (faults if isinstance(read, Fault) else lines).append(read)  # type: ignore[arg-type]
    return _forward(lines), faults


def _line(source: str, n: int, cells: Mapping[str, str]) -> SettledLine | Fault:
    def cell(name: str) -> str:
        return cells.get(name, "").strip().removeprefix("'")

    number, kind = cell("number"), cell("kind") if source == "provider" else source
    if not 0 < len(number) <= NUMBER_CHARACTERS_MAX:
        return Fault(n, "number", f"1 to {NUMBER_CHARACTERS_MAX} characters that no other line has")
    if source == "provider" and kind not in PROVIDER_KINDS[:-1]:
        return Fault(n, "kind", f"one of {', '.join(PROVIDER_KINDS[:-1])}, not {kind[:20]!r}")
    if source == "courier" and not cell("key"):
        return Fault(n, "key", "the errand that is billed: our number of it")
    try:
        at_ms = _ms(cell("time"))
    except Invalid as error:
        return Fault(n, "time", error.message)
    amount = _amount(cell)
    if amount is None or not 0 < abs(amount) <= AMOUNT_MAX:
        return Fault(n, "amount", "yuan with at most two decimals, not 0: as amount, or as one of in and out")
    balance = cell("balance")
    try:
        left = fen(balance.replace(",", "")) if balance else None
    except ValueError:
        return Fault(n, "balance", f"yuan with at most two decimals, not {balance[:20]!r}")
    said = " ".join(filter(None, (cell("party"), cell("text"))))[:TEXT_CHARACTERS_MAX]
    names = (cell("key")[:NUMBER_CHARACTERS_MAX], cell("order")[:NUMBER_CHARACTERS_MAX])
    return SettledLine(number, kind, names[0], amount, at_ms, said, names[1], left)


def _amount(cell: Callable[[str], str]) -> int | None:
    """分 of a line, what goes out below 0; None when it is none, or told twice."""
    told = {name: cell(name).replace(",", "") for name in ("amount", "in", "out")}
    try:
        given = {name: fen(value) for name, value in told.items() if value and fen(value)}
    except ValueError:
        return None
    if len(given) != 1:
        return None
    ((name, amount),) = given.items()
    return -abs(amount) if name == "out" else amount


def _ms(told: str) -> int:
    """A moment on the shop's wall clock. Raises Invalid."""
    for form in _TIMES:
        try:
            found = datetime.strptime(told.strip().replace("/", "-"), form)  # noqa: DTZ007 - a wall clock's
        except ValueError:
            continue
        if 1971 <= found.year <= 2999:
            epoch = datetime(1970, 1, 1)  # noqa: DTZ001
            return int((found - epoch).total_seconds()) * 1000 - OFFSET_MS
    raise Invalid(f"a time is written YYYY-MM-DD HH:MM:SS, not {told.strip()[:20]!r}")


def _fen(told: str) -> int:
    try:
        return fen(told.replace(",", "") or "0")
    except ValueError as error:
        raise Invalid(f"the file has an amount that is none: {told[:20]!r}") from error


def _whole(told: str) -> int:
    whole = told.partition(".")[0]
    return int(whole) if whole.isascii() and whole.isdigit() and len(whole) < 10 else -1


def digest(raw: bytes) -> str:
    """What makes a file the same file."""
    return hashlib.sha256(raw).hexdigest()


def template_csv(source: str) -> str:
    """The heading line of a source's CSV, in Chinese."""
    sheet = io.StringIO()
    csv.writer(sheet, lineterminator="\r\n").writerow(_COLUMNS[source].values())
    return sheet.getvalue()
