"""The metadata block at the head of a model card, as the Hugging Face hub reads it."""

from __future__ import annotations

import re
from typing import Any

from thriftune.export.form import Form
from thriftune.results.record import RunRecord
from thriftune.results.scores import Scores
from thriftune.results.store import Results

LICENCE = "# license: (not chosen yet: put the one you give this model here, for example license: apache-2.0)"
"""Stands where the hub looks for a licence; a comment, because which one it is only the owner can say."""
HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)


def metadata(results: Results | None, run: RunRecord | None, form: Form) -> str:
    """The block between the two lines of dashes, both included."""
    from huggingface_hub import ModelCardData

    source = None if results is None else results.study.study.get("data", {}).get("source")
    dataset = source.removeprefix("hub:") if isinstance(source, str) and source.startswith("hub:") else None
    found = [] if run is None else _evaluations(results, run, dataset)
    data: Any = ModelCardData(
        base_model=form.base if form.base and HUB_NAME.fullmatch(form.base) else None,
        datasets=[dataset] if dataset else None,
        eval_results=found or None,
        library_name=form.library,
        metrics=["accuracy", "f1"] if found else None,
        model_name=_line(model_name(results, run)) if found else None,
        pipeline_tag="text-classification",
        tags=["text-classification", "thriftune"],
    )
    return f"---\n{LICENCE}\n{data.to_yaml().strip()}\n---\n"


def model_name(results: Results | None, run: RunRecord | None) -> str:
    """What the model is called: the study's name and the run's."""
    names = [*([results.study.name] if results is not None else []), *([run.name] if run is not None else [])]
    return " ".join(names) or "text classifier"


def _evaluations(results: Results | None, run: RunRecord, dataset: str | None) -> list[Any]:
    name = "the study's data" if results is None else results.study.profile.name
    kind = dataset or re.sub(r"[^\w.-]+", "-", name).strip("-") or "data"
    sets = {"test": run.test, **run.robustness}
    scored = {split: scores for split, scores in sets.items() if scores is not None}
    return [
        result
        for split, scores in scored.items()
        for result in _results(scores, kind, _line(name if split == "test" else f"{name}: {split}"), split)
    ]


def _results(scores: Scores, kind: str, name: str, split: str) -> list[Any]:
    from huggingface_hub import EvalResult

    values: list[tuple[str, str, float | None, dict[str, str] | None]] = [
        ("accuracy", "Accuracy", scores.accuracy, None),
        ("f1", "Macro F1", scores.macro_f1, {"average": "macro"}),
        ("loss", "Loss", scores.loss, None),
    ]
    return [
        EvalResult(
            task_type="text-classification",
            task_name="Text classification",
            dataset_type=kind,
            dataset_name=name,
            dataset_split=_line(split),
            metric_type=metric,
            metric_name=label,
            metric_value=round(value, 6),
            metric_args=given,
        )
        for metric, label, value, given in values
        if value is not None
    ]


def _line(text: str) -> str:
    """On one line, without what YAML readers refuse."""
    return "".join(c if c.isprintable() else " " for c in text).strip() or "unnamed"
