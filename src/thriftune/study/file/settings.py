"""The keys of a study file."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from thriftune.data.settings import DataSettings
from thriftune.engine.protocol import MOST_TEXTS, Protocol
from thriftune.methods.base import Method
from thriftune.models.head import HeadSettings
from thriftune.settings import LARGEST_SEED, Settings, setting
from thriftune.study.file.search_settings import SearchSettings

MOST_RUNS = 10_000
DecideBy = Literal["accuracy", "macro_f1", "balanced_accuracy", "mcc"]
DECIDING: tuple[str, ...] = get_args(DecideBy)
"""The first is the default."""


def selected_with(decide_by: str) -> Literal["accuracy", "macro_f1"]:
    """The validation score by which epochs and rates are selected, where a study decides by this test score."""
    return "accuracy" if decide_by == "accuracy" else "macro_f1"


@dataclass(frozen=True, kw_only=True)
class StudyProtocol(Protocol):
    """A protocol as a study file has it: several batch sizes stand for a sweep, a run with each."""

    batch_size: int | tuple[int, ...] = setting(  # type: ignore[assignment]
        32,
        help="texts per forward and backward pass; of a list, every run is made with each",
        minimum=1,
        maximum=MOST_TEXTS,
    )

    def problems(self) -> list[tuple[str, str]]:
        """A sweep names every size once."""
        found = super().problems()
        sizes = self.batch_sizes
        if not sizes:
            found.append(("batch_size", "is an empty list; give a number, or several"))
        if len(set(sizes)) < len(sizes):
            found.append(("batch_size", f"names a size twice: {', '.join(map(str, sizes))}"))
        if self.fit_batch and sizes == (1,):
            found.append(("fit_batch", "has no effect with batch_size 1; remove it"))
        return found

    @property
    def batch_sizes(self) -> tuple[int, ...]:
        """Every batch size that is asked for."""
        return self.batch_size if isinstance(self.batch_size, tuple) else (self.batch_size,)

    def single(self) -> list[Protocol]:
        """The protocols that runs take, one for each batch size."""
        shared = {f.name: getattr(self, f.name) for f in fields(Protocol)}
        return [Protocol(**shared | {"batch_size": size}) for size in self.batch_sizes]


@dataclass(frozen=True, kw_only=True)
class RunSettings(Settings):
    """One entry of `runs:`."""

    name: str = setting(help="what the run is called; each name stands once")
    model: str | None = setting(None, help="the pretrained model; left out for methods without one")
    method: Method = setting(help="a method, written as in methods")
    seed: int | None = setting(
        None, help="seed of this run; null: one run per seed of the study", minimum=0, maximum=LARGEST_SEED
    )
    head: HeadSettings | None = setting(None, help="this run's head; null: the study's")
    protocol: StudyProtocol = setting(
        factory=StudyProtocol, help="the protocol keys in which this run differs from the study's"
    )


@dataclass(frozen=True, kw_only=True)
class StudySettings(Settings):
    """A grid models x methods x seeds, or a list of runs, on one dataset under one protocol."""

    name: str = setting(help="what the study is called")
    data: DataSettings = setting(help="where the texts and labels come from")
    protocol: StudyProtocol = setting(factory=StudyProtocol, help="how every run is trained")
    head: HeadSettings = setting(factory=HeadSettings, help="what turns the encoder's output into logits")
    models: tuple[str, ...] = setting(
        (), help="pretrained models: demo:minilm, OWNER/NAME or hub:NAME on the hub, or a folder"
    )
    methods: tuple[Method, ...] = setting((), help="methods to compare: NAME, or {NAME: {settings}}")
    seeds: tuple[int, ...] = setting(
        (0,), help="every model and method runs once per seed", minimum=0, maximum=LARGEST_SEED
    )
    margin: float = setting(
        0.5, help="accuracy points within which two methods count as equivalent", minimum=0, maximum=100
    )
    tolerance: float = setting(
        1.0,
        help="points that a cheaper method may lie below the best, beyond chance, and still be recommended",
        minimum=0,
        maximum=100,
    )
    decide_by: DecideBy = setting(
        "accuracy",
        help="test score that verdicts, leaderboard and recommendation rest on; with another than accuracy, "
        "protocol.select is macro_f1 unless given",
    )
    search: SearchSettings | None = setting(
        None, help="find settings of every method with one budget of trials, then train the best with all seeds"
    )
    robustness: dict[str, str] = setting(
        factory=dict,
        help="robustness sets: test sets with the same columns and labels, by name, as in {revised: demo:cad-revised}",
    )
    runs: tuple[RunSettings, ...] = setting((), help="single runs, instead of models and methods")
    published: dict[str, dict[str, Any]] = setting(
        factory=dict, help="published numbers to show beside the measured ones, by run name"
    )
    hypotheses: bool = setting(
        False, help="report on the published study's hypotheses about LoRA, without published numbers too"
    )

    def problems(self) -> list[tuple[str, str]]:
        """What is asked for can be listed: every other check counts runs."""
        sizes = {"seeds": len(self.seeds), "protocol": len(self.protocol.batch_sizes)}
        if self.runs:
            sizes["runs"] = len(self.runs)
        else:
            sizes |= {"methods": len(self.methods), "models": max(1, len(self.models))}
        count = math.prod(sizes.values())
        if count <= MOST_RUNS:
            return []
        return [(max(sizes, key=lambda key: sizes[key]), f"{count:,} runs are asked for; at most {MOST_RUNS:,}")]
