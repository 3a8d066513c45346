"""A room's log in Redis: what was said, in which order, and a checkpoint to begin from.

Keys of a room share a hash tag, so that on a cluster they and the room's channel lie on one server:

    siyu:{ROOM}:head      hash: epoch, seq (newest entry); cdata, cseq, cby (checkpoint, the entry before it, by whom)
    siyu:{ROOM}:log       stream: entry SEQ-0, field p is the payload as published (`chat/entry.py`)
    siyu:{ROOM}:present   hash: NODE → PEOPLE:EXPIRES_MS
    siyu:{ROOM}:figures   hash: NODE → EXPIRES_MS:FIGURES, what each node counts (`chat/room_figures.py`)
    siyu:{ROOM}:said:NODE number of the node's newest entry: one that is sent twice is taken once
    siyu:{ROOM}:once:ID   this event was told

Each script is one atomic step. The published message only makes it quick: who missed one reads it from the stream.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha1
from typing import Any
from urllib.parse import quote

from redis.asyncio import Redis, RedisCluster
from redis.exceptions import NoScriptError

from chat.entry import Stamp
from chat.limits import BusLimits


class Script:
    """A script by its digest: the server has it after the first time."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.digest = sha1(text.encode(), usedforsecurity=False).hexdigest()


# KEYS head log said once…; ARGV channel node number log_entries idle_s once_s, then (index of a once key or 0, data)…
APPEND = Script("""
local epoch = redis.call('HGET', KEYS[1], 'epoch')
if not epoch then return {'none'} end
if tonumber(ARGV[3]) <= tonumber(redis.call('GET', KEYS[3]) or '0') then return {'again', epoch} end
redis.call('SET', KEYS[3], ARGV[3], 'EX', ARGV[6])
local taken = {}
for i = 7, #ARGV, 2 do
  local once = tonumber(ARGV[i])
  if once == 0 or redis.call('SET', KEYS[once], 1, 'NX', 'EX', ARGV[6]) then taken[#taken + 1] = ARGV[i + 1] end
end
if #taken == 0 then return {'again', epoch} end
local seq = redis.call('HINCRBY', KEYS[1], 'seq', 1)
local payload = seq .. ' ' .. epoch .. ' ' .. ARGV[2] .. ' ' .. ARGV[3] .. '\\n[' .. table.concat(taken, ',') .. ']'
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[4], seq .. '-0', 'p', payload)
redis.call('SPUBLISH', ARGV[1], payload)
if seq % 64 == 1 then
  redis.call('EXPIRE', KEYS[1], ARGV[5])
  redis.call('EXPIRE', KEYS[2], ARGV[5])
end
return {'ok', epoch, seq}
""")

# KEYS head log present; ARGV epoch seq stamp node
READ = Script("""
local head = redis.call('HMGET', KEYS[1], 'epoch', 'seq', 'cseq')
if not head[1] then return {'none'} end
local seq, cseq, mine = tonumber(head[2]), tonumber(head[3]), tonumber(ARGV[2])
local forked, others, people = 0, 0, 0
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local present = redis.call('HGETALL', KEYS[3])
for i = 1, #present, 2 do
  local count, expires = string.match(present[i + 1], '^(%d+):(%d+)$')
  if present[i] ~= ARGV[4] and tonumber(expires) > now then
    others = others + 1
    people = people + tonumber(count)
  end
end
if ARGV[1] == head[1] then
  local same = mine == 0
  if mine > seq then
    forked = 1
  elseif mine > 0 then
    local entry = redis.call('XRANGE', KEYS[2], mine .. '-0', mine .. '-0')[1]
    if entry then
      local start = mine .. ' ' .. head[1] .. ' ' .. ARGV[3] .. '\\n'
      same = string.sub(entry[2][2], 1, #start) == start
      if not same then forked = 1 end
    end
  end
  if same then return {'on', people, redis.call('XRANGE', KEYS[2], (mine + 1) .. '-0', '+')} end
end
local first = redis.call('XRANGE', KEYS[2], (cseq + 1) .. '-0', '+', 'COUNT', 1)[1]
if cseq < seq and (not first or first[1] ~= (cseq + 1) .. '-0') then return {'gap', head[1], seq} end
local log = redis.call('XRANGE', KEYS[2], (cseq + 1) .. '-0', '+')
local kept = redis.call('HMGET', KEYS[1], 'cdata', 'cby')
return {'take', head[1], cseq, kept[1], kept[2], log, others, people, forked}
""")

