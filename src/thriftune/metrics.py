"""What is measured of a run and compared: each one's name, direction and way of writing, once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["text", "int", "number", "percent", "points", "p", "bytes", "seconds", "latency", "ratio", "epochs"]
"""How numbers are written: percent are shares from 0 to 1, points their differences, epochs may be fractional,
latency is in seconds and written in milliseconds."""


@dataclass(frozen=True)
class Metric:
    """One quantity."""

    label: str
    short: str
    """For the terminal's headings."""
    kind: Kind
    higher_is_better: bool | None
    """None where neither direction is."""


METRICS = {
    "accuracy": Metric("Accuracy", "Acc. %", "percent", True),
    "macro_f1": Metric("Macro F1", "F1 %", "percent", True),
    "balanced_accuracy": Metric("Balanced accuracy", "Bal. %", "percent", True),
    "mcc": Metric("MCC", "MCC", "number", True),
    "loss": Metric("Loss", "Loss", "number", False),
    "errors": Metric("Errors", "Errors", "int", False),
    "peak_memory_bytes": Metric("Peak memory", "Memory", "bytes", False),
    "seconds": Metric("Training", "Time", "seconds", False),
    "train_seconds": Metric("Training steps", "Steps", "seconds", False),
    "prefix_seconds": Metric("Frozen layers, once", "Frozen", "seconds", None),
    "evaluate_seconds": Metric("Evaluation", "Evaluation", "seconds", None),
    "load_seconds": Metric("Loading", "Loading", "seconds", None),
    "samples_per_second": Metric("Samples/s", "Samples/s", "number", True),
    "search_seconds": Metric("Of it search", "Search", "seconds", None),
    "threads": Metric("Threads", "Threads", "int", None),
    "load_at_start": Metric("Load at start", "Load", "number", None),
    "runs_beside": Metric("Runs beside it", "Beside", "int", None),
    "processors": Metric("Processors used", "Processors", "number", None),
    "peak_reserved_bytes": Metric("Reserved", "Reserved", "bytes", None),
    "prefix_peak_memory_bytes": Metric("Frozen layers' peak", "Frozen peak", "bytes", None),
    "peak_process_bytes": Metric("Process peak", "Process", "bytes", None),
    "fit_memory_bytes": Metric("Fitting's memory", "Fit", "bytes", None),
    "fit_process_bytes": Metric("Fitting's process", "Fit process", "bytes", None),
    "latency_seconds": Metric("One text", "Latency", "latency", False),
    "latency_p95_seconds": Metric("One text, 95% take no longer", "Latency 95%", "latency", None),
    "predict_texts_per_second": Metric("Texts/s, batches of 32", "Texts/s", "number", True),
    "predict_memory_bytes": Metric("Memory when predicting", "Memory in use", "bytes", False),
    "energy_joules": Metric("Energy (J)", "Energy", "number", None),
    "trained_parameters": Metric("Trained parameters", "Trained", "int", None),
    "stored_bytes": Metric("Stored", "Stored", "bytes", False),
    "delta_bytes": Metric("Trained tensors alone", "Delta", "bytes", False),
}
"""By the name that the records give it; `seconds` is training with what frozen layers took."""


def sign(name: str) -> int:
    """1 where more of the metric is better, -1 where less is."""
    return -1 if METRICS[name].higher_is_better is False else 1
