"""Sans-I/O protocol cores: bytes in, events out; no socket, clock or random number."""
