"""A list of members from a spreadsheet (CSV, UTF-8, a heading line): every broken row is named, none is guessed.

Columns by name, in any order: ``phone`` (手机号) and, if there is one, ``name`` (姓名). Others are refused, so that
nobody believes that they were taken in.
"""

import csv
import io
from dataclasses import dataclass

from commerce import catalogue_checks as check
from commerce.errors import Invalid
from commerce.identity.phone import read_phone

ROWS_MAX = 5_000
"""Members in one file: a transaction of a second or two in which nobody of the merchant is served."""
FAULTS_SHOWN_MAX = 200
COLUMNS = {"phone": "phone", "手机号": "phone", "手机": "phone", "name": "name", "姓名": "name"}


@dataclass(frozen=True, slots=True)
class Member:
    """One row: the line in the file, E.164, the name (may be empty)."""

    line: int
    phone: str
    name: str


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one line, and in which column."""

    line: int
    column: str
    message: str


def read_members(raw: bytes) -> tuple[list[Member], list[Fault]]:
    """Read a list; what is wrong with it, line by line. Raises ``Invalid`` when it is no such list at all."""
    try:
        content = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Invalid(f"the file is not UTF-8 (byte {error.start}): save it as 'CSV UTF-8'", field="file") from error
    reader = csv.reader(io.StringIO(content, newline=""), strict=True)
    try:
        columns = _columns(next(reader, []))
        return _rows(reader, columns)
    except csv.Error as error:
        raise Invalid(f"line {reader.line_num} is not CSV: {error}", field="file") from error


def _columns(heading: list[str]) -> list[str]:
    names = [COLUMNS.get(cell.strip().lower(), "") for cell in heading]
    if "phone" not in names:
        raise Invalid("the first line names the columns: phone (手机号) and name (姓名)", field="file")
    unknown = [cell for cell, name in zip(heading, names, strict=True) if not name]
    if unknown or len(set(names)) != len(names):
        raise Invalid(
            f"these columns are not taken in, or are there twice: {', '.join(unknown or heading)}", field="file"
        )
    return names


def _rows(reader: "csv._reader", columns: list[str]) -> tuple[list[Member], list[Fault]]:  # type: ignore[name-defined]
    members: list[Member] = []
    faults: list[Fault] = []
    seen: dict[str, int] = {}
    for cells in reader:
        line = reader.line_num
        if not any(cell.strip() for cell in cells):
            continue
        if len(members) + len(faults) >= ROWS_MAX:
            raise Invalid(f"a file has at most {ROWS_MAX} members: split it", field="file")
        found = _member(line, cells, columns)
        if isinstance(found, Fault):
            faults.append(found)
        elif found.phone in seen:
            faults.append(Fault(line, "phone", f"the same number as in line {seen[found.phone]}"))
        else:
            seen[found.phone] = line
            members.append(found)
    return members, faults


def _member(line: int, cells: list[str], columns: list[str]) -> Member | Fault:
    if len(cells) != len(columns):
        return Fault(line, "", f"{len(cells)} columns instead of {len(columns)}")
    row = dict(zip(columns, cells, strict=True))
    try:
        phone = read_phone(row["phone"])
        name = check.title(row["name"], "name") if row.get("name", "").strip() else ""
    except Invalid as error:
        return Fault(line, str(error.extra.get("field", "")), error.message)
    return Member(line, phone, name)
