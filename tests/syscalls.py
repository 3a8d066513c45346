"""Reads a trace of system calls (strace -f -yy) and says whether what clients were told had been synced before.

SIGKILL proves nothing about durability, as the kernel keeps what was written. The order of calls does: the pages of the
write-ahead log that hold a row were written, then a sync of that file completed, then the first byte about it left.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

STRACE = (
    "strace",
    "--follow-forks",
    "--absolute-timestamps=format:unix,precision:us",
    "--decode-fds=all",
    "--string-limit=5000",
    "--trace=read,recvfrom,write,writev,sendto,sendmsg,pwrite64,fsync,fdatasync",
)
"""A page of the log is 4,096 bytes: the limit shows each whole."""

READS = frozenset({"read", "recvfrom"})
SENDS = frozenset({"write", "writev", "sendto", "sendmsg"})
SYNCS = frozenset({"fsync", "fdatasync"})

_WHOLE = re.compile(r"(?P<thread>\d+) +[\d.]+ (?P<name>\w+)\((?P<rest>.*)\) += (?P<result>-?\d+)")
_BEGUN = re.compile(r"(?P<thread>\d+) +[\d.]+ (?P<name>\w+)\((?P<rest>.*?) *<unfinished \.\.\.>$")
_ENDED = re.compile(r"(?P<thread>\d+) +[\d.]+ <\.\.\. (?P<name>\w+) resumed>(?P<rest>.*)\) += (?P<result>-?\d+)")
_TARGET = re.compile(r"\d+<(?P<target>.*?)>(?=,|$)")


@dataclass(frozen=True, slots=True)
class Call:
    """One finished system call: its file or socket, all its arguments, and the trace's lines between which it ran."""

    thread: int
    name: str
    target: str
    text: str
    result: int
    begun: int
    ended: int


def read_trace(lines: Iterable[str]) -> list[Call]:
    """The finished calls of a trace, in the order in which they ended."""
    calls: list[Call] = []
    open_calls: dict[int, tuple[str, str, int]] = {}
    for number, line in enumerate(lines):
        if found := _BEGUN.match(line.rstrip("\n")):
            open_calls[int(found["thread"])] = (found["name"], found["rest"], number)
        elif found := _ENDED.match(line):
            name, before, begun = open_calls.pop(int(found["thread"]), (found["name"], "", number))
            calls.append(_call(found, name, before + found["rest"], begun, number))
        elif found := _WHOLE.match(line):
            calls.append(_call(found, found["name"], found["rest"], number, number))
    return calls


def _call(found: re.Match[str], name: str, text: str, begun: int, ended: int) -> Call:
    target = _TARGET.match(text)
    return Call(
        int(found["thread"]), name, target["target"] if target else "", text, int(found["result"]), begun, ended
    )


def strace(out: Path) -> list[str]:
    """The prefix of a command whose calls are to be traced into ``out``."""
    return [*STRACE, "--output", str(out)]


def faults(calls: list[Call], row: str) -> list[str]:
    """Why telling a client of ``row`` (its id) was not durable; nothing when it was.

    For the first send that names the row: the request had been read from that socket, each page of the log with the
    row was written after that, and a sync of the log began after the page was written and had succeeded by then.
    """
    told = next((c for c in calls if c.name in SENDS and c.target.startswith("TCP") and row in c.text), None)
    if told is None:
        return [f"no client was told of {row}"]
    asked = [c for c in calls if c.name in READS and c.target == told.target and c.result > 0 and c.ended < told.begun]
    if not asked:
        return [f"{row} was told to somebody who had not asked"]
    pages = [
        call
        for call in calls
        if call.name == "pwrite64"
        and call.target.endswith("-wal")
        and row in call.text
        and call.begun > asked[-1].ended
    ]
    if not any(page.ended < told.begun for page in pages):
        return [f"{row} was told before it was written"]
    out = []
    for page in pages:
        synced = any(
            call.name in SYNCS
            and call.target == page.target
            and call.result == 0
            and page.ended < call.begun
            and call.ended < told.begun
            for call in calls
        )
        if page.ended < told.begun and not synced:
            out.append(f"{row} was told before the sync of the page written at line {page.begun + 1}")
    return out
