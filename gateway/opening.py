"""How the parts of a server are opened and wired; `gateway/app.py` puts them together."""

from __future__ import annotations

import os
import socket
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from chat.errors import CommandRefused, TokenRefused
from chat.hub import Hub
from chat.member import Member
from chat.regard import look_again
from chat.staff import close_barred
from commerce.access_sql import StreamAccess
from commerce.advice import Advice
from commerce.attribution.service import Attribution
from commerce.attribution.touches_sql import TouchLog
from commerce.bans_sql import Bans
from commerce.books import Books
from commerce.catalogue import Catalogue
from commerce.communities import Communities
from commerce.compliance import Compliance
from commerce.contents import Contents
from commerce.courier import CourierProvider
from commerce.courier_sandbox import SandboxCourier
from commerce.couriers import Couriers
from commerce.crm.activity import Activity
from commerce.crm.automations import Automations
from commerce.crm.notes import Notes
from commerce.crm.outreach import Outreach
from commerce.crm.service import Crm
from commerce.distribution import Distribution
from commerce.duty_sql import LockDuty
from commerce.errors import CommerceError
from commerce.goods import Goods
from commerce.helping import Helping
from commerce.identity.people import People
from commerce.identity.phone import Vault
from commerce.identity.privacy import Privacy
from commerce.identity.service import Identities
from commerce.invoices import Invoices
from commerce.keepers import Keepers
from commerce.market import Market
from commerce.media_hook_sql import MediaHooks
from commerce.org import Organisation
from commerce.partners import Partners
from commerce.payment import PaymentProvider
from commerce.payment_none import NoProvider
from commerce.payment_sandbox import SandboxProvider
from commerce.payment_wechat import WechatPay
from commerce.personal_sql import PersonalEvents
from commerce.pos import Pos
from commerce.processing import Processing
from commerce.purchases import Purchases
from commerce.review_hook_sql import ReviewHooks
from commerce.room_floor_sql import RoomFloor
from commerce.room_rules_sql import RoomRules
from commerce.sandbox_book import SANDBOX_FILE
from commerce.shop import Shop
from commerce.store_sql import Store
from commerce.takings import TillTakings
from commerce.transfer import TransferProvider
from commerce.transfer_sandbox import SandboxTransfers
from commerce.transfer_wechat import WechatTransfers
from commerce.webhooks_sql import Webhooks
from gateway.access import Access
from gateway.audit import RoomAudit
from gateway.auth import Claims, TokenError, Tokens
from gateway.bridge import Bridge
from gateway.bus import open_bus
from gateway.chat_archive import ChatArchive
from gateway.client import Clients
from gateway.clock import system_clock as system_clock
from gateway.commands import claims_of_member, closed_to_moderators, hub_commands, refusal
from gateway.commands_moments import moments_commands
from gateway.config import Settings
from gateway.contacts import Contacts
from gateway.courier_settings import open_couriers
from gateway.desk import Desk
from gateway.desk_moments import MomentsDesk
from gateway.media_events import MediaEvents
from gateway.members import member_in
from gateway.messenger import Messenger
from gateway.payment_settings import Account, open_accounts
from gateway.pictures import Darkroom
from gateway.review_hook import ReviewDesk
from gateway.rights import RoomKeepers
from gateway.rooms import Rooms
from gateway.secrets import Secrets
from gateway.services import Services
from gateway.sms import SmsApi
from gateway.webhooks import WebhookSender
from gateway.wechat import WechatApi
from gateway.wecom import WecomApi
from stream.directory import Directory


def authenticate(tokens: Tokens, rooms: Rooms, room_id: str, token: str) -> Member:
    """Who joins ``room_id`` with ``token``. Raises ``TokenRefused`` with the hub's close code."""
    room = rooms.find(room_id)
    if room is None:
        raise TokenRefused(4404, "no such room")
    try:
        claims: Claims = tokens.read(token)
    except TokenError as error:
        raise TokenRefused(4401, str(error)) from error
    if not claims.may_enter(room.id, room.merchant):
        raise TokenRefused(4401, "this token is for another room")
    return member_in(claims, room.id, room.merchant, tokens.appointed(room.merchant, room.id, claims.person))


