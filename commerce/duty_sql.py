"""The duty by a lock of PostgreSQL's: held by a session, and given up by the server when that session ends."""

import logging
import threading
from time import monotonic

from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from commerce.store_sql import Store
from commerce.turns_sql import DUTIES

log = logging.getLogger(__name__)

TRY_S = 1.0
"""How often who has it makes sure, and who has it not tries."""
STALE_S = 5.0
"""Who could not make sure for so long does not act on it: another process may have it by now."""
CLOSE_WAIT_S = 10.0

_TRY = text("SELECT pg_try_advisory_lock(:space, hashtext(:name))")
_SURE = text("SELECT 1")


class LockDuty:
    """The duty called ``name`` among the processes of a PostgreSQL store; it needs a session of its own (no pooler)."""

    def __init__(self, store: Store, name: str, *, try_s: float = TRY_S) -> None:
        self._store = store
        self._name = name
        self._try_s = try_s
        self._sure_s: float | None = None
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"duty-{name}", daemon=True)

    def start(self) -> None:
        """Begin to try for it."""
        self._thread.start()

    def held(self) -> bool:
        """Whether this process had it when it last made sure, and that was not long ago."""
        sure_s = self._sure_s
        return sure_s is not None and monotonic() - sure_s < STALE_S

    def close(self) -> None:
        """Give it up."""
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join(CLOSE_WAIT_S)

    def _run(self) -> None:
        while not self._ending.is_set():
            try:
                with self._store.session() as connection:
                    self._keep(connection)
            except SQLAlchemyError as error:
                log.warning("the duty %s cannot be had for now: %s", self._name, error)
            finally:
                self._sure_s = None
            self._ending.wait(self._try_s)

    def _keep(self, connection: Connection) -> None:
        held = False
        while not self._ending.is_set():
            asked_s = monotonic()
            if held:
                connection.execute(_SURE)
            else:
                held = bool(connection.execute(_TRY, {"space": DUTIES, "name": self._name}).scalar_one())
            self._sure_s = asked_s if held else None
            self._ending.wait(self._try_s)
