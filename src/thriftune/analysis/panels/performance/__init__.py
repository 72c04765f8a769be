"""How well each method classifies."""

TITLE = "Performance"
PANELS = ["classification", "seeds", "search", "curves", "replication", "robustness_drops"]
"""In reading order."""
