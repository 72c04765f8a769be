"""What of a panel stands open on the page, and what is folded."""

from __future__ import annotations

from dataclasses import dataclass

from thriftune import wording as f
from thriftune.analysis.display.panel import Chart, Panel, Table


@dataclass(frozen=True)
class Evidence:
    """Tables and charts that stand together; small ones side by side."""

    tables: list[Table]
    charts: list[Chart]

    @property
    def summary(self) -> str:
        """What a fold over them says: "2 more tables and 10 more charts"."""
        counts = [(len(self.tables), "more table"), (len(self.charts), "more chart")]
        return f.listing([f.plural(count, noun) for count, noun in counts if count])


def evidence(panel: Panel) -> tuple[Evidence, Evidence]:
    """What stands open, the first large table and chart (else all small ones), and what is folded."""
    table = next((each for each in panel.tables if not each.small), None)
    chart = next((each for each in panel.charts if not each.small), None)
    if table is None and chart is None:
        return Evidence(panel.tables, panel.charts), Evidence([], [])
    rest = Evidence(
        [each for each in panel.tables if each is not table], [each for each in panel.charts if each is not chart]
    )
    return Evidence([table] if table else [], [chart] if chart else []), rest
