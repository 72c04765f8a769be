"""Where and how the study ran."""

TITLE = "Setup"
PANELS = ["environment"]
"""In reading order."""
