"""What to conclude."""

TITLE = "Differences"
QUESTION = "Which methods differ, and which should be taken?"
PANELS = ["summary", "verdicts", "recommendation", "hypotheses"]
"""In reading order."""
