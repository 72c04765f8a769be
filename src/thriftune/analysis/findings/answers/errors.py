"""How the runs err, in words: on other texts than each other or not, on which label most, and what they take it for."""

from __future__ import annotations

from thriftune import wording as f
from thriftune.analysis.findings.errors import overlap
from thriftune.analysis.findings.memo import once
from thriftune.analysis.findings.runs import comparable, correct, errors
from thriftune.results.record import RunRecord
from thriftune.results.store import Results

HARDEST_NAMED = 5
"""Labels that the sentence on errors names at most."""


FEWEST_ERRORS = 10
"""With fewer, a share of a run's errors says next to nothing."""


@once
def error_behaviour(results: Results) -> str:
    """Whether methods err on other texts than seeds do, on which label the runs err most, and what for."""
    runs = [run for run in comparable(results) if run.test and correct(run.test) < run.test.texts]
    if not runs:
        return "No fine-tuned run that learned made errors to compare."
    return " ".join([*overlap.brief(results), _labels(results, runs)])


def _labels(results: Results, learners: list[RunRecord]) -> str:
    runs = [run for run in learners if run.test and errors(run.test) >= FEWEST_ERRORS]
    if not runs:
        return f"No run that learned made {FEWEST_ERRORS} errors: too few to say on which label most are."
    hardest: dict[str, list[float]] = {}
    names: dict[str, list[str]] = {}
    for run in runs:
        label, share = _hardest(run, results.labels)
        hardest.setdefault(label, []).append(share)
        names.setdefault(label, []).append(run.name)
    if len(hardest) == 1:
        label, shares = next(iter(hardest.items()))
        which = "that learned" if len(runs) == len(learners) else f"with {FEWEST_ERRORS} errors or more"
        who = f"{runs[0].name} errs" if len(runs) == 1 else f"All {len(runs)} runs {which} err"
        whose = "its" if len(runs) == 1 else "their"
        base = f.percent(_support(runs[0], results.labels, label))
        text = f"{who} most on texts labelled {label}: {_span(shares)} of {whose} errors"
        text += f" ({base} of the test texts)."
    else:
        most = sorted(hardest, key=lambda label: -len(names[label]))
        each = [f"{f.listing(names[label], 4)} on {label} ({_span(hardest[label])} of errors)" for label in most]
        if len(each) > HARDEST_NAMED:
            left = len(each) - HARDEST_NAMED + 1
            each = [*each[: HARDEST_NAMED - 1], f"the others on {left} further labels"]
        text = f"The runs err most on texts of different labels: {'; '.join(each)}."
    return f"{text} {_confusion(runs, results.labels)}"


def _span(shares: list[float]) -> str:
    return f.percent_range(min(shares), max(shares), 0)


def _hardest(run: RunRecord, labels: list[str]) -> tuple[str, float]:
    confusion = run.test.confusion if run.test else []
    wrong = [sum(row) - row[i] for i, row in enumerate(confusion)]
    top = max(range(len(wrong)), key=lambda i: wrong[i])
    return labels[top], wrong[top] / max(1, sum(wrong))


def _support(run: RunRecord, labels: list[str], label: str) -> float:
    confusion = run.test.confusion if run.test else []
    return sum(confusion[labels.index(label)]) / max(1, sum(map(sum, confusion)))


def _confusion(runs: list[RunRecord], labels: list[str]) -> str:
    pairs: dict[tuple[str, str], int] = {}
    for run in runs:
        confusion = run.test.confusion if run.test else []
        _, i, j = max((n, i, j) for i, row in enumerate(confusion) for j, n in enumerate(row) if i != j)
        pairs[labels[i], labels[j]] = pairs.get((labels[i], labels[j]), 0) + 1
    (true, predicted), number = max(pairs.items(), key=lambda item: item[1])
    if len(runs) == 1:
        return f"Its most frequent confusion: {true} taken for {predicted}."
    if number == 1:
        return "Their most frequent confusions all differ."
    share = f"all {len(runs)}" if number == len(runs) else f"{number} of {len(runs)}"
    return f"The most frequent confusion in {share}: {true} taken for {predicted}."
