"""A spreadsheet from outside (CSV, UTF-8 or GB18030, a heading line): its columns by name, its rows by line. Pure."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from commerce.errors import Invalid

FAULTS_SHOWN_MAX = 200


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one line, and in which column."""

    line: int
    column: str
    message: str


def decode_sheet(raw: bytes) -> str:
    """The text of a file that a spreadsheet wrote. Raises Invalid."""
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        try:
            # What a spreadsheet on a Chinese Windows writes when it is asked for CSV.
            return raw.decode("gb18030")
        except UnicodeDecodeError as error:
            raise Invalid("the file is neither UTF-8 nor GB18030: save it as 'CSV UTF-8'", field="file") from error


def read_sheet(
    raw: bytes, names: Mapping[str, str], required: Sequence[str], heading: str
) -> Iterator[tuple[int, dict[str, str] | Fault]]:
    """Each line that is not empty, as its cells by column or as what is wrong with it.

    ``names`` are the columns by the words for them, lower case; others are refused, so that nobody believes that they
    were taken in. ``heading`` says what the first line should be. Raises ``Invalid`` when it is no such sheet at all.
    """
    reader = csv.reader(io.StringIO(decode_sheet(raw), newline=""), strict=True)
    try:
        columns = _columns(next(reader, []), names, required, heading)
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield reader.line_num, _row(reader.line_num, cells, columns)
    except csv.Error as error:
        raise Invalid(f"line {reader.line_num} is not CSV: {error}", field="file") from error


def _columns(found: list[str], names: Mapping[str, str], required: Sequence[str], heading: str) -> list[str]:
    columns = [names.get(cell.strip().lower(), "") for cell in found]
    if not set(required) <= set(columns):
        raise Invalid(f"the first line names the columns: {heading}", field="file")
    unknown = [cell for cell, name in zip(found, columns, strict=True) if not name]
    if unknown or len(set(columns)) != len(columns):
        raise Invalid(
            f"these columns are not taken in, or are there twice: {', '.join(unknown or found)}", field="file"
        )
    return columns


def _row(line: int, cells: list[str], columns: list[str]) -> dict[str, str] | Fault:
    if len(cells) != len(columns):
        return Fault(line, "", f"{len(cells)} columns instead of {len(columns)}")
    return dict(zip(columns, cells, strict=True))
