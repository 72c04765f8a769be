"""The verdicts of a study: for every pair of methods on one model better, worse, equivalent or undecided."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from thriftune import wording as f
from thriftune.analysis.findings.deciding import FLOOR, Deciding, by_seeds, deciding, of_seeds
from thriftune.analysis.findings.groups import groups_of
from thriftune.analysis.findings.lost import lost_seeds
from thriftune.analysis.findings.memo import once
from thriftune.analysis.findings.predictions import Outcomes, outcomes
from thriftune.analysis.findings.runs import CHANCE, Cell, by_model, cells, comparable, differing, is_baseline, learned
from thriftune.analysis.findings.training import AT, trained
from thriftune.analysis.findings.tried import unequal
from thriftune.analysis.findings.verdict import Apart, Discordant, Interval, Outcome, Spread, Unsupported, Verdict
from thriftune.analysis.statistics import clustered, inference
from thriftune.analysis.statistics.detectable import detectable_after
from thriftune.analysis.statistics.inference import Difference, Ints, Measured
from thriftune.analysis.statistics.metric_intervals import (
    BY_CLASS,
    Metric,
    measure,
    weight_of_a_text,
    why_no_interval,
    with_weight,
)
from thriftune.analysis.statistics.spreads import SeedSpread
from thriftune.results.store import Results

ALPHA = 0.05


@dataclass(frozen=True)
class Judgement:
    """All verdicts of a study, each model's best method first, and what supports none."""

    verdicts: list[Verdict]
    unsupported: list[Unsupported]
    spreads: list[Spread]
    """Of the fine-tuned methods."""
    baselines: list[Spread]
    """Those of the baselines, once for each model that they are compared on."""
    margin: float
    """As a fraction: 0.005 is half a point."""
    deciding: Deciding
    """The measure that decides, and why nothing can be decided by it."""
    no_f1_interval: str | None = None
    """Why macro F1 has no interval; None where it has."""

    def score(self, cell: Cell) -> float:
        """A fine-tuned method's mean by the measure that decides; its accuracy where it is not compared."""
        found = next((spread for spread in self.spreads if spread.cell.name == cell.name), None)
        return cell.accuracy if found is None else float(found.score.scores.mean())

    def worse(self, names: set[str]) -> set[str]:
        """Those of the methods that a verdict calls worse than another of them.

        Where many models and baselines are compared the bounds of all at once are wider than those of one model's
        pairs: what is worse than another is not the best of all.
        """
        pairs = [v for v in self.verdicts if names >= {v.first.name, v.second.name}]
        return {v.higher[1].name for v in pairs if v.outcome in ("better", "worse")}

    def between(self, first: Cell, second: Cell) -> Verdict | None:
        """The verdict on two methods, whichever stands first; None where there is none."""
        names = {first.name, second.name}
        return next((v for v in self.verdicts if {v.first.name, v.second.name} == names), None)


@dataclass(frozen=True)
class _Scale:
    """What comparisons need beside the methods' scores."""

    found: Outcomes
    classes: int
    about: Deciding
    margin: float
    groups: Ints | None
    """Of the test texts, where they belong together."""

    def difference(self, pair: tuple[Cell, Cell], known: Known, name: Metric) -> Difference:
        """First minus second, with the spreads over seeds that were decided for all methods of the study."""
        one, other = (cell.name for cell in pair)
        first, second = known.methods[one].of(name), known.methods[other].of(name)
        spreads = known.seeds[name][one], known.seeds[name][other]
        if self.groups is None:
            found = inference.difference(first, second, spreads=spreads)
        else:
            found = clustered.clustered_difference(first, second, self.groups, spreads=spreads)
        if name not in BY_CLASS:
            return found
        return with_weight(found, weight_of_a_text(name, self.found.label, self.classes))


@dataclass(frozen=True)
class Known:
    """Every compared method by its name, measured."""

    methods: dict[str, Spread]
    seeds: dict[Metric, dict[str, SeedSpread]]
    """By metric, then method: how far its seeds lie apart."""


