"""`thriftune estimate`: what every cell of a study would cost, and what fits into some memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from thriftune.errors import InputError
from thriftune.methods.base import TransformerMethod
from thriftune.results.plain import values_of
from thriftune.results.prediction import Forecast
from thriftune.results.profile import group_ids
from thriftune.study.file.config import Study
from thriftune.study.file.plan import PlannedRun, plan
from thriftune.study.file.search_space import space_of
from thriftune.study.file.selection import select
from thriftune.study.forecast.effort import effort
from thriftune.study.forecast.kept import Cut, cut_of
from thriftune.study.forecast.predictor import WITHOUT_DATA, case_of, prediction
from thriftune.study.preparation.refusals import all_refused

if TYPE_CHECKING:
    from thriftune.cost.predicted.cuda import Gpu
    from thriftune.cost.predicted.estimate import Case
    from thriftune.cost.predicted.machine import Machine
    from thriftune.data.dataset import Dataset

CLASSES_WITHOUT_DATA = 2
MOST_WITHOUT_DATA = 4096
"""The largest batch size that is looked for where the number of training texts is not known."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked about a study; the defaults ask about the study as it stands."""

    device: str | None = None
    """cpu, cuda or a GPU's name; None: what the study would run on here."""
    memory_bytes: int | None = None
    """None: a named GPU's memory, or no limit."""
    batch_size: int | None = None
    tokens: int | None = None
    """Tokens of every text; then no data is read."""
    models: tuple[str, ...] = ()
    """Instead of the study's; then every method is asked about with each of them."""
    probe: bool = True
    """Whether this machine may be timed, for seconds."""
    only: tuple[str, ...] = ()
    """Runs that alone are asked about; all where it is empty."""
    without: tuple[str, ...] = ()


def estimate(
    study: Study, question: Question | None = None, report: Callable[[str], None] = lambda text: None
) -> list[Forecast]:
    """Estimates every cell of a study that trains a transformer; no weight is loaded.

    `report` is told what is being done, and which cells cannot be estimated and why. Raises `InputError` where none
    can be, or where the study, its data or the question cannot be used.
    """
    from thriftune.study.preparation.prepare import read

    question = question or Question()
    if question.batch_size is not None and question.batch_size < 1:
        raise InputError(f"A batch has at least one text; the batch size given is {question.batch_size}.")
    if question.tokens is not None and question.tokens < 4:
        raise InputError(f"A text has at least 4 tokens, special tokens included; {question.tokens} were given.")
    runs, baselines, seeds = _cells(study, question)
    dataset = None
    if question.tokens is None:
        dataset = read(study, runs, lambda stage: report(getattr(stage, "text", "reading data")))
    asked = _Asked(study, question, report, dataset)
    for name in baselines:
        report(f"left out: {name}: a baseline, which has no training steps; it costs one pass through the model")
    answers: list[Forecast] = []
    refused: dict[str, str] = {}
    for run in runs:
        try:
            answers.append(replace(asked.answer(run), seeds=seeds[run.cell]))
        except InputError as error:
            refused[run.cell] = str(error)
    if not answers:
        raise all_refused(refused)
    for cell, why in refused.items():
        report(f"left out: {cell}: {why}")
    return answers


def _cells(study: Study, question: Question) -> tuple[list[PlannedRun], list[str], Counter[str]]:
    """The first run of every cell that trains a transformer, with what the question changes; frozen ones' names; and
    how many runs each cell has.
    """
    if question.models and study.runs:
        runs = [replace(run, model=model) for model in question.models for run in study.runs if run.model is not None]
        names = [run.name if len(question.models) == 1 else f"{run.model} {run.name}" for run in runs]
        study = replace(study, runs=tuple(replace(run, name=name) for run, name in zip(runs, names, strict=True)))
    elif question.models:
        study = replace(study, models=question.models)
    first: dict[str, PlannedRun] = {}
    selected = [run for run in select(plan(study), question.only, question.without) if run.model is not None]
    for run in selected:
        if not run.method.BASELINE:
            first.setdefault(run.cell, _resized(run, question.batch_size, question.tokens))
    if not first:
        raise InputError(f'The study "{study.name}" trains no transformer, so there is nothing to estimate.')
    frozen = list(dict.fromkeys(run.cell for run in selected if run.method.BASELINE))
    return list(first.values()), frozen, Counter(run.cell for run in selected)


