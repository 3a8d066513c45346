"""The messages of the hub: what clients send, what rooms are told, and the bytes of answers. Pure.

Client frame: one command or a non-empty array of them; a command is an object

    {"id": 7, "cmd": "sale.hold", …arguments}

`id` is an integer of 0 to 2^53−1 and may be missing, then the command is not answered. Answers:

    {"re": 7, "ok": true, …fields}     {"re": 7, "error": {"code", "message", "retry_ms"?, …}}

Room messages (`Event`, `Latest`, …) are what goes over the broker to every node that has the room.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, NamedTuple
from urllib.parse import unquote_plus

import orjson

from chat.errors import BadFrame, CommandRefused

ID_MAX = 2**53 - 1
"""Largest integer that JavaScript keeps exact."""
NAME_CHARS_MAX = 64
"""Longest name of a command."""
ROOM_CHARS_MAX = 64
TOKEN_CHARS_MAX = 4096
SINCE_CHARS_MAX = 64


class Tier(IntEnum):
    """How much an event matters (design D3): a slow socket loses the highest number first."""

    P0 = 0
    """Must arrive, goes at once: pin, coupon, sale state, stock."""
    P1 = 1
    """Host and staff."""
    P2 = 2
    """Chat: sampled when hot."""
    P3 = 3
    """Likes, joins, counts: summed, latest value wins."""


class Command(NamedTuple):
    """One command of a client; `args` is the object without `id` and `cmd`."""

    id: int | None
    name: str
    args: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Event:
    """An event to all, and what of the snapshot it changes, in one step."""

    body: Mapping[str, Any]
    tier: Tier
    keep: bool = True
    sections: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Latest:
    """A value of which only the newest of a tick matters."""

    key: str
    body: Mapping[str, Any]
    tier: Tier = Tier.P0


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the snapshot got a new value; nobody is told."""

    name: str
    value: Any


@dataclass(frozen=True, slots=True)
class Likes:
    """Taps to add to the room's sum."""

    count: int


@dataclass(frozen=True, slots=True)
class Viewers:
    """The count of viewers to show."""

    count: int


@dataclass(frozen=True, slots=True)
class Personal:
    """An event for all connections of one person, kept until acknowledged when `keep`."""

    person: str
    body: Mapping[str, Any]
    keep: bool = True


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The person has all personal events up to and with sequence `to`."""

    person: str
    to: int


@dataclass(frozen=True, slots=True)
class Removal:
    """All connections of one person are closed."""

    person: str
    code: int
    reason: str
    event: Mapping[str, Any] | None = None
    """What they are told before."""


@dataclass(frozen=True, slots=True)
class Mute:
    """The person may not chat until then (Unix ms; 0 lifts it).

    In the shadow they are not told, and see their own lines.
    """

    person: str
    until_ms: int
    shadow: bool = False


@dataclass(frozen=True, slots=True)
class Ban:
    """The person may not join until then (Unix ms; 0 lifts it), nor may anybody with one of these devices."""

    person: str
    until_ms: int
    devices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rules:
    """Who may chat (`everyone`, `followers`, `members`, `staff`); seconds between two lines of one viewer (0: any)."""

    audience: str
    slow_s: int


@dataclass(frozen=True, slots=True)
class Words:
    """The words that the room's filter masks, from now on."""

    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Admitted:
    """The person has become a member: they may chat where only members may."""

    person: str


@dataclass(frozen=True, slots=True)
class Regard:
    """Somebody's rights have changed: who may do what is read again where it is written down.

    `version` is that of what is to be read; who knows it already has nothing to do.
    """

    version: int


@dataclass(frozen=True, slots=True)
class Recall:
    """The line with that offset is taken back: the history forgets it, all are told."""

    offset: int


@dataclass(frozen=True, slots=True)
class PollOpened:
    """A poll begins; it replaces the one before. One that is known already is left alone."""

    poll: str
    title: str
    options: tuple[str, ...]
    now_ms: int
    ends_ms: int = 0
    """When it ends by itself (Unix ms); 0: when staff end it."""
    votes: tuple[int, ...] = ()
    """What was voted before, of one that is told again; none of a new one."""


@dataclass(frozen=True, slots=True)
class Vote:
    """One person's voice in the poll; a second one does not count."""

    poll: str
    person: str
    option: int


@dataclass(frozen=True, slots=True)
class PollEnded:
    """No more votes: all are told the result."""

    poll: str
    votes: tuple[int, ...] = ()
    """The sums as they were written down, where they are; else what was counted here."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A question for the queue."""

    question: str
    person: str
    name: str
    text: str
    now_ms: int


