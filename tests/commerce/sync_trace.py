"""Reads an strace log and says whether every acknowledgement came after a completed sync of what it acknowledges.

The log is of ``strace -f -y -s 64 -e trace=fdatasync,fsync,write,pwrite64``. The rule: when an ``ack`` is written to
the pipe, no page of the write-ahead log may still wait for a sync, and at least one sync of the log must have completed
since the ``ask``.
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
    waiting = False
    synced = False
    syncing: dict[str, bool] = {}
    for line in lines:
        thread = line.split(maxsplit=1)[0]
        if _WAL_SYNC.search(line):
            if "unfinished" in line:
                syncing[thread] = True
            elif line.rstrip().endswith("= 0"):
                waiting, synced = False, True
        elif thread in syncing and "resumed" in line and "sync" in line:
            del syncing[thread]
            if line.rstrip().endswith("= 0"):
                waiting, synced = False, True
        elif _WAL_WRITE.search(line):
            waiting = True
        else:
            said = _SAID.search(line)
            if said is not None and said[1] == "ask":
                synced = False
            elif said is not None:
                acks += 1
                bad += waiting or not synced
    return acks, bad
