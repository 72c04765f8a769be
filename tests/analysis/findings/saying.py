"""What a study's page and terminal say of its methods, as sentences, and what of it cannot be true together."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from tests.report.boards import Made, write_board

from thriftune import wording as f
from thriftune.analysis.display.panel import Panel
from thriftune.analysis.findings.caution import caution
from thriftune.analysis.findings.decision import Decision, decide, headline
from thriftune.analysis.findings.judgement import judge
from thriftune.analysis.panels.answers import hypotheses, recommendation, summary, verdicts
from thriftune.report.first import first
from thriftune.report.printed.brief import brief
from thriftune.results.store import Results

NAMES = ("alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel")
"""None is a part of another, or of a word that a sentence may hold."""
LEADS = " (?:is better than|scored higher in this run than) "
EXPLAINED = "Could be the best: no other is shown"
"""A note on what the words mean."""
PARTS = (verdicts, recommendation, summary, hypotheses)


def made_up(out: Path, rng: np.random.Generator) -> Results:
    """A small study: 2 to 8 methods of which some are baselines, 1 to 3 seeds, lost seeds, and unfinished trainings."""
    number, seeds = int(rng.integers(2, 9)), int(rng.integers(1, 4))
    scatter = float(rng.choice([0.0, 0.01, 0.05]))
    made = [
        Made(
            name=NAMES[i],
            right=float(rng.choice([0.0, -1.0], p=[0.5, 0.5])) if rng.random() < 0.08 else 0.8 + scatter * rng.normal(),
            spread=float(rng.choice([0.0, 0.004, 0.02])),
            seconds=float(rng.uniform(10, 300)),
            memory=float(rng.uniform(5e7, 5e8)),
            parameters=int(rng.integers(1_000, 20_000_000)),
            baseline=bool(i and rng.random() < 0.25),
            gain=0.04 if rng.random() < 0.2 else 0.001,
            model=str(rng.choice(["demo:minilm", "bert-base-uncased"], p=[0.8, 0.2])),
        )
        for i in range(number)
    ]
    texts = int(rng.choice([200, 500, 1500]))
    store = write_board(
        out, tuple(made), seeds=seeds, texts=texts, hypotheses=True, alike=0.8, seed=int(rng.integers(9**9))
    )
    results = store.load()
    lost = {run.run_id for run in results.done if seeds > 1 and run.seed and rng.random() < 0.1}
    runs = [
        replace(run, status="failed", message="stopped", test=None, validation=None, cost=None)
        if run.run_id in lost
        else run
        for run in results.runs
    ]
    return Results(results.store, replace(results.study, runs=runs))


def sentences(results: Results) -> list[str]:
    """Of the first screen, the terminal, and the panels that answer."""
    panels = [module.build(results) for module in PARTS]
    found = [text for panel in panels if isinstance(panel, Panel) for text in (*panel.sentences, *panel.notes)]
    screen = first(results)
    found += [f"{screen.before}{screen.taken}{screen.after}", *(answer.text for answer in screen.answers)]
    found += [
        line.text if line.name != "Take" else f"Take {line.text}" for line in brief(results).lines if not line.command
    ]
    careful = caution(results)
    found += [careful.words] if careful else []
    return [text for text in found if not text.startswith(EXPLAINED)]


def plain(name: str) -> str:
    """A method's name without the seed that is left of several."""
    return name.partition(" seed ")[0]


def named(text: str) -> set[str]:
    """The methods that a text names."""
    return {name for name in NAMES if re.search(rf"\b{name}\b", text)}


def contradictions(results: Results) -> Iterator[str]:
    """What two sentences of a study cannot both say; nothing where it is sound."""
    decision, said = decide(results), sentences(results)
    for text in said:
        yield from _of_taken(decision, text)
        yield from _of_the_best(decision, text)
        yield from _numbers(decision, text)
    yield from _verdicts(results, decision, said)


