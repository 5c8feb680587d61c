"""Generates the load and records every request."""