@once
def judge(results: Results) -> Judgement:
    """Compares all methods of each model with one another, and with the baselines: its own and those without one."""
    found, training = outcomes(results), trained(results)
    about, labels = deciding(results), results.labels
    scale = _Scale(found, len(labels), about, results.study.margin / 100, groups_of(results))
    verdicts: list[Verdict] = []
    unsupported = _runs_without_support(results)
    spreads: list[Spread] = []
    others: list[Spread] = []
    groups = list(_groups(results))
    known = _known(groups, scale)
    for model, group, baselines in groups:
        spreads += [known.methods[cell.name] for cell in group]
        others += [replace(known.methods[cell.name], model=model) for cell in baselines]
        ranked = sorted(group, key=lambda cell: -float(known.methods[cell.name].score.scores.mean()))
        pairs, lost = _pairs(ranked)
        unsupported += lost
        families = [pairs, [(cell, baseline) for baseline in baselines for cell in ranked]]
        for family in families:
            for verdict in _family(model, family, known, scale):
                verdicts.append(
                    replace(
                        verdict,
                        at_this_budget=training.still(verdict.first, verdict.second),
                        lost=(len(lost_seeds(results, verdict.first)), len(lost_seeds(results, verdict.second))),
                        unequal=unequal(verdict.first, verdict.second),
                    )
                )
    no_f1 = why_no_interval("macro_f1", found.label, labels)
    return Judgement(verdicts, unsupported, spreads, others, scale.margin, about, no_f1)


def _groups(results: Results) -> Iterator[tuple[str, list[Cell], list[Cell]]]:
    """Each model with its fine-tuned methods and the baselines that they are compared with."""
    found = [run for run in results.done if is_baseline(run) and run.method.get("name") != FLOOR]
    for model, runs in by_model(comparable(results)).items():
        yield model, cells(runs), cells(run for run in found if run.model in (None, model))


def _known(groups: list[tuple[str, list[Cell], list[Cell]]], scale: _Scale) -> Known:
    every = {cell.name: (model, cell) for model, group, baselines in groups for cell in (*group, *baselines)}
    methods = {name: _spread(model, cell, scale) for name, (model, cell) in every.items()}
    metrics: set[Metric] = {"accuracy", "macro_f1", scale.about.metric}
    seeds = {
        metric: of_seeds(
            (cell for _, cell in every.values()), {name: spread.of(metric) for name, spread in methods.items()}
        )
        for metric in metrics
    }
    return Known(methods, seeds)


