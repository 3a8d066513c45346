"""What the API reads from an address: the schema that the contract shows, and how a cursor is told from anything else.

A cursor is the id of the last row of the page before. Only its form is looked at: the row may have gone since, and the
next page begins behind where it was.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from commerce.domain.ids import ID_CHARACTERS
from gateway.errors import Problem
from gateway.schemas_base import MILLIS_MAX

ID_FORM: Final = rf"[0-9a-hjkmnp-tv-z]{{{ID_CHARACTERS}}}"
"""As ``commerce.domain.ids`` writes ids."""
CURSORS: Final = frozenset({"after", "before", "cursor"})
"""Names under which a page is asked for somewhere; here it is ``after`` alone."""


class Parameter(str):
    """What a parameter of the query is, for people, as a text; with ``schema`` for programs.

    A text, so that operations may write plain ones beside it: those are of any text.
    """

    __slots__ = ("cursor", "schema")
    cursor: re.Pattern[str] | None
    """The form of what is told as ``next``."""
    schema: Mapping[str, Any]

    def __new__(cls, text: str, schema: Mapping[str, Any], cursor: str | None = None) -> Parameter:
        made = super().__new__(cls, text)
        made.schema = schema
        made.cursor = None if cursor is None else re.compile(cursor)
        return made


def cursor(text: str = "cursor: the last row's id", form: str = ID_FORM) -> Parameter:
    """Where the page before ended, as its ``next`` said; empty is the first page."""
    schema = {"type": "string", "pattern": f"^({form})?$"}
    return Parameter(f"{text}; the first page when left out or empty", schema, form)


def limit(most: int = 200, text: str = "how many; 50 when left out") -> Parameter:
    """How long a page is."""
    return Parameter(text, {"type": "integer", "minimum": 1, "maximum": most})


def whole(text: str, most: int | None = None) -> Parameter:
    """A whole number from 0."""
    return Parameter(text, {"type": "integer", "minimum": 0} | ({} if most is None else {"maximum": most}))


def millis(text: str) -> Parameter:
    """A moment in Unix milliseconds."""
    return whole(text, MILLIS_MAX)


def day(text: str) -> Parameter:
    """A day in Asia/Shanghai."""
    return Parameter(text, {"type": "string", "format": "date"})


def choice(text: str, *values: str) -> Parameter:
    """One of a few words."""
    return Parameter(text, {"type": "string", "enum": list(values)})


LIMIT: Final = limit()
CURSOR: Final = cursor()
PAGING: Final[Mapping[str, str]] = {"after": CURSOR, "limit": LIMIT}


def query_schema(said: str) -> Mapping[str, Any]:
    """The schema of a parameter by what its operation says."""
    return said.schema if isinstance(said, Parameter) else {"type": "string"}


def check_cursors(declared: Mapping[str, str], given: Iterable[tuple[str, str]]) -> None:
    """Refuse what cannot be a cursor of this list: silence would give the first page again and again.

    Raises ``Problem``.
    """
    for name, value in given:
        said = declared.get(name)
        if said is None and name in CURSORS:
            words = "it goes on by ?after=" if "after" in declared else "it has no pages"
            raise Problem(400, "invalid", f"{name} is no parameter of this: {words}")
        form = said.cursor if isinstance(said, Parameter) else None
        if form is not None and value and not form.fullmatch(value):
            raise Problem(400, "invalid", f"{name} is the next of a page before, and this never was one")
