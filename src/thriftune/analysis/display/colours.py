"""One colour for each method, the same in every chart of a study."""

from __future__ import annotations

import json

from thriftune.analysis.display.chart import NEUTRAL_SIZE, PALETTE_SIZE
from thriftune.analysis.findings.memo import once
from thriftune.analysis.findings.runs import cells, is_baseline
from thriftune.results.store import Results


@once
def colours(results: Results) -> dict[str, int]:
    """Each method's place in the theme's palette, by every name that charts call it or a run of it.

    Fine-tuned methods take the colours in the study's order, from the first again where there are more of them;
    baselines take the greys behind the colours. A method has one colour on all models.
    """
    places: dict[str, int] = {}
    tuned, baselines = 0, 0
    seen: dict[tuple[str, str | None], int] = {}
    found: dict[str, int] = {}
    for cell in cells(results.runs):
        first = cell.runs[0]
        settings = json.dumps(first.method, sort_keys=True, default=str)
        times = seen[settings, first.model] = seen.get((settings, first.model), 0) + 1  # of runs that differ otherwise
        key = f"{settings} {times}"
        if key not in places:
            if is_baseline(first):
                places[key] = PALETTE_SIZE + baselines % NEUTRAL_SIZE
                baselines += 1
            else:
                places[key] = tuned % PALETTE_SIZE
                tuned += 1
        found |= dict.fromkeys((first.cell, cell.name, *(run.name for run in cell.runs)), places[key])
    return found