def _of_taken(decision: Decision, text: str) -> Iterator[str]:
    taken = plain(decision.taken.name) if decision.taken else None
    for found in re.findall(r"\b[Tt]ake (\w+)(?: seed \d)?: \d", text):
        if found != taken:
            yield f"{found} is taken, and {taken}: {text}"
    if (match := re.search(rf"{LEADS}(.*)", text)) and taken in named(match[1]):
        yield f"the taken one is behind: {text}"
    if " lower." in text and taken in named(text.partition(" lower.")[0].rpartition(". ")[2]):
        yield f"the taken one is lower: {text}"


def _of_the_best(decision: Decision, text: str) -> Iterator[str]:
    best = plain(decision.best.name) if decision.best else None
    able = {plain(each.name) for each in decision.best_set}
    for found in re.findall(r"below the best \((\w+)(?: seed \d)?,", text) + re.findall(
        r"(\w+)(?: seed \d)?: [\d.]+%, the highest score", text
    ):
        if found != best:
            yield f"{found} is the best, and {best}: {text}"
    above = re.search(r"(\w+)(?: seed \d)?(?:, without fine-tuning,)? scored higher than all others", text)
    if above and (above[1] != best or len(able) > 1):
        yield f"{above[1]} is above all: {text}"
    for pattern in (
        r"(?:Could be the best|Could score highest)[^:]*: ([^.]*)\.",
        r"could be the best[^:]*: ([^.]*)\.",
        r"(?:: |^)([^:.]*) could each be the best",
        r"([^.]*) are not told apart\.",
    ):
        for found in re.findall(pattern, text):
            if not named(found) <= able:
                yield f"not of the best set: {text}"
            if best not in named(found) and decision.best and not decision.best.baseline:
                yield f"the best is missing: {text}"
            taken = decision.taken
            if taken in decision.best_set and not taken.baseline and plain(taken.name) not in named(found):
                yield f"the taken one is missing: {text}"


def _numbers(decision: Decision, text: str) -> Iterator[str]:
    for each in decision.standings:
        score = f.percent(each.score.value)
        for found in re.findall(rf"\b{each.name}(?::| \(|, )(\d+\.\d%)", text):
            if found != score:
                yield f"{each.name} scored {score}: {text}"
        for found in re.findall(rf"\b{each.name} \(at most ([\d.]+) points", text):
            if f"{found} points" != f.points(each.at_most):
                yield f"{each.name} lies at most {f.points(each.at_most)} below: {text}"


def _verdicts(results: Results, decision: Decision, said: Sequence[str]) -> Iterator[str]:
    judgement = judge(results)
    able = {plain(each.name) for each in decision.best_set}
    leads = [v for v in judgement.verdicts if v.outcome in ("better", "worse")]
    for verdict in leads:
        high, low = verdict.higher
        if plain(low.name) in able:
            yield f"{low.name} could be the best and is behind {high.name}"
        if decision.taken and low.name == decision.taken.name:
            yield f"{low.name} is taken and behind {high.name}"
        if not verdict.score.repeated and any(f"{high.name} is better than" in text for text in said):
            others = [v for v in leads if v.higher[0].name == high.name and v.score.repeated]
            if not others:
                yield f"{high.name} is called better with one seed"
    tuned = [v for v in judgement.verdicts if not v.baseline]
    similar = next((text for text in said if text.startswith("Similar accuracy: ")), "")
    if similar.startswith("Similar accuracy: supported") and any(v.outcome != "equivalent" for v in tuned):
        yield f"not all are equivalent: {similar}"
    if similar.startswith("Similar accuracy: refuted") and not any(v in leads for v in tuned):
        yield f"none is better: {similar}"
    still = any(each.still_improving for each in decision.standings)
    if decision.taken and still != headline(decision).startswith("At this budget"):
        yield f"whether training had ended: {headline(decision)}"
    for text in said:
        none = re.search(r"No fine-tuned method is shown to be better than (\w+)(?: seed \d)?\.", text)
        if none and any(plain(v.higher[1].name) == none[1] for v in leads):
            yield f"some is: {text}"
