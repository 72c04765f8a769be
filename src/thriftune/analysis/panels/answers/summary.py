"""The first screen: performance, cost and errors in sentences, and the compact table of all runs."""

from __future__ import annotations

from typing import Any

from thriftune import wording as f
from thriftune.analysis.display.panel import Column, NotApplicable, Panel, Table
from thriftune.analysis.findings.judgement import Judgement, judge
from thriftune.analysis.findings.runs import (
    Cell,
    by_model,
    cells,
    comparable,
    correct,
    difference_sentence,
    errors,
    held_up,
    interval,
    is_baseline,
    lacks,
    learned,
    majority_share,
    not_learned,
    training_seconds,
    unfinished,
)
from thriftune.analysis.findings.training import Found, at, others, trained
from thriftune.analysis.panels.data.profile import unusable, warnings
from thriftune.analysis.panels.errors import overlap
from thriftune.analysis.statistics.basics import mean_and_deviation
from thriftune.results.record import RunRecord
from thriftune.results.store import Results

TITLE = "Summary"
QUESTION = "Which method classifies best, what does each cost, and how do their errors differ?"

EVERY = "Every fine-tuned method was still improving when training ended."
MOST_WARNINGS = 4
"""Remarks on the data that stand on the first screen; all stand with the data."""

HARDEST_NAMED = 5
"""Labels that the sentence on errors names at most."""
FEWEST_ERRORS = 10
"""With fewer, a share of a run's errors says next to nothing."""

COLUMNS = [
    Column("run", "Run"),
    Column("accuracy", "Accuracy", "percent", higher_is_better=True),
    Column("interval", "95% interval"),
    Column("macro_f1", "Macro F1", "percent", higher_is_better=True),
    Column("peak_memory_bytes", "Peak memory", "bytes", higher_is_better=False),
    Column("seconds", "Training", "seconds", higher_is_better=False),
    Column("samples_per_second", "Samples/s", "number", higher_is_better=True),
    Column("trained_parameters", "Trained parameters", "int"),
    Column("stored_bytes", "Stored", "bytes", higher_is_better=False),
    Column("remark", "Remark"),
]


def build(results: Results) -> Panel | NotApplicable:
    """Three answers, in this order: performance, cost, errors; then what the data needs, and how training ended."""
    sentences = [performance(results), cost(results), error_behaviour(results)]
    sentences += [*warnings(results.study.profile, MOST_WARNINGS), *others(results), *losses(results)]
    caption = "All runs. Best values are marked: scores among all that learned, costs among the fine-tuned."
    rows = [row(run, trained(results)) for run in results.runs]
    return Panel(sentences, [Table("summary", caption, COLUMNS, rows)], notes=notes(results))


def row(run: RunRecord, training: Found) -> dict[str, Any]:
    """One run's line in the compact table; unknown numbers carry their reason."""
    found = training.of(run)
    out: dict[str, Any] = {"run": run.name, "remark": remark(run, training), "unranked": not learned(run)}
    out["still_improving"] = found is not None and found.improving
    if is_baseline(run):
        out["unranked"] = ["peak_memory_bytes", "seconds", "samples_per_second", "stored_bytes"]
    if run.test is not None:
        out |= {"accuracy": run.test.accuracy, "macro_f1": run.test.macro_f1}
        out["interval"] = f.percent_range(*interval(run.test))
    if run.cost is not None:
        names = ("peak_memory_bytes", "samples_per_second", "trained_parameters", "stored_bytes")
        out |= {name: getattr(run.cost, name) for name in names}
        out |= {f"{name}_reason": reason for name, reason in run.cost.reasons.items()}
        out["seconds"] = training_seconds(run)
    return out


def remark(run: RunRecord, training: Found) -> str:
    """What a reader must know before comparing the run; empty where all is well."""
    if run.test is None or run.status != "done":
        return f"{run.status.replace('_', ' ')}: {run.message or 'no message'}"
    found = training.of(run)
    still = found is not None and found.improving
    if not learned(run):
        return f"did not learn{at(still)}"
    return "still improving" if still else "baseline" if is_baseline(run) else ""


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
        share = majority_share(lost[0].test) if lost[0].test else 0.0
        names = [f"{run.name} ({f.percent(run.test.accuracy)})" for run in lost if run.test]
        verb, budget = "supports" if len(lost) == 1 else "support", at(training.still(*cells(lost)))
        parts.append(
            f"{f.listing(names)} did not learn{budget}: not above the majority class ({f.percent(share)}); "
            f"{'it' if len(lost) == 1 else 'they'} {verb} no comparison."
        )
    if failed := unfinished(results):
        names = [f"{run.name} ({run.status.replace('_', ' ')})" for run in failed]
        parts.append(f"Without test results: {f.listing(names)}.")
    return " ".join(parts)


def losses(results: Results) -> list[str]:
    """Which runs' loss stayed at chance, whatever their accuracy; empty where none did."""
    found = [(each.run.name, words) for each in trained(results).runs if (words := each.loss_words)]
    if not found:
        return []
    names = [name for name, _ in found]
    return [f"{f.listing(names)}: {'its' if len(names) == 1 else 'their'} loss {found[0][1]}."]


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