# KEYS head log once…; ARGV channel expected_epoch expected_seq epoch state node idle_s once_s
MAKE = Script("""
local head = redis.call('HMGET', KEYS[1], 'epoch', 'seq')
if (head[1] or '') ~= ARGV[2] or (head[1] and head[2] ~= ARGV[3]) then return 0 end
redis.call('DEL', KEYS[2])
redis.call('HSET', KEYS[1], 'epoch', ARGV[4], 'seq', 0, 'cseq', 0, 'cdata', ARGV[5], 'cby', ' 0')
redis.call('EXPIRE', KEYS[1], ARGV[7])
for i = 3, #KEYS do redis.call('SET', KEYS[i], 1, 'EX', ARGV[8]) end
redis.call('SPUBLISH', ARGV[1], '0 ' .. ARGV[4] .. ' ' .. ARGV[6] .. ' 0\\n[]')
return 1
""")

# KEYS head; ARGV epoch seq state stamp
KEEP = Script("""
local head = redis.call('HMGET', KEYS[1], 'epoch', 'cseq')
if head[1] ~= ARGV[1] or tonumber(head[2]) > tonumber(ARGV[2]) then return 0 end
redis.call('HSET', KEYS[1], 'cseq', ARGV[2], 'cdata', ARGV[3], 'cby', ARGV[4])
return 1
""")

# KEYS present head figures; ARGV node people expires_ms figures wanted. People below 0: the node leaves.
COUNT = Script("""
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if tonumber(ARGV[2]) < 0 then
  redis.call('HDEL', KEYS[1], ARGV[1])
  redis.call('HDEL', KEYS[3], ARGV[1])
else
  redis.call('HSET', KEYS[3], ARGV[1], (now + ARGV[3]) .. ':' .. ARGV[4])
  redis.call('PEXPIRE', KEYS[3], ARGV[3])
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. ':' .. (now + ARGV[3]))
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
end
local others = 0
local present = redis.call('HGETALL', KEYS[1])
for i = 1, #present, 2 do
  local people, expires = string.match(present[i + 1], '^(%d+):(%d+)$')
  if tonumber(expires) <= now then
    redis.call('HDEL', KEYS[1], present[i])
  elseif present[i] ~= ARGV[1] then
    others = others + tonumber(people)
  end
end
local told = {}
if ARGV[5] == '1' then
  local figures = redis.call('HGETALL', KEYS[3])
  for i = 1, #figures, 2 do
    local expires, counted = string.match(figures[i + 1], '^(%d+):(.*)$')
    if tonumber(expires) <= now then
      redis.call('HDEL', KEYS[3], figures[i])
    elseif figures[i] ~= ARGV[1] then
      told[#told + 1] = counted
    end
  end
end
local head = redis.call('HMGET', KEYS[2], 'epoch', 'seq')
return {others, head[1] or '', tonumber(head[2] or '0'), told}
""")


# KEYS head; ARGV channel epoch node
ASK = Script("""
return redis.call('SPUBLISH', ARGV[1], '0 ' .. ARGV[2] .. ' ' .. ARGV[3] .. ' 0\\nwanted')
""")
WANTED = b"wanted"
"""What stands in place of messages when a node asks for a checkpoint."""


@dataclass(frozen=True, slots=True)
class Appended:
    """How an entry was taken; `epoch` is empty when the bus knows nothing of the room."""

    epoch: str


@dataclass(frozen=True, slots=True)
class Nothing:
    """The bus knows nothing of the room."""


@dataclass(frozen=True, slots=True)
class GoOn:
    """The entries that were missed, as published, and the people on other nodes."""

    payloads: list[bytes]
    people: int


@dataclass(frozen=True, slots=True)
class TakeOver:
    """A checkpoint, the entry it stands after, and the entries since.

    `others` are the nodes that have the room, `people` those there; `forked` tells that the bus has forgotten what this
    node had seen.
    """

    epoch: str
    sequence: int
    stamp: Stamp
    state: bytes
    payloads: list[bytes]
    others: int
    people: int
    forked: bool


@dataclass(frozen=True, slots=True)
class Gap:
    """The checkpoint is older than the log."""

    epoch: str
    sequence: int


@dataclass(frozen=True, slots=True)
class Counted:
    """People on other nodes, and how far the log is; `epoch` is empty when the bus knows nothing of the room."""

    others: int
    epoch: str
    sequence: int
    figures: list[bytes]
    """What the other nodes count; empty when that was not asked for."""


