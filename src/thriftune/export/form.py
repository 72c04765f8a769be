"""What a folder with an exported classifier holds, for its card: the library, the code that predicts, and what checks
found."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Checked:
    """What running an exported model with the other library alone found, in a process of its own."""

    variant: str
    """Which of the folder's models: "fp32", "int8"."""
    texts: int
    """Test texts that it was run on."""
    of_study: bool
    """Whether they are the study's test texts; else bundled ones without labels."""
    largest_difference: float
    """Of any probability from those that the run stored (or, without them, from those of the run's own model)."""
    same_label: float
    """The share of texts that get the run's label."""
    accuracy: float | None
    """On those texts; None where their labels are not known."""
    run_accuracy: float | None
    """The run's own on the same texts."""
    weight_bytes: int
    """Of the files that hold this model."""
    seconds_one: float
    """The median time for one text."""
    p95_seconds_one: float
    seconds_batch: float
    """The median time for a batch of `batch` texts."""
    p95_seconds_batch: float
    batch: int
    machine: str
    """What it ran on: processor, threads and versions."""
    reference: str = "the run's stored predictions"
    """What `largest_difference` is a difference from."""

    @property
    def lost(self) -> float | None:
        """The accuracy that exporting cost, a fraction; negative where some was gained."""
        if self.accuracy is None or self.run_accuracy is None:
            return None
        return self.run_accuracy - self.accuracy


@dataclass(frozen=True)
class Form:
    """How a classifier lies in a folder."""

    library: str | None
    """As the hub names it: transformers, peft, onnx, sentence-transformers; None for none."""
    holds: tuple[str, ...]
    """Sentences: what is in the folder."""
    code: str | None = None
    """Python that loads it and predicts, run in the folder; None where Thriftune alone reads it."""
    base: str | None = None
    """The hub's name of the pretrained model, where it has one."""
    checked: tuple[Checked, ...] = ()
    files: tuple[tuple[str, int, str], ...] = ()
    """Name, bytes and purpose of the files worth naming."""
