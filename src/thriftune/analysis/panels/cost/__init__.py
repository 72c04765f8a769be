"""What each method costs."""

TITLE = "Cost"
PANELS = ["parameters", "compute", "breakdown", "depth", "batch_sweep", "storage", "prediction", "crossovers"]
"""In reading order."""
