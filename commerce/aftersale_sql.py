"""After-sale requests inside the ledger's transaction: their rows, what is seen of them, what overtakes them.

Called from where goods leave and money goes back; the steps that people and the clock take are in aftersale_ends_sql.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, bindparam, text

from commerce.deadlines_sql import disarm
from commerce.domain.aftersale import Kind, Move, State, state_after
from commerce.domain.ids import AFTER_ALL
from commerce.domain.org import Reach
from commerce.errors import NotFound
from commerce.events import AfterSaleChanged, AfterSaleLineView, AfterSaleView
from commerce.ledger_batch_sql import Batch
from commerce.reach_sql import ORDER_REACHED, reach_values

DUE = "after"
"""The kind of a request's deadline."""
LATE, WENT_OUT, OTHERWISE = "late", "sent", "refunded"
"""Why a request moved without a person: a deadline passed, the goods went out, the money went back another way."""
LIST_MAX = 200

_ONE = text("SELECT * FROM after_sale WHERE id = :id")
_OPEN_OF = text("SELECT * FROM after_sale WHERE order_id = :order AND ended_ms IS NULL ORDER BY id")
_END = text(
    "UPDATE after_sale SET state = :state, why = :why, refund = :refund, due_ms = NULL, ended_ms = :now WHERE id = :id"
)
_CLOSE_LINES = text("UPDATE after_sale_line SET open = 0 WHERE request = :id")
_LINES = text("SELECT * FROM after_sale_line WHERE request IN :ids ORDER BY request, sku").bindparams(
    bindparam("ids", expanding=True)
)
_LEFT = text("SELECT coalesce(sum(quantity), 0) AS units FROM refund_line WHERE order_id = :order AND sku = :sku")
_BOUGHT = text("SELECT coalesce(sum(quantity), 0) FROM order_line WHERE order_id = :order AND sku = :sku")
_MONEY = text("SELECT amount - refunded FROM orders WHERE id = :order")
_LISTED = (
    "SELECT a.*, coalesce(r.amount, 0) AS refunded FROM after_sale AS a JOIN orders AS o ON o.id = a.order_id"
    " LEFT JOIN refund AS r ON r.id = a.refund WHERE a.merchant = :merchant AND (:person = '' OR a.person = :person)"
    " AND (:order = '' OR a.order_id = :order) AND (:state = '' OR a.state = :state"
    " OR (:state = 'open' AND a.ended_ms IS NULL)) AND a.id < :before"
)
_LIST = text(f"{_LISTED} ORDER BY a.id DESC LIMIT :limit")
_LIST_REACHED = text(f"{_LISTED} AND {ORDER_REACHED} ORDER BY a.id DESC LIMIT :limit")
_SEEN = text(
    "SELECT a.*, coalesce(r.amount, 0) AS refunded FROM after_sale AS a LEFT JOIN refund AS r ON r.id = a.refund"
    " WHERE a.id = :id"
)


def find_request(batch: Batch, merchant: str, request: str, person: str | None = None) -> Row[Any]:
    """A request; of a person's own (None: anybody's). Raises NotFound."""
    row = batch.one(_ONE, id=request)
    if row is None or row.merchant != merchant or person not in (None, row.person):
        raise NotFound("no such request")
    return row


def end(batch: Batch, row: Row[Any], state: State, *, why: str = "", refund: str | None = None) -> AfterSaleView:
    """Let a request end; its lines may be asked about again."""
    batch.run(_END, id=row.id, state=str(state), why=why, refund=refund, now=batch.now_ms)
    batch.run(_CLOSE_LINES, id=row.id)
    disarm(batch, DUE, row.id)
    return tell(batch, row.id)


def requests_overtaken(batch: Batch, order: Row[Any], why: str, *, but: str = "") -> None:
    """Something else happened to an order: close the requests that it leaves without ground, and tell their buyers.

    Goods that went out end what was asked while they had not (they may go back now); money that went back another way
    ends what is left no money or no units. ``but`` is the request whose own refund it is.
    """
    for row in batch.run(_OPEN_OF, order=order.id).all():
        state = state_after(Kind(row.kind), State(row.state), Move.OVERTAKE)
        stands = bool(row.gone) if why == WENT_OUT else _still_there(batch, row)
        if row.id != but and state is not None and not stands:
            end(batch, row, state, why=why)


def _still_there(batch: Batch, row: Row[Any]) -> bool:
    """Whether the units that a request is about were not given back yet, and money is left for them."""
    if not batch.run(_MONEY, order=row.order_id).scalar_one():
        return False
    for line in lines_of(batch.connection, [row.id])[row.id]:
        of = {"order": row.order_id, "sku": line.sku}
        if batch.run(_BOUGHT, **of).scalar_one() - batch.run(_LEFT, **of).scalar_one() < line.quantity:
            return False
    return True


def tell(batch: Batch, request: str) -> AfterSaleView:
    """Tell of a request as it is now."""
    row = batch.run(_SEEN, id=request).one()
    view = request_view(row, lines_of(batch.connection, [request])[request])
    batch.emit(AfterSaleChanged(batch.mint(), row.merchant, row.room, batch.now_ms, row.person, view))
    return view


def lines_of(connection: Connection, requests: Sequence[str]) -> dict[str, list[Row[Any]]]:
    """The lines of some requests."""
    found: dict[str, list[Row[Any]]] = {request: [] for request in requests}
    if requests:
        for line in connection.execute(_LINES, {"ids": list(requests)}):
            found[line.request].append(line)
    return found


def request_view(row: Row[Any], lines: Sequence[Row[Any]]) -> AfterSaleView:
    """A row of ``after_sale`` with its refund's amount as ``refunded``."""
    return AfterSaleView(
        row.id, row.order_id, row.room, row.person, row.kind, row.reason, row.words, row.state, row.pays, row.most,
        row.amount, row.offer, bool(row.keeps), row.answer, row.why, row.back_to, row.carrier, row.number, row.refund,
        row.refunded,
        tuple(
            AfterSaleLineView(line.sku, line.title, line.quantity, line.amount, line.sellable, line.quarantined)
            for line in lines
        ),
        row.due_ms, row.created_ms, row.answered_ms, row.sent_ms, row.ended_ms,
    )  # fmt: skip


def read_requests(connection: Connection, reach: Reach | None = None, **asked: Any) -> list[AfterSaleView]:
    """Requests, newest first: of a ``person``, an ``order``, in a ``state`` (open: any such); empty for all of them."""
    asked["before"], asked["limit"] = asked["before"] or AFTER_ALL, min(asked["limit"], LIST_MAX)
    values = {} if reach is None else reach_values(reach)
    rows = connection.execute(_LIST if reach is None else _LIST_REACHED, asked | values).all()
    lines = lines_of(connection, [row.id for row in rows])
    return [request_view(row, lines[row.id]) for row in rows]


def read_request(connection: Connection, merchant: str, request: str, person: str | None) -> AfterSaleView:
    """One request. Raises NotFound."""
    row = connection.execute(_SEEN, {"id": request}).one_or_none()
    if row is None or row.merchant != merchant or person not in (None, row.person):
        raise NotFound("no such request")
    return request_view(row, lines_of(connection, [request])[request])
