"""The parts that routes, bridge and hub commands work with, wired once in ``gateway/app.py``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from chat.hub import Hub
from commerce.advice import Advice
from commerce.attribution.service import Attribution
from commerce.books import Books
from commerce.catalogue import Catalogue
from commerce.communities import Communities
from commerce.compliance import Compliance
from commerce.contents import Contents
from commerce.couriers import Couriers
from commerce.crm.activity import Activity
from commerce.crm.automations import Automations
from commerce.crm.notes import Notes
from commerce.crm.outreach import Outreach
from commerce.crm.service import Crm
from commerce.distribution import Distribution
from commerce.goods import Goods
from commerce.helping import Helping
from commerce.identity.people import People
from commerce.identity.privacy import Privacy
from commerce.identity.service import Identities
from commerce.invoices import Invoices
from commerce.keepers import Keepers
from commerce.market import Market
from commerce.media_hook_sql import MediaHooks
from commerce.org import Organisation
from commerce.partners import Partners
from commerce.pos import Pos
from commerce.processing import Processing
from commerce.purchases import Purchases
from commerce.room_floor_sql import RoomFloor
from commerce.shop import Shop
from commerce.takings import TillTakings
from commerce.webhooks_sql import Webhooks
from gateway.access import Access
from gateway.audit import RoomAudit
from gateway.auth import Tokens
from gateway.chat_archive import ChatArchive
from gateway.config import Settings
from gateway.contacts import Contacts
from gateway.desk import Desk
from gateway.media import Media
from gateway.media_events import MediaEvents
from gateway.messenger import Messenger
from gateway.pictures import Darkroom
from gateway.publish_hook import PublishHook
from gateway.review_hook import ReviewDesk
from gateway.room_events import RoomEvents
from gateway.room_figures import RoomFigures
from gateway.rooms import Rooms
from gateway.secrets import Secrets
from gateway.webhooks import WebhookSender
from gateway.wechat import WechatApi
from gateway.wecom import WecomApi
from stream.directory import Directory

Clock = Callable[[], int]


@dataclass(frozen=True, slots=True)
class Services:
    """One server's parts."""

    settings: Settings
    clock: Clock
    secrets: Secrets
    tokens: Tokens
    rooms: Rooms
    catalogue: Catalogue
    shop: Shop
    goods: Goods
    purchases: Purchases
    processing: Processing
    books: Books
    invoices: Invoices
    darkroom: Darkroom
    compliance: Compliance
    archive: ChatArchive
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
    directory: Directory
    hub: Hub
    desk: Desk
    media: Media
    webhooks: Webhooks
    sender: WebhookSender
    audit: RoomAudit
    access: Access
    media_hooks: MediaHooks
    publish_hook: PublishHook
    media_events: MediaEvents
    review: ReviewDesk
    room_events: RoomEvents
    room_figures: RoomFigures
    room_floor: RoomFloor
