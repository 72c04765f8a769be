"""The page's first screen: facts, the decision, what to be careful of, the methods side by side, three answers."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from thriftune import wording as f
from thriftune.analysis.findings.answers.answer import Answer
from thriftune.analysis.findings.answers.cost import cost
from thriftune.analysis.findings.answers.errors import errors
from thriftune.analysis.findings.answers.performance import performance
from thriftune.analysis.findings.caution import Caution, caution
from thriftune.analysis.findings.decision import decide
from thriftune.analysis.findings.groups import counted
from thriftune.analysis.findings.runs import is_baseline
from thriftune.metrics import METRICS
from thriftune.paths import named
from thriftune.report.lead import lead
from thriftune.report.leaderboard import FEWEST, Row, Scale, rows, split
from thriftune.report.printed.brief import first_remedy
from thriftune.report.scatter import Plane, planes
from thriftune.results.record import RunRecord
from thriftune.results.store import Results

MODELS = 2
WORDS = 250
"""Of the whole screen."""
OTHERS = 32
"""Those of headings and controls."""


@dataclass(frozen=True)
class First:
    """What the template writes."""

    name: str
    facts: list[str]
    before: str
    """The headline, in three parts: the middle one, a method's name, is bold."""
    taken: str
    after: str
    caution: Caution | None
    use: str | None
    """The command that labels texts with the method to take; None where something comes first."""
    remedy: str | None
    """What to do about what the caution says, where that does not say it and no command would settle it."""
    metric: str
    intervals: bool
    scale: Scale
    open: list[Row]
    folded: list[Row]
    planes: list[Plane]
    answers: list[Answer]


def first(results: Results) -> First:
    """The first screen of a study."""
    decision = decide(results)
    scale, found = rows(results, decision)
    said, careful, told = lead(decision), caution(results), facts(results)
    answers = [performance(results), cost(results), errors(results)] if decision.best else []
    texts = [results.study.name, *told, *(each.text for each in answers)]
    texts += [careful.words, careful.options or "", careful.time or ""] if careful else []
    remedy = first_remedy(results)
    room = WORDS - OTHERS - sum(len(text.split()) for text in texts)
    if room - len(said.split()) < sum(row.length for row in found[:FEWEST]):
        said = lead(decision, short=True)
    shown, folded = split(found, room - len(said.split()))
    name = decision.taken.name if decision.taken else ""
    before, taken, after = said.partition(name) if name and name in said else (said, "", "")
    metric = METRICS[decision.metric].label
    return First(
        name=results.study.name,
        facts=told,
        before=before,
        taken=taken,
        after=after,
        caution=careful,
        use=_use(results) if decision.taken is not None and careful is None else None,
        remedy=remedy if careful and remedy and remedy not in careful.words else None,
        metric=metric,
        intervals=decision.deciding.no_interval is None,
        scale=scale,
        open=shown,
        folded=folded,
        planes=planes(results, decision, metric),
        answers=answers,
    )


def _use(results: Results) -> str:
    return f"thriftune predict {shlex.quote(named(results.store.path))} new.csv --out labelled.csv"


def facts(results: Results) -> list[str]:
    """Model, texts, epochs, seeds and machine, each in a few words; what is not known is left out."""
    tuned = [run for run in results.runs if not is_baseline(run)]
    models = list(dict.fromkeys(run.model for run in results.runs if run.model is not None))
    found = [f.listing(models) if len(models) <= MODELS else f"{len(models)} models"] if models else []
    profile = results.study.profile
    noun = "pairs" if len(profile.text_columns) > 1 else "texts"
    of = f" of {counted(profile.groups.column, profile.groups.groups)}" if profile.groups is not None else ""
    found.append(
        f"{f.count(profile.rows.get('train', 0))} training, {f.count(profile.rows.get('test', 0))} test {noun}{of}"
    )
    found += _epochs(tuned)
    if tuned:
        found.append(f.plural(len({run.seed for run in tuned}), "seed"))
    return [*found, *_machine(results.done)]


def _epochs(tuned: list[RunRecord]) -> list[str]:
    asked = {run.protocol.get("epochs") for run in tuned} - {None}
    numbers = sorted(each for each in asked if isinstance(each, int))
    if len(numbers) != len(asked) or not asked:
        return ["until validation stops improving"] if asked else []
    if len(numbers) == 1:
        return [f.plural(numbers[0], "epoch")]
    return [f"{numbers[0]} to {numbers[-1]} epochs"]


def _machine(done: list[RunRecord]) -> list[str]:
    """The GPU, or the threads of the processor; several where runs differ."""
    found = dict.fromkeys(
        str(gpu) if (gpu := run.environment.get("gpu")) else f.plural(int(run.environment["threads"]), "CPU thread")
        for run in done
        if run.environment.get("gpu") or run.environment.get("threads")
    )
    return [" and ".join(found)] if found else []
