"""AMF3 values inside AMF0, read only (Adobe AMF 3, January 2013): what Flash players put behind the marker 0x11.

    u29        1 to 4 bytes of 7 bits, the highest bit says that another follows; the fourth has 8
    marker     0 undefined  1 null  2 false  3 true  4 integer u29  5 double  6 string  7 XML document  8 date
               9 array  10 object  11 XML  12 byte array  13 to 15 vectors  16 vector of objects  17 dictionary
    string     u29: bit 0 set, length in the rest, then UTF-8; bit 0 clear: the number of an earlier one

Strings, objects and traits each have a table that later values point into. What cannot be a part of a command
(dictionaries, vectors, objects that serialise themselves) is refused rather than guessed.
"""

import struct
from typing import Final

from stream.errors import AmfError
from stream.protocol.amf0 import DEPTH_MAX, AmfDate, AmfXml, EcmaArray, TypedObject, Value

_F64: Final = struct.Struct(">d")
_TRAITS_MAX: Final = 64
"""Classes described in one value, and members of one class; a connect's object has one class and none."""


class _Traits:
    __slots__ = ("class_name", "dynamic", "members")

    def __init__(self, class_name: str, dynamic: bool, members: list[str]) -> None:
        self.class_name = class_name
        self.dynamic = dynamic
        self.members = members


class _Unfinished:
    """Holds the place of an object that is still being read."""


class _Reader:
    """A cursor over one AMF3 value; `values_left` and the depth bound what a hostile one can cost."""

    def __init__(self, data: bytes, offset: int, values_max: int) -> None:
        self.data = data
        self.offset = offset
        self.values_left = values_max
        self._strings: list[str] = []
        self._objects: list[Value | _Unfinished] = []
        self._traits: list[_Traits] = []

    def value(self, depth: int) -> Value:
        """Read one value. Raises AmfError."""
        self.values_left -= 1
        if self.values_left < 0:
            raise AmfError("AMF3 holds too many values")
        if depth > DEPTH_MAX:
            raise AmfError("AMF3 is nested too deeply")
        marker = self._take(1)[0]
        match marker:
            case 0x00 | 0x01:
                return None
            case 0x02 | 0x03:
                return marker == 0x03
            case 0x04:
                number = self._u29()
                return float(number - (1 << 29) if number & 1 << 28 else number)
            case 0x05:
                return float(_F64.unpack(self._take(8))[0])
            case 0x06:
                return self._string()
            case 0x07 | 0x08 | 0x09 | 0x0A | 0x0B | 0x0C:
                return self._referable(marker, depth)
            case _:
                raise AmfError(f"AMF3 marker 0x{marker:02x} is not supported")

    def _take(self, size: int) -> bytes:
        end = self.offset + size
        if end > len(self.data):
            raise AmfError("AMF3 value is cut off")
        piece = self.data[self.offset : end]
        self.offset = end
        return piece

    def _u29(self) -> int:
        value = 0
        for _ in range(3):
            byte = self._take(1)[0]
            value = value << 7 | byte & 0x7F
            if byte < 0x80:
                return value
        return value << 8 | self._take(1)[0]

    def _string(self) -> str:
        head = self._u29()
        if not head & 1:
            if head >> 1 >= len(self._strings):
                raise AmfError("AMF3 string reference points to nothing")
            return self._strings[head >> 1]
        text = self._take(head >> 1).decode("utf-8", "replace")
        if text:  # section 1.3.2: the empty one is never referred to
            self._strings.append(text)
        return text

    def _referable(self, marker: int, depth: int) -> Value:
        head = self._u29()
        if not head & 1:
            if head >> 1 >= len(self._objects):
                raise AmfError("AMF3 object reference points to nothing")
            known = self._objects[head >> 1]
            if isinstance(known, _Unfinished):
                raise AmfError("AMF3 reference makes a cycle")
            return known
        slot = len(self._objects)
        self._objects.append(_Unfinished())
        found = self._body(marker, head >> 1, depth)
        self._objects[slot] = found
        return found

    def _body(self, marker: int, head: int, depth: int) -> Value:
        match marker:
            case 0x08:
                return AmfDate(float(_F64.unpack(self._take(8))[0]))
            case 0x09:
                return self._array(head, depth)
            case 0x0A:
                return self._object(head, depth)
            case 0x0C:
                # Commands have no use for bytes, and AMF0 no type: Latin-1 keeps each as one character.
                return self._take(head).decode("latin-1")
            case _:
                return AmfXml(self._take(head).decode("utf-8", "replace"))

    def _array(self, count: int, depth: int) -> Value:
        """Read an array (section 3.11): named parts first, then `count` that are not named."""
        named = EcmaArray()
        self._named(named, depth)
        if count > len(self.data) - self.offset:  # each value takes at least its marker
            raise AmfError("AMF3 array is longer than its message")
        items = [self.value(depth + 1) for _ in range(count)]
        if not named:
            return items
        named.update((str(index), item) for index, item in enumerate(items))
        return named

    def _object(self, head: int, depth: int) -> Value:
        """Read an object (section 3.12); `head` lacks the bit that says it is no reference."""
        if head & 1:
            traits = self._new_traits(head >> 1)
        elif head >> 1 < len(self._traits):
            traits = self._traits[head >> 1]
        else:
            raise AmfError("AMF3 traits reference points to nothing")
        target: dict[str, Value] = TypedObject(traits.class_name) if traits.class_name else {}
        for name in traits.members:
            target[name] = self.value(depth + 1)
        if traits.dynamic:
            self._named(target, depth)
        return target

    def _new_traits(self, head: int) -> _Traits:
        if head & 1:
            raise AmfError("AMF3 object that serialises itself is not supported")
        members = head >> 2
        if members > _TRAITS_MAX or len(self._traits) >= _TRAITS_MAX:
            raise AmfError("AMF3 describes too many classes or members")
        class_name = self._string()
        traits = _Traits(class_name, bool(head & 2), [self._string() for _ in range(members)])
        self._traits.append(traits)
        return traits

    def _named(self, target: dict[str, Value], depth: int) -> None:
        while name := self._string():
            target[name] = self.value(depth + 1)


def decode_one(data: bytes, offset: int, values_max: int) -> tuple[Value, int]:
    """Read the value at `offset`.

    Returns the value and the offset after it. Raises AmfError.
    """
    reader = _Reader(data, offset, values_max)
    return reader.value(0), reader.offset
