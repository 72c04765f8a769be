"""Costs predicted by the engine's own step on shapes alone."""
