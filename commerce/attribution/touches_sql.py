# ruff: noqa: S608 (statements are put together from this module's constants alone)
"""The touch log: append-only, written in batches by its own thread. It is ``touches.db`` (WAL, synchronous NORMAL), or
a schema of its own in PostgreSQL (``synchronous_commit = off``).

``record`` never blocks: it puts the touch into a bounded queue and returns. The thread takes what is there, at most a
batch at a time, and writes it by one statement with one JSON parameter: row by row, the thread would give the
interpreter lock away and ask for it again for each row, and the loop would be late for it. NORMAL means that a power
cut may take the last batches and a killed process only what was not flushed: a touch is worth less than a hold, and
must never delay one.
"""

import asyncio
import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Container, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import orjson
from sqlalchemy import BindParameter, Connection, Engine, bindparam, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from commerce.attribution.decision import TouchCandidate
from commerce.attribution.reach import Met
from commerce.attribution.reach_sql import Reach, alone, rebuild_if_empty
from commerce.attribution.touch import Entries, Touch, evidence_text
from commerce.errors import Busy
from commerce.fresh_ids import fresh_id
from commerce.ledger_text_sql import ROWS
from commerce.postgres_sql import is_postgres, postgres_engine, touches_schema
from commerce.store_sql import answered, check_schema, database_path, may_pass, migrate, sqlite_engine

T = TypeVar("T")
Clock = Callable[[], int]
Asked = dict[str, object]
Row = tuple[Any, ...]
"""A touch in the order of ``COLUMNS``."""
Waiting = dict[str, Any]
"""A touch by the names of ``COLUMNS``."""

TOUCHES_QUEUED_MAX = 20_000  # some seconds of a room filling up; about 10 MB
BATCH_TOUCHES_MAX = 1_000  # one transaction of some 10 ms
LINGER_S = 0.05  # a batch waits this long for company, unless somebody waits for a flush
WRITE_TRIES = 3  # then the batch is given up and counted, unless what is wrong may pass
RETRY_PAUSE_S = 0.2
RETRY_PAUSE_S_MAX = 2.0
CLOSE_WAIT_S = 10.0
READS_WAITING_MAX = 1_000
CANDIDATES_MAX = 100  # touches judged for one order, the newest; the stored decision says how many were left out
WATCHED_MAX = 20  # explanations that one order may come from, the newest
LOOK_BACK_MS = 30 * 86_400_000  # so that a touch just outside the window is explained, too

MIGRATIONS = "commerce.migrations_touches"

_LOG = logging.getLogger(__name__)
COLUMNS = (
    *("id", "ms", "merchant", "person", "kind", "channel", "room", "sku"),
    *("link", "issuer", "role", "root", "depth", "evidence", "reason", "campaign", "host", "clip", "content"),
)
_NUMBERS = frozenset({"ms", "depth"})
_FIELDS = ", ".join(
    f"CAST(r.value ->> {index} AS bigint)" if name in _NUMBERS else f"r.value ->> {index}"
    for index, name in enumerate(COLUMNS)
)
_INSERT = {
    dialect: text(f"INSERT INTO touch ({', '.join(COLUMNS)}) SELECT {_FIELDS} FROM {rows}")
    for dialect, rows in ROWS.items()
}
_CANDIDATE = "SELECT id, ms, link, issuer, role, channel, root, depth, reason FROM touch"
_OWN = "WHERE merchant = :merchant AND person IN :persons AND ms >= :since AND ms <= :until"
# A person under all ids that they have had.
_PERSONS: BindParameter[Any] = bindparam("persons", expanding=True)
_NEWEST = text(f"{_CANDIDATE} {_OWN} AND link IS NOT NULL ORDER BY ms DESC, id DESC LIMIT :limit").bindparams(_PERSONS)
_OLDEST = text(
    f"{_CANDIDATE} {_OWN} AND link IS NOT NULL AND reason IS NULL AND issuer NOT IN :persons ORDER BY ms, id LIMIT 1"
).bindparams(_PERSONS)
_COUNT = text(f"SELECT count(*) FROM touch {_OWN} AND link IS NOT NULL").bindparams(_PERSONS)
_ENTRIES = text(f"SELECT min(ms), max(ms) FROM touch {_OWN} AND kind = 'room_entry' AND room = :room").bindparams(
    _PERSONS
)
_WATCHED = text(f"SELECT ms, clip FROM touch {_OWN} AND clip <> '' ORDER BY ms DESC, id DESC LIMIT :limit").bindparams(
    _PERSONS
)
# Whoever comes in by a link has opened it, and what they do inside is no further use of it.
_USES = text(
    "SELECT link, count(*) AS uses FROM touch WHERE merchant = :merchant AND link IN :links"
    " AND kind NOT IN ('room_entry', 'card_click', 'coupon', 'clip_view') GROUP BY link"
).bindparams(bindparam("links", expanding=True))
_SEEN = text(
    "SELECT person, max(ms) AS ms FROM touch WHERE merchant = :merchant AND person IN :persons GROUP BY person"
).bindparams(bindparam("persons", expanding=True))

