"""The verdicts in words: what is better, equivalent and undecided, and what no verdict rests on."""

from __future__ import annotations

from thriftune import wording as f
from thriftune.analysis.findings.judgement import Judgement, Outcome, Verdict, judge, lost_seeds
from thriftune.analysis.findings.memo import once
from thriftune.analysis.findings.runs import lacks
from thriftune.analysis.findings.training import AT, at, pointer, trained
from thriftune.analysis.statistics.planning import MOST_TEXTS, Needed
from thriftune.results.store import Results

NAMED = 6
"""Pairs that a sentence names; the table holds all."""


OUTCOMES: tuple[Outcome, ...] = ("better", "worse", "equivalent", "undecided")


@once
def sentences(results: Results) -> list[str]:
    """The verdicts in words: for each model what is better, equivalent and undecided; then what supports none."""
    judgement = judge(results)
    models = dict.fromkeys(verdict.model for verdict in judgement.verdicts)
    out = _scope(judgement.verdicts) + _improving(results, judgement.verdicts)
    for model in models:
        own = [verdict for verdict in judgement.verdicts if verdict.model == model]
        where = f"On {model}: " if len(models) > 1 else ""
        pairs = [verdict for verdict in own if not verdict.baseline]
        parts = [*_differences(pairs), *_equivalent(pairs, judgement.margin), *_undecided(pairs)]
        parts += _baselines([verdict for verdict in own if verdict.baseline])
        out += [where + part for part in parts]
    return [*out, *unsupported(results, judgement)]


def _improving(results: Results, verdicts: list[Verdict]) -> list[str]:
    """Which methods of these verdicts were still improving, and where the command stands that would tell."""
    groups = {cell.name: cell for v in verdicts for cell in (v.first, v.second)}
    names = trained(results).names(groups.values())
    if not names:
        return []
    text = f"Still improving in the last epoch: {f.listing(names, NAMED)}; verdicts that rest on "
    return [f"{text}{'it' if len(names) == 1 else 'them'} hold {AT}.{pointer(results)}"]


def _scope(verdicts: list[Verdict]) -> list[str]:
    pairs = [verdict for verdict in verdicts if not verdict.baseline] or verdicts
    if not pairs:
        return []
    single = [verdict for verdict in pairs if verdict.claim == "trained models"]
    if not single:
        return ["These verdicts are about the methods: other test texts and other seeds are allowed for."]
    if len(single) == len(pairs):
        return [
            "These verdicts are about the models trained here, one seed each, not about the methods: how another "
            "seed would turn out is not known."
        ]
    names = list(dict.fromkeys(c.name for v in single for c in (v.first, v.second) if len(c.runs) == 1))
    return [
        f"These verdicts are about the methods, but for pairs with {f.listing(names)}: one seed, so that they are "
        "about that trained model only."
    ]


def _differences(pairs: list[Verdict]) -> list[str]:
    winners: dict[str, list[Verdict]] = {}
    for verdict in pairs:
        if verdict.outcome in ("better", "worse"):
            winners.setdefault(verdict.higher[0].name, []).append(verdict)
    out = []
    for name, won in list(winners.items())[:NAMED]:
        ranked = sorted(won, key=lambda verdict: -abs(verdict.accuracy.estimate))
        each = [
            f"{v.higher[1].name}{at(v.at_this_budget)} (by {f.points(v.accuracy.estimate)}, "
            f"{_range(v, v.adjusted_level)})"
            for v in ranked
        ]
        out.append(f"{name} is better than {f.listing(each, NAMED)}.")
    if (left := len(winners) - NAMED) > 0:
        verb = "is" if left == 1 else "are"
        out.append(f"{f.plural(left, 'more method')} {verb} better than others: the report's table has every pair.")
    return out


def _equivalent(pairs: list[Verdict], margin: float) -> list[str]:
    found = [verdict for verdict in pairs if verdict.outcome == "equivalent"]
    if not found:
        return []
    each = [
        f"{v.first.name} and {v.second.name}{at(v.at_this_budget)} ({f.apart(v.accuracy.estimate)}, "
        f"90% {_range(v, 0.9)})"
        for v in found
    ]
    return [f"Equivalent within {f.points(margin)}: {f.listing(each, NAMED)}."]


def _undecided(pairs: list[Verdict]) -> list[str]:
    found = [verdict for verdict in pairs if verdict.outcome == "undecided"]
    if not found:
        return []
    each = []
    for v in found:
        high, low = v.higher
        text = f"{high.name} and {low.name}{at(v.at_this_budget)} ({f.apart(v.accuracy.estimate)}, "
        each.append(f"{text}{_range(v, v.adjusted_level)}; {needed_text(v)})")
    return [f"Undecided: {f.listing(each, NAMED)}."]


def needed_text(verdict: Verdict) -> str:
    """What would settle an undecided pair."""
    need = verdict.needed or Needed(None, None)
    ways = []
    if need.texts is not None:
        ways.append(f"about {f.rounded_up(need.texts)} test texts")
    if need.seeds is not None:
        ways.append(f"about {need.seeds} seeds of each")
    if ways:
        return f"{' or '.join(ways)} would settle it"
    if verdict.claim == "methods":
        return "it would take more test texts and more seeds together"
    return f"{f.count(MOST_TEXTS)} test texts would not settle it"


def _range(verdict: Verdict, level: float) -> str:
    low, high = verdict.accuracy.interval(level)
    return f"interval {f.points_range(low, high) if verdict.accuracy.estimate >= 0 else f.points_range(-high, -low)}"


def _baselines(pairs: list[Verdict]) -> list[str]:
    out = []
    for name in dict.fromkeys(verdict.second.name for verdict in pairs):
        own = [verdict for verdict in pairs if verdict.second.name == name]
        by_outcome: dict[Outcome, list[str]] = {}
        for verdict in own:
            text = f"{verdict.first.name}{at(verdict.at_this_budget)} ({f.beside(verdict.accuracy.estimate)})"
            by_outcome.setdefault(verdict.outcome, []).append(text)
        parts = [f"{outcome}: {f.listing(by_outcome[outcome])}" for outcome in OUTCOMES if outcome in by_outcome]
        out.append(f"Against {name}, without {lacks(own[0].second.runs[0])}: {'; '.join(parts)}.")
    return out


def unsupported(results: Results, judgement: Judgement) -> list[str]:
    """What no verdict rests on, and why; seeds that were lost."""
    out = []
    if judgement.unsupported:
        parts = [f"{f.listing(each.names)} ({each.reason})" for each in judgement.unsupported]
        out.append(f"No verdict rests on {'; '.join(parts)}.")
    lost = [
        f"{spread.cell.runs[0].cell} ({len(gone)} of {len(gone) + spread.accuracy.seeds})"
        for spread in judgement.spreads
        if (gone := lost_seeds(results, spread.cell))
    ]
    if lost:
        out.append(f"Seeds without a usable result are left out, which flatters their method: {f.listing(lost)}.")
    return out
