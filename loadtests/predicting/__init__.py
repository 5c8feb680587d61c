"""Predictions by queueing theory and simulation from the measured demand. Pure."""
