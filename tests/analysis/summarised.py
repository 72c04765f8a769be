"""Synthetic results as a test asks for them: their summary alone, or with the hypotheses that a study can ask for."""

from __future__ import annotations

from dataclasses import replace

from thriftune.analysis.analyse import Analysis, Section
from thriftune.analysis.panels.answers import summary
from thriftune.results.store import Results


def summarised(results: Results) -> Analysis:
    """The summary of some results, without the other panels."""
    return Analysis(
        results, [Section("summary", "answers", summary.TITLE, summary.QUESTION, summary.build(results))], []
    )


def asking(results: Results) -> Results:
    """The results of the same study with `hypotheses: true`."""
    return Results(results.store, replace(results.study, study=results.study.study | {"hypotheses": True}))
