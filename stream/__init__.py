"""Media: what a host sends, relayed to every viewer (ingest → relay → outputs)."""
