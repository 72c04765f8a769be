"""What `thriftune init` proposes for data of some size: protocol, head, methods, and how long they take."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from thriftune.data.guess.inspect import Guess
from thriftune.engine.protocol import Budget, Protocol
from thriftune.errors import InputError
from thriftune.methods import find
from thriftune.methods.base import TransformerMethod
from thriftune.models.head import HeadSettings
from thriftune.models.pretrained.pooled_by import pooled_by
from thriftune.study.forecast.duration import Speeds, about, embedding_seconds, ngram_seconds, training_seconds
from thriftune.study.proposal.deciding import deciding_metric
from thriftune.study.proposal.max_tokens import TokenRoom, model_folder

BATCHES = ((500, 8), (4_000, 16))
"""The batch size below so many training texts; a smaller one gives few texts more steps."""
LARGEST_BATCH = 32
LONG = 1800.0
"""Seconds: a method that takes longer is left to be switched on, and of those that stay no training may be longer."""
SHORT = 900.0
"""Seconds that a study may take before a first look on fewer rows is proposed, and that such a look should take."""
LIMITS = (100_000, 30_000, 10_000, 3_000, 1_000)
LIMITED_TEST = 2_000
UNTIMED_LIMIT = 3_000
FIRST_LOOK = "fewer rows, for a first look"
FEWEST_TUNED = 2
"""So many fine-tunings are compared however long they take."""
TUNED: tuple[tuple[str, dict[str, Any]], ...] = (
    ("head_only", {"learning_rate": "auto"}),
    ("top_layers", {"layers": 2, "learning_rate": "auto"}),
    ("lora", {"rank": 8, "layers": "all", "learning_rate": "auto"}),
    ("full", {"learning_rate": "auto"}),
)
HEAD_RATE = 5e-3
"""Of a new head on the mean of the tokens: trained at the encoder's rate it would still be learning when that overfits
(benchmarks/regret.py, docs/log.md)."""
BASELINES = {"majority": "the floor", "tfidf": "what needs no transformer", "embeddings": "what needs no fine-tuning"}


@dataclass(frozen=True)
class ProposedMethod:
    """A method of the study."""

    name: str
    settings: Mapping[str, Any]
    comment: str
    seconds: float | None
    """Predicted, for the whole run; None where no time is known."""
    off: bool = False
    """Written as a comment: it would take too long here."""


@dataclass(frozen=True)
class Limit:
    """Fewer rows, for a first look."""

    rows: Mapping[str, int]
    """By split."""
    comment: str


@dataclass(frozen=True)
class Proposal:
    """The part of a study file that follows from the size of the data and from the machine."""

    protocol: Protocol
    head: HeadSettings
    methods: tuple[ProposedMethod, ...]
    limit: Limit | None
    """Proposed as a comment; None where the study is short as it is."""
    reasons: list[str]
    """A sentence for each choice that is not the same for all data; the time is the last."""
    rows: Mapping[str, int]
    decide_by: str | None = None
    """What decides in the place of accuracy; None where accuracy does."""


def initial(guess: Guess, room: TokenRoom, model: str, probe: bool, report: Callable[[str], None]) -> Proposal:
    """The proposal for guessed data; `probe`: whether this machine may be timed, `report` is told of it."""
    from thriftune.study.proposal.method_speeds import speeds_here

    rows, classes = guess.rows or _rows(guess), len(guess.labels)
    folder = model_folder(model)
    mean = folder is not None and pooled_by(folder) == "mean"
    head = HeadSettings(type="mean" if mean else "own")
    protocol = protocol_for(rows["train"], room.max_tokens)
    speeds, why = None, ""
    if folder is None:
        why = f"{model} is not on this machine"
    elif not probe:
        why = "the machine was not probed (--no-probe)"
    else:
        try:
            speeds = speeds_here(folder, tuned_methods(head), head, protocol, room, classes, report)
        except InputError as error:
            why = str(error).rstrip(".")
    proposal = propose(rows, classes, protocol, head, model, speeds, why)
    decide_by, reason = deciding_metric(
        {guess.names.get(label, label): count for label, count in guess.labels.items()}, guess.test_labels
    )
    reasons = [*([reason] if reason else []), *proposal.reasons]
    return replace(proposal, decide_by=decide_by, reasons=reasons)


def _rows(guess: Guess) -> Mapping[str, int]:
    """About the rows by split of data that `compare` would refuse as they are."""
    total = sum(guess.labels.values())
    if guess.split is None:
        return {"train": total}
    made = {"validation": round(guess.split.validation * total), "test": round(guess.split.test * total)}
    return {"train": max(1, total - sum(made.values())), **made}


def tuned_settings(head: HeadSettings) -> dict[str, dict[str, Any]]:
    """The fine-tunings that are proposed, by name, with their settings for such a head."""
    own = {"head_learning_rate": HEAD_RATE} if head.type == "mean" else {}
    return {name: settings if name == "head_only" else settings | own for name, settings in TUNED}


def tuned_methods(head: HeadSettings) -> dict[str, TransformerMethod]:
    """The same as methods."""
    found = {}
    for name, settings in tuned_settings(head).items():
        method = find(name)(**settings)
        assert isinstance(method, TransformerMethod)
        found[name] = method
    return found


def protocol_for(train: int, max_tokens: int) -> Protocol:
    """Until validation no longer improves, in batches that fit the number of training texts."""
    batch = next((batch for below, batch in BATCHES if train < below), LARGEST_BATCH)
    return Protocol(epochs="auto", batch_size=batch, max_tokens=max_tokens)


def propose(
    rows: Mapping[str, int],
    classes: int,
    protocol: Protocol,
    head: HeadSettings,
    model: str,
    speeds: Speeds | None,
    why_not: str = "",
) -> Proposal:
    """Fits methods and budget to the data and the machine; `rows` by split, `why_not` where there are no speeds."""
    reasons = []
    if protocol.batch_size < LARGEST_BATCH:
        reasons.append(
            f"batch_size {protocol.batch_size}: there are {rows['train']:,} training texts, and a smaller batch gives "
            "few texts more steps."
        )
    if head.type == "mean":
        reasons.append(f"head mean: {model} was trained to be read as the mean of its tokens, its folder says.")
    methods = tuned_methods(head)
    if speeds is None:
        entries = (
            *_baselines(rows, classes, None),
            *(ProposedMethod(*each, "", None) for each in tuned_settings(head).items()),
        )
        limit = _limit_of(rows, UNTIMED_LIMIT) if rows["train"] > UNTIMED_LIMIT else None
        found = None if limit is None else Limit(limit, FIRST_LOOK)
        return Proposal(protocol, head, entries, found, [*reasons, f"Time is not predicted: {why_not}."], rows)
    free = _tuned_seconds(methods, speeds, protocol, rows)
    quickest = sorted(free, key=lambda name: free[name])[:FEWEST_TUNED]
    off = [name for name, seconds in free.items() if seconds > LONG and name not in quickest]
    bounded = replace(protocol, budget=Budget(seconds=LONG))
    kept = _tuned_seconds(methods, speeds, bounded, rows)
    if any(kept[name] < free[name] for name in free if name not in off):
        protocol = bounded
        reasons.append(f"budget: a training ends after {about(LONG)}; its learning-rate search is not counted.")
    if off:
        named = ", ".join(f"{name} ({about(free[name])})" for name in off)
        reasons.append(f"Left out, since they take long here: {named}; remove the # to compare them too.")
    unbounded = "" if protocol.budget.seconds is None else " without the budget"
    tuned = [
        ProposedMethod(name, settings, f"about {about(free[name])} here{unbounded}", free[name], off=True)
        if name in off
        else ProposedMethod(name, settings, "", kept[name])
        for name, settings in tuned_settings(head).items()
    ]
    entries = (*_baselines(rows, classes, speeds), *tuned)
    total = sum(entry.seconds for entry in entries if entry.seconds is not None and not entry.off)
    reasons.append(_time(entries, total, speeds))
    on = {name: method for name, method in methods.items() if name not in off}
    found = _limit(on, speeds, protocol, rows, classes, total) if total > SHORT else None
    return Proposal(protocol, head, entries, found, reasons, rows)


def _baselines(rows: Mapping[str, int], classes: int, speeds: Speeds | None) -> list[ProposedMethod]:
    seconds: dict[str, float | None] = dict.fromkeys(BASELINES)
    if speeds is not None:
        seconds |= {"tfidf": ngram_seconds(rows), "embeddings": embedding_seconds(speeds, rows, classes)}
    return [ProposedMethod(name, {}, comment, seconds[name]) for name, comment in BASELINES.items()]


def _tuned_seconds(
    methods: Mapping[str, TransformerMethod], speeds: Speeds, protocol: Protocol, rows: Mapping[str, int]
) -> dict[str, float]:
    return {name: training_seconds(method, speeds.methods[name], protocol, rows) for name, method in methods.items()}


def _time(entries: tuple[ProposedMethod, ...], total: float, speeds: Speeds) -> str:
    """How long the study takes, the longest run first."""
    timed = [(entry.seconds, entry.name) for entry in entries if entry.seconds is not None and not entry.off]
    parts = ", ".join(f"{name} {about(seconds)}" for seconds, name in sorted(timed, reverse=True))
    return (
        f"Time: about {about(total)} on this machine ({speeds.machine}), predicted: {parts}. Validation decides when a "
        "training ends, so it may be half or twice that."
    )


def _limit(
    methods: Mapping[str, TransformerMethod],
    speeds: Speeds,
    protocol: Protocol,
    rows: Mapping[str, int],
    classes: int,
    total: float,
) -> Limit | None:
    """The most training rows on which the study is short, or the fewest; None where they save less than half."""
    found = None
    for count in LIMITS:
        if count >= rows["train"]:
            continue
        limit = _limit_of(rows, count)
        fewer = {**rows, **limit}
        seconds = sum(_tuned_seconds(methods, speeds, protocol, fewer).values())
        seconds += embedding_seconds(speeds, fewer, classes) + ngram_seconds(fewer)
        if seconds <= total / 2:
            found = Limit(limit, f"{FIRST_LOOK}: about {about(seconds)}")
        if seconds <= SHORT:
            break
    return found


def _limit_of(rows: Mapping[str, int], train: int) -> dict[str, int]:
    """So many training rows, and of a large test a part."""
    test = {"test": LIMITED_TEST} if rows.get("test", 0) > LIMITED_TEST else {}
    return {"train": train, **test}
