"""AMF0, the value encoding of RTMP commands and FLV script data (Adobe AMF0 specification, 2007).

A value is one marker byte and its body:

    00 number    8 bytes, IEEE 754 big-endian          0A strict array  u32 count, values
    01 boolean   1 byte                                0B date          f64 Unix ms, i16 time zone (reserved, 0)
    02 string    u16 length, UTF-8                     0C long string   u32 length, UTF-8
    03 object    (u16 length, name, value)*, 00 00 09  0D unsupported   -
    05 null      -                                     0F XML           as long string
    06 undefined -                                     10 typed object  u16 length, class name, then as object
    07 reference u16 index of an earlier object, array or typed object
    08 ECMA array  u32 count (a hint, often wrong), then as object

04 (movie clip) and 0E (record set) are refused: nobody sends them. 11 switches to AMF3 for one value: in commands of
type 17 alone, where the caller says how to read it.

In Python: float, bool, str, `dict`, None (null, undefined, unsupported), `EcmaArray`, list, `AmfDate`, `AmfXml`,
`TypedObject`.
"""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from stream.errors import AmfError, LocalError

DEPTH_MAX = 32
"""Nested objects and arrays; metadata in the field nests twice, and each level costs a stack frame."""

VALUES_MAX = 20_000
"""Values in one decoding; a recorder's key frame index of a day has about 2 × 5,000, a hostile one has millions."""


class EcmaArray(dict[str, "Value"]):
    """An associative array (marker 08): a dict on the wire with a count before it."""


class TypedObject(dict[str, "Value"]):
    """An object with a class name (marker 10)."""

    def __init__(self, class_name: str, values: Mapping[str, "Value"] | None = None) -> None:
        super().__init__(values or {})
        self.class_name = class_name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TypedObject) and self.class_name == other.class_name and dict.__eq__(self, other)

    __hash__ = None  # mutable, as a dict is


@dataclass(frozen=True, slots=True)
class AmfDate:
    """A point in time: Unix milliseconds, and a time zone in minutes that the specification wants to be 0."""

    unix_ms: float
    timezone_minutes: int = 0


@dataclass(frozen=True, slots=True)
class AmfXml:
    """An XML document, not parsed."""

    text: str


Value: TypeAlias = (
    "float | int | bool | str | dict[str, Value] | EcmaArray | TypedObject | list[Value] | AmfDate | AmfXml | None"
)

Amf3 = Callable[[bytes, int, int], tuple[Value, int]]
"""Reads one AMF3 value of (data, offset, most values); gives it and the offset after it. Raises AmfError."""

_F64 = struct.Struct(">d")
_U16 = struct.Struct(">H")
_U32 = struct.Struct(">I")
_DATE = struct.Struct(">dh")
_OBJECT_END = b"\x00\x00\x09"


class _Unfinished:
    """Holds the place of a container that is still being read."""


class _Reader:
    """A cursor over one message; `values_left` and the depth bound what a hostile one can cost."""

    def __init__(self, data: bytes, offset: int, values_max: int, amf3: Amf3 | None = None) -> None:
        self.data = data
        self.offset = offset
        self._values_left = values_max
        self._amf3 = amf3
        self._complex: list[Value | _Unfinished] = []

    def _take(self, size: int) -> bytes:
        end = self.offset + size
        if end > len(self.data):
            raise AmfError("AMF0 value is cut off")
        piece = self.data[self.offset : end]
        self.offset = end
        return piece

    def _text(self, size: int) -> str:
        # Encoders send GBK and Latin-1 where UTF-8 is asked for; a wrong letter in a title must not end a broadcast.
        return self._take(size).decode("utf-8", "replace")

    def _u16(self) -> int:
        return int(_U16.unpack(self._take(2))[0])

    def _u32(self) -> int:
        return int(_U32.unpack(self._take(4))[0])

    def value(self, depth: int = 0) -> Value:
        self._values_left -= 1
        if self._values_left < 0:
            raise AmfError("AMF0 holds too many values")
        marker = self._take(1)[0]
        match marker:
            case 0x00:
                return float(_F64.unpack(self._take(8))[0])
            case 0x01:
                return self._take(1) != b"\x00"
            case 0x02:
                return self._text(self._u16())
            case 0x05 | 0x06 | 0x0D:
                return None
            case 0x0B:
                unix_ms, timezone_minutes = _DATE.unpack(self._take(10))
                return AmfDate(unix_ms, timezone_minutes)
            case 0x0C:
                return self._text(self._u32())
            case 0x0F:
                return AmfXml(self._text(self._u32()))
            case 0x07:
                return self._reference()
            case 0x11 if self._amf3 is not None:
                value, self.offset = self._amf3(self.data, self.offset, self._values_left)
                return value
            case 0x03 | 0x08 | 0x0A | 0x10:
                if depth >= DEPTH_MAX:
                    raise AmfError("AMF0 is nested too deeply")
                return self._container(marker, depth + 1)
            case _:
                raise AmfError(f"AMF0 marker 0x{marker:02x} is not supported")

    def _reference(self) -> Value:
        index = self._u16()
        if index >= len(self._complex):
            raise AmfError("AMF0 reference points to nothing")
        value = self._complex[index]
        if isinstance(value, _Unfinished):
            raise AmfError("AMF0 reference makes a cycle")
        return value

    def _container(self, marker: int, depth: int) -> Value:
        slot = len(self._complex)  # references count containers in the order in which they open
        self._complex.append(_Unfinished())
        if marker == 0x0A:
            count = self._u32()
            if count > len(self.data) - self.offset:  # each value takes at least its marker
                raise AmfError("AMF0 strict array is longer than its message")
            items = [self.value(depth) for _ in range(count)]
            self._complex[slot] = items
            return items
        target: dict[str, Value]
        if marker == 0x08:
            self._u32()  # OBS, FFmpeg and XSplit write counts that are too small, too large or 0
            target = EcmaArray()
        elif marker == 0x10:
            target = TypedObject(self._text(self._u16()))
        else:
            target = {}
        self._properties(target, depth)
        self._complex[slot] = target
        return target

    def _properties(self, target: dict[str, Value], depth: int) -> None:
        data = self.data
        # Some encoders leave the end marker out, or cut it, when the object is the last value: the data's end ends it.
        while len(data) - self.offset > 2:
            if data.startswith(_OBJECT_END, self.offset):
                self.offset += 3
                return
            name = self._text(self._u16())
            target[name] = self.value(depth)
        self.offset = len(data)


