"""Reads an strace log and says whether every acknowledgement came after a completed sync of what it acknowledges.

The log is of ``strace -f -y -s 64 -e trace=fdatasync,fsync,write,pwrite64``. The rule: between an ``ask``
and its ``ack`` on the pipe lie a write of the write-ahead log and then a whole sync of it, from its begin to its end.

What it cannot see: an answer whose own page waits, when another batch was written and synced since the ask. An earlier
rule refused every answer while a page waited, and failed now and then under load, presumably when the next batch had
begun to write. ``tests/syscalls.py`` closes that gap: it follows the very row, at a whole server.
"""

import re
from collections.abc import Iterable

_LINE = re.compile(r"^(?:\[pid\s+)?(\d+)?\]?\s*(?P<call>.*)$")
_WAL = r"<[^>]*-wal>"
_WAL_WRITE = re.compile(rf"(?:pwrite64|write)\(\d+{_WAL}")
_WAL_SYNC = re.compile(rf"(?:fdatasync|fsync)\(\d+{_WAL}")
_SAID = re.compile(r'write\(1<[^>]*>, "(ask|ack)')


def unsynced_acks(lines: Iterable[str]) -> tuple[int, int]:
    """(acknowledgements, those of them that no completed sync came before) of a log with ``-f -y``."""
    acks = bad = 0
    wrote = False
    synced = False
    syncing: dict[str, bool] = {}
    """Threads in a sync, and whether it began after a write of this ask."""
    for line in lines:
        thread = line.split(maxsplit=1)[0]
        if _WAL_SYNC.search(line):
            if "unfinished" in line:
                syncing[thread] = wrote
            elif line.rstrip().endswith("= 0"):
                synced = synced or wrote
        elif thread in syncing and "resumed" in line and "sync" in line:
            began_after = syncing.pop(thread)
            if line.rstrip().endswith("= 0"):
                synced = synced or began_after
        elif _WAL_WRITE.search(line):
            wrote = True
        else:
            said = _SAID.search(line)
            if said is not None and said[1] == "ask":
                wrote = synced = False
                syncing = dict.fromkeys(syncing, False)
            elif said is not None:
                acks += 1
                bad += not synced
    return acks, bad
