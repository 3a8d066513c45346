"""JSON on its way out: dataclasses, msgspec structs and mappings alike."""

from __future__ import annotations

import dataclasses
from typing import Any

import msgspec
import orjson


def _other(value: object) -> Any:
    if isinstance(value, msgspec.Struct):
        return msgspec.to_builtins(value)
    if isinstance(value, (tuple, set, frozenset)):
        return list(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def encode_json(value: Any) -> bytes:
    """UTF-8 JSON of ``value``. Raises ``TypeError`` for what has no JSON form."""
    return orjson.dumps(value, default=_other)


def plain(value: Any) -> Any:
    """``value`` as dictionaries, lists and scalars."""
    if isinstance(value, msgspec.Struct) or dataclasses.is_dataclass(value):
        return orjson.loads(encode_json(value))
    return value