_READS = (
    "SELECT content, count(*) AS reads, count(DISTINCT person) AS readers FROM touch WHERE merchant = :merchant"
    " AND content IN :contents AND content <> '' AND kind = 'content_read'"
)
_BY_CONTENT = " GROUP BY content"
_READS_OF_ALL = text(_READS + _BY_CONTENT).bindparams(bindparam("contents", expanding=True))
_READS_OF_SOME = text(_READS + " AND issuer IN :issuers" + _BY_CONTENT).bindparams(
    bindparam("contents", expanding=True), bindparam("issuers", expanding=True)
)
_OF_PERSONS = text(
    "SELECT ms, kind, channel, room, sku, content, link, reason FROM touch WHERE merchant = :merchant"
    " AND person IN :persons ORDER BY ms DESC, id DESC LIMIT :limit"
).bindparams(bindparam("persons", expanding=True))


@dataclass(frozen=True, slots=True)
class TouchLogStats:
    """Touches taken, refused (queue full), written, lost (the disk refused), and waiting now."""

    recorded: int
    refused: int
    written: int
    lost: int
    queued: int


class TouchLog:
    """The open log. ``clock`` gives Unix milliseconds; limits are the module's constants unless given."""

    def __init__(self, writer: Engine, reader: Engine, *, clock: Clock, queue_max: int = TOUCHES_QUEUED_MAX) -> None:
        self._clock = clock
        self._queue_max = queue_max
        self._writer = writer
        self._reader = reader
        self._reach = Reach()
        self._reads = ThreadPoolExecutor(1, thread_name_prefix="touch-read")
        self._reports = ThreadPoolExecutor(1, thread_name_prefix="touch-report")
        self._reads_waiting = 0
        self._changed = threading.Condition()
        self._queue: deque[Row] = deque()
        self._writing: list[Row] = []
        """The batch that was taken from the queue and is not known to be written."""
        self._recorded = self._refused = self._written = self._lost = 0
        self._waiters: list[tuple[int, Callable[[], None]]] = []
        self._closing = False
        self._thread = threading.Thread(target=self._write_all, name="touch-write", daemon=True)
        self._thread.start()

    def record(self, touch: Touch) -> str | None:
        """Queue a touch, stamped with the time and a new id; gives the id, or ``None`` when the queue is full.

        Never blocks and never raises on a full queue: a viewer's request does not fail for want of a log line.
        """
        now_ms = self._clock()
        touch_id = fresh_id(now_ms)
        row: Row = (
            touch_id,
            now_ms,
            touch.merchant,
            touch.person,
            touch.kind.value,
            touch.channel,
            touch.room,
            touch.sku,
            touch.link,
            touch.issuer,
            touch.role,
            touch.root,
            touch.depth,
            evidence_text(touch.evidence) if touch.evidence else "{}",
            touch.reason,
            touch.campaign,
            touch.host,
            touch.clip,
            touch.content,
        )
        with self._changed:
            if self._closing or len(self._queue) >= self._queue_max:
                self._refused += 1
                return None
            self._queue.append(row)
            self._recorded += 1
            if len(self._queue) == 1:
                self._changed.notify_all()
        return touch_id

    def flush(self, timeout_s: float) -> bool:
        """Wait in this thread until all that was recorded is written; says whether that came in time."""
        done = threading.Event()
        self._when_written(done.set)
        return done.wait(timeout_s)

    def waiting(self, merchant: str, persons: Container[str], since_ms: int, until_ms: int) -> list[Waiting]:
        """The touches of some persons (all ids of one) between two times, both included, that wait to be written.

        One that is being written may be among them and in the file as well: they have the same id.
        """
        with self._changed:
            rows = [row for row in (*self._writing, *self._queue) if row[3] in persons and row[2] == merchant]
        return [dict(zip(COLUMNS, row, strict=True)) for row in rows if since_ms <= row[1] <= until_ms]

    async def flushed(self, timeout_s: float) -> bool:
        """Wait on the loop until all that was recorded is written; says whether that came in time."""
        with self._changed:
            if self._written + self._lost >= self._recorded:
                return True
        loop = asyncio.get_running_loop()
        done = asyncio.Event()

        def tell() -> None:
            with contextlib.suppress(RuntimeError):  # the loop closed meanwhile: nobody waits any more
                loop.call_soon_threadsafe(done.set)

        self._when_written(tell)
        try:
            await asyncio.wait_for(done.wait(), timeout_s)
        except TimeoutError:
            return False
        return True

    def stats(self) -> TouchLogStats:
        """Give the counts."""
        with self._changed:
            return TouchLogStats(self._recorded, self._refused, self._written, self._lost, len(self._queue))

    def close(self) -> None:
        """Write what is queued, end the threads and close the file; touches after this are refused."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(CLOSE_WAIT_S)
        if self._thread.is_alive():
            _LOG.error("the touch log did not end in %s s; %d touches are lost", CLOSE_WAIT_S, len(self._queue))
        self._reads.shutdown(wait=True)
        self._reports.shutdown(wait=True)
        self._reader.dispose()
        self._writer.dispose()

    async def read(self, query: Callable[[Connection], T]) -> T:
        """Run a short ``query`` in one read transaction on a thread. Raises ``Busy`` when too many wait."""
        return await self._run_read(self._reads, query)

    async def report(self, query: Callable[[Connection], T]) -> T:
        """Run a ``query`` over many rows on a thread of its own: an order's decision must not wait for a board."""
        return await self._run_read(self._reports, query)

    async def _run_read(self, executor: ThreadPoolExecutor, query: Callable[[Connection], T]) -> T:
        if self._reads_waiting >= READS_WAITING_MAX:
            raise Busy("too many queries are waiting")

        def call() -> T:
            with answered(), self._reader.begin() as connection:
                return query(connection)

        self._reads_waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(executor, call)
        finally:
            self._reads_waiting -= 1

    def _when_written(self, callback: Callable[[], None]) -> None:
        with self._changed:
            if self._written + self._lost < self._recorded:
                self._waiters.append((self._recorded, callback))
                self._changed.notify_all()
                return
        callback()

    def _write_all(self) -> None:
        while batch := self._next_batch():
            written = self._write(batch)
            with self._changed:
                self._writing = []
                self._written += len(batch) if written else 0
                self._lost += 0 if written else len(batch)
                done = self._written + self._lost
                due = [callback for target, callback in self._waiters if target <= done]
                self._waiters = [waiter for waiter in self._waiters if waiter[0] > done]
            for callback in due:
                callback()

    def _next_batch(self) -> list[Row]:
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closing)
            self._changed.wait_for(
                lambda: self._closing or self._waiters or len(self._queue) >= BATCH_TOUCHES_MAX, LINGER_S
            )
            self._writing = [self._queue.popleft() for _ in range(min(len(self._queue), BATCH_TOUCHES_MAX))]
            return self._writing

    def _write(self, batch: Sequence[Row]) -> bool:
        attempt = 0
        while True:
            attempt += 1
            try:
                with self._writer.begin() as connection:
                    append(connection, self._reach, batch)
                self._reach.committed()
            except SQLAlchemyError as error:
                self._reach.undone()
                said = error.orig if isinstance(error, DBAPIError) else error
                _LOG.error("writing %d touches failed: %s", len(batch), said)
                # Who brought whom is worth a wait while the disk is full or the server away; the queue has its bound.
                passing = isinstance(error, DBAPIError) and may_pass(error)
                if attempt >= WRITE_TRIES and (self._closing or not passing):
                    return False
                pause_s = min(RETRY_PAUSE_S * attempt, RETRY_PAUSE_S_MAX)
                if self._closing:
                    time.sleep(pause_s)
                with self._changed:
                    self._changed.wait_for(lambda: self._closing, pause_s)
            except Exception:  # noqa: BLE001 - told in the log
                # A fault of ours costs this batch; the thread lives on, or all that come after would wait for ever.
                self._reach.undone()
                _LOG.exception("writing %d touches failed", len(batch))
                return False
            else:
                return True