def stands(tokens: Tokens, rooms: Rooms, room_id: str, member: Member) -> Member:
    """Who somebody is now that joined ``room_id`` a while ago. Raises ``TokenRefused`` as ``authenticate`` does."""
    room = rooms.find(room_id)
    if room is None:
        raise TokenRefused(4404, "no such room")
    # Their token was for this room, or for all: it makes no difference here.
    claims = replace(claims_of_member(member, room.id), role=member.came_as or member.role)
    try:
        claims = tokens.seated(claims) if claims.account else claims
    except TokenError as error:
        raise TokenRefused(4401, str(error)) from error
    if not claims.may_enter(room.id, room.merchant):
        raise TokenRefused(4401, "this room is no longer yours to enter")
    return member_in(claims, room.id, room.merchant, tokens.appointed(room.merchant, room.id, claims.person))


class Known(NamedTuple):
    """Who comes into a room, who they are later on, and who makes them that."""

    authenticate: Callable[[str, str], Member]
    stands: Callable[[str, Member], Member]
    keepers: RoomKeepers


def known_by(tokens: Tokens, rooms: Rooms, keepers: Keepers) -> Known:
    """By whom the hub knows its members: tokens, seats and appointments."""
    return Known(partial(authenticate, tokens, rooms), partial(stands, tokens, rooms), RoomKeepers(keepers, rooms))


def open_floor(store: Store, shop: Shop, clock: Callable[[], int]) -> tuple[Bans, RoomRules, RoomFloor, PersonalEvents]:
    """What of rooms is written down beside the shop."""
    personal = PersonalEvents(store, clock=clock, ids_of=shop.aliases.ids)
    return Bans(store, clock=clock), RoomRules(store, clock=clock), RoomFloor(store, clock=clock), personal


def open_shop(
    settings: Settings, store: Store, secrets: Secrets, clock: Callable[[], int]
) -> tuple[Shop, Callable[[], Awaitable[None]]]:
    """The shop with its payment providers, and what ends them. Raises ``SettingsError``."""
    accounts: list[Account] = []
    if settings.payments is not None:
        accounts = open_accounts(settings.payments, public_url=settings.public_url, clock=clock)
    sandbox = None
    if settings.sandbox_payments:
        sandbox = SandboxProvider(secrets.key("sandbox"), clock=clock, book=settings.data / SANDBOX_FILE)
    providers: list[PaymentProvider] = [*accounts, *([] if sandbox is None else [sandbox])] or [NoProvider()]
    # Without it each worker would take everybody's turn once a second, to find nothing left to do.
    duty = LockDuty(store, "shop") if store.shared else None
    shop = Shop(
        store,
        clock=clock,
        provider=providers[0],
        providers=providers[1:],
        duty=duty,
        database_time=True,
        writer_process=settings.ledger_process,
    )
    if sandbox is not None:
        sandbox.deliver_to(shop.settle)

    async def end() -> None:
        for provider in (*accounts, *([] if sandbox is None else [sandbox])):
            await provider.aclose()

    return shop, end


def open_hub(
    settings: Settings,
    known: Known,
    desk: Desk,
    shop: Shop,
    audit: RoomAudit,
    bans: Bans,
    rules: RoomRules,
    floor: RoomFloor,
    personal: PersonalEvents,
    review: ReviewDesk,
    archive: ChatArchive,
    clients: Clients,
    clock: Callable[[], int],
) -> Hub:
    """The hub with the shop's commands; each start of the process is an epoch of its own."""

    async def say(room: str, member: Member, text: str) -> None:
        await hub.order(room, member, "chat.send", {"text": text})

    async def follows(member: Member) -> bool:
        if member.merchant is None:
            return False
        try:
            return await shop.moments.follows(member.merchant, shop.aliases.now(member.person))
        except CommerceError as error:
            raise refusal(error) from error

    def followed(room: str, person: str, on: bool) -> None:
        # The follow is written down; a room that was closed meanwhile need not know.
        if hub.is_open(room):
            hub.channel(room).gate.follows(person, clock(), on=on)

    # Servers that share a bus and no database: a poll is what they say to one another, none of them has it all.
    one_database = settings.redis_url is None or settings.database_url is not None
    moments = moments_commands(MomentsDesk(desk, shop.moments), desk, audit, say, followed)

    def allows(room: str, text: str) -> bool:
        try:
            return not hub.is_open(room) or hub.channel(room).gate.filtered(text) == text
        except CommandRefused:
            return False

    desk.allows = allows
    hub = Hub(
        authenticate=known.authenticate,
        commands=closed_to_moderators({**hub_commands(desk, audit), **moments}),
        clock=clock,
        broker=open_bus(settings),
        epoch=os.urandom(6).hex(),
        audit=audit,
        ban_store=bans,
        rule_store=rules,
        floor_store=floor if one_database else None,
        ids_of=shop.aliases.ids,
        follows=follows,
        personal_store=personal,
        others_wait=lambda: shop.ledger.waiting > 0,
        review=review,
        archive=archive,
        network=clients.network,
        server=f"{socket.gethostname()}:{os.getpid()}",
        stands=known.stands,
        keeper_store=known.keepers,
    )
    shop.aliases.listen(partial(close_barred, hub))
    shop.aliases.listen(partial(look_again, hub))
    return hub


