"""Where the methods err, in a few words."""

from __future__ import annotations

from thriftune.analysis.findings.answers.answer import Answer
from thriftune.analysis.findings.errors.hardest import hardest
from thriftune.analysis.findings.memo import once
from thriftune.results.store import Results


@once
def errors(results: Results) -> Answer:
    """The label that is missed most, and on how many texts exactly one of the two best methods is right."""
    return Answer("Errors", hardest(results), "labels", "errors")
