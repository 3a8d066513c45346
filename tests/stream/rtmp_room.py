"""A directory of one room, for RTMP hosts alone."""

from stream.errors import AlreadyPublishing
from stream.origin import Origin
from stream.packet import Kind, Packet
from stream.rtmp_peers import Publisher


class Room:
    """A directory of one room that keeps what it gets."""

    def __init__(self) -> None:
        self.packets: list[Packet] = []
        self.ended: list[str] = []
        self.publisher: Publisher | None = None

    def publish(self, room: str, publisher: Publisher, now_ms: int, origin: Origin | None = None) -> "Room":
        if self.publisher is not None:
            raise AlreadyPublishing(room)
        self.publisher = publisher
        return self

    def push(self, packet: Packet, now_ms: int) -> None:
        self.packets.append(packet)

    def end(self, reason: str, now_ms: int) -> None:
        self.ended.append(reason)
        self.publisher = None

    def frames(self, kind: Kind) -> list[Packet]:
        return [packet for packet in self.packets if packet.kind is kind and not packet.config]
