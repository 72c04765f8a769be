"""Where the methods err, in a few words."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from thriftune import wording as f
from thriftune.analysis.findings.answers.answer import Answer, fitted
from thriftune.analysis.findings.decision import Decision, Standing, decide
from thriftune.analysis.findings.memo import once
from thriftune.analysis.findings.predictions import outcomes
from thriftune.analysis.statistics.basics import Floats
from thriftune.results.store import Results

FEWEST_ERRORS = 10
"""With fewer, a share of a method's errors says next to nothing."""
FEWEST_TEXTS = 10
"""Of a label, for its error rate to be named."""


@once
def errors(results: Results) -> Answer:
    """The label that is missed most, and on how many texts the two best methods give different answers."""
    return Answer("Errors", fitted(_sentences(results, decide(results))), "labels", "errors")


def _sentences(results: Results, decision: Decision) -> Iterator[str]:
    found = [each for each in decision.tuned if each.place != "not learned"]
    found = found or [each for each in decision.standings if each.place != "not learned"]
    if not found:
        yield "No method learned, so no errors are compared."
        return
    texts = len(outcomes(results).label)
    missed = _missed(results, found[0])
    if missed * texts < FEWEST_ERRORS:
        number = round(missed * texts)
        yield f"{found[0].name} made {f.plural(number, 'error')} in {f.count(texts)} texts."
    else:
        yield from _labels(results, found)
    if len(found) > 1:
        yield f"The two best disagree on {f.share(_disagreement(results, *found[:2]))} of texts."


def _labels(results: Results, found: list[Standing]) -> Iterator[str]:
    """The label with the highest share of wrong texts, of all methods or of the best one."""
    label = outcomes(results).label
    support = np.bincount(label, minlength=len(results.labels))
    enough = np.flatnonzero(support >= FEWEST_TEXTS)
    if len(enough) < 2:
        return
    rates = np.stack([_rates(results, each) for each in found])[:, enough]
    worst = rates.argmax(axis=1)
    shared = len(found) > 1 and bool((worst == worst[0]).all())
    means = rates.mean(axis=0) if shared else rates[0]
    top = int(worst[0])
    rest = np.delete(means, top)
    who = "All err" if shared else f"{found[0].name} errs"
    others = f.percent_range(float(rest.min()), float(rest.max()), 0)
    name = results.labels[int(enough[top])]
    yield f"{who} most on {name} ({f.percent(float(means[top]), 0)} wrong; others {others})."


def _rates(results: Results, standing: Standing) -> Floats:
    """The share of each label's texts that were classified wrongly, the mean over seeds, shape (labels,)."""
    known = outcomes(results)
    support = np.bincount(known.label, minlength=len(results.labels))
    wrong = np.mean(
        [
            np.bincount(known.label[known.predicted[run.run_id] != known.label], minlength=len(support))
            for run in standing.cell.runs
        ],
        axis=0,
    )
    return np.asarray(wrong / np.maximum(support, 1), dtype=np.float64)


def _missed(results: Results, standing: Standing) -> float:
    """The share of all texts that were classified wrongly, the mean over seeds."""
    known = outcomes(results)
    return float(np.mean([(known.predicted[run.run_id] != known.label).mean() for run in standing.cell.runs]))


def _disagreement(results: Results, first: Standing, second: Standing) -> float:
    """The share of texts that two methods' runs label differently, the mean over their pairs of seeds."""
    known = outcomes(results).predicted
    pairs = [(known[a.run_id] != known[b.run_id]).mean() for a in first.cell.runs for b in second.cell.runs]
    return float(np.mean(pairs))
