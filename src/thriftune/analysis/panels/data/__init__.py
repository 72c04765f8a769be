"""What the data has to do with it."""

TITLE = "Data"
PANELS = ["profile", "unanimous", "label_errors", "dynamics", "annotators", "partial_text"]
"""In reading order."""