def append(db: Connection, reach: Reach, batch: Sequence[Row]) -> None:
    """Write a batch and count it, in the caller's transaction; ``reach`` is told afterwards how that ended."""
    alone(db)
    db.execute(_INSERT[db.dialect.name], {"rows": orjson.dumps(batch).decode()})
    reach.write(db, [_met(row) for row in batch])


def _met(row: Row) -> Met:
    (
        _,
        ms,
        merchant,
        person,
        kind,
        channel,
        room,
        _,
        link,
        issuer,
        role,
        _,
        depth,
        _,
        reason,
        campaign,
        host,
        clip,
        _,
    ) = row
    return Met(ms, merchant, person, kind, channel, room, link, issuer, role, depth, reason, campaign, host, clip)


def touch_log_path(where: Path | str) -> Path:
    """The touch log's file, beside the shop's database."""
    return database_path(where).with_name("touches.db")


def open_touch_log(where: Path | str, *, clock: Clock, queue_max: int = TOUCHES_QUEUED_MAX) -> TouchLog:
    """Open the touch log of a shop: ``touches.db`` beside its file (made, migrated; the store's lock keeps a second
    writer out), or the schema beside its own in PostgreSQL. Raises StoreError when that was not migrated.
    """
    if is_postgres(where):
        return _open_in_postgres(str(where), clock, queue_max)
    path = touch_log_path(where)
    path.parent.mkdir(parents=True, exist_ok=True)
    migrate_touch_log(where)
    writer = sqlite_engine(path, writing=True, synchronous="NORMAL", pool_size=1)
    return TouchLog(writer, sqlite_engine(path, writing=False, pool_size=2), clock=clock, queue_max=queue_max)


