"""How well each method classifies."""

TITLE = "Performance"
QUESTION = "How well does each method classify?"
PANELS = ["classification", "seeds", "search", "curves", "replication", "robustness_drops", "further_tests"]
"""In reading order."""
