"""The verdicts in words: what is better, equivalent and undecided, and what no verdict rests on."""

from __future__ import annotations

from thriftune import wording as f
from thriftune.analysis.findings.answers import best_set
from thriftune.analysis.findings.answers.answer import few
from thriftune.analysis.findings.judgement import Judgement, judge, told_apart
from thriftune.analysis.findings.lost import lost_seeds
from thriftune.analysis.findings.memo import once
from thriftune.analysis.findings.runs import Cell, lacks
from thriftune.analysis.findings.training import AT, at, pointer, trained
from thriftune.analysis.findings.tried import unequal
from thriftune.analysis.findings.verdict import Outcome, Verdict
from thriftune.results.store import Results

LEADING = 3
"""Methods of a model that have a sentence on what they lead; the table holds every pair."""
PAIRS = 2
"""Pairs that a sentence names."""


OUTCOMES: tuple[Outcome, ...] = ("better", "worse", "equivalent", "undecided")


@once
def sentences(results: Results) -> list[str]:
    """The verdicts in words: what could be the best, for each model what is better, equivalent and undecided; then
    what supports no verdict.
    """
    judgement = judge(results)
    models = dict.fromkeys(verdict.model for verdict in judgement.verdicts)
    out = _scope(judgement.verdicts) + _measure(judgement) + _improving(results, judgement.verdicts)
    out += best_set.sentences(results) if judgement.verdicts else []
    for model in models:
        own = [verdict for verdict in judgement.verdicts if verdict.model == model]
        where = f"On {model}: " if len(models) > 1 else ""
        pairs = [verdict for verdict in own if not verdict.baseline]
        parts = [*_differences(pairs), *_equivalent(pairs, judgement.margin), *_undecided(pairs)]
        parts += _baselines([verdict for verdict in own if verdict.baseline])
        parts += _resolution(results, own)
        out += [where + part for part in parts]
    return [*out, *unsupported(results, judgement)]


def _measure(judgement: Judgement) -> list[str]:
    """What decides, where it is not accuracy, and why it cannot."""
    about = judgement.deciding
    if not judgement.verdicts or about.metric == "accuracy":
        return []
    text = f"{about.name[0].upper()}{about.name[1:]} decides."
    if about.no_interval:
        text += f" It has no interval here, so that nothing is decided: {about.no_interval}."
    return [text]


def _improving(results: Results, verdicts: list[Verdict]) -> list[str]:
    """Which methods of these verdicts were still improving, and where the command stands that would tell."""
    groups = {cell.name: cell for v in verdicts for cell in (v.first, v.second)}
    names = trained(results).names(groups.values())
    if not names:
        return []
    text = f"Still improving in the last epoch: {few(names)}; verdicts that rest on "
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
        f"These verdicts are about the methods, but for pairs with {few(names)}: one seed, so that they are "
        "about that trained model only."
    ]


def _differences(pairs: list[Verdict]) -> list[str]:
    winners: dict[tuple[str, bool], list[Verdict]] = {}
    for verdict in pairs:
        if verdict.outcome in ("better", "worse"):
            winners.setdefault((verdict.higher[0].name, verdict.score.repeated), []).append(verdict)
    out = []
    for (name, repeated), won in list(winners.items())[:LEADING]:
        ranked = sorted(won, key=lambda verdict: -abs(verdict.score.estimate))
        each = [
            f"{v.higher[1].name}{at(v.at_this_budget)} (by {f.points(v.score.estimate)}, "
            f"{_range(v, v.adjusted_level)}{_search(*v.higher)})"
            for v in ranked
        ]
        verb = "is better than" if repeated else "scored higher in this run than"
        out.append(f"{name}{_lost(ranked[0])} {verb} {few(each)}.")
    if (left := len(winners) - LEADING) > 0:
        out.append(f"{f.plural(left, 'more method')} lead others too: the report's table has every pair.")
    return out


