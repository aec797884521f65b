"""Upstream: towards the CSMS we are one charging station."""
