"""Locust users that load a running server as a crowd would."""
