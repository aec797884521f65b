"""Downstream: towards the chargers we are the central system."""
