"""What private traffic adds to the ledger: its commands, and what it books with each order, in the same transaction."""

from collections.abc import Callable, Mapping
from typing import Any

from commerce.identity import join_sql
from commerce.ledger_batch_sql import Batch

HANDLERS: Mapping[type, Callable[[Batch, Any], Any]] = {**join_sql.HANDLERS}
