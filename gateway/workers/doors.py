"""Who may publish, among several workers: whoever the server lets in must get the room from the other workers, too."""

from __future__ import annotations

from gateway.auth import PlayPass
from gateway.doors import Admitted, Doors, Undecided, Wish
from gateway.workers.cluster import Cluster
from stream.origin import Origin
from stream.rtmp_peers import PublishRequest


class ClusterDoors:
    """The `Doors` of one worker: claims rooms for hosts."""

    def __init__(self, doors: Doors, cluster: Cluster) -> None:
        self.node = doors.node
        self.hosts = doors.hosts
        self._doors = doors
        self._cluster = cluster

    def glance(self, wish: Wish) -> Admitted | Undecided:
        """As of the server itself."""
        return self._doors.glance(wish)

    async def play(self, wish: Wish) -> Admitted:
        """As of the server itself."""
        return await self._doors.play(wish)

    def is_revoked(self, room: str, play_pass: PlayPass) -> bool:
        """As of the server itself."""
        return self._doors.is_revoked(room, play_pass)

    async def rtmp_host(self, request: PublishRequest) -> Origin:
        """Check the key, then claim the room. Raises ``PublishRefused``, ``AlreadyPublishing``."""
        origin = await self._doors.rtmp_host(request)
        await self._cluster.claim(request.room)
        return origin

    def whip_origin(self, room: str, token: str, address: str) -> Origin:
        """As of the server itself."""
        return self._doors.whip_origin(room, token, address)

    async def authorize_host(self, room: str, origin: Origin) -> None:
        """Ask the server, then claim the room. Raises ``Problem``, ``AlreadyPublishing``, ``PublishRefused``."""
        await self._doors.authorize_host(room, origin)
        await self._cluster.claim(room)