def open_bridge(services: Services, bans: Bans, rules: RoomRules, floor: RoomFloor) -> Bridge:
    """What carries events of streams and the shop to the hub."""
    return Bridge(
        hub=services.hub,
        directory=services.directory,
        catalogue=services.catalogue,
        shop=services.shop,
        attribution=services.attribution,
        rooms=services.rooms,
        shows=services.media,
        clips=services.media.clips,
        clock=services.clock,
        bans=bans,
        rules=rules,
        floor=floor,
        live_only=services.desk.live_only,
    )


class ShopSide(NamedTuple):
    """Sheets of goods, purchasing, books and invoices, what the regulator asks: fields of ``Services``."""

    goods: Goods
    purchases: Purchases
    processing: Processing
    books: Books
    invoices: Invoices
    darkroom: Darkroom
    compliance: Compliance
    archive: ChatArchive


def open_shopside(
    settings: Settings,
    store: Store,
    shop: Shop,
    catalogue: Catalogue,
    rooms: Rooms,
    secrets: Secrets,
    clock: Callable[[], int],
) -> ShopSide:
    """What the shop's own people work with; refunds are heard from now on."""
    invoices = Invoices(store, clock=clock)
    shop.answer(invoices.hear)
    compliance = Compliance(store, shop, catalogue, Vault(secrets.key("people")), clock=clock)
    return ShopSide(
        Goods(store, shop.ledger, catalogue),
        Purchases(store, shop.ledger, catalogue, clock=clock),
        Processing(store, shop.ledger, catalogue, clock=clock),
        Books(store, clock=clock),
        invoices,
        Darkroom(shop.custom.pictures, keep_days=settings.record_keep_days),
        compliance,
        ChatArchive(compliance, rooms, clock=clock),
    )


class Traffic(NamedTuple):
    """Who comes, who is who, whose customer, what that earns, and WeChat's word for it: fields of ``Services``."""

    attribution: Attribution
    contents: Contents
    activity: Activity
    communities: Communities
    advice: Advice
    notes: Notes
    helping: Helping
    people: People
    identities: Identities
    crm: Crm
    outreach: Outreach
    automations: Automations
    contacts: Contacts
    messenger: Messenger
    privacy: Privacy
    pos: Pos
    takings: TillTakings
    couriers: Couriers
    market: Market
    distribution: Distribution
    partners: Partners
    org: Organisation
    keepers: Keepers
    wechat: WechatApi
    wecom: WecomApi

    async def close(self) -> None:
        """Write what waits."""
        await self.messenger.aclose()
        await self.wecom.aclose()
        await self.wechat.aclose()
        await self.attribution.binder.close()
        await self.people.close()


def open_transfers(
    settings: Settings, shop: Shop, secrets: Secrets, clock: Callable[[], int]
) -> list[TransferProvider]:
    """Who pays commission out: the accounts that have a transfer scene, and the sandbox where that is on."""
    accounts = [one.account for one in shop.payments.all if isinstance(one, WechatPay)]
    found: list[TransferProvider] = [
        WechatTransfers(account, clock=clock) for account in accounts if account.transfer is not None
    ]
    return [*found, SandboxTransfers(secrets.key("sandbox"))] if settings.sandbox_payments else found


def couriers_of(settings: Settings, secrets: Secrets, clock: Callable[[], int]) -> list[CourierProvider]:
    """Who runs errands: the accounts of ``--couriers``; without them the sandbox, where payments have theirs."""
    found: list[CourierProvider] = []
    if settings.couriers is not None:
        found += open_couriers(settings.couriers, public_url=settings.public_url, clock=clock)
    elif settings.sandbox_payments:
        found.append(SandboxCourier(secrets.key("sandbox"), clock=clock))
    return found


