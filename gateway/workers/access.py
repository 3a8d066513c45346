"""Who may publish, among several workers: whoever the server lets in must get the room from the other workers, too."""

from __future__ import annotations

from gateway.access import Access, Undecided, Wish
from gateway.errors import Problem
from gateway.workers.cluster import Cluster
from stream.errors import AlreadyPublishing, PublishRefused
from stream.rtmp_peers import PublishRequest


class ClusterAccess:
    """An `Access` that claims rooms for hosts."""

    def __init__(self, access: Access, cluster: Cluster) -> None:
        self.node = access.node
        self.hosts = access.hosts
        self._access = access
        self._cluster = cluster

    def glance(self, wish: Wish) -> Problem | Undecided | None:
        """As of the server itself."""
        return self._access.glance(wish)

    async def play(self, wish: Wish) -> Problem | None:
        """As of the server itself."""
        return await self._access.play(wish)

    async def publish(self, request: PublishRequest) -> None:
        """Check the key, then claim the room. Raises ``PublishRefused``, ``AlreadyPublishing``."""
        await self._access.publish(request)
        await self._cluster.claim(request.room)

    async def broadcast(self, room: str, token: str) -> None:
        """Check the key or token, then claim the room. Raises ``Problem``, ``TokenError``."""
        await self._access.broadcast(room, token)
        try:
            await self._cluster.claim(room)
        except AlreadyPublishing as error:
            raise Problem(
                409, "live", "this room is live already: stop the other encoder first", retry_ms=1_000
            ) from error
        except PublishRefused as error:
            raise Problem(503, "refused", error.description, retry_ms=5_000) from error
