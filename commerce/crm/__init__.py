"""Customers: what they did, how they are sorted, what they are told."""