async def open_traffic(
    settings: Settings,
    store: Store,
    touches: TouchLog,
    catalogue: Catalogue,
    shop: Shop,
    rooms: Rooms,
    secrets: Secrets,
    clock: Callable[[], int],
) -> Traffic:
    vault = Vault(secrets.key("people"))
    identities = Identities(store, shop.ledger, shop.aliases, vault, clock=clock)
    await identities.follow()
    org = Organisation(store, catalogue, clock=clock)
    await org.load()
    attribution = Attribution(
        store, touches, secret=secrets.key("links"), clock=clock, now_person=shop.aliases.now, host_of=rooms.host_of
    )
    wechat, wecom = WechatApi(settings.wechat_api, clock=clock), WecomApi(settings.wecom_api, clock=clock)
    people = People(store, touches, clock=clock)
    crm, outreach = Crm(store, touches, clock=clock), Outreach(store, vault, clock=clock)
    automations = Automations(store, shop, clock=clock)
    activity = Activity(store, touches, clock=clock)
    crm.afterwards(automations.look)
    messenger = Messenger(outreach, identities, wechat, wecom, SmsApi(settings.sms_api, clock=clock), clock=clock)
    return Traffic(
        attribution,
        Contents(store, touches, attribution, clock=clock),
        activity,
        Communities(store, touches, attribution, activity, clock=clock),
        Advice(store, attribution, clock=clock, wake=lambda: outreach.wake()),
        Notes(store, clock=clock),
        Helping(store, shop.members, attribution, secret=secrets.key("helping"), clock=clock),
        people,
        identities,
        crm,
        outreach,
        automations,
        Contacts(store, outreach, identities, people, attribution, wecom, clock=clock),
        messenger,
        Privacy(store, shop.ledger, vault, clock=clock),
        Pos(store, shop.ledger, vault, attribution, secret=secrets.key("pos"), clock=clock),
        TillTakings(store, shop.ledger, clock=clock),
        Couriers(store, shop.ledger, couriers_of(settings, secrets, clock), clock=clock),
        Market(store, shop.ledger, catalogue, shop.aftersale, clock=clock),
        Distribution(
            store,
            shop.ledger,
            attribution.binder,
            clock=clock,
            transfers=open_transfers(settings, shop, secrets, clock),
        ),
        Partners(store, shop.ledger, attribution, clock=clock),
        org,
        Keepers(store, org, ids_of=shop.aliases.ids, clock=clock),
        wechat,
        wecom,
    )


def open_tokens(
    settings: Settings, secrets: Secrets, shop: Shop, org: Organisation, keepers: Keepers, clock: Callable[[], int]
) -> Tokens:
    """Who is asking: persons as they go on, staff with their seats."""
    now_person, scope_of, appointed = shop.aliases.now, org.scope_of, keepers.role_in
    key, ttl_s = secrets.key("tokens"), settings.token_ttl_s
    return Tokens(key, ttl_s=ttl_s, clock=clock, now_person=now_person, scope_of=scope_of, appointed=appointed)


def open_desk(
    rooms: Rooms, catalogue: Catalogue, shop: Shop, traffic: Traffic, directory: Directory, clock: Callable[[], int]
) -> Desk:
    """What viewers and staff do, behind both doors."""
    return Desk(
        rooms=rooms,
        catalogue=catalogue,
        shop=shop,
        attribution=traffic.attribution,
        org=traffic.org,
        keepers=traffic.keepers,
        directory=directory,
        clock=clock,
    )


async def open_hooks(
    store: Store, sender: WebhookSender, rooms: Rooms, clock: Callable[[], int]
) -> tuple[MediaHooks, ReviewDesk]:
    """Whom merchants want to be asked before a broadcast, and before a line of chat is shown."""
    media, review = MediaHooks(store, clock=clock), ReviewHooks(store, clock=clock)
    await media.load()
    await review.load()
    return media, ReviewDesk(review, sender.outgoing, rooms, clock=clock)


async def open_access(
    store: Store, secrets: Secrets, tokens: Tokens, rooms: Rooms, directory: Directory, clock: Callable[[], int]
) -> Access:
    """Who may publish and play."""
    kept = StreamAccess(store, clock=clock)
    access = Access(kept, secrets=secrets, tokens=tokens, rooms=rooms, directory=directory, clock=clock)
    await access.load()
    return access


def open_webhooks(
    settings: Settings, store: Store, rooms: Rooms, clock: Callable[[], int]
) -> tuple[Webhooks, WebhookSender, MediaEvents]:
    """The merchants' webhooks: what is to be told, what sends it, and what makes events of streams and rooms of it."""
    webhooks = Webhooks(store, clock=clock)
    sender = WebhookSender(webhooks, clock=clock, allow_private=settings.loopback)
    return webhooks, sender, MediaEvents(webhooks, rooms, clock=clock, wake=sender.wake)
