"""Where and how the study ran."""

TITLE = "Setup"
QUESTION = "How was it run?"
PANELS = ["environment"]
"""In reading order."""
