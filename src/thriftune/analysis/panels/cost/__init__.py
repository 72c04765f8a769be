"""What each method costs."""

TITLE = "Cost"
QUESTION = "What does each method cost?"
PANELS = ["compute", "breakdown", "parameters", "depth", "batch_sweep", "storage", "in_use", "prediction", "crossovers"]
"""In reading order."""
