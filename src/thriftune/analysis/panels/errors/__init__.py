"""Whether the errors differ, and where they are."""

TITLE = "Errors"
PANELS = ["overlap", "words", "error_words", "slices", "labels", "surest", "error_map", "confidence", "calibration"]
"""In reading order."""
