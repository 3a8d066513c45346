"""Several processes on the same ports: a supervisor and its workers (`siyu serve --workers N`).

supervisor ── starts, watches, restarts ──► worker 0 … N−1      a socket pair each: `messages.py`, one JSON a line
    │ `registry.py`: which worker has which room
    └ keeps the ports (SO_REUSEPORT); each worker listens on them by itself

viewer ─► any worker ─► its relay ◄─ pulled once from the room's worker, over its Unix socket (`inner.py`)
"""
