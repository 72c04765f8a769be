"""What each method costs."""

TITLE = "Cost"
QUESTION = "What does each method cost?"
PANELS = ["compute", "breakdown", "parameters", "depth", "batch_sweep", "storage", "prediction", "crossovers"]
"""In reading order."""
