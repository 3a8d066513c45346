"""The book of nodes in Redis. All keys share a hash tag, so that on a cluster they lie on one server:

    siyu:{streams}:parts   hash: PROCESS → what it has (`Part`, JSON)
    siyu:{streams}:seen    sorted set: PROCESS by the time of its last exchange, Unix ms of Redis' clock
    siyu:{streams}:owners  hash: ROOM → PROCESS

Each script is one atomic step.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from redis.asyncio import Redis, RedisCluster
from redis.exceptions import NoScriptError, RedisError

from chat.client_redis import check_url, connect
from chat.limits import BusLimits
from chat.log_redis import Script
from gateway.nodes import LIFE_MS, Page, Part

KEYS = tuple(f"siyu:{{streams}}:{name}" for name in ("parts", "seen", "owners"))
IDLE_S = 86_400
"""Keys of a shop that is no more."""

# KEYS parts seen owners; ARGV process part life_ms idle_s
EXCHANGE = Script("""
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[2], now, ARGV[1])
local gone = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now - tonumber(ARGV[3]))
for _, process in ipairs(gone) do
  redis.call('HDEL', KEYS[1], process)
  redis.call('ZREM', KEYS[2], process)
end
if #gone > 0 then
  local owners = redis.call('HGETALL', KEYS[3])
  for i = 1, #owners, 2 do
    if redis.call('HEXISTS', KEYS[1], owners[i + 1]) == 0 then redis.call('HDEL', KEYS[3], owners[i]) end
  end
end
for i = 1, 3 do redis.call('EXPIRE', KEYS[i], ARGV[4]) end
return {redis.call('HGETALL', KEYS[1]), redis.call('HGETALL', KEYS[3])}
""")

# KEYS parts seen owners; ARGV process room url life_ms
CLAIM = Script("""
local owner = redis.call('HGET', KEYS[3], ARGV[2])
if owner and owner ~= ARGV[1] then
  local time = redis.call('TIME')
  local seen = redis.call('ZSCORE', KEYS[2], owner)
  local part = redis.call('HGET', KEYS[1], owner)
  if seen and part and tonumber(seen) > time[1] * 1000 + math.floor(time[2] / 1000) - tonumber(ARGV[4]) then
    part = cjson.decode(part)
    local held = part.rooms[ARGV[2]]
    if part.url ~= ARGV[3] and held and held.sending then return 0 end
  end
end
redis.call('HSET', KEYS[3], ARGV[2], ARGV[1])
return 1
""")

# KEYS parts seen owners; ARGV process room…
RELEASE = Script("""
for i = 2, #ARGV do
  if redis.call('HGET', KEYS[3], ARGV[i]) == ARGV[1] then redis.call('HDEL', KEYS[3], ARGV[i]) end
end
return 1
""")


class RedisBook:
    """One process's end. Raises ValueError for an address of no use; it connects with the first question."""

    def __init__(self, url: str, node: str) -> None:
        check_url(url)
        self._url = url
        self._node = node
        self._client: Redis | RedisCluster | None = None
        self._encoder = msgspec.json.Encoder()
        self._decoder = msgspec.json.Decoder(Part)

    async def exchange(self, part: Part) -> Page:
        """Write this process's part and read all."""
        parts, owners = await self._run(EXCHANGE, self._encoder.encode(part), LIFE_MS, IDLE_S)
        return Page(
            {room.decode(): owner.decode() for room, owner in _pairs(owners)},
            {process.decode(): self._decoder.decode(text) for process, text in _pairs(parts)},
        )

    async def claim(self, room: str, url: str) -> bool:
        """Note that this process has the room, unless one at another node lives and hears its host."""
        return bool(await self._run(CLAIM, room, url, LIFE_MS))

    async def release(self, rooms: Iterable[str]) -> None:
        """Note that this process has these rooms no more."""
        names = list(rooms)
        if names:
            await self._run(RELEASE, *names)

    async def close(self) -> None:
        """Let go of the connection."""
        if self._client is not None:
            await self._client.aclose()

    async def _run(self, script: Script, *arguments: Any) -> Any:
        """Run a script; redis-py connects again by itself. Raises OSError."""
        try:
            if self._client is None:
                self._client = await connect(self._url, BusLimits())
            client: Any = self._client
            try:
                return await client.evalsha(script.digest, len(KEYS), *KEYS, self._node, *arguments)
            except NoScriptError:
                return await client.eval(script.text, len(KEYS), *KEYS, self._node, *arguments)
        except RedisError as error:
            raise OSError(str(error) or type(error).__name__) from error


def _pairs(flat: Any) -> list[tuple[bytes, bytes]]:
    return list(zip(flat[::2], flat[1::2], strict=True))
