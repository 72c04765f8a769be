"""What to conclude."""

TITLE = "Differences"
QUESTION = "Which methods differ, and which should be taken?"
PANELS = ["verdicts", "recommendation", "hypotheses", "summary"]
"""In reading order."""
