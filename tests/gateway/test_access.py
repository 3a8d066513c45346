"""Publish keys and play tokens: who may broadcast and who may watch, in the same words on every way in and out."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from commerce.access_sql import KEYS_MAX, StreamAccess
from gateway.access import Access
from tests.gateway.rig import Rig, rig
from tests.gateway.test_whep import SDP
from tests.gateway.test_whep import make_offer as viewer_offer
from tests.gateway.test_whip import make_offer as host_offer
from tests.stream import rtmp_peer
from tests.stream.media import Clip, make_clip
from tests.stream.stage import Host

PATIENCE_S = 60


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Rig]:
    async with rig(tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def clip() -> Clip:
    return make_clip(2, (160, 96), b_frames=0)


async def broadcast(made: Rig, clip: Clip) -> None:
    """Send faster than real time until cancelled: HLS has its first segment soon."""
    services = made.application.services
    publication = services.directory.publish(made.shop.room, Host(), services.clock())
    try:
        for packet in clip.looped(3_600):
            publication.push(packet, services.clock())
            await asyncio.sleep(0.004)
    finally:
        publication.end("over", services.clock())


@pytest.fixture
async def private(tmp_path: Path, clip: Clip) -> AsyncIterator[Rig]:
    """A live room that only bearers of a token may watch."""
    async with rig(tmp_path, play_auth=True) as made:
        host = asyncio.create_task(broadcast(made, clip))
        async with asyncio.timeout(PATIENCE_S):
            while not made.application.services.directory.info(made.shop.room).live:
                await asyncio.sleep(0.01)
        yield made
        host.cancel()
        await asyncio.gather(host, return_exceptions=True)


class RtmpPeer:
    """A raw RTMP connection and what the server said on it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.heard = b""

    async def status(self, wanted: str) -> dict[str, Any]:
        """The first status whose code holds ``wanted``; fails when the server closes before."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                for values in rtmp_peer.commands(self.heard[rtmp_peer.SERVER_HANDSHAKE_BYTES :]):
                    found = values[-1]
                    if isinstance(found, dict) and wanted in str(found["code"]):
                        return found
                more = await self.reader.read(65_536)
                assert more, f"closed without {wanted}"
                self.heard += more

    async def closed(self) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while await self.reader.read(65_536):
                pass


@contextlib.asynccontextmanager
async def rtmp(made: Rig, request: bytes) -> AsyncIterator[RtmpPeer]:
    reader, writer = await asyncio.open_connection("127.0.0.1", made.application.addresses.rtmp_port)
    try:
        writer.write(rtmp_peer.HELLO + rtmp_peer.connect() + request)
        yield RtmpPeer(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def play(name: str) -> bytes:
    return rtmp_peer.command("createStream", 2, None) + rtmp_peer.command("play", 3, None, name, stream_id=1)


async def make_key(made: Rig, name: str = "OBS 演播室", room: str | None = None, **more: Any) -> dict[str, Any]:
    path, token = f"/rooms/{room or made.shop.room}/keys", made.shop.merchant_token
    answer = await made.call("POST", path, {"name": name, **more}, token=token)
    assert answer.status_code == 201, answer.text
    key: dict[str, Any] = answer.json()
    return key


async def revoke_key(made: Rig, key: str) -> None:
    answer = await made.call("DELETE", f"/rooms/{made.shop.room}/keys/{key}", token=made.shop.host_token)
    assert answer.status_code == 200, answer.text


async def keys(made: Rig) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = (
        await made.call("GET", f"/rooms/{made.shop.room}/keys", token=made.shop.host_token)
    ).json()
    return listed


def text_of(key: dict[str, Any]) -> str:
    """What stands behind ``?key=``."""
    text: str = key["publish"]["stream_key"].partition("?key=")[2]
    return text


async def whip(made: Rig, token: str, room: str | None = None) -> tuple[int, str, str]:
    """Status, code and words of the answer to a WHIP host with a good offer."""
    headers = {**SDP, "authorization": f"Bearer {token}"}
    answer = await made.client.post(f"/whip/{room or made.shop.room}", content=await host_offer(), headers=headers)
    if answer.status_code == 201:
        await made.client.delete(answer.headers["location"])
        return 201, "", ""
    return answer.status_code, answer.json()["code"], answer.json()["detail"]


# — keys —


async def test_a_named_key_opens_its_room_to_rtmp_and_whip_and_the_rooms_own_goes_on(shop: Rig) -> None:
    named = await make_key(shop)
    assert named["publish"]["url"].endswith(f"/live/{shop.shop.room}?key={text_of(named)}")
    for key in (text_of(named), shop.shop.stream_key):
        assert await whip(shop, key) == (201, "", "")
        async with rtmp(shop, rtmp_peer.publish(f"{shop.shop.room}?key={key}")) as host:
            await host.status("NetStream.Publish.Start")
    assert [(key["key"] == "room", key["name"], key["state"]) for key in await keys(shop)] == [
        (True, "", "good"),
        (False, "OBS 演播室", "good"),
    ]


@pytest.mark.parametrize(
    ("what", "code", "words"),
    [
        ("expired", "key_expired", "has expired"),
        ("revoked", "key_revoked", "was revoked"),
        ("elsewhere", "key_address", "from this address"),
        ("tampered", "token", "room or stream key is wrong"),
        ("other room", "token", "room or stream key is wrong"),
    ],
)
async def test_a_key_that_is_no_good_is_refused_by_rtmp_and_whip_alike(
    shop: Rig, what: str, code: str, words: str
) -> None:
    if what == "elsewhere":
        text = text_of(await make_key(shop, network="203.0.113.0/24"))
    elif what == "expired":
        text = text_of(await make_key(shop, expires=shop.clock() + 60_000))
        shop.clock.ahead_ms += 61_000
    elif what == "other room":
        answer = await shop.call("POST", "/rooms", {"title": "另一间"}, token=shop.shop.merchant_token)
        text = text_of(await make_key(shop, room=answer.json()["id"]))
    else:
        key = await make_key(shop)
        text = text_of(key)
        if what == "revoked":
            await revoke_key(shop, key["key"])
        else:
            text = text[:-1] + ("a" if text[-1] != "a" else "b")
    status, answered, detail = await whip(shop, text)
    assert (status, answered) == (403 if what == "elsewhere" else 401, code)
    async with rtmp(shop, rtmp_peer.publish(f"{shop.shop.room}?key={text}")) as host:
        told = await host.status("NetStream.Publish.BadName")
        assert words in told["description"]
        # A key that we made is answered with the same words everywhere; another one may be a token for WHIP.
        assert code == "token" or told["description"] == detail
        await host.closed()
    assert text not in str(told)


async def test_revoking_a_key_ends_the_broadcast_that_it_opened_and_says_why(shop: Rig) -> None:
    key, other = await make_key(shop), await make_key(shop, "手机")
    request = rtmp_peer.publish(f"{shop.shop.room}?key={text_of(key)}")
    async with rtmp(shop, request) as host:
        await host.status("NetStream.Publish.Start")
        live = {entry["key"]: entry["live"] for entry in await keys(shop)}
        assert live == {"room": False, key["key"]: True, other["key"]: False}
        await revoke_key(shop, other["key"])
        assert shop.application.services.directory.origins()[shop.shop.room].name == "OBS 演播室"
        await revoke_key(shop, key["key"])
        told = await host.status("NetStream.Publish.BadName")
        assert "the stream key was revoked" in told["description"]
        await host.closed()
    assert shop.application.services.directory.origins() == {}
    assert {entry["state"] for entry in (await keys(shop))[1:]} == {"revoked"}
    assert all(entry["publish"] is None for entry in (await keys(shop))[1:])


async def test_revoking_a_key_ends_a_whip_host_too(shop: Rig) -> None:
    key = await make_key(shop)
    headers = {**SDP, "authorization": f"Bearer {text_of(key)}"}
    opened = await shop.client.post(f"/whip/{shop.shop.room}", content=await host_offer(), headers=headers)
    assert opened.status_code == 201
    await revoke_key(shop, key["key"])
    assert (await shop.client.delete(opened.headers["location"])).status_code == 404
    assert (await whip(shop, text_of(key)))[:2] == (401, "key_revoked")


async def test_the_rooms_own_key_is_renewed_when_it_is_revoked(shop: Rig) -> None:
    await revoke_key(shop, "room")
    fresh = text_of((await keys(shop))[0])
    assert fresh != shop.shop.stream_key
    assert (await whip(shop, shop.shop.stream_key))[0] == 401
    assert (await whip(shop, fresh))[0] == 201
    streams = await shop.call("GET", f"/rooms/{shop.shop.room}/streams", token=shop.shop.host_token)
    assert streams.json()["publish"]["stream_key"].endswith(f"?key={fresh}")


async def test_what_was_revoked_stays_so_after_a_restart(shop: Rig) -> None:
    services = shop.application.services
    key, kept = await make_key(shop), await make_key(shop, "手机")
    await revoke_key(shop, key["key"])
    await revoke_key(shop, "room")
    await services.access.revoke_token(shop.shop.room, "abc")
    again = Access(
        StreamAccess(services.catalogue._store, clock=shop.clock),
        secrets=services.secrets,
        tokens=services.tokens,
        rooms=services.rooms,
        directory=services.directory,
        clock=shop.clock,
    )
    await again.load()
    assert again.keys(shop.shop.room) == services.access.keys(shop.shop.room)
    assert [view.state for view in again.keys(shop.shop.room)] == ["good", "revoked", "good"]
    assert again.key_origin(shop.shop.room, text_of(kept), "127.0.0.1", "rtmp").name == "手机"
    assert again._revoked == services.access._revoked


async def test_a_room_has_a_bounded_number_of_keys_and_only_its_staff_see_them(shop: Rig) -> None:
    path = f"/rooms/{shop.shop.room}/keys"
    for number in range(KEYS_MAX):
        await make_key(shop, f"第{number}号")
    more = await shop.call("POST", path, {"name": "x"}, token=shop.shop.host_token)
    assert (more.status_code, more.json()["code"]) == (422, "limit")
    guest = (await shop.guest())["token"]
    assert (await shop.call("GET", path, token=guest)).status_code == 403
    assert (await shop.call("GET", path, token=shop.other.host_token)).status_code == 404
    assert (await shop.call("DELETE", f"{path}/none", token=shop.shop.host_token)).status_code == 404
    for bad in ({"name": ""}, {"name": "x", "network": "here"}, {"name": "x", "expires": 1}):
        assert (await shop.call("POST", path, bad, token=shop.shop.host_token)).status_code == 400


# — play tokens —


async def play_token(made: Rig, room: str | None = None, ttl_s: int = 3600) -> dict[str, Any]:
    path, token = f"/rooms/{room or made.shop.room}/play-tokens", made.shop.merchant_token
    answer = await made.call("POST", path, {"ttl_s": ttl_s}, token=token)
    assert answer.status_code == 201, answer.text
    minted: dict[str, Any] = answer.json()
    return minted


async def bad_token(made: Rig, what: str) -> str:
    if what == "missing":
        return ""
    if what == "other room":
        answer = await made.call("POST", "/rooms", {"title": "另一间"}, token=made.shop.merchant_token)
        return str((await play_token(made, answer.json()["id"]))["token"])
    minted = await play_token(made, ttl_s=60)
    text = str(minted["token"])
    if what == "tampered":
        head, body, signature = text.split(".")
        return f"{head}.{body[:-2]}{'A' if body[-2] != 'A' else 'B'}{body[-1]}.{signature}"
    if what == "expired":
        made.clock.ahead_ms += 61_000
    elif what == "revoked":
        path = f"/rooms/{made.shop.room}/play-tokens/{minted['id']}"
        assert (await made.call("DELETE", path, token=made.shop.host_token)).json() == {"closed": 0}
    else:
        made.clock.ahead_ms += 5
        await made.call("DELETE", f"/rooms/{made.shop.room}/play-tokens", token=made.shop.host_token)
    return text


def http_outputs(room: str) -> list[str]:
    return [
        f"/live/{room}.flv",
        f"/live/{room}.mp4",
        f"/live/{room}/index.m3u8",
        f"/live/{room}/media.m3u8",
        f"/live/{room}.jpg",
        f"/replay/{room}/any/index.m3u8",
    ]


@pytest.mark.parametrize(
    ("what", "status", "code"),
    [
        ("missing", 401, "token"),
        ("tampered", 401, "token"),
        ("expired", 401, "token_expired"),
        ("revoked", 401, "token_revoked"),
        ("all revoked", 401, "token_revoked"),
        ("other room", 403, "forbidden"),
    ],
)
async def test_a_token_that_is_no_good_is_refused_in_the_same_words_by_every_output(
    private: Rig, what: str, status: int, code: str
) -> None:
    token, room = await bad_token(private, what), private.shop.room
    said = set()
    for path in http_outputs(room):
        answer = await private.client.get(path, params={"token": token} if token else {})
        assert (answer.status_code, answer.json()["code"]) == (status, code), path
        said.add(answer.json()["detail"])
    headers = {**SDP, **({"authorization": f"Bearer {token}"} if token else {})}
    watched = await private.client.post(f"/whep/{room}", content=await viewer_offer(), headers=headers)
    assert (watched.status_code, watched.json()["code"]) == (status, code)
    said.add(watched.json()["detail"])
    async with rtmp(private, play(f"{room}?token={token}" if token else room)) as player:
        said.add((await player.status("NetStream.Play.Failed"))["description"])
    assert len(said) == 1, said


async def test_a_play_token_opens_playback_and_nothing_else(private: Rig) -> None:
    token, room = (await play_token(private))["token"], private.shop.room
    children = await private.client.get(f"/live/{room}/index.m3u8", params={"token": token})
    assert children.status_code == 200
    assert f"media.m3u8?token={token}" in children.text
    headers = {**SDP, "authorization": f"Bearer {token}"}
    assert (
        await private.client.post(f"/whep/{room}", content=await viewer_offer(), headers=headers)
    ).status_code == 201
    async with rtmp(private, play(f"{room}?token={token}")) as player:
        await player.status("NetStream.Play.Start")
    for method, path in (("GET", "/orders"), ("GET", f"/rooms/{room}/keys"), ("POST", f"/rooms/{room}/messages")):
        answer = await private.call(method, path, {} if method == "POST" else None, token=token)
        assert (answer.status_code, answer.json()["code"]) == (401, "token"), path
    assert (await whip(private, token))[0] == 401


async def test_media_of_a_private_room_is_not_for_shared_caches(private: Rig) -> None:
    token, room = (await play_token(private))["token"], private.shop.room
    media = await private.client.get(f"/live/{room}/media.m3u8", params={"token": token})
    name = next(line for line in media.text.splitlines() if line and not line.startswith("#"))
    segment = await private.client.get(f"/live/{room}/{name}")
    assert segment.status_code == 200
    assert segment.headers["cache-control"].startswith("private")


async def test_viewers_of_a_revoked_token_are_closed_and_others_stay(private: Rig) -> None:
    room, directory = private.shop.room, private.application.services.directory
    first, second = await play_token(private), await play_token(private)
    watching = private.application.streaming.visits.stats
    headers = {**SDP, "authorization": f"Bearer {first['token']}"}
    session = await private.client.post(f"/whep/{room}", content=await viewer_offer(), headers=headers)
    async with (
        rtmp(private, play(f"{room}?token={first['token']}")) as gone,
        rtmp(private, play(f"{room}?token={second['token']}")) as stays,
    ):
        await gone.status("NetStream.Play.Start")
        await stays.status("NetStream.Play.Start")
        assert watching().present == 3
        path = f"/rooms/{room}/play-tokens/{first['id']}"
        closed = await private.call("DELETE", path, token=private.shop.host_token)
        assert closed.json() == {"closed": 2}
        told = await gone.status("NetStream.Play.Failed")
        assert told["description"] == "this token was revoked: ask for a new one"
        await gone.closed()
        assert (await private.client.delete(session.headers["location"])).status_code == 404
        relay = directory.find(room)
        assert relay is not None and relay.has_readers and watching().present == 1
        private.clock.ahead_ms += 5
        everyone = await private.call("DELETE", f"/rooms/{room}/play-tokens", token=private.shop.host_token)
        assert everyone.json() == {"closed": 1}
        await stays.status("NetStream.Play.Failed")
        await stays.closed()
    private.clock.ahead_ms += 5
    fresh = await play_token(private)
    assert (await private.client.get(f"/live/{room}/index.m3u8", params={"token": fresh["token"]})).status_code == 200


async def test_a_viewer_whose_play_token_ends_is_closed_and_one_with_a_token_of_its_own_is_not(private: Rig) -> None:
    room, visits = private.shop.room, private.application.streaming.visits
    brief, guest = await play_token(private, ttl_s=60), (await private.guest())["token"]
    async with (
        rtmp(private, play(f"{room}?token={brief['token']}")) as gone,
        rtmp(private, play(f"{room}?token={guest}")) as stays,
    ):
        await gone.status("NetStream.Play.Start")
        await stays.status("NetStream.Play.Start")
        visits.sweep(private.clock())
        assert visits.stats().expelled == 0
        visits.sweep(brief["expires"])
        told = await gone.status("NetStream.Play.Failed")
        assert told["description"] == "this token has expired: sign in again, or ask for a new one"
        await gone.closed()
        visits.sweep(private.clock() + 7 * 86_400_000)
        assert (visits.stats().present, visits.stats().expelled) == (1, 1)


async def test_hls_viewers_are_told_apart_and_gone_when_they_ask_no_more(private: Rig) -> None:
    room, visits = private.shop.room, private.application.streaming.visits
    seen: list[tuple[str, bool]] = []
    visits.listen(lambda visit, began: seen.append((visit.protocol, began)))
    first, second = await play_token(private), await play_token(private)
    for token in (first, second, first):
        assert (await private.client.get(f"/live/{room}/media.m3u8?token={token['token']}")).status_code == 200
    assert (visits.stats().present, seen) == (2, [("hls", True)] * 2)
    visits.sweep(private.clock() + 10_000)
    assert visits.stats().present == 2
    visits.sweep(private.clock() + 31_000)
    assert (visits.stats().present, seen[2:]) == (0, [("hls", False)] * 2)


async def test_revoking_every_token_leaves_staff_watching(private: Rig) -> None:
    room = private.shop.room
    guest = (await private.guest())["token"]
    for token in (guest, private.shop.host_token):
        assert (await private.client.get(f"/live/{room}/index.m3u8", params={"token": token})).status_code == 200
    private.clock.ahead_ms += 5
    await private.call("DELETE", f"/rooms/{room}/play-tokens", token=private.shop.host_token)
    refused = await private.client.get(f"/live/{room}/index.m3u8", params={"token": guest})
    assert refused.json()["code"] == "token_revoked"
    kept = await private.client.get(f"/live/{room}/index.m3u8", params={"token": private.shop.host_token})
    assert kept.status_code == 200
    # The chat is another door: it has bans.
    assert private.application.services.tokens.read(guest)


# — limits —


async def test_a_merchant_is_live_in_as_many_rooms_as_it_may(tmp_path: Path) -> None:
    async with rig(tmp_path, streams_per_merchant=1) as made:
        answer = await made.call("POST", "/rooms", {"title": "另一间"}, token=made.shop.merchant_token)
        second = await make_key(made, room=answer.json()["id"])
        async with rtmp(made, rtmp_peer.publish(f"{made.shop.room}?key={made.shop.stream_key}")) as host:
            await host.status("NetStream.Publish.Start")
            status, code, detail = await whip(made, text_of(second), answer.json()["id"])
            assert (status, code) == (429, "too_many_streams")
            async with rtmp(made, rtmp_peer.publish(f"{answer.json()['id']}?key={text_of(second)}")) as more:
                assert (await more.status("NetStream.Publish.Denied"))["description"] == detail
            # Another merchant is not concerned.
            assert (await whip(made, made.other.stream_key, made.other.room))[0] == 201
        assert made.application.doors.hosts_refused == 2


async def test_players_of_one_address_are_bounded_behind_one_proxy_too(tmp_path: Path) -> None:
    async with rig(tmp_path, connections_per_address=1, forwarded_allow_ips=("10.0.0.1",)) as made:
        streaming, room = made.application.streaming, made.shop.room
        scope = {"path": f"/live/{room}.flv", "method": "GET", "query_string": b"", "headers": []}
        assert streaming.take(scope, "203.0.113.5", lambda: None) is not None
        assert streaming.take(scope, "203.0.113.5", lambda: None) is None
        refused = await streaming._playback_problem(f"{room}.flv", scope, "203.0.113.5")
        assert refused.code == "too_many_connections"
        assert streaming.visits.stats().refused_address == 1
        assert streaming.take(scope, "203.0.113.6", lambda: None) is not None


async def test_webrtc_sessions_of_one_address_are_bounded_in_words(tmp_path: Path, clip: Clip) -> None:
    async with rig(tmp_path, connections_per_address=1, loopback_exempt=False) as made:
        headers = {**SDP, "authorization": f"Bearer {made.shop.stream_key}"}
        path, offer = f"/whip/{made.shop.room}", await host_offer()
        opened = await made.client.post(path, content=offer, headers=headers)
        assert opened.status_code == 201, opened.text
        refused = await made.client.post(path, content=offer, headers=headers)
        assert (refused.status_code, refused.json()["code"]) == (429, "too_many_sessions")
        assert "retry-after" in refused.headers
        assert made.application.streaming.webrtc.stats().refused == 1
        await made.client.delete(opened.headers["location"])
        host = asyncio.create_task(broadcast(made, clip))
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not (relay := made.application.services.directory.find(made.shop.room)) or not relay.playing:
                    await asyncio.sleep(0.01)
            path, offer = f"/whep/{made.shop.room}", await viewer_offer()
            answers = [await made.client.post(path, content=offer, headers=SDP) for _ in range(2)]
            assert [answer.status_code for answer in answers] == [201, 429]
            assert made.application.streaming.visits.stats().present == 1
        finally:
            host.cancel()
            await asyncio.gather(host, return_exceptions=True)