class _Asked:
    """A question under way: what cells share is found once."""

    def __init__(
        self, study: Study, question: Question, report: Callable[[str], None], dataset: Dataset | None
    ) -> None:
        self.study = study
        self.question = question
        self.report = report
        self.dataset = dataset
        self.classes = CLASSES_WITHOUT_DATA if dataset is None else len(dataset.labels)
        self.texts = None if dataset is None else dataset.splits["train"].height
        splits = {} if dataset is None else dataset.splits
        self.test_texts = splits["test"].height if "test" in splits else None
        self.groups = None if dataset is None else _groups(dataset)
        self.rows = (self.texts or 0, splits["validation"].height if "validation" in splits else 0)
        self._lengths: dict[str, tuple[np.ndarray, int | None]] = {}

    def answer(self, run: PlannedRun) -> Forecast:
        """Everything about one cell."""
        from thriftune.cost.predicted.estimate import estimate as estimate_cell
        from thriftune.cost.predicted.room import room

        folder = self._folder(run)
        device, gpu = self._device(run)
        limit = self.question.memory_bytes or (None if gpu is None else gpu.memory_bytes)
        machine, reason = self._machine(device, folder)
        self.report(f"estimating {run.cell}")

        def case_with(size: int) -> Case:
            sized = _resized(run, size, None)
            lengths, words = self._lengths_of(sized, folder)
            return case_of(sized, folder, lengths, self.classes, gpu, words, self.rows)

        batch = run.protocol.batch_size
        if self.texts is not None and batch > self.texts:
            if self.question.batch_size is not None:
                raise InputError(f"A batch of {batch} texts is impossible: there are {self.texts} training texts.")
            batch = self.texts
        found = estimate_cell(case_with(batch))
        space = None
        if limit is not None:
            most = self.texts or MOST_WITHOUT_DATA
            space = room(case_with, found.peak_memory_bytes, batch, limit, most)
        guessed = None
        if run.protocol.epochs == "auto" and self.texts is not None and isinstance(run.method, TransformerMethod):
            guessed = effort(run.method, run.protocol, self.texts).epochs
        cut = None if self.dataset is None else cut_of(run, folder, tuple(map(str, range(self.classes))))
        return Forecast(
            name=run.cell,
            model=str(run.model),
            method=run.method.flat(),
            batch_size=batch,
            device=device,
            predicted=prediction(found, run, self.texts, machine, reason),
            memory_limit_bytes=limit,
            fits=None if space is None else space.fits,
            largest_batch_size=None if space is None else space.largest_batch_size,
            guessed_epochs=guessed,
            prefix_layers=None if cut is None else cut.layers,
            prefix_bytes=None if cut is None else self._kept(run, folder, cut),
            test_texts=self.test_texts,
            test_groups=None if self.groups is None else len(self.groups),
            test_group_size=None if self.groups is None else float((self.groups**2).sum() / self.groups.sum()),
        )

    def _kept(self, run: PlannedRun, folder: Path, cut: Cut) -> int:
        """Bytes of the output of frozen layers for all splits; their texts are as long as those of train."""
        assert self.dataset is not None
        lengths, texts = self._lengths_of(run, folder)[0], sum(part.height for part in self.dataset.splits.values())
        return cut.bytes_of(float(lengths.mean()) * texts, texts)

    def _folder(self, run: PlannedRun) -> Path:
        from thriftune.models.pretrained.load import load_config
        from thriftune.models.pretrained.sources import resolve_model
        from thriftune.models.pretrained.tokenizer import longest_text

        folder = resolve_model(str(run.model), self.study.folder, weights=False)
        limit = longest_text(load_config(folder))
        if limit is not None and run.protocol.max_tokens > limit:
            raise InputError(
                f"{run.cell}: texts of {run.protocol.max_tokens} tokens, but {run.model} has positions for {limit}."
            )
        return folder

    def _device(self, run: PlannedRun) -> tuple[str, Gpu | None]:
        """The device's name, and what is known of it where it is a GPU."""
        import torch

        from thriftune.cost.predicted.cuda import find_gpu

        name = self.question.device or run.protocol.device
        if name == "auto":
            name = "cuda" if torch.cuda.is_available() else "cpu"
        return (name, None) if name.lower() == "cpu" else (name, find_gpu(name))

    def _machine(self, device: str, folder: Path) -> tuple[Machine | None, str]:
        """This machine's speeds, or why there are none."""
        import torch

        from thriftune.cost.measured.environment import use_all_processors
        from thriftune.cost.predicted.speeds import probed_machine

        if self.texts is None:
            return None, WITHOUT_DATA
        if not self.question.probe:
            return None, "the machine was not probed (--no-probe)"
        if device != "cpu" and not (device == "cuda" and torch.cuda.is_available()):
            return None, "the device is not in this machine"
        if device == "cpu":
            use_all_processors()
        return probed_machine(device, folder, lambda: self.report("timing this machine")), ""

    def _lengths_of(self, run: PlannedRun, folder: Path) -> tuple[np.ndarray, int | None]:
        """Tokens of each training text (those of one batch where there is no data) and distinct token ids."""
        if self.dataset is None:
            return np.full(run.protocol.batch_size, run.protocol.max_tokens, dtype=np.int64), None
        from thriftune.study.preparation.prepare import token_key

        key = token_key(self.study, run)
        if key not in self._lengths:
            self._lengths[key] = self._tokenised(self.dataset, run, folder)
        return self._lengths[key]

    def _tokenised(self, dataset: Dataset, run: PlannedRun, folder: Path) -> tuple[np.ndarray, int | None]:
        from thriftune.data.large.arrays import distinct
        from thriftune.data.tokens import encode
        from thriftune.models.pretrained.load import load_config
        from thriftune.models.pretrained.tokenizer import has_tokenizer, load_tokenizer, token_types
        from thriftune.study.preparation.prepare import text_columns

        frame = dataset.splits["train"]
        if run.protocol.padding == "max" and not has_tokenizer(folder):
            return np.full(frame.height, run.protocol.max_tokens, dtype=np.int64), None
        self.report("tokenising")
        tokenizer = load_tokenizer(folder)
        types = token_types(load_config(folder), tokenizer)
        found = []
        for split in ("train", "validation"):
            if split in dataset.splits:
                texts = [dataset.splits[split][name] for name in text_columns(dataset, run)]
                most = run.protocol.max_tokens
                found.append(encode(tokenizer, texts, most, self.study.data.pair, token_types=types))
        return np.asarray(found[0].lengths), len(distinct(tokens.ids for tokens in found))


