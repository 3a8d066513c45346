"""Locust users and the shape of a show; of our own packages only pure codecs are imported here (law 6)."""
