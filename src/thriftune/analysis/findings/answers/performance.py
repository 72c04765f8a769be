"""Which method classified best, in words."""

from __future__ import annotations

from thriftune import wording as f
from thriftune.analysis.findings.judgement import Judgement, judge
from thriftune.analysis.findings.memo import once
from thriftune.analysis.findings.runs import (
    CHANCE,
    Cell,
    cells,
    is_baseline,
    lacks,
    learned,
    not_learned,
    unfinished,
)
from thriftune.analysis.findings.training import Found, at, trained
from thriftune.analysis.statistics.basics import mean_and_deviation
from thriftune.results.store import Results

EVERY = "Every fine-tuned method was still improving when training ended."


@once
def performance(results: Results) -> str:
    """Which method classified best, and the verdicts on it against the others."""
    training = trained(results)
    ranked = sorted(cells(run for run in results.done if learned(run)), key=lambda cell: -cell.accuracy)
    tuned = [cell for cell in ranked if not is_baseline(cell.runs[0])]
    parts = []
    if tuned:
        parts += _ranking(judge(results), ranked, training)
    elif results.done:
        parts.append(f"No fine-tuned run learned{at(bool(training.improving))}, so no method can be compared.")
    else:
        parts.append("No run finished, so there is nothing to compare.")
    parts += _baselines(ranked)
    if lost := not_learned(results):
        names = [f"{run.name} ({f.percent(run.test.accuracy)})" for run in lost if run.test]
        verb, budget = "supports" if len(lost) == 1 else "support", at(training.still(*cells(lost)))
        parts.append(
            f"{f.listing(names)} did not learn{budget}: {'its' if len(lost) == 1 else 'their'} {CHANCE}; "
            f"{'it' if len(lost) == 1 else 'they'} {verb} no comparison."
        )
    if failed := unfinished(results):
        names = [f"{run.name} ({run.status.replace('_', ' ')})" for run in failed]
        parts.append(f"Without test results: {f.listing(names)}.")
    return " ".join(parts)


def _ranking(judgement: Judgement, ranked: list[Cell], training: Found) -> list[str]:
    best, *others = ranked
    tuned = [cell for cell in ranked if not is_baseline(cell.runs[0])]
    budget = at(bool(training.improving))  # a run that has not learned yet may still pass the others
    equal = [cell for cell in others if cell.accuracy == best.accuracy]
    if equal:
        names = [cell.name for cell in (best, *equal)]
        parts = [f"{f.listing(names)} classified best{budget}, with the same accuracy: {_accuracy(best)}."]
    else:
        parts = [f"{best.name} classified best{budget}: {_accuracy(best)}."]
    if is_baseline(best.runs[0]):
        still = training.names(cells(each.run for each in training.runs))
        why = f"; still improving: {f.listing(still)}" if still else ""
        parts.append(f"No fine-tuned model was better than a classifier without {lacks(best.runs[0])}{budget}{why}.")
    if all(training.still(cell) for cell in tuned):
        parts.insert(0, EVERY if len(tuned) > 1 else f"{tuned[0].name} was still improving when training ended.")
    models = dict.fromkeys(cell.runs[0].model for cell in tuned)
    groups = [[cell for cell in tuned if cell.runs[0].model == model] for model in models]
    return [*parts, *(standing(judgement, group) for group in groups if len(group) > 1)]


def standing(judgement: Judgement, group: list[Cell]) -> str:
    """The verdicts on the most accurate method of one model against its other methods, most accurate first."""
    top, *others = sorted(group, key=lambda cell: -cell.accuracy)
    verdicts = {cell.name: judgement.between(top, cell) for cell in others}
    found: dict[tuple[str, bool], list[str]] = {}
    for cell in others:
        verdict = verdicts[cell.name]
        outcome, apart = "no verdict", ""
        if verdict:
            gap = verdict.accuracy.estimate
            outcome = verdict.against(top.name) if gap or verdict.outcome == "equivalent" else "level"
            apart = "" if outcome in ("equivalent", "level") else f" (by {f.points(gap)})"
        still = verdict is not None and verdict.at_this_budget
        found.setdefault((outcome, still), []).append(cell.name + apart)
    words = {
        "better": "better than {}{}",
        "equivalent": f"equivalent to {{}} within {f.points(judgement.margin)}{{}}",
        "level": "level with {}{}, though not shown to be equivalent",
        "undecided": "above {}{}, but not by more than chance allows",
        "no verdict": "not comparable with {}{}, which ran under another protocol",
    }
    parts = [
        text.format(f.listing(found[outcome, still], 5), at(still))
        for outcome, text in words.items()
        for still in (False, True)
        if (outcome, still) in found
    ]
    single = any(verdict and verdict.claim == "trained models" for verdict in verdicts.values())
    return f"{'Of the models trained here, ' if single else ''}{top.name} is {'; '.join(parts)}."


def _accuracy(cell: Cell) -> str:
    values = [run.test.accuracy for run in cell.runs if run.test]
    mean, deviation = mean_and_deviation(values)
    if deviation is not None:
        return f"{f.percent(mean)} ± {100 * deviation:.1f} (mean ± standard deviation of {len(values)} seeds)"
    return f"{f.percent(mean)} (95% interval {f.percent_range(*cell.interval)})"


def _baselines(ranked: list[Cell]) -> list[str]:
    found = [cell for cell in ranked if is_baseline(cell.runs[0])]
    if not found:
        return []
    named: dict[str, list[str]] = {}
    for cell in found:
        named.setdefault(lacks(cell.runs[0]), []).append(f"{cell.name} {f.percent(cell.accuracy)}")
    return [f"Without {what}: {f.listing(names)}." for what, names in sorted(named.items())]
