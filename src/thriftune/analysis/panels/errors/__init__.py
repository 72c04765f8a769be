"""Whether the errors differ, and where they are."""

TITLE = "Errors"
QUESTION = "Where do they err, and on the same texts?"
PANELS = ["overlap", "labels", "slices", "error_words", "words", "surest", "error_map", "confidence", "calibration"]
"""In reading order."""