class RoomLog:
    """The log of each room. Every call raises RedisError or OSError when the bus does not answer in `answer_s`."""

    def __init__(self, client: Redis | RedisCluster, node: str, limits: BusLimits) -> None:
        self._client: Any = client
        self._node = node
        self._limits = limits
        self._places = asyncio.Semaphore(limits.connections)

    @staticmethod
    def channel(room: str) -> str:
        """Return the name of a room's channel."""
        return f"siyu:{{{quote(room, safe='')}}}"

    def _key(self, room: str, name: str) -> str:
        return f"{self.channel(room)}:{name}"

    async def _run(self, script: Script, keys: Sequence[str], *arguments: str | bytes | int) -> Any:
        async with self._places:
            try:
                return await self._client.evalsha(script.digest, len(keys), *keys, *arguments)
            except NoScriptError:
                return await self._client.eval(script.text, len(keys), *keys, *arguments)

    async def ping(self) -> None:
        """Return when the bus answers; of a cluster, each of its primaries."""
        where = {"target_nodes": RedisCluster.PRIMARIES} if isinstance(self._client, RedisCluster) else {}
        async with self._places:
            await self._client.ping(**where)

    async def find(self, room: str) -> None:
        """Ask for a room's key: a client of a cluster that had its slot elsewhere learns where it is."""
        async with self._places:
            await self._client.exists(self._key(room, "head"))

    async def append(self, room: str, number: int, items: Sequence[tuple[str, bytes]]) -> Appended:
        """Add an entry of `(once, messages)`, and publish it; one that was added before changes nothing."""
        key = partial(self._key, room)
        keys = [key("head"), key("log"), key(f"said:{self._node}")]
        flat: list[str | bytes | int] = []
        for once, data in items:
            if once:
                keys.append(key(f"once:{once}"))
            flat += [len(keys) if once else 0, data]
        limits = self._limits
        bounds = (limits.log_entries, limits.idle_s, limits.once_s)
        answer = await self._run(APPEND, keys, self.channel(room), self._node, number, *bounds, *flat)
        return Appended("" if answer[0] == b"none" else answer[1].decode())

    async def read(self, room: str, epoch: str, sequence: int, stamp: Stamp) -> Nothing | GoOn | TakeOver | Gap:
        """Read what leads on from an entry that this node has; from none when `epoch` is empty."""
        keys = [self._key(room, name) for name in ("head", "log", "present")]
        answer = await self._run(READ, keys, epoch, sequence, f"{stamp.node} {stamp.number}", self._node)
        kind = answer[0]
        if kind == b"none":
            return Nothing()
        if kind == b"gap":
            return Gap(answer[1].decode(), answer[2])
        if kind == b"on":
            return GoOn(_payloads(answer[2]), answer[1])
        _, found, after, state, by, log, others, people, forked = answer
        node, _, number = by.decode().partition(" ")
        stamp, payloads = Stamp(node, int(number)), _payloads(log)
        return TakeOver(found.decode(), after, stamp, state, payloads, others, people, bool(forked))

    async def make(
        self, room: str, epoch: str, state: bytes, told: Sequence[str] = (), *, instead: tuple[str, int] = ("", 0)
    ) -> bool:
        """Begin an epoch with a state: where there was nothing, or `instead` of an (epoch, sequence); tell whether.

        `told` are the ids of what the state has and no entry told.
        """
        keys = [self._key(room, name) for name in ("head", "log", *(f"once:{once}" for once in told))]
        limits = self._limits
        bounds = (limits.idle_s, limits.once_s)
        return bool(await self._run(MAKE, keys, self.channel(room), *instead, epoch, state, self._node, *bounds))

    async def keep(self, room: str, epoch: str, sequence: int, stamp: Stamp, state: bytes) -> None:
        """Write a checkpoint down, unless there is a newer one or another epoch."""
        await self._run(KEEP, [self._key(room, "head")], epoch, sequence, state, f"{stamp.node} {stamp.number}")

    async def ask(self, room: str, epoch: str) -> None:
        """Ask those who are in step to write a checkpoint down."""
        await self._run(ASK, [self._key(room, "head")], self.channel(room), epoch, self._node)

    async def count(self, room: str, people: int, figures: bytes = b"", *, wanted: bool = False) -> Counted:
        """Tell how many people are here, -1 when the node leaves the room, and what it counts; return what others told.

        `wanted` brings along what the other nodes count.
        """
        keys = [self._key(room, name) for name in ("present", "head", "figures")]
        expires_ms = self._limits.count_expires_ms
        answer = await self._run(COUNT, keys, self._node, people, expires_ms, figures, int(wanted))
        others, epoch, sequence, told = answer
        return Counted(others, epoch.decode(), sequence, list(told))


def _payloads(entries: Sequence[Any]) -> list[bytes]:
    return [fields[1] for _, fields in entries]