@dataclass(frozen=True, slots=True)
class Unasked:
    """A question leaves the queue, answered or dropped."""

    question: str


StateMessage = Event | Latest | Section | Likes | Viewers | Recall | PollOpened | Vote | PollEnded | Asked | Unasked
"""What changes the room's shown state."""
RuleMessage = Mute | Ban | Rules | Words | Admitted
"""What changes who may speak and enter."""
RoomMessage = StateMessage | RuleMessage | Personal | Acknowledged | Removal | Regard


def decode(data: bytes | bytearray | memoryview, commands_max: int) -> list[Command]:
    """Return the commands of one frame.

    Raises BadFrame for what is not UTF-8 JSON or not one to `commands_max` commands.
    """
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        raise BadFrame("not JSON") from None
    if type(value) is dict:
        return [_command(value)]
    if type(value) is not list or not value:
        raise BadFrame("a frame is a command or a non-empty array of commands")
    if len(value) > commands_max:
        raise BadFrame(f"more than {commands_max} commands in a frame")
    return [_command(item) for item in value]


def _command(value: Any) -> Command:
    if type(value) is not dict:
        raise BadFrame("a command is an object")
    name = value.pop("cmd", None)
    if type(name) is not str or not 0 < len(name) <= NAME_CHARS_MAX:
        raise BadFrame("cmd is missing or no short string")
    number = value.pop("id", None)
    # bool is an int in Python, so the type is compared and not its kind.
    if number is not None and (type(number) is not int or not 0 <= number <= ID_MAX):
        raise BadFrame("id is no integer from 0 to 2^53-1")
    return Command(number, name, value)


def encode(value: Any) -> bytes:
    """Return the JSON of a value; dataclasses become objects. Raises TypeError for what JSON cannot hold."""
    return orjson.dumps(value)


def encode_event(body: Mapping[str, Any]) -> bytes:
    """Return the JSON of an event. Raises TypeError for what JSON cannot hold, ValueError for one without a type."""
    if "t" not in body:
        raise ValueError('an event has its type in "t"')
    return orjson.dumps(body)


def answer(number: int, fields: Mapping[str, Any]) -> bytes:
    """Return the answer to a command that succeeded."""
    return orjson.dumps({"re": number, "ok": True, **fields})


def refusal(number: int, error: CommandRefused) -> bytes:
    """Return the answer to a command that was refused."""
    return PreparedRefusal(error).to(number)


class PreparedRefusal:
    """A refusal that very many get, encoded once: a handler returns it where it would else raise."""

    __slots__ = ("_end", "error")

    def __init__(self, error: CommandRefused) -> None:
        self.error = error
        body: dict[str, Any] = {**error.extra, "code": error.code, "message": error.message}
        if error.retry_ms is not None:
            body["retry_ms"] = error.retry_ms
        self._end = b',"error":%b}' % orjson.dumps(body)

    def to(self, number: int) -> bytes:
        """Return the answer to the command with that id."""
        return b'{"re":%d%b' % (number, self._end)


class JoinRequest(NamedTuple):
    """What a client asks for: `/ws/ROOM?token=…&since=EPOCH:OFFSET`; empty text where nothing was given."""

    room: str
    token: str
    since: tuple[str, int] | None


def parse_join(target: str, authorization: str | None) -> JoinRequest:
    """Return what the request's target and its Authorization header ask for.

    An absent or malformed room gives an empty room, an absent token an empty token; a malformed `since` counts as none,
    so the client starts afresh. `Authorization: Bearer` stands in for `token=`.
    """
    path, _, query = target.partition("?")
    prefix, _, rest = path.lstrip("/").partition("/")
    room = unquote_plus(rest) if "%" in rest else rest
    if prefix != "ws" or "/" in room or len(room) > ROOM_CHARS_MAX:
        room = ""
    token = since = ""
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        if name == "token":
            token = unquote_plus(value)
        elif name == "since":
            since = unquote_plus(value)
    if not token and authorization is not None:
        scheme, _, credentials = authorization.partition(" ")
        if scheme.lower() == "bearer":
            token = credentials.strip()
    if len(token) > TOKEN_CHARS_MAX:
        token = ""
    return JoinRequest(room, token, parse_since(since))


def parse_since(text: str) -> tuple[str, int] | None:
    """Return the (epoch, offset) of EPOCH:OFFSET, None for anything else."""
    epoch, _, offset = text.rpartition(":")
    # isdecimal alone admits other scripts' digits, and int() an endless number.
    if len(text) > SINCE_CHARS_MAX or not epoch or not (offset.isascii() and offset.isdecimal()):
        return None
    return epoch, int(offset)
