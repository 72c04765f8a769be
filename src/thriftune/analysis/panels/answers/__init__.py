"""What to conclude."""

TITLE = "Summary"
PANELS = ["summary", "recommendation", "verdicts", "hypotheses"]
"""In reading order."""
