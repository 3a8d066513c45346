"""The merchant's side of the shop: staff, rooms, goods, shelf and pins.

Writes are rare; each is one short transaction of its own on the store's writing thread, never on the loop. Everything
is scoped to a merchant: a room or product of another one is simply not found. What changed is told to the listeners
after the commit, in commit order, with the whole new state of the pins or shelf, so that a listener needs no read.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from commerce import catalogue_checks as check
from commerce import catalogue_sql as sql
from commerce import clips_sql, compliance_sql
from commerce.basket import VALID_S_MAX, DropTerms, check_terms
from commerce.catalogue_categories import Categories
from commerce.catalogue_prices import Prices
from commerce.catalogue_sql import Transaction
from commerce.catalogue_views import (
    Card,
    CatalogueEvent,
    ClipView,
    CouponTemplate,
    Merchant,
    ProductView,
    RoomChanged,
    RoomView,
    Staff,
    VariantView,
)
from commerce.catalogue_writes import Clock
from commerce.domain.ids import id_time_ms
from commerce.domain.offer import OFFER_AHEAD_MS_MAX
from commerce.errors import Invalid, Refused
from commerce.fresh_ids import fresh_id
from commerce.passwords import PASSWORD_CHARACTERS_MAX, PASSWORD_CHARACTERS_MIN, Hashing, Passwords
from commerce.store_sql import Store

T = TypeVar("T")

SKU_KINDS = ("goods", "stored")
ROLES = ("merchant", "host", "assistant", "moderator", "guide")


class Catalogue(Prices, Categories):
    """Merchants, staff, rooms, products with one default SKU each, shelves, pins and coupon templates.

    ``clock`` gives Unix milliseconds. Methods raise ``Invalid`` (with ``field``), ``NotFound``, ``Refused``, ``Busy``.
    """

    def __init__(self, store: Store, *, clock: Clock, passwords: Passwords | None = None) -> None:
        super().__init__(store, clock=clock)
        self._passwords = passwords or Passwords()
        self._hashing = Hashing()

    async def close(self) -> None:
        """Wait for writes under way and end the hashing threads; the store stays open."""
        await asyncio.gather(*self._writes, return_exceptions=True)
        self._hashing.threads.shutdown(wait=False)

    # Merchants and staff

    async def create_merchant(self, name: str) -> Merchant:
        """Open a shop."""
        now_ms = self._clock()
        merchant = Merchant(fresh_id(now_ms), check.title(name, "name"))
        await self._insert(lambda db: sql.insert_merchant(db, merchant, now_ms))
        return merchant

    async def merchant(self, merchant: str) -> Merchant:
        """Read a shop. Raises ``NotFound``."""
        return await self._store.read(lambda db: sql.merchant(db, merchant))

    async def create_staff(
        self,
        merchant: str,
        login: str,
        password: str,
        role: str,
        name: str,
        room: str | None = None,
        also: Callable[[Transaction, Staff], None] | None = None,
    ) -> Staff:
        """Let somebody log in; ``role`` is one of ``ROLES``. Raises ``Refused("already")`` on a taken login.

        ``also`` is done in the same transaction: what it raises leaves no account behind.
        """
        if role not in ROLES:
            raise Invalid(f"role must be one of {', '.join(ROLES)}", field="role")
        now_ms = self._clock()
        staff = Staff(fresh_id(now_ms), merchant, check.login(login), role, check.title(name, "name"), room)
        check.password(password, PASSWORD_CHARACTERS_MIN, PASSWORD_CHARACTERS_MAX)
        hashed = await self._hashing.run(lambda: self._passwords.hash(password))

        def insert(db: Transaction) -> None:
            sql.insert_staff(db, staff, hashed, now_ms)
            if also is not None:
                also(db, staff)

        await self._insert(insert)
        return staff

    async def staff(self, merchant: str) -> list[Staff]:
        """List a merchant's staff."""
        return await self._store.read(lambda db: sql.staff_of(db, merchant))

    async def login(self, login: str, password: str) -> Staff | None:
        """Find who this is; ``None`` when login or password is wrong.

        An unknown login costs the same work as a wrong password. Raises ``Busy`` when too many wait for the hash.
        """
        wanted = login.strip().lower() if isinstance(login, str) else ""
        found = None
        if 0 < len(wanted) <= check.LOGIN_CHARACTERS_MAX and wanted.isascii():
            found = await self._store.read(lambda db: sql.staff_by_login(db, wanted))
        given = password if isinstance(password, str) and len(password) <= PASSWORD_CHARACTERS_MAX else ""
        given = given.encode("utf-8", "replace").decode()
        right = await self._hashing.run(lambda: self._passwords.matches(found[1] if found else None, given))
        return found[0] if found is not None and right else None

    # Rooms

    async def create_room(self, merchant: str, title: str, host_name: str = "", cover: str = "") -> RoomView:
        """Open a room."""
        now_ms = self._clock()
        name = check.title(host_name, "host_name") if host_name else ""
        view = RoomView(
            fresh_id(now_ms), merchant, check.title(title), name, check.image(cover, "cover"), now_ms, closed_ms=None
        )

        def change(db: Transaction) -> tuple[RoomView, list[CatalogueEvent]]:
            sql.insert_room(db, view)
            return view, [self._room_changed(view, now_ms)]

        return await self._write(change)

    async def update_room(
        self,
        merchant: str,
        room: str,
        *,
        title: str | None = None,
        host_name: str | None = None,
        cover: str | None = None,
    ) -> RoomView:
        """Rename a room, its host or its cover; what is ``None`` stays."""
        now_ms = self._clock()
        new_title = None if title is None else check.title(title)
        new_host = check.title(host_name, "host_name") if host_name else host_name
        new_cover = None if cover is None else check.image(cover, "cover")

        def change(db: Transaction) -> tuple[RoomView, list[CatalogueEvent]]:
            old = sql.room(db, room, merchant)
            view = replace(
                old,
                title=old.title if new_title is None else new_title,
                host=old.host if new_host is None else new_host,
                cover=old.cover if new_cover is None else new_cover,
            )
            sql.update_room(db, view)
            return view, [self._room_changed(view, now_ms)]

        return await self._write(change)

    async def close_room(self, merchant: str, room: str) -> RoomView:
        """End a room; closing it again changes nothing."""
        now_ms = self._clock()

        def change(db: Transaction) -> tuple[RoomView, list[CatalogueEvent]]:
            old = sql.room(db, room, merchant)
            if old.closed_ms is not None:
                return old, []
            view = replace(old, closed_ms=now_ms)
            sql.update_room(db, view)
            return view, [self._room_changed(view, now_ms)]

        return await self._write(change)

    async def room(self, room: str, merchant: str | None = None) -> RoomView:
        """Read a room, for the public page or (with ``merchant``) only if it is that merchant's."""
        return await self._store.read(lambda db: sql.room(db, room, merchant))

    async def rooms(self, merchant: str) -> list[RoomView]:
        """List a merchant's rooms, newest first, at most 500."""
        return await self._store.read(lambda db: sql.rooms(db, merchant))

    async def every_room(self) -> list[RoomView]:
        """List the open rooms of all merchants, for the server that runs them."""
        return await self._store.read(sql.every_room)

    # Products

    async def create_product(
        self,
        merchant: str,
        title: str,
        price: int,
        list_price: int | None = None,
        image: str = "",
        detail: str = "",
        *,
        kind: str = "goods",
        bonus: int = 0,
        category: str = "",
    ) -> ProductView:
        """Make a product with its default SKU; prices in 分. Stock is the ledger's (``Shop.stock_up``).

        Of ``kind`` stored it is stored value: who buys it has its price and ``bonus`` 分 more to spend.
        """
        if kind not in SKU_KINDS:
            raise Invalid(f"kind must be one of {', '.join(SKU_KINDS)}", field="kind")
        if bonus and kind != "stored":
            raise Invalid("only stored value has a bonus", field="bonus")
        now_ms = self._clock()
        checked = check.price(price)
        view = ProductView(
            product=fresh_id(now_ms),
            sku=fresh_id(now_ms),
            title=check.title(title),
            price=checked,
            list_price=check.list_price(list_price, checked),
            image=check.image(image),
            detail=check.detail(detail),
            stock=0,
            version=1,
            on_shelf=True,
            kind=kind,
            bonus=check.whole(bonus, "bonus", 0, check.PRICE_FEN_MAX),
            category=check.category(category),
        )

        def insert(db: Transaction) -> None:
            compliance_sql.check_basis(db, merchant, view.sku, view.price, view.list_price)
            sql.insert_product(db, merchant, view, now_ms)

        await self._insert(insert)
        return view

    async def product(self, merchant: str, product: str) -> ProductView:
        """Read a product. Raises ``NotFound``."""
        return await self._store.read(lambda db: sql.product(db, merchant, product))

    async def products(
        self, merchant: str, after: str = "", limit: int = 50, category: str | None = None
    ) -> list[ProductView]:
        """List a merchant's products by age, those after the id ``after``; ``limit`` 1–200.

        Of one ``category`` when it is named, "" for those that have none.
        """
        count = check.whole(limit, "limit", 1, sql.PRODUCTS_PAGE_MAX)
        wanted = None if category is None else check.category(category)
        return await self._store.read(lambda db: sql.products(db, merchant, after, count, wanted))

    async def add_variant(
        self,
        merchant: str,
        product: str,
        name: str,
        price: int,
        list_price: int | None = None,
        default: str = "",
        slot_ms: int | None = None,
    ) -> ProductView:
        """Make one more SKU of a product; ``default`` names the SKU that the product was made with.

        With ``slot_ms`` it is a time that can be booked until it begins.

        Raises ``Refused("already")``, ``Refused("limit")``, ``NotFound``, ``Invalid``.
        """
        now_ms, checked = self._clock(), check.price(price)
        listed = check.list_price(list_price, checked)
        called = check.title(name, "name")
        slot = None if slot_ms is None else check.whole(slot_ms, "slot_ms", now_ms + 1, now_ms + OFFER_AHEAD_MS_MAX)
        first = check.title(default, "default") if default else ""

        def change(db: Transaction) -> tuple[ProductView, list[CatalogueEvent]]:
            old = sql.product(db, merchant, product)
            compliance_sql.check_basis(db, merchant, "", checked, listed)
            if old.kind != "goods":
                raise Invalid("stored value has no variants", field="product")
            if first:
                sql.name_default(db, old.sku, first)
            # Ids are in the order of the SKUs, also of two that are made within a millisecond.
            made = fresh_id(max(now_ms, id_time_ms(sql.newest_sku(db, product)) + 1))
            sql.add_variant(db, merchant, product, VariantView(made, called, checked, listed, 1, 0, slot))
            return sql.product(db, merchant, product), self._showing(db, merchant, product)

        return await self._write(change)

    async def update_product(
        self,
        merchant: str,
        product: str,
        *,
        title: str | None = None,
        image: str | None = None,
        detail: str | None = None,
        on_shelf: bool | None = None,
    ) -> ProductView:
        """Change a product's texts, or take it off sale everywhere (its pins go); what is ``None`` stays."""
        new_title = None if title is None else check.title(title)
        new_image = None if image is None else check.image(image)
        new_detail = None if detail is None else check.detail(detail)

        def edit(old: ProductView) -> ProductView:
            return replace(
                old,
                title=old.title if new_title is None else new_title,
                image=old.image if new_image is None else new_image,
                detail=old.detail if new_detail is None else new_detail,
                on_shelf=old.on_shelf if on_shelf is None else bool(on_shelf),
            )

        return await self._edit(merchant, product, edit)

    # Shelf and pins

    async def shelf(self, room: str, merchant: str | None = None) -> tuple[Card, ...]:
        """Read the goods of a room in order. Raises ``NotFound``."""
        return await self._store.read(lambda db: sql.shelf(db, sql.room(db, room, merchant).id, self._clock()))

    async def pins(self, room: str, merchant: str | None = None) -> tuple[Card, ...]:
        """Read the pins of a room, at most 3, the one being explained first. Raises ``NotFound``."""
        return await self._store.read(lambda db: sql.pins(db, sql.room(db, room, merchant).id, self._clock()))

    async def put_on_shelf(
        self, merchant: str, room: str, product: str, position: int | None = None
    ) -> tuple[Card, ...]:
        """Add a product or move it: position 1 is the top, ``None`` is the end (or where it is already)."""
        where = None if position is None else check.whole(position, "position", 1, sql.SHELF_MAX)

        def change(db: Transaction) -> tuple[tuple[Card, ...], list[CatalogueEvent]]:
            self._own(db, merchant, room, product)
            events = [self._shelf_changed(db, merchant, room)] if sql.place(db, room, product, where) else []
            return sql.shelf(db, room, self._clock()), [*events]

        return await self._write(change)

    async def take_off_shelf(self, merchant: str, room: str, product: str) -> tuple[Card, ...]:
        """Remove a product from a room's shelf; its pin goes with it."""

        def change(db: Transaction) -> tuple[tuple[Card, ...], list[CatalogueEvent]]:
            self._own(db, merchant, room, product)
            gone, unpinned = sql.take_off(db, room, product)
            events: list[CatalogueEvent] = []
            if unpinned:
                events.append(self._pin_changed(db, merchant, room, unpinned=product))
            if gone:
                events.append(self._shelf_changed(db, merchant, room))
            return sql.shelf(db, room, self._clock()), events

        return await self._write(change)

    async def mark_sold_out(self, merchant: str, room: str, product: str, sold_out: bool = True) -> tuple[Card, ...]:
        """Show a product of the shelf as sold out, whatever its stock, or as on sale again."""

        def change(db: Transaction) -> tuple[tuple[Card, ...], list[CatalogueEvent]]:
            self._own(db, merchant, room, product)
            sql.mark(db, room, product, "sold_out" if sold_out else "on")
            event = self._shelf_changed(db, merchant, room)
            return event.shelf, [event]

        return await self._write(change)

    async def pin(
        self, merchant: str, room: str, product: str, explaining: bool = False, media_ms: int | None = None
    ) -> tuple[Card, ...]:
        """Pin a product, putting it on the shelf if it is not there; gives all pins.

        ``explaining`` marks it as the one talked about now and takes the mark from another. ``media_ms`` is the
        stream's media clock. Raises ``Refused("limit")`` for a fourth pin and ``Refused("closed")`` for one off sale.
        """
        now_ms = self._clock()
        media = None if media_ms is None else check.whole(media_ms, "media_ms", 0, 1 << 52)

        def change(db: Transaction) -> tuple[tuple[Card, ...], list[CatalogueEvent]]:
            if not self._own(db, merchant, room, product).on_shelf:
                raise Refused("closed", "this product is off sale")
            placed = sql.place(db, room, product, None)
            sql.pin(db, room, product, explaining=bool(explaining), media_ms=media, now_ms=now_ms)
            event = self._pin_changed(db, merchant, room, card=product)
            return event.pins, [self._shelf_changed(db, merchant, room), event] if placed else [event]

        return await self._write(change)

    async def unpin(self, merchant: str, room: str, product: str) -> tuple[Card, ...]:
        """Take a pin off; one that is not there changes nothing. Gives all pins."""

        def change(db: Transaction) -> tuple[tuple[Card, ...], list[CatalogueEvent]]:
            self._own(db, merchant, room, product)
            if not sql.unpin(db, room, product):
                return sql.pins(db, room, self._clock()), []
            event = self._pin_changed(db, merchant, room, unpinned=product)
            return event.pins, [event]

        return await self._write(change)

    # Clips

    async def add_clip(
        self,
        clip: str,
        merchant: str,
        room: str,
        product: str,
        show: str,
        *,
        start_ms: int,
        end_ms: int,
        length_ms: int,
        size: int,
        file: str,
    ) -> ClipView:
        """Keep a clip that explains a product: media times of the show, its length in ms, its bytes, its file."""
        now_ms = self._clock()

        def change(db: Transaction) -> tuple[ClipView, list[CatalogueEvent]]:
            title = self._own(db, merchant, room, product).title
            view = ClipView(clip, merchant, room, product, title, show, start_ms, end_ms, length_ms, size, file, now_ms)
            clips_sql.insert(db, view)
            return view, [self._shelf_changed(db, merchant, room)]

        return await self._write(change)

    async def clips(self, room: str, after: str = "", limit: int = 50) -> list[ClipView]:
        """List a room's clips, newest first, those older than the id ``after``; ``limit`` 1–200."""
        count = check.whole(limit, "limit", 1, clips_sql.CLIPS_PAGE_MAX)
        return await self._store.read(lambda db: clips_sql.of_room(db, sql.room(db, room, None).id, after, count))

    async def clip(self, clip: str) -> ClipView:
        """Read a clip. Raises ``NotFound``."""
        return await self._store.read(lambda db: clips_sql.one(db, clip))

    async def delete_clip(self, merchant: str, room: str, clip: str) -> ClipView:
        """Forget a clip; its file is the caller's to remove."""

        def change(db: Transaction) -> tuple[ClipView, list[CatalogueEvent]]:
            gone = clips_sql.delete(db, merchant, room, clip)
            return gone, [self._shelf_changed(db, merchant, room)]

        return await self._write(change)

    async def expire_clips(self, before_ms: int) -> list[ClipView]:
        """Forget the clips made before ``before_ms``, at most 200 a call; their files are the caller's to remove."""

        def change(db: Transaction) -> tuple[list[ClipView], list[CatalogueEvent]]:
            gone = clips_sql.delete_before(db, before_ms, clips_sql.CLIPS_PAGE_MAX)
            rooms = dict.fromkeys((clip.merchant, clip.room) for clip in gone)
            return gone, [self._shelf_changed(db, merchant, room) for merchant, room in rooms]

        return await self._write(change)

    # Coupon templates

    async def create_coupon_template(
        self,
        merchant: str,
        title: str,
        reason: str,
        amount: int,
        threshold: int,
        total: int,
        per_person: int,
        valid_s: int,
        more: DropTerms | None = None,
    ) -> CouponTemplate:
        """Keep a coupon's terms for later drops; money in 分, ``reason`` is what viewers read (店庆, 上新 …)."""
        terms = more or DropTerms()
        check_terms(terms)
        now_ms = self._clock()
        template = CouponTemplate(
            id=fresh_id(now_ms),
            merchant=merchant,
            title=check.title(title),
            reason=check.title(reason, "reason"),
            amount=check.price(amount, "amount"),
            threshold=check.whole(threshold, "threshold", 0, check.PRICE_FEN_MAX),
            total=check.whole(total, "total", 1, check.COUNT_MAX),
            per_person=check.whole(per_person, "per_person", 1, check.COUNT_MAX),
            valid_s=check.whole(valid_s, "valid_s", 1, VALID_S_MAX),
            percent=terms.percent,
            stack=terms.stack,
            audience=terms.audience,
            issuer=terms.issuer,
            outlets=tuple(dict.fromkeys(terms.outlets)),
        )
        await self._insert(lambda db: sql.insert_template(db, template, now_ms))
        return template

    async def coupon_templates(self, merchant: str) -> list[CouponTemplate]:
        """List a merchant's coupon templates, newest first, at most 200."""
        return await self._store.read(lambda db: sql.templates(db, merchant))

    def _room_changed(self, view: RoomView, now_ms: int) -> RoomChanged:
        return RoomChanged(fresh_id(now_ms), view.merchant, view.id, now_ms, view)
