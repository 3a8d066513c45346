"""What peers tell each other about Enhanced RTMP v2 in connect ("Enhancing NetConnection connect Command", Veovera).

    fourCcList            codecs as FourCCs (v1, still sent)          "*" stands for all
    videoFourCcInfoMap    FourCC → 1 can decode, 2 can encode, 4 can forward
    audioFourCcInfoMap    as above
    capsEx                1 reconnect, 2 multitrack, 4 ModEx, 8 nanosecond offsets

They are told only to a peer that asks: older encoders never see a field they do not know.
"""

from collections.abc import Mapping
from enum import IntFlag
from typing import Final

from stream.protocol.amf0 import Value
from stream.protocol.flv import AUDIO_FOURCC, VIDEO_FOURCC

CAN_FORWARD: Final = 4
FIELDS: Final = ("fourCcList", "videoFourCcInfoMap", "audioFourCcInfoMap", "capsEx")
RECONNECT_REQUEST: Final = "NetConnection.Connect.ReconnectRequest"


class Capability(IntFlag):
    """capsEx."""

    RECONNECT = 1
    MULTITRACK = 2
    MOD_EX = 4


OURS: Final = Capability.RECONNECT | Capability.MULTITRACK | Capability.MOD_EX


def answer(asked: Mapping[str, Value]) -> dict[str, Value]:
    """Give what connect's answer adds for a peer whose connect object is `asked`."""
    if not any(name in asked for name in FIELDS):
        return {}
    return {
        "fourCcList": [fourcc.decode() for fourcc in (*VIDEO_FOURCC, *AUDIO_FOURCC)],
        "videoFourCcInfoMap": {fourcc.decode(): CAN_FORWARD for fourcc in VIDEO_FOURCC},
        "audioFourCcInfoMap": {fourcc.decode(): CAN_FORWARD for fourcc in AUDIO_FOURCC},
        "capsEx": int(OURS),
    }


def capabilities(asked: Mapping[str, Value]) -> Capability:
    """Read the peer's capsEx; what nobody knows is left out."""
    value = asked.get("capsEx")
    known = Capability.RECONNECT | Capability.MULTITRACK | Capability.MOD_EX
    # A hostile number may be infinite or not a number, which int() refuses.
    return Capability(int(value) & int(known)) if isinstance(value, float) and 0 <= value < 2**31 else Capability(0)