def _groups(dataset: Dataset) -> np.ndarray | None:
    """Test texts of each group, shape (groups,); None where single texts count."""
    if dataset.group is None:
        return None
    return np.bincount(group_ids(dataset.splits["test"][dataset.group.stored_as])).astype(np.float64)


def _resized(run: PlannedRun, batch_size: int | None, tokens: int | None) -> PlannedRun:
    """The run with another batch size, and with texts of `tokens` tokens each."""
    protocol = run.protocol
    if batch_size is not None:
        protocol = replace(protocol, batch_size=batch_size)
    if tokens is not None:
        protocol = replace(protocol, max_tokens=tokens)
    return replace(run, protocol=protocol)


def search_seconds(study: Study, cells: list[Forecast]) -> float | None:
    """What the study's search is predicted to take at most: every trial a whole training as the study file has it.

    None without a search, and where a method's time is not known.
    """
    if study.search is None:
        return None
    searched = {run.cell for run in plan(study) if space_of(run.method, study.search)}
    total = 0.0
    for cell in cells:
        if cell.name not in searched:
            continue
        if cell.predicted.train_seconds is None:
            return None
        trials = study.search.trials * cell.predicted.train_seconds + (cell.predicted.prefix_seconds or 0.0)
        total += trials if study.search.seconds is None else min(trials, study.search.seconds)
    return total


def kept_document(cells: list[Forecast]) -> dict[str, Any]:
    """What the output of frozen layers takes on disk, each output once, where it lies, and the limit."""
    from thriftune.engine.frozen.cache import PrefixCache

    cache = PrefixCache.of_user()
    outputs = {(cell.model, cell.prefix_layers, cell.prefix_bytes): cell.prefix_bytes or 0 for cell in cells}
    return {
        "prefix_bytes": sum(outputs.values()),
        "prefix_folder": str(cache.folder),
        "prefix_limit_bytes": cache.limit_bytes,
    }


def document(study: Study, question: Question, cells: list[Forecast]) -> dict[str, Any]:
    """What `--json` prints; a method that fits several cells stands in each of them."""
    return {
        "study": study.name,
        "memory_limit_bytes": question.memory_bytes,
        "search_seconds": search_seconds(study, cells),
        **kept_document(cells),
        "cells": values_of(cells),
    }