def cost(results: Results) -> str:
    """For each model the fastest against the best classified; whether fewer parameters were cheaper; storage."""
    runs = comparable(results)
    groups = [cells(group) for group in by_model(runs).values()]
    if not groups:
        return "No fine-tuned run learned, so no costs are compared."
    parts = [_cost_of_model(judge(results), group, trained(results)) for group in groups]
    surprises = [found for group in groups if (found := parameter_surprise(group))]
    parts += [max(surprises)[1]] if surprises else []
    parts += _stored([cell for group in groups for cell in group])
    mixed = [sentence for group in by_model(runs).values() if (sentence := difference_sentence(group))]
    return " ".join([*parts, *dict.fromkeys(mixed)])


def _cost_of_model(judgement: Judgement, group: list[Cell], training: Found) -> str:
    group = [cell for cell in group if cell.seconds is not None]
    if not group:
        return "Training time was not measured."
    if len(group) == 1:
        return f"{group[0].name} trained in {f.seconds(group[0].seconds or 0)}{_peak(group[0])}."
    other = max(group, key=lambda cell: cell.accuracy)
    near = [cell for cell in group if cell is other or _close(judgement, other, cell)]
    fast = min(near if len(near) > 1 else group, key=lambda cell: cell.seconds or 0)
    tied = sum(cell.accuracy == other.accuracy for cell in group) > 1
    budget = at(training.still(*group))
    role = f"one of the best classifiers{budget}" if tied else f"the best classifier{budget}"
    if other is fast:
        other, role = max(group, key=lambda cell: cell.seconds or 0), "the slowest"
    if other is fast:
        return f"All {len(group)} methods trained in {f.seconds(fast.seconds or 0)}."
    times = f"{f.seconds(fast.seconds or 0)} against {f.seconds(other.seconds or 0)}"
    close = len(near) > 1 and len(near) < len(group) and role != "the slowest"
    who = f"Among those close in accuracy{at(training.still(*group))} {fast.name}" if close else fast.name
    text = f"{who} trained {_faster(fast, other)} {other.name}, {role} ({times})"
    if fast.memory and other.memory:
        text += f", and its memory peaked at {f.size(fast.memory)} against {f.size(other.memory)}"
    return " ".join([f"{text}.", *lightest(group, fast)])


def _close(judgement: Judgement, best: Cell, cell: Cell) -> bool:
    """Whether the best is not found to be better."""
    verdict = judgement.between(best, cell)
    return verdict is not None and verdict.against(best.name) != "better"


def _stored(group: list[Cell]) -> list[str]:
    known = sorted((cell for cell in group if cell.stored is not None), key=lambda cell: cell.stored or 0)
    if len(known) < 2:
        return []
    least, most = (f.size(cell.stored or 0) for cell in (known[0], known[-1]))
    if least == most:
        return [f"Stored weights: {least} for every method."]
    ends = [f"{f.size(cell.stored or 0)} ({cell.name})" for cell in (known[0], known[-1])]
    return [f"Stored weights range from {ends[0]} to {ends[1]}."]


def _faster(fast: Cell, slow: Cell) -> str:
    if not fast.seconds:
        return "faster than"
    return f"{f.ratio((slow.seconds or 0) / fast.seconds)} as fast as"


def lightest(group: list[Cell], fast: Cell) -> list[str]:
    """Names the cell with the least peak memory where it is not the fastest one."""
    known = [cell for cell in group if cell.memory is not None]
    if not known:
        return ["Peak memory was not measured."]
    light = min(known, key=lambda cell: cell.memory or 0)
    if light is fast:
        return []
    return [f"{light.name} needed the least memory ({f.size(light.memory or 0)})."]


def parameter_surprise(group: list[Cell]) -> tuple[float, str] | None:
    """The pair where fewer trained parameters (by 10% or more) went with the most extra time or memory.

    Returns the larger of the two ratios and a sentence; None where no pair needs 10% more of either.
    """
    worst: tuple[float, str] | None = None
    for a in group:
        for b in group:
            if not (a.parameters and b.parameters and a.parameters < 0.9 * b.parameters):
                continue
            time = (a.seconds or 0) / b.seconds if b.seconds else 0.0
            memory = a.memory / b.memory if a.memory and b.memory else 0.0
            if max(time, memory) > (worst[0] if worst else 1.1):
                costs = [f"{f.ratio(time)} the training time"] if time else []
                costs += [f"{f.ratio(memory)} the memory"] if memory else []
                text = (
                    f"Fewer trained parameters did not mean cheaper: {a.name} trains "
                    f"{f.share(a.parameters / b.parameters)} of the parameters of {b.name}, "
                    f"with {' and '.join(costs)}."
                )
                worst = (max(time, memory), text)
    return worst


def _peak(cell: Cell) -> str:
    return f" with a peak memory of {f.size(cell.memory)}" if cell.memory is not None else ""


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


def notes(results: Results) -> list[str]:
    """What the comparison does not say."""
    found = [dropped] if (dropped := unusable(results.study.profile)) else []
    per_cell = [len(cell.runs) for cell in cells(results.done) if not is_baseline(cell.runs[0])]
    if per_cell and max(per_cell) == 1:
        found.append(
            "Every method ran with one seed: this speaks of these trained models only. "
            "Repeats with other seeds can differ by more than the methods do."
        )
    if sentence := held_up(results.runs):
        found.append(sentence)
    groups = by_model(comparable(results))
    if len(groups) > 1 and (sentence := difference_sentence(comparable(results))):
        found.append(f"Across models: {sentence}")
    found.append(
        "Intervals: Wilson's, at 95%, for one model's accuracy on other texts of the same kind. Training time "
        "includes running frozen layers once, where their output is kept. Did not learn: accuracy not above the "
        "majority class share (exact one-sided binomial test at 5%)."
    )
    return found
