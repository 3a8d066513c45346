"""The reader of ledger traces: which orders of calls it takes for durable, and which not."""

import pytest

from tests.commerce.sync_trace import unsynced_acks

ASK = '10 write(1<pipe:[1]>, "ask\\n", 4) = 4'
ACK = '10 write(1<pipe:[1]>, "ack p h\\n", 8) = 8'
WRITE = '11 pwrite64(5</d/shop.db-wal>, "x"..., 4096, 0) = 4096'
SYNC = "11 fdatasync(5</d/shop.db-wal>) = 0"
FAILED = "11 fdatasync(5</d/shop.db-wal>) = -1 EIO (Input/output error)"
BEGIN = "11 fdatasync(5</d/shop.db-wal> <unfinished ...>"
END = "11 <... fdatasync resumed>) = 0"
OTHER = "11 fdatasync(7</d/touches.db>) = 0"


@pytest.mark.parametrize(
    ("calls", "bad"),
    [
        ([ASK, WRITE, SYNC, ACK], 0),
        ([ASK, WRITE, BEGIN, END, ACK], 0),
        ([ASK, WRITE, SYNC, WRITE, ACK], 0),
        ([ASK, WRITE, ACK, SYNC], 1),
        ([ASK, SYNC, WRITE, ACK], 1),
        ([ASK, WRITE, BEGIN, ACK, END], 1),
        ([ASK, BEGIN, WRITE, END, ACK], 1),
        ([ASK, WRITE, FAILED, ACK], 1),
        ([ASK, WRITE, OTHER, ACK], 1),
        ([ASK, WRITE, SYNC, ACK, ASK, WRITE, ACK], 1),
        ([WRITE, BEGIN, ASK, END, ACK], 1),
    ],
)
def test_an_answer_counts_as_durable_only_after_a_write_and_a_whole_sync_of_the_log(calls: list[str], bad: int) -> None:
    assert unsynced_acks(calls) == (sum(call == ACK for call in calls), bad)
