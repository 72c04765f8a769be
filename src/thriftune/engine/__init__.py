"""Training and prediction: one loop for every method and architecture."""

ENGINE_VERSION = "9"
"""Part of every run's id: raise it whenever the engine's numbers may change."""
