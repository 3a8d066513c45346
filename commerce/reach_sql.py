"""Which orders and customers lie within somebody's reach, as conditions for statements of other modules.

An order is of the subtree that it counts for, of that which its room belongs to (whoever ran the show ships what it
sold), and of that of the store which hands it over. A customer is their guide's; one whom no guide has is known where
they bought. Each condition wants ``:merchant``, ``:reach_node`` and ``:reach_room``; orders are called ``o``, persons
``p``, links ``l``.
"""

from sqlalchemy import Connection, text

from commerce.domain.org import Reach

ROOMS_REACHED = "SELECT r.room FROM org_room AS r JOIN org_above AS a ON a.node = r.node WHERE a.above = :reach_node"
OUTLETS_REACHED = (
    "SELECT x.id FROM outlet AS x JOIN org_above AS a ON a.node = x.node"
    " WHERE x.merchant = :merchant AND a.above = :reach_node"
)
ORDER_REACHED = (
    "(o.node IN (SELECT node FROM org_above WHERE above = :reach_node) OR o.room = :reach_room"  # noqa: S608 - constants
    f" OR o.room IN ({ROOMS_REACHED}) OR o.outlet IN ({OUTLETS_REACHED}))"
)
_OF_GUIDES = (
    "SELECT b.person FROM binding AS b JOIN org_member AS m ON m.staff = b.issuer"
    " JOIN org_above AS a ON a.node = m.node WHERE b.merchant = :merchant AND b.role = 'guide'"
    " AND b.closed_ms IS NULL AND a.above = :reach_node"
)
_GUIDED = (
    "SELECT 1 FROM binding AS b JOIN org_member AS m ON m.staff = b.issuer WHERE b.merchant = :merchant"
    " AND b.person = p.id AND b.role = 'guide' AND b.closed_ms IS NULL"
)
PERSON_REACHED = (
    f"(p.id IN ({_OF_GUIDES}) OR (NOT EXISTS ({_GUIDED}) AND EXISTS"  # noqa: S608 - constants of this module
    f" (SELECT 1 FROM orders AS o WHERE o.merchant = :merchant AND o.person = p.id AND {ORDER_REACHED})))"
)

LINK_REACHED = (
    "(l.issuer IN (SELECT m.staff FROM org_member AS m JOIN org_above AS a ON a.node = m.node"  # noqa: S608
    # A link into no room is not one into the room that somebody has not.
    f" WHERE a.above = :reach_node) OR (l.room <> '' AND l.room = :reach_room) OR l.room IN ({ROOMS_REACHED}))"
)
_SHOWN = text(
    f"SELECT s.room = :reach_room OR s.room IN ({ROOMS_REACHED}) AS there FROM shelf AS s"  # noqa: S608
    " WHERE s.product = :goods OR s.product = (SELECT product FROM sku WHERE id = :goods)"
)
_ORDER = text(
    f"SELECT 1 FROM orders AS o WHERE o.id = :id AND o.merchant = :merchant AND {ORDER_REACHED}"  # noqa: S608
)
_PERSON = text(
    f"SELECT 1 FROM person AS p WHERE p.id = :id AND p.merchant = :merchant AND {PERSON_REACHED}"  # noqa: S608
)


def reach_values(reach: Reach) -> dict[str, str]:
    """The values of the conditions' own parameters."""
    return {"reach_node": reach.node, "reach_room": reach.room}


def reaches_order(db: Connection, merchant: str, order: str, reach: Reach) -> bool:
    """Whether an order lies within a reach."""
    return db.execute(_ORDER, {"id": order, "merchant": merchant, **reach_values(reach)}).first() is not None


def reaches_person(db: Connection, merchant: str, person: str, reach: Reach) -> bool:
    """Whether a person is a customer within a reach."""
    return db.execute(_PERSON, {"id": person, "merchant": merchant, **reach_values(reach)}).first() is not None


def shown_there_alone(db: Connection, goods: str, reach: Reach) -> bool:
    """Whether rooms within a reach show a product, or the product of a SKU, and no others do."""
    shown = db.execute(_SHOWN, {"goods": goods, **reach_values(reach)}).scalars().all()
    return bool(shown) and all(shown)
