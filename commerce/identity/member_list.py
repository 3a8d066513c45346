"""A list of members from a spreadsheet (CSV, UTF-8, a heading line): every broken row is named, none is guessed.

Columns by name, in any order: ``phone`` (手机号) and, if there is one, ``name`` (姓名). Others are refused, so that
nobody believes that they were taken in.
"""

from dataclasses import dataclass

from commerce import catalogue_checks as check
from commerce.errors import Invalid
from commerce.identity.phone import read_phone
from commerce.sheet import Fault, read_sheet

ROWS_MAX = 5_000
"""Members in one file: a transaction of a second or two in which nobody of the merchant is served."""
COLUMNS = {"phone": "phone", "手机号": "phone", "手机": "phone", "name": "name", "姓名": "name"}


@dataclass(frozen=True, slots=True)
class Member:
    """One row: the line in the file, E.164, the name (may be empty)."""

    line: int
    phone: str
    name: str


def read_members(raw: bytes) -> tuple[list[Member], list[Fault]]:
    """Read a list; what is wrong with it, line by line. Raises ``Invalid`` when it is no such list at all."""
    members: list[Member] = []
    faults: list[Fault] = []
    seen: dict[str, int] = {}
    for line, cells in read_sheet(raw, COLUMNS, ("phone",), "phone (手机号) and name (姓名)"):
        if len(members) + len(faults) >= ROWS_MAX:
            raise Invalid(f"a file has at most {ROWS_MAX} members: split it", field="file")
        found = cells if isinstance(cells, Fault) else _member(line, cells)
        if isinstance(found, Fault):
            faults.append(found)
        elif found.phone in seen:
            faults.append(Fault(line, "phone", f"the same number as in line {seen[found.phone]}"))
        else:
            seen[found.phone] = line
            members.append(found)
    return members, faults


def _member(line: int, row: dict[str, str]) -> Member | Fault:
    try:
        phone = read_phone(row["phone"])
        name = check.title(row["name"], "name") if row.get("name", "").strip() else ""
    except Invalid as error:
        return Fault(line, str(error.extra.get("field", "")), error.message)
    return Member(line, phone, name)
