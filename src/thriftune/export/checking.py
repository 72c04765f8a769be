"""Runs what was exported with the other library alone, and compares it with what the run predicted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from thriftune.errors import InputError
from thriftune.export import alone
from thriftune.export.form import Checked
from thriftune.export.formats.base import Options, Variant, Written
from thriftune.export.trained import Examples, Trained, reference
from thriftune.use.calibration import scaled

TOLERANCE = 1e-5
"""How far any probability may be from the run's."""
BATCH = 32


@dataclass(frozen=True)
class Effort:
    """How much is run."""

    texts: int = 1000
    """At most so many of the study's test texts."""
    rounds: int = 100
    """Timed calls of each size, at most."""
    seconds: float = 10.0
    """They end after about so long."""
    isolate: bool = True
    """Whether it runs in a process of its own; else in this one, as tests do."""


def checked(
    found: Trained, folder: Path, written: Written, texts: Examples, options: Options, effort: Effort
) -> tuple[tuple[Checked, ...], list[str]]:
    """What each variant does on the texts, and what to say of it.

    Raises `InputError` where a variant fails to run, or an exact one is further from the run than the tolerance.
    """
    done, notes = [], []
    known: dict[str, np.ndarray] = {}
    for variant in written.variants:
        result = _run(found, folder, variant, texts, effort)
        if tuple(result["labels"]) != found.labels or (result["thriftune"] and effort.isolate):
            raise InputError(f"The export ({variant.name}) does not stand alone, and is removed. Please report this.")
        probabilities = np.asarray(result["probabilities"], dtype=np.float64)
        told, notes_of = _compared(found, variant, probabilities, texts, options, known)
        notes += notes_of
        one, many = np.array(result["one"]), np.array(result["many"])
        done.append(
            Checked(
                variant=variant.name,
                texts=len(texts),
                of_study=texts.stored is not None,
                weight_bytes=sum((folder / name).stat().st_size for name in variant.files),
                seconds_one=float(np.median(one)),
                p95_seconds_one=float(np.percentile(one, 95)),
                seconds_batch=float(np.median(many)),
                p95_seconds_batch=float(np.percentile(many, 95)),
                batch=BATCH,
                machine=str(result["machine"]),
                **told,
            )
        )
    return tuple(done), notes


def _compared(
    found: Trained,
    variant: Variant,
    probabilities: np.ndarray,
    texts: Examples,
    options: Options,
    known: dict[str, np.ndarray],
) -> tuple[dict[str, Any], list[str]]:
    """Differences from the run's stored probabilities; from those of its own model run again, where they differ."""

    def again() -> np.ndarray:
        if "again" not in known:
            known["again"] = _calibrated(reference(found, texts.texts), options)
        return known["again"]

    if not np.isfinite(probabilities).all():
        raise InputError(f"The export ({variant.name}) gives no numbers for some texts, and is removed.")
    notes: list[str] = []
    name = "the run's stored predictions"
    wanted = again() if texts.stored is None else _calibrated(texts.stored, options)
    if texts.stored is None:
        name = "the run's own model, run here in float32"
    difference = _largest(probabilities, wanted)
    if variant.exact and difference > TOLERANCE and texts.stored is not None:
        stored, difference = difference, _largest(probabilities, again())
        if difference <= TOLERANCE:
            wanted, name = again(), "the run's own model, run here in float32"
            notes.append(
                f"The run's stored predictions differ by up to {stored:.1g} from its own model run again here in "
                f"float32, as they came from {_arithmetic(found)}; the export gives the latter's."
            )
    if variant.exact and not difference <= TOLERANCE:
        raise InputError(
            f"The export ({variant.name}) does not give the run's probabilities: they differ by up to {difference:.2g} "
            f"on {len(texts):,} texts, and at most {TOLERANCE:g} is allowed. It is removed. Try another format."
        )
    predicted, own = probabilities.argmax(axis=1), wanted.argmax(axis=1)
    right = None if texts.labels is None else float((predicted == texts.labels).mean())
    run_right = None if texts.labels is None else float((own == texts.labels).mean())
    return {
        "largest_difference": difference,
        "same_label": float((predicted == own).mean()),
        "accuracy": right,
        "run_accuracy": run_right,
        "reference": name,
    }, notes


def _arithmetic(found: Trained) -> str:
    if found.usage.precision != "fp32":
        return f"arithmetic in {found.usage.precision}"
    return "another machine's arithmetic"


def _calibrated(probabilities: np.ndarray, options: Options) -> np.ndarray:
    return probabilities if options.temperature is None else scaled(probabilities, options.temperature)


def _largest(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one - other).max()) if len(one) else 0.0


def _run(found: Trained, folder: Path, variant: Variant, texts: Examples, effort: Effort) -> dict[str, Any]:
    """What `alone.run` finds, in a process of its own or in this one."""
    job = {
        "folder": str(folder.resolve()),
        "code": variant.code,
        "texts": texts.texts,
        "batch": BATCH,
        "rounds": effort.rounds,
        "seconds": effort.seconds,
    }
    if not effort.isolate:
        return alone.run(job)
    with tempfile.TemporaryDirectory(prefix="thriftune-") as place:
        path = Path(place) / "job.json"
        path.write_text(json.dumps(job), encoding="utf-8")
        offline = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error", "HF_MODULES_CACHE": place}
        done = subprocess.run(  # noqa: S603 - this Python, and a file of this package
            [sys.executable, "-P", str(alone.__file__), str(path)],
            env=os.environ | offline,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        if done.returncode != 0 or not path.with_suffix(".done").exists():
            last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
            raise InputError(
                f"{found.source.name}, exported ({variant.name}), does not run with the other library alone: {last}. "
                "It is removed. Try another format."
            )
        result: dict[str, Any] = json.loads(path.with_suffix(".done").read_text(encoding="utf-8"))
        return result | {"probabilities": np.load(path.with_suffix(".npy"))}
