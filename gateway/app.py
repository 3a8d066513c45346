"""Wiring: every part is made here, by constructor, and handed to those that need it. Nothing else is global."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

import msgspec
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from chat.audit import AuditEntry, brief
from chat.message import JoinRequest, parse_since
from commerce.attribution.touches_sql import open_touch_log
from commerce.catalogue import Catalogue
from commerce.staff_actions_sql import StaffActions
from commerce.store_sql import open_store
from gateway.addresses import Addresses
from gateway.advice_told import teller
from gateway.api import Api, Call, Operation
from gateway.api_contract import openapi
from gateway.audit import RoomAudit
from gateway.auth import HOST_ROLES
from gateway.bills import BillFetcher
from gateway.bridge import Bridge
from gateway.bus import open_nodes
from gateway.claiming import NodeDoors
from gateway.client import CORS_HEADERS, Clients, bearer_token
from gateway.clock import system_clock as system_clock
from gateway.config import VERSION, Settings
from gateway.doors import Doors, ShopDoors, node_id
from gateway.encode import encode_json
from gateway.errors import Problem, no_handshake, problem_response
from gateway.following import Following
from gateway.gate import FILES_RESERVE, RTMP_SHARE, Gate, Taken, refuse_stream
from gateway.hub_contract import asyncapi
from gateway.media import open_media
from gateway.members import member_of
from gateway.metrics import Figures, HostFigures, LedgerFigures, render_metrics
from gateway.nodes import Nodes
from gateway.opening import (
    known_by,
    open_access,
    open_bridge,
    open_desk,
    open_floor,
    open_hooks,
    open_hub,
    open_shop,
    open_shopside,
    open_tokens,
    open_traffic,
    open_webhooks,
)
from gateway.pages import Preflight, page_routes
from gateway.probes import broken, not_allowed, not_found, probe_routes
from gateway.publish_hook import PublishHook
from gateway.ranges import RangesInWords
from gateway.rights import Rights
from gateway.room_events import RoomEvents
from gateway.room_figures import RoomFigures
from gateway.room_floor import RoomFloorKeeper
from gateway.rooms import Room, Rooms
from gateway.routes_access import access_operations, hook_operations
from gateway.routes_advice import advice_operations
from gateway.routes_after_sale import after_sale_operations
from gateway.routes_aftersale import aftersale_operations, statement_operations, webhook_operations
from gateway.routes_auth import auth_operations
from gateway.routes_automations import automation_operations
from gateway.routes_board import board_operations
from gateway.routes_books import book_operations, closing_operations, invoice_operations
from gateway.routes_codes import code_operations
from gateway.routes_communities import community_operations
from gateway.routes_compliance import buyer_operations, policy_operations, record_operations
from gateway.routes_contacts import contact_operations
from gateway.routes_content import content_operations
from gateway.routes_courier import courier_operations
from gateway.routes_credit import credit_operations
from gateway.routes_crm import crm_operations
from gateway.routes_custom import custom_operations
from gateway.routes_distribution import distribution_operations
from gateway.routes_figures import figure_operations
from gateway.routes_goods import sheet_operations
from gateway.routes_guide import guide_operations
from gateway.routes_helping import helping_operations
from gateway.routes_hub import hub_operations
from gateway.routes_identity import identity_operations
from gateway.routes_keepers import keeper_operations
from gateway.routes_market import market_operations
from gateway.routes_members import coupon_operations, goods_operations, mall_operations, member_operations
from gateway.routes_memberships import membership_operations
from gateway.routes_moments import moments_operations
from gateway.routes_orders import order_operations
from gateway.routes_org import org_operations
from gateway.routes_outlets import outlet_operations
from gateway.routes_outreach import outreach_operations
from gateway.routes_partners import partner_operations
from gateway.routes_passes import pass_operations
from gateway.routes_payments import payment_operations, reconciliation_operations, unheard_operations
from gateway.routes_people import people_operations
from gateway.routes_pos import pos_operations
from gateway.routes_privacy import privacy_operations
from gateway.routes_processing import processing_operations
from gateway.routes_products import product_operations
from gateway.routes_purchases import purchase_operations
from gateway.routes_relations import relation_operations
from gateway.routes_review import review_operations
from gateway.routes_rooms import room_operations
from gateway.routes_settlements import settlement_operations
from gateway.routes_shows import show_operations
from gateway.routes_signup import signup_operations
from gateway.routes_stations import station_operations
from gateway.routes_streams import stream_operations
from gateway.routes_takings import takings_operations
from gateway.secrets import open_secrets
from gateway.services import Services
from gateway.stream_reports import StreamReports
from gateway.streaming import Streaming, open_directory, open_slate
from gateway.workers.part import Seat, WorkerPart, pull_limits
from stream.ingest_pull import Puller

logger = logging.getLogger("siyu.app")


class Application:
    """One server's parts and their common life."""

    def __init__(
        self,
        services: Services,
        *,
        bridge: Bridge,
        addresses: Addresses,
        clients: Clients,
        files: int,
        shutters: list[Callable[[], Any]],
        seat: Seat | None = None,
    ) -> None:
        self.services = services
        self.bridge = bridge
        self.addresses = addresses
        self.ready = False
        self._shutters = shutters
        settings = services.settings
        rtmp_connections = max(32, (files - FILES_RESERVE) // RTMP_SHARE)
        self.doors = doors = _shop_doors(services)
        self._nodes = nodes = open_nodes(services, doors.node, addresses.http_port)
        self._worker = worker = None if seat is None else _worker_part(seat, services, doors, nodes)
        self._puller = _puller(services, nodes) if worker is None else worker.puller
        asked: Doors = doors if worker is None else worker.doors
        self.streaming = Streaming(
            settings,
            services.directory,
            asked if nodes is None else NodeDoors(asked, nodes),
            clock=services.clock,
            addresses=addresses,
            clients=clients,
            rtmp_connections=rtmp_connections,
            puller=self._puller,
            fleet=worker,
            is_elsewhere=None if (part := worker or nodes) is None else part.is_elsewhere,
        )
        self._floor = RoomFloorKeeper(services.hub, services.room_floor)
        self._rights = Rights(services.hub, services.org, services.shop.aliases, services.rooms)
        self._following = _following(services, bridge, self.streaming)
        if worker is not None:
            worker.attach([*self.streaming.webrtc_routes.own_sessions(), services.media.own_picture()], self.figures)
        self.reports = StreamReports(services, self.streaming)
        self.bills = BillFetcher(services.shop.reconciliation, services.shop.settlements)
        self.gate = Gate(
            clients,
            connections_max=max(64, files - FILES_RESERVE - rtmp_connections),
            per_address_max=settings.connections_per_address,
            header_timeout_s=settings.header_timeout_s,
            take=self._take,
        )
        operations = _operations(services, addresses, self.streaming, self.reports)
        api = Api(
            operations,
            tokens=services.tokens,
            clients=clients,
            public_url=settings.public_url,
            in_room=services.desk.in_room,
            audit=self._audit_call,
        )
        contract = encode_json(openapi(operations, version=VERSION))
        self.asgi = Starlette(
            routes=[
                *api.routes(),
                *services.media.routes(doors.refuse, None if worker is None else worker.ask_owner),
                *self._probes(contract),
                *self.streaming.routes(),
                *page_routes(services.rooms, addresses),
            ],
            middleware=[Middleware(Preflight), Middleware(RangesInWords)],
            exception_handlers={404: not_found, 405: not_allowed, 500: broken},
        )

    def _probes(self, contract: bytes) -> list[BaseRoute]:
        async def described(request: Request) -> Response:
            return Response(contract, media_type="application/json")

        hub_contract = encode_json(asyncapi(version=VERSION))

        async def hub_described(request: Request) -> Response:
            return Response(hub_contract, media_type="application/json")

        async def hub(request: Request) -> Response:
            return problem_response(no_handshake())

        async def stream(request: Request) -> Response:
            """Only what ``_take`` left: HEAD."""
            return problem_response(Problem(405, "method", "event streams answer GET", headers={"allow": "GET"}))

        return [
            *probe_routes(lambda: self.ready, self._metrics),
            Route("/openapi.json", described),
            Route("/asyncapi.json", hub_described),
            Route("/ws/{room}", hub),
            Route("/sse/{room}", stream),
        ]

    # — doors —

    def _take(self, scope: dict[str, Any], address: str, on_lost: Callable[[], None]) -> Taken | None:
        """Give hub and playback connections to their own protocols; None leaves the request to Starlette."""
        if scope["path"].startswith("/ws/"):
            connection = self.services.hub.connection(address, on_lost=on_lost)
            return Taken(connection, feed_head=True, begin=connection.begin)
        if scope["path"].startswith("/sse/"):
            return self._take_stream(scope, address, on_lost)
        return self.streaming.take(scope, address, on_lost)

    def _take_stream(self, scope: dict[str, Any], address: str, on_lost: Callable[[], None]) -> Taken | None:
        if scope["method"] != "GET":
            return None
        headers = dict(scope["headers"])
        query = parse_qs(scope["query_string"].decode("latin-1"))
        # A browser comes back with the address it began with, so what it read last counts more than what that says.
        since = headers.get(b"last-event-id", b"").decode("latin-1") or query.get("since", [""])[0]
        room = scope["path"].removeprefix("/sse/")
        request = JoinRequest(room, bearer_token(scope["headers"], scope["query_string"]), parse_since(since))
        stream = self.services.hub.event_stream(
            request,
            address,
            headers=CORS_HEADERS,
            refuse=refuse_stream,
            padded=query.get("pad", ["0"])[0] == "1",
            on_lost=on_lost,
        )
        return Taken(stream, feed_head=False)

    def _audit_call(self, operation: Operation, call: Call) -> None:
        """Write down what staff did in a room over HTTP; what the hub did for them it has written down itself."""
        room = call.path.get("room")
        if operation.method == "GET" or room is None or not operation.roles <= HOST_ROLES or operation.by_hub:
            return
        given = {**call.path, **(msgspec.to_builtins(call.body) if call.body is not None else {})}
        del given["room"]
        member = member_of(call.who)
        action = operation.handler.__name__
        self.services.audit(AuditEntry(self.services.clock(), room, member.shown(), action, None, brief(given)))

    async def _metrics(self) -> bytes:
        return render_metrics(self.figures) if self._worker is None else await self._worker.metrics()

    def figures(self) -> Figures:
        """What /metrics shows of each part."""
        services, media = self.services, self.services.media
        ledger = services.shop.ledger
        yield "http", self.gate.counts
        yield "hub", services.hub.totals()
        yield "bus", services.hub.bus_stats()
        yield "record", media.recorder.stats()
        yield "record_disk", media.recorder.disk.stats
        yield "clips", media.clips.stats()
        yield "thumbnails", media.thumbnails.stats()
        yield "stream_health", self.reports.stats()
        yield from self.streaming.figures()
        yield "hosts", HostFigures(self.doors.hosts_refused)
        yield "publish_hook", services.publish_hook.stats()
        yield "review", services.review.stats()
        yield "room_audit", services.audit.stats()
        yield "chat_archive", services.archive.stats()
        yield "webhooks", services.sender.stats()
        yield "messenger", services.messenger.stats()
        yield "media_events", services.media_events.stats()
        yield "payments", services.shop.payments.stats()
        yield "ledger", LedgerFigures(ledger.waiting, ledger.batches, ledger.commands, ledger.losses)
        yield "touches", services.attribution.stats()

    # — life —

    async def start(self) -> None:
        """Open rooms, hub, RTMP and WebRTC. Raises ``OSError`` when a port is taken."""
        services = self.services
        await services.hub.start()
        services.directory.start()
        await services.media.start()
        # The bridge listens before the shop tells what a crash left in its outbox, or nobody would hear it.
        await self.bridge.start()
        services.shop.listen(services.sender.hear)
        services.shop.listen(services.crm.hear)
        await services.shop.start()
        services.sender.start()
        self.bills.start()
        services.distribution.start()
        services.crm.start()
        services.messenger.start()
        services.privacy.start()
        services.advice.tell = teller(services.hub, services.rooms)
        services.advice.start()
        services.helping.start()
        services.market.start()
        services.couriers.start()
        services.darkroom.start()
        await services.media_events.start()
        services.room_events.start()
        services.audit.start()
        await services.archive.start()
        services.room_figures.start()
        self._floor.start()
        services.directory.listen(services.media_events.stream)
        services.media.listen(services.media_events.show)
        self.streaming.visits.listen(services.media_events.visit)
        if self._worker is not None:
            await self._worker.start()
        elif self._puller is not None:
            self._puller.start()
        if self._nodes is not None and self._puller is not None:
            self._nodes.start(self._puller)
        await self.streaming.start()
        if services.settings.database_url is not None:
            self._following.start()

    async def drain(self) -> None:
        """Tell hosts and viewers to go, in paced batches; returns when they have gone."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.services.hub.drain())
            group.create_task(self.streaming.drain())

    async def close(self) -> None:
        """End everything: connections first, then the ledger with what it has acknowledged, then the files.

        What cannot be ended is logged and keeps nothing else from its end.
        """
        services = self.services
        for shut in (
            self._following.close,
            self._floor.close,
            self._rights.close,
            self.bridge.close,
            *([] if self._nodes is None else [self._nodes.close]),
            *([part.close] if (part := self._worker or self._puller) else []),
            *self.streaming.shutters(),
            services.review.close,
            services.room_events.close,
            services.room_figures.close,
            services.hub.close,
            services.audit.close,
            services.archive.close,
            services.directory.close,
            services.media.close,
            services.media_events.close,
            services.sender.close,
            self.bills.close,
            services.distribution.close,
            services.crm.close,
            services.messenger.close,
            services.privacy.close,
            services.advice.close,
            services.helping.close,
            services.market.close,
            services.couriers.close,
            services.darkroom.close,
            *self._shutters,
        ):
            try:
                ended = shut()
                if ended is not None:
                    await ended
            except Exception:
                logger.exception("a part did not end in order")


def _operations(
    services: Services, addresses: Addresses, streaming: Streaming, reports: StreamReports
) -> list[Operation]:
    """All of the JSON API."""
    desk = services.desk
    return [
        *auth_operations(services),
        *room_operations(services, desk, addresses),
        *stream_operations(services, desk, addresses, reports),
        *hub_operations(services, desk),
        *figure_operations(services, desk),
        *_selling(services),
        *_customers(services, addresses),
        *show_operations(services.media, services.rooms, desk),
        *access_operations(services, streaming, addresses),
        *hook_operations(services),
        *review_operations(services, desk),
    ]


def _selling(services: Services) -> list[Operation]:
    """Goods, orders, money and books."""
    desk = services.desk
    return [
        *moments_operations(services),
        *order_operations(services, desk),
        *payment_operations(services, desk),
        *aftersale_operations(services, desk),
        *statement_operations(services),
        *reconciliation_operations(services),
        *settlement_operations(services),
        *unheard_operations(services),
        *member_operations(services, desk),
        *coupon_operations(services, desk),
        *goods_operations(services, desk),
        *sheet_operations(services),
        *product_operations(services),
        *purchase_operations(services),
        *processing_operations(services),
        *book_operations(services),
        *closing_operations(services),
        *invoice_operations(services),
        *policy_operations(services),
        *record_operations(services),
        *buyer_operations(services),
        *webhook_operations(services),
        *mall_operations(services),
        *pass_operations(services),
        *membership_operations(services),
        *custom_operations(services, desk),
        *after_sale_operations(services, desk),
        *credit_operations(services),
        *station_operations(services),
        *signup_operations(services),
    ]


def _customers(services: Services, addresses: Addresses) -> list[Operation]:
    """Who comes, who brought them, whose customers they are, and what they are told."""
    desk = services.desk
    return [
        *people_operations(services, desk, addresses),
        *board_operations(services),
        *code_operations(services, addresses),
        *content_operations(services, addresses),
        *community_operations(services, addresses),
        *advice_operations(services, desk, addresses),
        *relation_operations(services),
        *helping_operations(services, addresses),
        *identity_operations(services),
        *privacy_operations(services),
        *pos_operations(services),
        *takings_operations(services),
        *outlet_operations(services),
        *courier_operations(services, desk),
        *market_operations(services),
        *distribution_operations(services),
        *partner_operations(services, addresses),
        *org_operations(services),
        *keeper_operations(services),
        *guide_operations(services, desk),
        *crm_operations(services),
        *outreach_operations(services),
        *automation_operations(services, desk),
        *contact_operations(services),
    ]


def _following(services: Services, bridge: Bridge, streaming: Streaming) -> Following:
    return Following(
        services.catalogue,
        services.rooms,
        services.access,
        bridge,
        streaming.expel_revoked,
        services.identities,
        reread=(services.media_hooks.load, services.review.hooks.load, services.org.load),
    )


def _shop_doors(services: Services) -> ShopDoors:
    return ShopDoors(
        services.settings,
        rooms=services.rooms,
        tokens=services.tokens,
        access=services.access,
        publish_hook=services.publish_hook,
        directory=services.directory,
        node=node_id(),
        may_host=services.compliance.may_host,
    )


def _puller(services: Services, nodes: Nodes | None) -> Puller | None:
    """What pulls from other nodes, of a process that is no worker."""
    if nodes is None:
        return None
    return Puller(services.directory, nodes, clock=services.clock, limits=pull_limits(services.settings))


def _worker_part(seat: Seat, services: Services, doors: ShopDoors, nodes: Nodes | None) -> WorkerPart:
    return WorkerPart(seat, services.settings, services.directory, doors, clock=services.clock, nodes=nodes)


async def open_application(
    settings: Settings,
    *,
    http_port: int,
    files: int,
    clock: Callable[[], int] = system_clock,
    seat: Seat | None = None,
) -> Application:
    """Open the data folder, wire the parts and start them; ``seat``: of a worker among several.

    Raises ``StoreError``, ``SecretError``, ``OSError``.
    """
    settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    secrets, store = open_secrets(settings.data), open_store(settings.database)
    catalogue, touches = Catalogue(store, clock=clock), open_touch_log(settings.database, clock=clock)
    addresses = Addresses(settings, http_port=http_port, rtmp_port=settings.rtmp_port)
    shop, end_payments = open_shop(settings, store, secrets, clock)
    rooms = Rooms(Room(one.id, one.merchant, one.title, one.host, one.cover) for one in await catalogue.every_room())
    traffic = await open_traffic(settings, store, touches, catalogue, shop, rooms, secrets, clock)
    tokens = open_tokens(settings, secrets, shop, traffic.org, traffic.keepers, clock)
    directory = open_directory(settings, clock, open_slate(settings))
    access = await open_access(store, secrets, tokens, rooms, directory, clock)
    sweeps = seat is None or seat.welcome.worker == 0
    media = open_media(settings, directory=directory, catalogue=catalogue, rooms=rooms, clock=clock, sweeps=sweeps)
    desk = open_desk(rooms, catalogue, shop, traffic, directory, clock)
    audit = RoomAudit(StaffActions(store, clock=clock), clock=clock)
    bans, rules, floor, personal = open_floor(store, shop, clock)
    webhooks, sender, media_events = open_webhooks(settings, store, rooms, clock)
    media_hooks, review = await open_hooks(store, sender, rooms, clock)
    shopside = open_shopside(settings, store, shop, catalogue, rooms, secrets, clock)
    clients = Clients(settings)
    stores = (audit, bans, rules, floor, personal, review, shopside.archive)
    hub = open_hub(settings, known_by(tokens, rooms, traffic.keepers), desk, shop, *stores, clients, clock)
    services = Services(
        settings=settings,
        clock=clock,
        secrets=secrets,
        tokens=tokens,
        rooms=rooms,
        catalogue=catalogue,
        shop=shop,
        **shopside._asdict(),
        **traffic._asdict(),
        directory=directory,
        hub=hub,
        desk=desk,
        media=media,
        webhooks=webhooks,
        sender=sender,
        audit=audit,
        access=access,
        media_hooks=media_hooks,
        publish_hook=PublishHook(media_hooks, sender.outgoing, clock=clock),
        media_events=media_events,
        review=review,
        room_events=RoomEvents(hub, media_events, clock=clock),
        room_figures=RoomFigures(hub, clock=clock),
        room_floor=floor,
    )
    application = Application(
        services,
        bridge=open_bridge(services, bans, rules, floor),
        addresses=addresses,
        clients=clients,
        files=files,
        shutters=[shop.close, end_payments, traffic.close, catalogue.close, touches.close, store.close],
        seat=seat,
    )
    await application.start()
    return application
