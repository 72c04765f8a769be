"""The published study's three hypotheses about LoRA, and its two rankings of errors, on this study's runs."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal

import numpy as np
from scipy.stats import binom

from thriftune import wording as f
from thriftune.analysis.display.panel import Column, NotApplicable, Panel, Table, of_kind
from thriftune.analysis.findings import predictions
from thriftune.analysis.findings.errors import overlap
from thriftune.analysis.findings.judgement import Judgement, judge
from thriftune.analysis.findings.runs import Cell, by_model, cells, comparable, correct, differing
from thriftune.analysis.findings.times import span, times, times_as_long
from thriftune.analysis.findings.training import at, still, trained
from thriftune.analysis.statistics.basics import Floats, wilson
from thriftune.analysis.statistics.one_seed import Said
from thriftune.analysis.statistics.ratios import TimeRatio
from thriftune.results.record import RunRecord
from thriftune.results.store import Results

TITLE = "Hypotheses"
QUESTION = "Is LoRA as accurate, and cheaper, and do methods err differently, as the published study expected?"

Answer = Literal["supported", "refuted", "undecided"]
CHEAPER = 0.9
"""Memory and parameters are less where they are below 90% of the other's; the other way round they are more."""


FIRST: dict[Said, str] = {
    "equivalent": "equivalent",
    "better": "more accurate",
    "worse": "less accurate",
    "undecided": "undecided",
    "scored higher in this run": "higher in this run",
    "scored lower in this run": "lower in this run",
    "scored alike in this run": "alike in this run",
}
"""What the lighter method is, for a list."""


@dataclass(frozen=True)
class Hypothesis:
    """One expectation, what became of it, and the figures."""

    name: str
    expected: str
    answer: Answer
    sentence: str
    at_this_budget: bool = False
    """Whether it rests on a run that was still improving."""


@dataclass(frozen=True)
class Pair:
    """Two methods on one model: the one with fewer trained parameters (LoRA, where there is one) first."""

    light: Cell
    heavy: Cell


def build(results: Results) -> Panel | NotApplicable:
    """Supported, refuted or undecided, with figures; the classes by error and the runs by overconfidence."""
    if not (results.study.published or results.study.study.get("hypotheses")):
        return NotApplicable("The study file holds no published numbers, and does not ask for it (hypotheses: true).")
    runs = comparable(results)
    if not runs:
        return NotApplicable("No fine-tuned run learned.")
    chosen = pairs(results)
    judgement = judge(results)
    found = [similar_accuracy(judgement, chosen), less_computation(results, chosen), distinct_errors(results)]
    classes, confidence = rank_classes(results, runs), rank_confidence(results, runs)
    sentences = [f"{each.name}: {each.answer}{at(each.at_this_budget)}. {each.sentence}" for each in found]
    sentences += [text for text in (_class_sentence(classes, len(runs)), _confidence_sentence(confidence)) if text]
    sentences += still(results, {cell.name: cell for pair in chosen for cell in (pair.light, pair.heavy)}.values())
    tables = [_costs(results, chosen), _classes(classes), _confidence(confidence)]
    notes = [
        f"Compared: {_who(chosen)}. Pairs under different protocols are left out.",
        f"Expected: {'; '.join(_lower(each.expected) for each in found)}.",
        "Supported and refuted are about all of these pairs: one pair against it refutes an expectation. Memory and "
        "parameters count as different from 10% on, times from 1.3x on and beyond the machine's noise.",
    ]
    statistics = {"hypotheses": [vars(each) for each in found], "classes": classes, "overconfidence": confidence}
    return Panel(sentences, [table for table in tables if table.rows], notes=notes, statistics=statistics)


def pairs(results: Results) -> list[Pair]:
    """LoRA against full and partial fine-tuning on each model; all pairs where a study has no such."""
    groups = [cells(runs) for runs in by_model(comparable(results)).values()]
    every = [pair for group in groups for pair in combinations(group, 2)]
    every = [pair for pair in every if not differing([*pair[0].runs, *pair[1].runs], machine=False)]
    published = [
        Pair(a, b)
        for one, two in every
        for a, b in ((one, two), (two, one))
        if _name(a) == "lora" and _name(b) in ("full", "top_layers")
    ]
    if published:
        return published
    ordered = [sorted(pair, key=lambda cell: cell.parameters or 0) for pair in every]
    return [Pair(light, heavy) for light, heavy in ordered]


def _name(cell: Cell) -> str:
    return str(cell.runs[0].method["name"])


