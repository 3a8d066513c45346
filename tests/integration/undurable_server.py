"""``siyu`` with a database that is never synced: what the durability test must find out. Stands before the command.

The product has no setting for this, and must not get one.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import gateway.app
from commerce.store_sql import open_store
from gateway.cli import main

if __name__ == "__main__":
    vars(gateway.app)["open_store"] = partial(open_store, synchronous="OFF")
    # The command it stands before: python -m gateway serve …
    sys.exit(main(sys.argv[sys.argv.index("gateway") + 1 :]))
