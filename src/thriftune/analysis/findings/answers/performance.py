"""Which methods could be the best, and which are not, in a few words."""

from __future__ import annotations

from collections.abc import Iterator

from thriftune.analysis.findings.answers.answer import WORDS, Answer, fitted, naming
from thriftune.analysis.findings.decision import Decision, Standing, decide
from thriftune.analysis.findings.memo import once
from thriftune.analysis.findings.training import AT
from thriftune.results.store import Results

ROOM = 14
"""Words of the longest sentence."""


@once
def performance(results: Results) -> Answer:
    """The best set, the methods below it, and where fine-tuning did not beat what needs none."""
    decision = decide(results)
    still = decision.best is not None and any(each.still_improving for each in decision.standings)
    budget = f"{AT.capitalize()}, " if still else ""
    text = budget + fitted(_sentences(results, decision), WORDS - len(budget.split()))
    return Answer("Performance", text, "verdicts", "performance")


def _sentences(results: Results, decision: Decision) -> Iterator[str]:
    best = decision.best
    failed = [each.name for each in decision.tuned if each.place == "not learned"]
    if best is None:
        yield "No method learned, so there is nothing to compare." if results.done else "No run finished."
        return
    level = [each.name for each in decision.best_set if each is not best]
    close = [each for each in decision.standings if each.place == "close" and not each.could_be_best]
    lower = [each.name for each in decision.standings if each.place == "lower" and not each.baseline]
    if level:
        yield naming([best.name, *level], ROOM, lambda names: f"{names} are not told apart.")
    elif any(each.place != "not learned" for each in decision.standings[1:]):
        how = ", without fine-tuning," if best.baseline else ""
        yield f"{best.name}{how} scored higher than all others{' in this run' if decision.one_seed else ''}."
    else:
        yield f"{best.name} reached {decision.deciding.named(best.score.value)}; there is nothing to compare it with."
    if close:
        most = decision.deciding.apart(max(each.at_most for each in close))
        yield naming([each.name for each in close], ROOM, lambda names: f"At most {most} below: {names}.")
    if lower:
        verb = "scores" if len(lower) == 1 else "score"
        yield naming(lower, ROOM, lambda names: f"{names} {verb} lower.")
    yield from _baselines(decision, best)
    if failed:
        yield naming(failed, ROOM, lambda names: f"{names} did not learn.")


def _baselines(decision: Decision, best: Standing) -> Iterator[str]:
    """Where what needs no fine-tuning scored as high as what was fine-tuned."""
    known = [each for each in decision.standings if each.baseline and each.place != "not learned"]
    if not known:
        return
    top = known[0]
    if top is best:
        if any(each.could_be_best for each in decision.tuned):
            yield f"No fine-tuned method is shown to be better than {best.name}."
        return
    below = [each.name for each in decision.tuned if under_baseline(decision, each) is top]
    score = decision.deciding.said(top.score.value)
    if top.could_be_best:
        yield f"{top.name} ({score}) is not told apart from the best."
    elif below:
        verb = "is" if len(below) == 1 else "are"
        yield naming(below, ROOM, lambda names: f"{names} {verb} below {top.name}.")


def under_baseline(decision: Decision, each: Standing) -> Standing | None:
    """The highest baseline, where a fine-tuned method's whole interval lies below it; else None."""
    top = next((other for other in decision.standings if other.baseline and other.place != "not learned"), None)
    if top is None or each.baseline or each.below is None or top.below is None:
        return None
    return top if each.below[0] > top.below[1] else None
