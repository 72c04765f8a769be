"""Where the methods' predicted memory and time cross, from what `thriftune crossovers` left beside the results."""

from __future__ import annotations

from thriftune.analysis.display.panel import NotApplicable, Panel
from thriftune.analysis.findings import crossings
from thriftune.results.store import Results

TITLE = "Where the methods cross"
QUESTION = "From what batch, depth and model size on does another method cost less?"


def build(results: Results) -> Panel | NotApplicable:
    """The crossings along every axis that was estimated, with what was held still."""
    found = results.crossovers
    if found is None:
        return NotApplicable(
            f"Not estimated; thriftune crossovers --out {results.store.path.name} and then thriftune report add it."
        )
    panels = [crossings.build(axis, points) for axis, points in found.points.items()]
    return Panel(
        sentences=[sentence for panel in panels for sentence in panel.sentences],
        tables=[table for panel in panels for table in panel.tables],
        charts=[chart for panel in panels for chart in panel.charts],
        notes=[found.setting, *dict.fromkeys(note for panel in panels for note in panel.notes)],
    )
