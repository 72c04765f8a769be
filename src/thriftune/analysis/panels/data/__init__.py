"""What the data has to do with it."""

TITLE = "Data"
QUESTION = "What do the data have to do with it?"
PANELS = ["profile", "unanimous", "label_errors", "dynamics", "annotators", "partial_text"]
"""In reading order."""
