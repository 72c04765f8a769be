"""Scores a finished run on robustness sets, with the model that it saved."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from thriftune.results.record import RunRecord
from thriftune.results.run_folder import RunFolder
from thriftune.study.events import RunProgress
from thriftune.study.run.job import Emit, Job

if TYPE_CHECKING:
    from thriftune.data.tokens import Tokens
    from thriftune.models.classifier import Classifier

CHECKED_TEXTS = 64
TOLERANCE = {"fp32": 1e-3, "tf32": 1e-2, "bf16": 5e-2}
"""Of a probability, by precision: another batch composition changes the last digits, another model changes more."""
NOTE = "Not scored on all robustness sets: "


def missing_sets(job: Job, record: RunRecord) -> list[str]:
    """The robustness sets whose present rows the run has not been scored on."""
    scored = record.robustness_fingerprints
    return [name for name, fingerprint in job.robustness.items() if scored.get(name) != fingerprint]


def without_scores(job: Job, why: str) -> RunRecord:
    """The finished run's record with a note that says why sets are missing; the next compare tries again."""
    record = RunFolder(job.out).read_record()
    return replace(record, notes=[*_other_notes(record), f"{NOTE}{why}"])


def extend(job: Job, folder: RunFolder, emit: Emit) -> RunRecord | None:
    """Predicts and scores the missing sets and returns the run's record with them; costs stay as they were.

    None where the saved model does not predict what the run predicted before: then only training again helps.
    """
    from thriftune.models.trained.restore import restore
    from thriftune.study.run.scores import evaluate
    from thriftune.study.run.training import frozen_layers, load, use_machine
    from thriftune.study.run.transformer_run import probabilities_of

    use_machine(job)
    record = folder.read_record()
    names = missing_sets(job, record)
    emit(RunProgress(job.planned.name, "loading"))
    classifier = load(job)
    restore(classifier, folder.model_path)
    if not _predicts_as_before(job, folder, classifier):
        return None
    frames = job.frames(texts=False)
    examples = frozen_layers(job, job.examples({name: frames[name] for name in names}), emit).run(classifier)
    scores, _ = evaluate(
        job, folder, emit, frames, names, lambda name: probabilities_of(classifier, examples[name], job)
    )
    prints = record.robustness_fingerprints | {name: job.robustness[name] for name in names}
    return replace(
        record, robustness=record.robustness | scores, robustness_fingerprints=prints, notes=_other_notes(record)
    )


def _other_notes(record: RunRecord) -> list[str]:
    return [note for note in record.notes if not note.startswith(NOTE)]


def _predicts_as_before(job: Job, folder: RunFolder, classifier: Classifier) -> bool:
    """Whether the restored model gives the first test texts the probabilities that are on disk."""
    from thriftune.data.tokens import Tokens
    from thriftune.engine.examples import Examples
    from thriftune.study.run.transformer_run import probabilities_of

    tokens = _first(Tokens.load(job.tokens["test"], mmap=True), CHECKED_TEXTS)
    before = folder.read_predictions("test").head(len(tokens)).select(f"p_{label}" for label in job.labels)
    now = probabilities_of(classifier, Examples(tokens, np.zeros(len(tokens), dtype=np.int64)), job)[:]
    return bool(np.allclose(before.to_numpy(), now, atol=TOLERANCE[job.planned.protocol.precision]))


def _first(tokens: Tokens, count: int) -> Tokens:
    offsets = np.asarray(tokens.offsets[: count + 1])
    end = int(offsets[-1])
    return replace(
        tokens, ids=tokens.ids[:end], types=None if tokens.types is None else tokens.types[:end], offsets=offsets
    )
