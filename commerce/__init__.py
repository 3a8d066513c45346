"""Stock, money and customers: command → handler → rule → ledger → event."""
