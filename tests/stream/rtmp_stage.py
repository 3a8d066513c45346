"""An RTMP server for hosts and players on loopback, and outside programs that use it."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from stream.directory import Directory, DirectoryLimits, Publication
from stream.errors import PlayRefused, PublishRefused
from stream.fanout import ViewerLimits
from stream.ingest_rtmp import RtmpIngest
from stream.output_rtmp import RtmpOutput
from stream.packet import Packet
from stream.rtmp_peers import PlayRequest, PublishRequest, RtmpLimits
from stream.rtmp_server import RtmpServer
from tests.stream.stage import PATIENT, Host, clock_ms

KEY = "s3cret-k3y"
TOKEN = "t0k3n"
PATIENCE_S = 90.0


async def check_key(request: PublishRequest) -> None:
    good = request.proof.matches(KEY) if request.proof else request.key == KEY
    if not good:
        raise PublishRefused("NetStream.Publish.BadName", "Wrong stream key. Copy it from the host console.")


async def check_token(request: PlayRequest) -> None:
    if request.room.startswith("private") and request.token != TOKEN:
        raise PlayRefused("NetStream.Play.Failed", "A token is needed to play here.")


@dataclass
class RtmpStage:
    """Directory, ingest, output and server of one test."""

    directory: Directory
    output: RtmpOutput
    server: RtmpServer
    port: int

    def publish(self, room: str = "room") -> Publication:
        return self.directory.publish(room, Host(), clock_ms())

    async def feed(self, publication: Publication, packets: Iterable[Packet], shift_ms: int = 0) -> None:
        """Push packets as fast as the loop takes them."""
        for count, packet in enumerate(packets):
            publication.push(replace(packet, dts_ms=packet.dts_ms + shift_ms), clock_ms())
            if count % 8 == 0:
                await asyncio.sleep(0)

    def url(self, name: str = "room", scheme: str = "rtmp", user: str = "", app: str = "live") -> str:
        return f"{scheme}://{user}127.0.0.1:{self.port}/{app}/{name}"

    async def until_players(self, count: int) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while self.output.viewers != count:
                await asyncio.sleep(0.005)


@asynccontextmanager
async def rtmp_stage(limits: ViewerLimits | None = None, rtmp: RtmpLimits | None = None) -> AsyncIterator[RtmpStage]:
    directory = Directory(clock_ms, DirectoryLimits(linger_ms=1000))
    output = RtmpOutput(directory, check_token, clock_ms, limits or PATIENT)
    server = RtmpServer(RtmpIngest(directory, check_key), output, clock=clock_ms, limits=rtmp)
    port = await server.start("127.0.0.1", 0)
    directory.start()
    try:
        yield RtmpStage(directory, output, server, port)
    finally:
        directory.close()
        await server.close()


async def run(*command: str) -> tuple[int, str, str]:
    """Run a program; its exit code, what it wrote, what it said."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(PATIENCE_S):
            out, said = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    assert process.returncode is not None
    return process.returncode, out.decode(errors="replace"), said.decode(errors="replace")
