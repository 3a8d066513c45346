"""Structured logs: one JSON object a line, with keys and tokens redacted wherever they stand.

Redaction works on the finished line and not on chosen fields, because a key travels in URLs, in other libraries'
messages and in tracebacks.
"""

from __future__ import annotations

import logging
import re
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import orjson

from commerce.errors import Busy, StoreError

REDACTED = "[redacted]"

# Query parameters and header values that carry a secret, in URLs, JSON and prose alike.
_NAMED = re.compile(
    r"""(?ix)
    (\b(?:key|token|stream_key|host_token|viewer_token|merchant_token|password|secret
       |(?:api_v3|private)_key|sign|paysign|signature)                                    # the name
       (?:\\?["'])?\s*[=:]\s*(?:\\?["'])?)                                               # = or : with quotes
    ([^\s"'&,;)}\]\\]+)
    """
)
_BEARER = re.compile(r"(?i)(\bbearer\s+)[A-Za-z0-9._~+/=-]+")
# A JSON Web Token standing alone: three base64url parts, the first of which is '{"'.
_JWT = re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")


# The password in an address such as PostgreSQL's: scheme://user:password@host.
_ADDRESS = re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s/@:\"']*:)[^\s/@\"']+(?=@)")


# A private key as PEM, also with its line ends escaped.
_PEM = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----", re.DOTALL)


def redact(text: str) -> str:
    """``text`` with every key, token and password replaced by a mark."""
    text = _ADDRESS.sub(r"\g<1>" + REDACTED, text)
    text = _PEM.sub(REDACTED, text)
    text = _JWT.sub(REDACTED, text)
    text = _BEARER.sub(r"\g<1>" + REDACTED, text)
    return _NAMED.sub(r"\g<1>" + REDACTED, text)


def _outside(record: logging.LogRecord) -> str | None:
    """What a record's exception says, where something outside is at fault and its place in our code says nothing."""
    error = record.exc_info[1] if record.exc_info else None
    return f"{type(error).__name__}: {error}" if isinstance(error, Busy | StoreError | TimeoutError) else None


class JsonFormatter(logging.Formatter):
    """Turn a record into one line of JSON: time, level, logger, message, the ``fields`` extra, and the
    traceback (or ``error``, where a database or a time-out is at fault)."""

    converter = staticmethod(time.gmtime)

    def format(self, record: logging.LogRecord) -> str:
        body: dict[str, Any] = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S") + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        fields = getattr(record, "fields", None)
        if isinstance(fields, dict):
            body.update(fields)
        if (said := _outside(record)) is not None:
            body["error"] = said
        elif record.exc_info:
            body["traceback"] = self.formatException(record.exc_info)
        return redact(orjson.dumps(body, default=str).decode())


class PlainFormatter(logging.Formatter):
    """For a person at a terminal: time, level, message and fields, redacted as well."""

    def format(self, record: logging.LogRecord) -> str:
        when = self.formatTime(record, "%H:%M:%S")
        line = f"{when} {record.levelname.lower():7} {record.name}: {record.getMessage()}"
        fields = getattr(record, "fields", None)
        if isinstance(fields, dict):
            line += " " + " ".join(f"{name}={value}" for name, value in fields.items())
        if (said := _outside(record)) is not None:
            line += f" error={said}"
        elif record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return redact(line)


REPEATS_SAID = 3
REPEATS_WINDOW_S = 10.0
REPEATS_KEPT_MAX = 1_000
"""Different lines that are remembered in a window; those beyond it are all said."""


class Repeats(logging.Filter):
    """Holds back a warning or an error that was said three times in ten seconds, word for word.

    A disk that is full, or a database that is away, fails each batch of a rush, a hundred times a second: such a log
    fills the disk, and hides what else is in it. The next line that is said has in `repeated` how many were not. What
    differs in a word is another line, and all of `info` is said: the staff's actions are among it.
    """

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._now_s = now_s
        self._said: dict[tuple[object, ...], tuple[float, int]] = {}
        # Records come from every thread.
        self._lock = threading.Lock()

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING:
            return True
        fault = record.exc_info[1] if record.exc_info else None
        fields = getattr(record, "fields", None) or {}
        line = (record.name, record.levelno, record.getMessage(), repr(fault), repr(fields))
        now_s = self._now_s()
        with self._lock:
            since_s, count = self._said.get(line, (now_s, 0))
            if now_s - since_s < REPEATS_WINDOW_S:
                if line in self._said or len(self._said) < REPEATS_KEPT_MAX:
                    self._said[line] = (since_s, count + 1)
                self._forget(now_s)
                return count < REPEATS_SAID
            self._said[line] = (now_s, 1)
        if count > REPEATS_SAID:
            record.fields = {**fields, "repeated": count - REPEATS_SAID}
        return True

    def _forget(self, now_s: float) -> None:
        """Once there are too many: those that have not come for a while."""
        if len(self._said) >= REPEATS_KEPT_MAX:
            recent = {line: at for line, at in self._said.items() if now_s - at[0] < REPEATS_WINDOW_S}
            self._said = recent


class _Numbered(logging.Filter):
    """Puts the worker's number into the fields of each record."""

    def __init__(self, worker: int) -> None:
        super().__init__()
        self._worker = worker

    def filter(self, record: logging.LogRecord) -> bool:
        record.fields = {**(getattr(record, "fields", None) or {}), "worker": self._worker}
        return True


def configure_logging(level: str, *, plain: bool | None = None, worker: int | None = None) -> None:
    """Send all loggers to standard error. ``plain`` None means: plain on a terminal, JSON elsewhere.

    ``worker``: the number that each line of this process names.
    """
    handler = logging.StreamHandler(sys.stderr)
    if plain is None:
        plain = sys.stderr.isatty()
    handler.setFormatter(PlainFormatter() if plain else JsonFormatter())
    handler.addFilter(Repeats())
    if worker is not None:
        handler.addFilter(_Numbered(worker))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # uvicorn's access log would hold query strings of a whole crowd; /metrics counts requests instead.
    logging.getLogger("uvicorn.access").handlers = []
    logging.getLogger("uvicorn.access").propagate = False
    logging.getLogger("uvicorn.error").setLevel("WARNING")
    # Its lines hold whole addresses, and a payment's are signed.
    logging.getLogger("httpx").setLevel("WARNING")
    logging.getLogger("alembic").setLevel("WARNING")