def _lost(verdict: Verdict) -> str:
    """ " (1 of 3 seeds lost)" behind a method that leads; nothing where every seed of it can be used."""
    lost = verdict.higher_lost
    return f" ({lost} of {f.plural(lost + len(verdict.higher[0].runs), 'seed')} lost)" if lost else ""


def _search(first: Cell, second: Cell) -> str:
    found = unequal(first, second)
    return f"; {found}" if found else ""


def _equivalent(pairs: list[Verdict], margin: float) -> list[str]:
    out = []
    for repeated, what in ((True, "Equivalent within"), (False, "Scored alike in this run, within")):
        each = [
            f"{v.first.name} and {v.second.name}{at(v.at_this_budget)} ({f.apart(v.score.estimate)}, "
            f"90% {_range(v, 0.9)}{_search(v.first, v.second)})"
            for v in pairs
            if v.outcome == "equivalent" and v.score.repeated == repeated
        ]
        if each:
            out.append(f"{what} {f.points(margin)}: {few(each, PAIRS)}.")
    return out


def _undecided(pairs: list[Verdict]) -> list[str]:
    found = [verdict for verdict in pairs if verdict.outcome == "undecided"]
    if not found:
        return []
    each = []
    for v in found:
        high, low = v.higher
        text = f"{high.name} and {low.name}{at(v.at_this_budget)} ({f.apart(v.score.estimate)}, "
        if len(found) == 1:
            text += f"{_range(v, v.adjusted_level)}: they differ by "
        each.append(f"{text}at most {f.points(v.at_most)}{_search(*v.higher)})")
    return [f"Undecided: {few(each, PAIRS)}."]


def _resolution(results: Results, own: list[Verdict]) -> list[str]:
    """Which differences the study tells apart on these verdicts' model; said where a pair of its methods is undecided.

    Where one method alone ran on it, that of the comparisons with baselines.
    """
    pairs = [verdict for verdict in own if not verdict.baseline] or own
    if not any(verdict.outcome == "undecided" for verdict in pairs):
        return []
    found = [each for each in told_apart(results) if each.model == pairs[0].model]
    return [f"This study tells apart differences from about {f.points(each.size)} on." for each in found]


def _range(verdict: Verdict, level: float) -> str:
    low, high = verdict.score.interval(level)
    return f"interval {f.points_range(low, high) if verdict.score.estimate >= 0 else f.points_range(-high, -low)}"


def _baselines(pairs: list[Verdict]) -> list[str]:
    out = []
    for name in dict.fromkeys(verdict.second.name for verdict in pairs):
        own = [verdict for verdict in pairs if verdict.second.name == name]
        by_outcome: dict[Outcome, dict[str, list[str]]] = {}
        for verdict in own:
            lost = _lost(verdict) if verdict.outcome == "better" else ""
            text = f"{verdict.first.name}{lost}{at(verdict.at_this_budget)} ({f.beside(verdict.score.estimate)})"
            by_outcome.setdefault(verdict.outcome, {}).setdefault(verdict.said, []).append(text)
        parts = [
            f"{words}: {few(names)}" for outcome in OUTCOMES for words, names in by_outcome.get(outcome, {}).items()
        ]
        out.append(f"Against {name}, without {lacks(own[0].second.runs[0])}: {'; '.join(parts)}.")
    return out


def unsupported(results: Results, judgement: Judgement) -> list[str]:
    """What no verdict rests on, and why; seeds that were lost."""
    out = []
    if judgement.unsupported:
        parts = [f"{few(each.names)} ({each.reason})" for each in judgement.unsupported]
        out.append(f"No verdict rests on {'; '.join(parts)}.")
    lost = [
        f"{spread.cell.runs[0].cell} ({len(gone)} of {len(gone) + spread.accuracy.seeds})"
        for spread in judgement.spreads
        if (gone := lost_seeds(results, spread.cell))
    ]
    if lost:
        out.append(f"Seeds without a usable result are left out, which flatters their method: {few(lost)}.")
    return out
