"""Commands that change who is who. They go through the ledger: a limit and the person it counts for change in turn."""

from collections.abc import Mapping
from dataclasses import dataclass, field

CAUSE_STAFF = "staff"
REASON_CHARACTERS_MAX = 200


@dataclass(frozen=True, slots=True)
class Join:
    """A person showed a key of ``kind`` with ``value`` (a phone's digest, with ``sealed``); ``proven`` for a phone that
    the channel checked, not somebody's list."""

    merchant: str
    person: str
    kind: str
    value: str
    sealed: str | None = None
    proven: bool = True


@dataclass(frozen=True, slots=True)
class Joined:
    """Who the person is now; what was merged, or the conflict that waits for a decision; changed aliases."""

    person: str
    merged: str | None = None
    conflict: str | None = None
    aliases: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MergePeople:
    """Staff say that two persons are one."""

    merchant: str
    one: str
    other: str
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class UndoMerge:
    """Staff say that they were not."""

    merchant: str
    entry: str
    by: str


@dataclass(frozen=True, slots=True)
class DecideConflict:
    """Staff decide a conflict: ``merged`` (they are one), ``split`` (the key is the newcomer's now), ``dismissed``."""

    merchant: str
    conflict: str
    decision: str
    by: str


@dataclass(frozen=True, slots=True)
class MemberRow:
    """One member of a list: ``line`` in the file, the phone's digest and sealed form, and a name."""

    line: int
    digest: str
    sealed: str
    name: str


@dataclass(frozen=True, slots=True)
class ImportMembers:
    """Take in a list of members, all of it in this one transaction."""

    merchant: str
    by: str
    rows: tuple[MemberRow, ...]
    purpose: str
    basis: str
    source: str


@dataclass(frozen=True, slots=True)
class Imported:
    """How many members were new, and how many were known."""

    new: int
    known: int


@dataclass(frozen=True, slots=True)
class Erase:
    """Forget what identifies a person; ``by`` is who asked for it."""

    merchant: str
    person: str
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class Erased:
    """What was taken away, and what the law wants kept."""

    person: str
    identities: int
    kept: Mapping[str, int]
