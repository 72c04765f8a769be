"""Which method, on which model, could be the best, in words."""

from __future__ import annotations

from thriftune import wording as f
from thriftune.analysis.findings.answers.answer import few
from thriftune.analysis.findings.decision import Decision, Standing, decide
from thriftune.analysis.findings.training import at
from thriftune.results.store import Results


def sentences(results: Results) -> list[str]:
    """Which could be the best of all that learned, on every model, baselines included; nothing where one is alone."""
    decision = decide(results)
    able = [each for each in decision.standings if each.place != "not learned"]
    if len(able) < 2 or decision.deciding.no_interval:
        return []
    best = decision.best_first
    models = f", on {f.plural(count, 'model')}" if (count := _models(able)) > 1 else ""
    among = f"of {len(able)} compared{models}"
    budget = at(any(each.still_improving for each in able), ", ")
    names = few([_named(each) for each in best])
    if len(best) == len(able):
        return [f"Any of the {len(able)} compared{models} could be the best{budget}: {names}."]
    out = [f"Could be the best {among}{budget}: {names}."]
    if any(len(each.cell.runs) == 1 for each in able if not each.baseline):
        out = [f"Could score highest on other texts {among}, as trained here{budget}: {names}."]
    rest = [each for each in able if not each.could_be_best]
    below = [f"{_named(each)} (at most {each.deciding.apart(each.at_most)})" for each in rest]
    return [*out, f"Below the best, with 95% for all at once: {few(below)}."]


def _named(standing: Standing) -> str:
    if not standing.lost:
        return standing.name
    seeds = standing.lost + len(standing.cell.runs)
    return f"{standing.name} ({standing.lost} of {f.plural(seeds, 'seed')} lost)"


def _models(standings: list[Standing]) -> int:
    return len({each.cell.runs[0].model for each in standings if each.cell.runs[0].model is not None})


def rows(decision: Decision) -> list[dict[str, object]]:
    """One row for each model and method: its score, whether it could be the best, and how far below it lies at most."""
    return [
        {
            "model": each.cell.runs[0].model or "none",
            "method": _named(each),
            "score": each.score.value,
            "could": "yes" if each.could_be_best else "did not learn" if each.place == "not learned" else "no",
            "below": each.at_most if each.below or each.place == "highest" else None,
            "below_reason": "did not learn" if each.place == "not learned" else decision.deciding.no_interval,
        }
        for each in decision.standings
    ]