def similar_accuracy(judgement: Judgement, chosen: list[Pair]) -> Hypothesis:
    """Equivalent within the margin in every pair; undecided where a method has one seed."""
    expected = f"Accuracy within {f.points(judgement.margin)}"
    found = [(pair, verdict) for pair in chosen if (verdict := judgement.between(pair.light, pair.heavy))]
    if not found:
        return Hypothesis("Similar accuracy", expected, "undecided", "No pair of methods can be compared.")
    single = any(not verdict.score.repeated for _, verdict in found)
    outcomes = [verdict.said_of(pair.light.name) for pair, verdict in found]
    counts = {words: outcomes.count(words) for words in FIRST}
    answer: Answer = "undecided"
    if counts["equivalent"] == len(found):
        answer = "supported"
    elif (counts["better"] or counts["worse"]) and not single:
        answer = "refuted"
    parts = [f"{FIRST[words]} in {n}" for words, n in counts.items() if n]
    pair, widest = max(found, key=lambda item: abs(item[1].score.estimate))
    gap = widest.score.estimate * (1 if widest.first.name == pair.light.name else -1)
    gap_text = f"{pair.light.name} lies {f.beside(gap)} {'' if gap else 'with '}{pair.heavy.name}"
    budget = any(verdict.at_this_budget for _, verdict in found)
    text = f"Of {f.plural(len(found), 'pair')} the lighter method is {f.listing(parts)}{at(budget)}; "
    text += f"the largest gap: {gap_text}."
    if single:
        text += " With one seed nothing is decided about the methods: several seeds of each would tell."
    return Hypothesis("Similar accuracy", expected, answer, text, budget)


def less_computation(results: Results, chosen: list[Pair]) -> Hypothesis:
    """Fewer trained parameters with less time and less memory in every pair; time beyond the machine's noise."""
    expected = "Fewer trained parameters, less time and less memory"
    measured = [(pair, ratios) for pair in chosen if (ratios := _ratios(results, pair)) is not None]
    if not measured:
        return Hypothesis("Less computation", expected, "undecided", "Time and memory were not both measured.")
    more = [item for item in measured if item[1].more]
    less = [item for item in measured if item[1].less]
    answer: Answer = "refuted" if more else "supported" if len(less) == len(measured) else "undecided"
    pair, found = max(more or measured, key=lambda item: max(item[1].time.value, item[1].memory))
    text = (
        f"Less of everything in {len(less)} of {f.plural(len(measured), 'pair')}, more of something in {len(more)}; "
        f"{pair.light.name} trains {f.share(found.parameters)} of the parameters of {pair.heavy.name}, with "
        f"about {times(found.time.value)} the training time ({span(found.time, ' to ')}) and {times(found.memory)} the "
        "peak memory."
    )
    return Hypothesis("Less computation", expected, answer, text)


@dataclass(frozen=True)
class Ratios:
    """The lighter method's costs over the other's."""

    parameters: float
    time: TimeRatio
    memory: float

    @property
    def less(self) -> bool:
        """Whether all are less: time beyond noise and 1.3x, what is exact by 10%."""
        return max(self.parameters, self.memory) < CHEAPER and self.time.faster == "first"

    @property
    def more(self) -> bool:
        """Whether any is more."""
        return max(self.parameters, self.memory) > 1 / CHEAPER or self.time.faster == "second"


def _ratios(results: Results, pair: Pair) -> Ratios | None:
    """None where one is not known."""
    time = times_as_long(results, pair.light, pair.heavy)
    values = [(getattr(pair.light, n), getattr(pair.heavy, n)) for n in ("parameters", "memory")]
    if time is None or any(a is None or not b for a, b in values):
        return None
    parameters, memory = (a / b for a, b in values)
    return Ratios(parameters, time, memory)


def distinct_errors(results: Results) -> Hypothesis:
    """Methods disagree more than seeds do."""
    expected = "Methods err on other texts than each other, more than seeds do"
    found = overlap.overlap(results)
    if found is None or not found.pairs("methods"):
        return Hypothesis("Distinct errors", expected, "undecided", "No two methods of a model learned.")
    answer = overlap.distinct(found, results.study.margin / 100)
    budget = trained(results).still(*cells(comparable(results)))
    return Hypothesis("Distinct errors", expected, answer, overlap.sentences(results)[0], budget)


def rank_classes(results: Results, runs: list[RunRecord]) -> list[dict[str, Any]]:
    """Labels by error rate, highest first, over all runs; with the share of errors and in how many runs it leads."""
    confusion = np.array([run.test.confusion for run in runs if run.test is not None])
    support = confusion.sum(axis=2)
    wrong = support - confusion.diagonal(axis1=1, axis2=2)
    rate = wrong / np.maximum(support, 1)
    leads = np.bincount(wrong.argmax(axis=1), minlength=wrong.shape[1])
    mean = rate.mean(axis=0)
    rows = []
    for i in np.argsort(-wrong.sum(axis=0), kind="stable"):
        texts = int(support[0, i])
        low, high = wilson(round(float(mean[i]) * texts), texts)
        rows.append(
            {
                "label": results.labels[i],
                "error_share": float(wrong[:, i].sum() / max(1, wrong.sum())),
                "text_share": float(texts / max(1, support[0].sum())),
                "error_rate": float(mean[i]),
                "error_rate_interval_95": [low, high],
                "most_errors_in_runs": int(leads[i]),
            }
        )
    return rows


