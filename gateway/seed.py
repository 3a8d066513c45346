"""A shop to try: merchant, staff, products with stock, a flash sale and one room."""

from __future__ import annotations

import asyncio
import secrets as random_secrets
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field

from commerce.catalogue import Catalogue
from commerce.catalogue_views import Staff
from commerce.domain.member import Program, Tier
from commerce.fresh_ids import fresh_id
from commerce.payment_sandbox import SandboxProvider
from commerce.postgres_sql import shown
from commerce.shop import Shop
from commerce.store_sql import open_store
from gateway.addresses import Addresses
from gateway.app import system_clock
from gateway.auth import Tokens
from gateway.config import Settings
from gateway.encode import encode_json
from gateway.secrets import Secrets, open_secrets

SEED_TTL_S = 30 * 86_400
SHOP_NAME = "茶山小铺"
ROOM_TITLE = "山里的春茶，今天开摘"
HOST_NAME = "阿青"

# (title, price 分, list price 分, stock, image, detail)
PRODUCTS = (
    ("明前龙井 50g", 8_800, 12_800, 500, "/static/img/tea.svg", "清明前采摘，一芽一叶。"),
    ("野生洋槐蜜 500g", 5_900, 7_900, 300, "/static/img/honey.svg", "深山蜂场，原蜜灌装。"),
    ("手工桂花糕 礼盒", 3_900, 4_900, 800, "/static/img/cake.svg", "当日现做，三天内吃完。"),
    ("柴烧茶杯 一对", 16_800, 19_800, 120, "/static/img/cup.svg", "每一只釉色都不同。"),
)
FLASH_PRICE = 990
FLASH_TOTAL = 100


PROGRAM = Program(
    yuan_points=1,
    sign_in=(5, 5, 10, 10, 20, 20, 50),
    member_weekday=0,
    tiers=(Tier("银卡", 50_000), Tier("金卡", 200_000, 150)),
)
"""Terms of membership: points, a sign-in that grows with the streak, two tiers, Mondays count double."""


@dataclass(frozen=True, slots=True)
class Seeded:
    """Everything a script or a person needs to try the shop."""

    room: str
    stream_key: str
    host_token: str
    viewer_token: str
    merchant_token: str
    api: str
    merchant: str
    pages: dict[str, str]
    publish: dict[str, str]
    play: dict[str, str]
    products: list[dict[str, object]] = field(default_factory=list)
    sale: str = ""
    logins: dict[str, dict[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Stocked:
    """What was written: ids, staff by role, their passwords."""

    merchant: str
    room: str
    staff: dict[str, Staff]
    logins: dict[str, dict[str, str]]
    products: list[dict[str, object]]
    sale: str


async def _stock(catalogue: Catalogue, shop: Shop) -> _Stocked:
    """Write merchant, staff, products with stock and a planned flash sale."""
    merchant = (await catalogue.create_merchant(SHOP_NAME)).id
    room = (await catalogue.create_room(merchant, ROOM_TITLE, host_name=HOST_NAME)).id
    logins: dict[str, dict[str, str]] = {}
    staff: dict[str, Staff] = {}
    for role, name, bound in (("merchant", "掌柜", None), ("host", HOST_NAME, room)):
        login = f"{role}-{merchant[-6:].lower()}"
        password = random_secrets.token_urlsafe(9)
        staff[role] = await catalogue.create_staff(merchant, login, password, role, name, room=bound)
        logins[role] = {"login": login, "password": password}
    products: list[dict[str, object]] = []
    for title, price, list_price, stock, image, detail in PRODUCTS:
        product = await catalogue.create_product(
            merchant, title, price, list_price=list_price, image=image, detail=detail
        )
        await shop.stock_up(merchant, product.sku, stock, "seed")
        await catalogue.put_on_shelf(merchant, room, product.product)
        products.append({"product": product.product, "sku": product.sku, "title": title, "price": price})
    await shop.members.set_program(merchant, staff["merchant"].id, PROGRAM)
    sale = await shop.create_sale(
        merchant,
        room,
        str(products[0]["sku"]),
        price=FLASH_PRICE,
        list_price=PRODUCTS[0][1],
        total=FLASH_TOTAL,
        per_person=1,
        hold_s=300,
        length_s=600,
    )
    return _Stocked(merchant, room, staff, logins, products, sale.sale)


async def seed(settings: Settings, secrets: Secrets, clock: Callable[[], int] = system_clock) -> Seeded:
    """Fill the data folder with one more merchant and give what opens its doors. Raises ``StoreError``.

    ``clock`` dates what is written; the tokens are good from the true now on.
    """
    store = open_store(settings.database)
    catalogue = Catalogue(store, clock=clock)
    shop = Shop(store, clock=clock, provider=SandboxProvider(secrets.key("sandbox"), clock=clock), database_time=True)
    await shop.start()
    try:
        stocked = await _stock(catalogue, shop)
    finally:
        await shop.close()
        await catalogue.close()
        store.close()
    tokens = Tokens(secrets.key("tokens"), ttl_s=SEED_TTL_S, clock=system_clock)

    merchant, room = stocked.merchant, stocked.room

    def staff_token(role: str) -> str:
        person = stocked.staff[role]
        return tokens.mint(person=person.id, name=person.name, role=role, merchant=merchant, room=person.room)[0]

    viewer = tokens.mint(person=fresh_id(clock()), name="试看的人", role="viewer", merchant=merchant, room=room)[0]
    addresses = Addresses(settings, http_port=settings.http_port, rtmp_port=settings.rtmp_port)
    base = addresses.base
    key = secrets.stream_key(room)
    return Seeded(
        room=room,
        stream_key=key,
        host_token=staff_token("host"),
        viewer_token=viewer,
        merchant_token=staff_token("merchant"),
        api=f"{base}/api/v1",
        merchant=merchant,
        pages={
            "viewer": addresses.viewer_page(base, room),
            "host": addresses.host_page(base, room),
            "merchant": addresses.merchant_page(base),
        },
        publish=addresses.publish(base, room, key),
        play=addresses.play(base, room),
        products=stocked.products,
        sale=stocked.sale,
        logins=stocked.logins,
    )


def run_seed(settings: Settings, *, as_json: bool) -> int:
    """The command ``siyu seed``."""
    seeded = asyncio.run(seed(settings, open_secrets(settings.data)))
    if as_json:
        sys.stdout.write(encode_json(asdict(seeded)).decode() + "\n")
        return 0
    where = f"{settings.data}" + (" --database-url with the same address" if settings.database_url else "")
    lines = [
        f"A shop is ready in {shown(settings.database)}. Start the server with: siyu serve --data {where}",
        f"  viewers        {seeded.pages['viewer']}",
        f"  host console   {seeded.pages['host']}    login {seeded.logins['host']['login']}"
        f"  password {seeded.logins['host']['password']}",
        f"  merchant       {seeded.pages['merchant']}    login {seeded.logins['merchant']['login']}"
        f"  password {seeded.logins['merchant']['password']}",
        f"  OBS server     {seeded.publish['server']}",
        f"  OBS stream key {seeded.publish['stream_key']}",
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    return 0
