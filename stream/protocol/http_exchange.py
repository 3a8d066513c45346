"""One HTTP/1.1 request and its response, seen from the client: h11 behind the verbs of our other cores."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import h11

from stream.errors import LocalError, ProtocolError

HEAD_BYTES_MAX: Final = 32 * 1024
"""A response's head, as our own server takes a request's."""

Headers = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Answered:
    """The response's head; names of `headers` are in lower case."""

    status: int
    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class Body:
    """Some of the response's body."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Ended:
    """The response is whole."""


class HttpExchange:
    """Sans-I/O: send what `request` gives, feed what comes to `receive_data`, b"" for the end of the connection."""

    def __init__(self) -> None:
        self._wire = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_BYTES_MAX)

    def request(self, method: str, target: str, headers: Headers, body: bytes = b"") -> bytes:
        """Give the request's bytes; `headers` hold at least `host`. Raises LocalError for what HTTP cannot say."""
        length = [("content-length", str(len(body)))] if body else []
        wire = self._wire
        try:
            event = h11.Request(method=method, target=target, headers=[*headers, *length, ("connection", "close")])
            out = wire.send(event) or b""
            if body:
                out += wire.send(h11.Data(data=body)) or b""
            return out + (wire.send(h11.EndOfMessage()) or b"")
        except h11.LocalProtocolError as error:
            raise LocalError(f"not a request: {error}") from error

    def receive_data(self, data: bytes) -> list[Answered | Body | Ended]:
        """Take bytes and give what they say. Raises ProtocolError, also for a response that is cut off."""
        wire = self._wire
        out: list[Answered | Body | Ended] = []
        try:
            wire.receive_data(data)
            while True:
                event = wire.next_event()
                if event is h11.NEED_DATA or event is h11.PAUSED or isinstance(event, h11.ConnectionClosed):
                    return out
                if isinstance(event, h11.Response):
                    out.append(Answered(event.status_code, {n.decode(): v.decode("latin-1") for n, v in event.headers}))
                elif isinstance(event, h11.Data):
                    out.append(Body(bytes(event.data)))
                elif isinstance(event, h11.EndOfMessage):
                    out.append(Ended())
                    return out
        except h11.RemoteProtocolError as error:
            raise ProtocolError(f"not an HTTP response: {error}") from error