def _open_in_postgres(where: str, clock: Clock, queue_max: int) -> TouchLog:
    schema = touches_schema(where)
    writer = postgres_engine(where, writing=True, synchronous="OFF", pool_size=1, schema=schema)
    try:
        check_schema(writer, where, MIGRATIONS)
    except BaseException:
        writer.dispose()
        raise
    reader = postgres_engine(where, writing=False, pool_size=2, schema=schema)
    return TouchLog(writer, reader, clock=clock, queue_max=queue_max)


def migrate_touch_log(where: Path | str) -> None:
    """Bring the touch log of a shop to the newest schema, and count what was written before. Raises StoreError."""
    if is_postgres(where):
        migrate(where, MIGRATIONS, schema=touches_schema(str(where)))
    else:
        migrate(touch_log_path(where), MIGRATIONS)
    engine = touch_engine(where)
    try:
        with engine.begin() as connection:
            counted = rebuild_if_empty(connection)
    finally:
        engine.dispose()
    if counted:
        _LOG.warning("counted %d touches for the board", counted)


def touch_engine(where: Path | str) -> Engine:
    """A writing engine on a migrated touch log, for work of hours beside no server."""
    if is_postgres(where):
        schema = touches_schema(str(where))
        return postgres_engine(str(where), writing=True, pool_size=1, schema=schema, patient=True)
    return sqlite_engine(touch_log_path(where), writing=True, synchronous="NORMAL", pool_size=1)


def waiting_candidates(waiting: Iterable[Waiting]) -> list[TouchCandidate]:
    """Those of the touches that wait which carry a link."""
    return [_candidate(**touch) for touch in waiting if touch["link"] is not None]