def rank_confidence(results: Results, runs: list[RunRecord]) -> list[dict[str, Any]]:
    """Runs by the median lead of the wrong label over the true one in their errors, highest first."""
    rows = []
    for run in runs:
        read = predictions.read(results, run)
        if read.probabilities is None or run.test is None or not read.wrong.any():
            continue
        lead = np.sort(read.gap)
        low, high = median_interval(lead)
        sure = float(read.probabilities.max(axis=1).mean())
        rows.append(
            {
                "run": run.name,
                "median_lead": float(np.median(lead)),
                "median_lead_interval_95": [low, high],
                "mean_confidence": sure,
                "accuracy": correct(run.test) / run.test.texts,
                "overconfidence": sure - correct(run.test) / run.test.texts,
            }
        )
    return sorted(rows, key=lambda row: -row["median_lead"])


def median_interval(ordered: Floats, level: float = 0.95) -> tuple[float, float]:
    """The interval of a median between order statistics, for any distribution (Thompson, 1936).

    `ordered` is sorted, of shape (n,); with too few values it is their whole range, and covers less than the level.
    """
    below = max(0, int(binom.ppf((1 - level) / 2, len(ordered), 0.5)) - 1)
    return float(ordered[below]), float(ordered[len(ordered) - 1 - below])


def _class_sentence(rows: list[dict[str, Any]], runs: int) -> str:
    if len(rows) < 2 or not any(row["error_share"] for row in rows):
        return ""
    first, second = rows[:2]
    apart = first["error_rate_interval_95"][0] > max(row["error_rate_interval_95"][1] for row in rows[1:])
    in_runs = f"in {first['most_errors_in_runs']} of {f.plural(runs, 'run')} it has the most"
    figures = (
        f"{f.percent(first['error_share'])} of them for {f.percent(first['text_share'])} of the texts, an error rate "
        f"of {f.percent(first['error_rate'])}; {in_runs}"
    )
    if apart:
        return f"The class {first['label']} dominates the errors: {figures}."
    return f"No class clearly dominates the errors: {first['label']} has {figures}; next is {second['label']}."


def _confidence_sentence(rows: list[dict[str, Any]]) -> str:
    if len(rows) < 2:
        return ""
    first, second = rows[:2]
    text = f"{first['run']} is the most overconfident in its errors: a median lead of {first['median_lead']:.2f} for"
    text += f" the wrong label over the true one; next {second['run']}, {second['median_lead']:.2f}"
    if first["median_lead_interval_95"][0] <= second["median_lead_interval_95"][1]:
        text += ", too close to tell apart"
    return f"{text}."


def _who(chosen: list[Pair]) -> str:
    if chosen and all(_name(pair.light) == "lora" and _name(pair.heavy) in ("full", "top_layers") for pair in chosen):
        return "LoRA with full and partial fine-tuning of the same model"
    return "every two methods of a model, the one with fewer trained parameters first"


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _costs(results: Results, chosen: list[Pair]) -> Table:
    columns = [
        *of_kind("text", light="Lighter method", heavy="over"),
        *of_kind("ratio", parameters="Trained parameters", time="Training time"),
        Column("time_interval", "95% interval"),
        Column("memory", "Peak memory", "ratio"),
    ]
    rows = []
    for pair in chosen:
        found = _ratios(results, pair)
        row: dict[str, Any] = {"light": pair.light.name, "heavy": pair.heavy.name}
        if found is not None:
            row |= {"parameters": found.parameters, "time": found.time.value, "memory": found.memory}
        rows.append(row | {"time_interval": span(found.time) if found else "–"})
    return Table("hypothesis-costs", "The lighter method's cost over the other's.", columns, rows)


def _classes(ranked: list[dict[str, Any]]) -> Table:
    columns = [
        Column("label", "Class"),
        *of_kind("percent", error_share="Of the errors", text_share="Of the texts", error_rate="Error rate"),
        Column("interval", "95% interval"),
        Column("most_errors_in_runs", "Runs it leads", "int"),
    ]
    rows = [row | {"interval": f.percent_range(*row["error_rate_interval_95"])} for row in ranked]
    return Table("class-ranking", "Classes by their share of all runs' errors.", columns, rows)


def _confidence(ranked: list[dict[str, Any]]) -> Table:
    columns = [
        Column("run", "Run"),
        Column("median_lead", "Median lead in errors", "number"),
        Column("interval", "95% interval"),
        *of_kind("percent", mean_confidence="Mean confidence", accuracy="Accuracy"),
        Column("overconfidence", "Confidence over accuracy, points", "points"),
    ]
    rows = [row | {"interval": "{:.2f}–{:.2f}".format(*row["median_lead_interval_95"])} for row in ranked]
    return Table("overconfidence", "Runs by how sure they were of their errors.", columns, rows)