@once
def told_apart(results: Results) -> list[Apart]:
    """Which differences this study tells apart on each model, from the errors that it measured: of its methods, or of
    a single one and the baselines.
    """
    judgement = judge(results)
    families = {verdict.model: verdict.baseline for verdict in reversed(judgement.verdicts)}
    if judgement.deciding.no_interval:
        return []
    out = []
    for model, against in reversed(families.items()):
        own = [v for v in judgement.verdicts if (v.model, v.baseline) == (model, against)]
        middle = sorted(own, key=lambda verdict: verdict.score.error)[len(own) // 2]
        known = {spread.cell.name: spread.score for spread in (*judgement.spreads, *judgement.baselines)}
        first, second = (known.pop(cell.name) for cell in (middle.first, middle.second))
        level = 1 - ALPHA / len(own)
        pool = _pool(results, middle)
        rest = [each for name, each in known.items() if name in pool]
        size = detectable_after(first, second, rest, level, groups=groups_of(results))
        out.append(Apart(model, against, size, level, len(own)))
    return out


def _pool(results: Results, verdict: Verdict) -> set[str]:
    """The methods whose seeds tell a verdict's spreads: those of its model, or all that stand alone on theirs."""
    seeds = by_seeds(results)
    names = {verdict.first.name, verdict.second.name} & set(seeds)  # a baseline that knows nothing is not among them
    pools = {seeds[name].pool for name in names} - {None}
    return {name for name, spread in seeds.items() if spread.pool in pools}


def _runs_without_support(results: Results) -> list[Unsupported]:
    reasons: dict[str, list[str]] = {}
    for run in results.runs:
        if run.status != "done" or run.test is None:
            reasons.setdefault(run.status.replace("_", " "), []).append(run.name)
        elif not learned(run):
            found = trained(results).of(run)
            still = f" {AT}" if found is not None and found.improving else ""
            reasons.setdefault(f"did not learn{still}: {CHANCE}", []).append(run.name)
    return [Unsupported(names, reason) for reason, names in reasons.items()]


def _pairs(group: list[Cell]) -> tuple[list[tuple[Cell, Cell]], list[Unsupported]]:
    pairs: list[tuple[Cell, Cell]] = []
    lost: dict[str, list[str]] = {}
    for first, second in combinations(group, 2):
        settings = differing([*first.runs, *second.runs], machine=False)
        if settings:
            parts = [f"{name} {' and '.join(sorted(found, key=_size))}" for name, found in settings.items()]
            reason = f"under different protocols: {f.listing(parts)}"
            lost.setdefault(reason, []).append(f"{first.name} against {second.name}")
        else:
            pairs.append((first, second))
    return pairs, [Unsupported(names, reason) for reason, names in lost.items()]


def _size(value: str) -> tuple[int, str]:
    """An order of settings that has 8 before 32, whichever run comes first."""
    return len(value), value


def _spread(model: str, cell: Cell, scale: _Scale) -> Spread:
    deterministic = is_baseline(cell.runs[0])
    predicted = np.stack([scale.found.predicted[run.run_id] for run in cell.runs])

    def by(metric: Metric) -> Measured:
        return measure(metric, scale.found.label, predicted, scale.classes, deterministic)

    accuracy, f1 = by("accuracy"), by("macro_f1")
    score = {"accuracy": accuracy, "macro_f1": f1}.get(scale.about.metric) or by(scale.about.metric)
    return Spread(model, cell, accuracy, f1, score)


def _family(model: str, pairs: list[tuple[Cell, Cell]], known: Known, scale: _Scale) -> Iterator[Verdict]:
    differences = [scale.difference(pair, known, scale.about.metric) for pair in pairs]
    adjusted, levels = inference.holm([each.p for each in differences], ALPHA)
    for pair, score, p, level in zip(pairs, differences, adjusted, levels, strict=True):
        first, second = pair
        single = _single(first, second, scale)
        yield Verdict(
            model=model,
            first=first,
            second=second,
            claim="methods" if score.repeated else "trained models",
            outcome="undecided" if scale.about.no_interval else decide(score, level, scale.margin),
            score=score,
            accuracy=scale.difference(pair, known, "accuracy"),
            macro_f1=scale.difference(pair, known, "macro_f1"),
            adjusted_p=p,
            adjusted_level=level,
            discordant=single[0] if single else None,
            bootstrap=single[1] if single else None,
        )


def decide(difference: Difference, level: float, margin: float) -> Outcome:
    """Equivalent where the 90% interval lies within the margin, better or worse where the other excludes 0.

    The first is the pair of one-sided tests of Schuirmann (1987); it comes first, so that a difference too small
    to matter is not called one.
    """
    low, high = difference.interval(0.9)
    if -margin < low and high < margin:
        return "equivalent"
    low, high = difference.interval(level)
    return "better" if low > 0 else "worse" if high < 0 else "undecided"


def _single(first: Cell, second: Cell, scale: _Scale) -> tuple[Discordant, Interval] | None:
    if len(first.runs) > 1 or len(second.runs) > 1:
        return None
    label, classes = scale.found.label, scale.classes
    a, b = (scale.found.predicted[cell.runs[0].run_id] for cell in (first, second))
    only_first = int(((a == label) & (b != label)).sum())
    only_second = int(((b == label) & (a != label)).sum())
    if scale.groups is None:
        p, drawn = inference.mcnemar(only_first, only_second), inference.bootstrap(label, a, b, classes)
    else:
        first_right, second_right = ((each == label).astype(np.float64) for each in (a, b))
        p = clustered.clustered_mcnemar(first_right, second_right, scale.groups)
        drawn = (
            clustered.metric_bootstrap("accuracy", label, a, b, classes, scale.groups),
            clustered.metric_bootstrap("macro_f1", label, a, b, classes, scale.groups),
        )
    accuracy, f1 = ((float(low), float(high)) for low, high in (np.quantile(each, [0.025, 0.975]) for each in drawn))
    return Discordant(only_first, only_second, p), Interval(accuracy, f1)