def candidates(
    db: Connection, merchant: str, persons: Sequence[str], now_ms: int, window_ms: int
) -> tuple[list[TouchCandidate], int]:
    """Read the touches to judge: the newest with a link, the first valid in the window; and how many are left out."""
    asked: Asked = {
        "merchant": merchant,
        "persons": list(persons),
        "until": now_ms,
        "since": now_ms - max(window_ms, LOOK_BACK_MS),
        "limit": CANDIDATES_MAX,
    }
    found = {row.id: row for row in db.execute(_NEWEST, asked)}
    omitted = 0
    if len(found) == CANDIDATES_MAX:
        found |= {row.id: row for row in db.execute(_OLDEST, {**asked, "since": now_ms - window_ms})}
        omitted = db.execute(_COUNT, asked).scalar_one() - len(found)
    return [_candidate(**row._asdict()) for row in found.values()], omitted


def _candidate(
    *,
    id: str,
    ms: int,
    link: str,
    issuer: str,
    role: str,
    channel: str,
    root: str,
    depth: int,
    reason: str | None,
    **_more: object,
) -> TouchCandidate:
    """A row's columns, by their names."""
    return TouchCandidate(id, ms, link, issuer, role, channel, root, depth, problem=reason)


def entries(db: Connection, merchant: str, persons: Sequence[str], room: str, since_ms: int, until_ms: int) -> Entries:
    """Read the first and last entry of a person (all their ids) into a room between two times, both included."""
    asked = {"merchant": merchant, "persons": list(persons), "room": room, "since": since_ms, "until": until_ms}
    first_ms, last_ms = db.execute(_ENTRIES, asked).one()
    return Entries(first_ms, last_ms)


def with_waiting(found: Entries, waiting: Iterable[Waiting], room: str) -> Entries:
    """The first and last entry, of those that were read and those that wait to be written."""
    entered = [touch["ms"] for touch in waiting if touch["kind"] == "room_entry" and touch["room"] == room]
    entered += [ms for ms in (found.first_ms, found.last_ms) if ms is not None]
    return Entries(min(entered), max(entered)) if entered else found


def watched(
    db: Connection, merchant: str, persons: Sequence[str], since_ms: int, until_ms: int, waiting: Iterable[Waiting]
) -> list[str]:
    """The explanations that a person watched between two times, the last one first; ``waiting`` to be written, too."""
    asked: Asked = {"merchant": merchant, "persons": list(persons), "since": since_ms, "until": until_ms}
    rows = [(row.ms, row.clip) for row in db.execute(_WATCHED, {**asked, "limit": WATCHED_MAX})]
    rows += [(touch["ms"], touch["clip"]) for touch in waiting if touch["clip"]]
    return list(dict.fromkeys(clip for _, clip in sorted(rows, reverse=True)))[:WATCHED_MAX]


def uses(db: Connection, merchant: str, links: Sequence[str]) -> dict[str, int]:
    """Count how often some links were opened; one never opened is left out."""
    if not links:
        return {}
    return {row.link: row.uses for row in db.execute(_USES, {"merchant": merchant, "links": list(links)})}


def last_seen(db: Connection, merchant: str, persons: Sequence[str]) -> dict[str, int]:
    """Read when each of some persons last touched the shop (Unix milliseconds); who never did is left out."""
    if not persons:
        return {}
    return {row.person: row.ms for row in db.execute(_SEEN, {"merchant": merchant, "persons": list(persons)})}


def of_persons(db: Connection, merchant: str, persons: Sequence[str], limit: int) -> list[dict[str, object]]:
    """Read the newest touches of some persons."""
    asked = {"merchant": merchant, "persons": list(persons), "limit": limit}
    return [dict(row) for row in db.execute(_OF_PERSONS, asked).mappings()]


def reads(
    db: Connection, merchant: str, contents: Sequence[str], issuers: Sequence[str] | None
) -> dict[str, tuple[int, int]]:
    """Count how often some content was read, and by how many; with ``issuers`` what came by their links alone."""
    if not contents or (issuers is not None and not issuers):
        return {}
    asked: Asked = {"merchant": merchant, "contents": list(contents)}
    if issuers is not None:
        found = db.execute(_READS_OF_SOME, asked | {"issuers": list(issuers)})
    else:
        found = db.execute(_READS_OF_ALL, asked)
    return {row.content: (row.reads, row.readers) for row in found}