def decode_one(data: bytes, offset: int = 0, *, values_max: int = VALUES_MAX) -> tuple[Value, int]:
    """Read the value at `offset`.

    Returns the value and the offset after it. Raises AmfError.
    """
    reader = _Reader(data, offset, values_max)
    return reader.value(), reader.offset


def decode_all(data: bytes, offset: int = 0, *, values_max: int = VALUES_MAX, amf3: Amf3 | None = None) -> list[Value]:
    """Read all values of a message body from `offset` to its end; `amf3` reads those behind the marker 0x11.

    Raises AmfError when one cannot be read.
    """
    reader = _Reader(data, offset, values_max, amf3)
    values: list[Value] = []
    while reader.offset < len(data):
        values.append(reader.value())
    return values


def encode(*values: Value) -> bytes:
    """Write values one after another.

    Ints are written as numbers. Raises LocalError for a type AMF0 has no marker for, or nesting over `DEPTH_MAX`.
    """
    out = bytearray()
    for value in values:
        _write(out, value, 0)
    return bytes(out)


def _write(out: bytearray, value: Value, depth: int) -> None:
    match value:
        case None:
            out.append(0x05)
        case bool():
            out += b"\x01\x01" if value else b"\x01\x00"
        case int() | float():
            out.append(0x00)
            out += _F64.pack(value)
        case str():
            text = value.encode("utf-8", "replace")
            out += b"\x02" + _U16.pack(len(text)) if len(text) <= 0xFFFF else b"\x0c" + _U32.pack(len(text))
            out += text
        case AmfDate():
            out.append(0x0B)
            out += _DATE.pack(value.unix_ms, value.timezone_minutes)
        case AmfXml():
            text = value.text.encode("utf-8", "replace")
            out += b"\x0f" + _U32.pack(len(text)) + text
        case list() | dict():
            if depth >= DEPTH_MAX:
                raise LocalError("value is nested too deeply for AMF0")
            _write_container(out, value, depth + 1)
        case _:
            raise LocalError(f"AMF0 cannot hold a {type(value).__name__}")


def _write_container(out: bytearray, value: "list[Value] | dict[str, Value]", depth: int) -> None:
    if isinstance(value, list):
        out.append(0x0A)
        out += _U32.pack(len(value))
        for item in value:
            _write(out, item, depth)
        return
    if isinstance(value, EcmaArray):
        out += b"\x08" + _U32.pack(len(value))
    elif isinstance(value, TypedObject):
        out += b"\x10" + _name(value.class_name)
    else:
        out.append(0x03)
    for name, item in value.items():
        out += _name(name)
        _write(out, item, depth)
    out += _OBJECT_END


def _name(name: str) -> bytes:
    text = name.encode("utf-8", "replace")
    if len(text) > 0xFFFF:
        raise LocalError("AMF0 name is longer than 65,535 bytes")
    return _U16.pack(len(text)) + text
