"""What the terminal shows of an estimate."""

from __future__ import annotations

from typing import Any

from thriftune import wording as f
from thriftune.results.prediction import Forecast


def rows(cells: list[Forecast]) -> list[dict[str, str]]:
    """The table that the terminal shows: short heading to value."""

    def row(cell: Forecast) -> dict[str, str]:
        predicted, memory = cell.predicted, cell.predicted.memory
        seconds = (predicted.train_seconds, predicted.prefix_seconds)
        out = {
            "Cell": cell.name,
            "Batch": str(cell.batch_size),
            "Memory": f.size(predicted.peak_memory_bytes),
            "Weights": f.size(memory.weights),
            "Activations": f.size(memory.activations),
            "Trained": f.short_count(predicted.trained_parameters),
            "Stored": f.size(predicted.stored_bytes),
            "GFLOP/sample": f.number(predicted.flops_per_sample / 1e9),
            "Time": "–" if seconds[0] is None or seconds[1] is None else f.seconds(seconds[0] + seconds[1]),
        }
        if cell.fits is not None:
            out |= {"Fits": "yes" if cell.fits else "no", "Largest batch": str(cell.largest_batch_size)}
        return out

    return [row(cell) for cell in cells]


def remarks(cells: list[Forecast]) -> list[str]:
    """What the table does not say."""
    reasons = dict.fromkeys(
        reason for cell in cells for name, reason in cell.predicted.reasons.items() if name != "train_samples"
    )
    return [
        "All numbers are predicted, none is measured. Memory: "
        "the peak of a training step"
        + (" (CPU: live tensors)." if all(cell.device == "cpu" for cell in cells) else " (GPU: allocated bytes)."),
        *(f"Time is not predicted: {reason}." for reason in reasons),
        *_guess(cells),
    ]


def kept_remark(kept: dict[str, Any]) -> str | None:
    """What the output of frozen layers takes on disk, in a sentence; None where none is kept."""
    if not kept["prefix_bytes"]:
        return None
    said = (
        f"Output of the frozen layers: about {f.size(kept['prefix_bytes'])} on disk in {kept['prefix_folder']} "
        f"(limit {f.size(kept['prefix_limit_bytes'])})."
    )
    if kept["prefix_bytes"] <= kept["prefix_limit_bytes"]:
        return said
    return f"{said} THRIFTUNE_CACHE_LIMIT raises the limit, protocol.prefix: bf16 halves what is kept."


def search_remark(seconds: float | None, trials: int | None) -> str | None:
    """What a search adds to the predicted runs, in a sentence; None without one."""
    if trials is None:
        return None
    what = f"The search makes up to {f.plural(trials, 'trial')} of each method before these runs"
    if seconds is None:
        return f"{what}; how long it takes is not known."
    return (
        f"{what}: about {f.seconds(seconds)} if each trained as the study file has it. Pruning shortens it; searched "
        "epochs, batch sizes and layers change it."
    )


def _guess(cells: list[Forecast]) -> list[str]:
    """What the times rest on where validation decides when training ends."""
    epochs = sorted({round(cell.guessed_epochs, 1) for cell in cells if cell.guessed_epochs is not None})
    timed = any(cell.predicted.train_seconds is not None for cell in cells if cell.guessed_epochs is not None)
    if not epochs or not timed:
        return []
    span = f"{epochs[0]:g}" if len(epochs) == 1 else f"{epochs[0]:g} to {epochs[-1]:g}"
    return [f"Time with epochs auto is that of a guess of {span} epochs: validation decides when training ends."]
