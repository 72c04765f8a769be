"""The folder of one run, and what runs' folders are called.

`run.json` is written last: where it exists, the run is complete.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thriftune.errors import InputError
from thriftune.results.files import (
    NUMBER,
    TEXT,
    WHOLE,
    DamagedError,
    checksums,
    delete,
    parse_json,
    read_parquet,
    read_record,
    write_atomic,
    write_json,
    write_parquet,
    write_parquet_parts,
    write_text,
)
from thriftune.results.history import EpochPoint, StepPoint
from thriftune.results.plain import record_from
from thriftune.results.record import RunRecord
from thriftune.results.training import FittedBatch

if TYPE_CHECKING:
    import numpy as np
    import polars as pl


@dataclass(frozen=True)
class Embeddings:
    """Vectors of some test texts, as one run's classification head read them."""

    rows: np.ndarray
    """Their rows in the test split, ascending: (texts,), int64."""
    vectors: np.ndarray
    """(texts, hidden), float16."""


def write_array(path: Path, array: np.ndarray) -> None:
    """Writes an array as .npy, atomically."""
    import numpy as np

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:  # np.save would add a suffix to a path
            np.save(file, array, allow_pickle=False)

    write_atomic(path, write)


def _array(path: Path, kind: str, axes: int) -> np.ndarray:
    """Reads an array of some kind of number (numpy's letter); raises `DamagedError` where the file holds none."""
    import numpy as np

    try:
        with path.open("rb") as file:
            array: np.ndarray = np.lib.format.read_array(file, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise DamagedError(path, "it holds no array") from error
    if array.dtype.kind != kind or array.ndim != axes:
        raise DamagedError(path, "it holds another array than a run leaves there")
    return array


class RunFolder:
    """`OUT/runs/NAME-seedSEED-ID`: one run's files."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.record_path = path / "run.json"
        self.history_path = path / "history.jsonl"
        self.model_path = path / "model"
        self.error_path = path / "error.txt"
        self.dynamics_path = path / "dynamics.parquet"
        self.checkpoint_path = path / "checkpoint"
        self.fitted_path = path / "fitted.json"
        self.log_path = path / "log.txt"

    @property
    def complete(self) -> bool:
        """Whether the run's record was written."""
        return self.record_path.exists()

    @property
    def has_checkpoint(self) -> bool:
        """Whether a training left something to be gone on with; whether that is sound, its reader says."""
        linked = any(path.is_symlink() for path in (self.path, self.checkpoint_path))
        return not linked and any(self.checkpoint_path.glob("[0-9]*"))

    def write_fitted_batch(self, batch: FittedBatch) -> None:
        """Remembers with which batches the run goes on, while it is under way."""
        write_json(self.fitted_path, asdict(batch))

    def read_fitted_batch(self) -> FittedBatch | None:
        """Reads what `write_fitted_batch` wrote; None where there is nothing that can be used."""
        try:
            return read_record(self.fitted_path, partial(record_from, FittedBatch)) if self.has_checkpoint else None
        except InputError:
            return None

    def clear(self, keep_checkpoint: bool = False) -> None:
        """Deletes what an incomplete run left but its log; a symbolic link in the folder's place goes alone."""
        if self.path.is_dir() and not self.path.is_symlink():
            self._delete_but(self.log_path, *self._going_on(keep_checkpoint))
        else:
            delete(self.path)
        self.path.mkdir(parents=True, exist_ok=True)

    def remove(self, keep_checkpoint: bool = False) -> None:
        """Deletes the folder, or what is in it beside its checkpoints and log, where it has any to keep."""
        kept = self._going_on(keep_checkpoint)
        if kept:
            self._delete_but(self.log_path, *kept)
        else:
            delete(self.path)

    def _going_on(self, keep_checkpoint: bool) -> tuple[Path, ...]:
        return (self.checkpoint_path, self.fitted_path) if keep_checkpoint and self.has_checkpoint else ()

    def _delete_but(self, *kept: Path) -> None:
        for each in self.path.iterdir():
            if each not in kept or each.is_symlink():
                delete(each)

    def drop_checkpoint(self) -> None:
        """Deletes what only a training that is under way needs: the run is complete."""
        for path in (self.checkpoint_path, self.fitted_path):
            delete(path)

    def checksums(self) -> dict[str, dict[str, Any]]:
        """Bytes and SHA-256 of what the run leaves beside its record, by relative path; it is on the disk then."""
        without = (self.record_path, self.checkpoint_path, self.fitted_path, self.log_path)
        return checksums(self.path, without=[path.name for path in without])

    def write_record(self, record: RunRecord) -> None:
        """Writes `run.json`; call it last."""
        write_json(self.record_path, record.to_json())

    def read_record(self) -> RunRecord:
        """Reads `run.json`; raises `DamagedError` where it is not what a run writes."""
        return read_record(self.record_path, RunRecord.from_json)

    def write_history(self, points: Iterable[StepPoint | EpochPoint]) -> None:
        """Writes `history.jsonl`."""
        write_text(self.history_path, "".join(json.dumps(asdict(p), allow_nan=False) + "\n" for p in points))

    def read_history(self) -> tuple[list[StepPoint], list[EpochPoint]]:
        """Reads `history.jsonl`; two empty lists where the run has none (baselines)."""
        if not self.history_path.exists():
            return [], []
        try:
            rows = [parse_json(line) for line in self.history_path.read_bytes().splitlines()]
            steps = [row for row in rows if row["kind"] == "step"]
            epochs = [row for row in rows if row["kind"] == "epoch"]
            return record_from(list[StepPoint], steps), record_from(list[EpochPoint], epochs)
        except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
            raise DamagedError(self.history_path, "its lines are not the points of a training") from error

    def write_dynamics(self, frame: pl.DataFrame) -> None:
        """Writes `dynamics.parquet`: columns example, epoch, p_true."""
        self.write_dynamics_parts([frame])

    def write_dynamics_parts(self, parts: Iterable[pl.DataFrame]) -> None:
        """Writes the same from rows that come one part after another."""
        write_parquet_parts(self.dynamics_path, parts)

    def read_dynamics(self) -> pl.DataFrame | None:
        """Reads `dynamics.parquet`; None where the run has none (baselines)."""
        columns = {"example": WHOLE, "epoch": WHOLE, "p_true": NUMBER}
        return read_parquet(self.dynamics_path, columns) if self.dynamics_path.exists() else None

    def predictions_path(self, name: str) -> Path:
        """`predictions/NAME.parquet`; NAME is test, validation or a robustness set."""
        return self.path / "predictions" / f"{name}.parquet"

    def write_predictions(self, name: str, frame: pl.DataFrame) -> None:
        """Writes predictions: columns example, label, predicted and `p_LABEL` for each label."""
        write_parquet(self.predictions_path(name), frame, durable=False)

    def write_prediction_parts(self, name: str, parts: Iterable[pl.DataFrame]) -> None:
        """Writes the same from neighbouring rows that come one part after another."""
        write_parquet_parts(self.predictions_path(name), parts)

    def read_predictions(self, name: str) -> pl.DataFrame:
        """Reads predictions in the order of the split."""
        return read_parquet(self.predictions_path(name), {"example": WHOLE, "label": TEXT, "predicted": TEXT})

    def write_embeddings(self, embeddings: Embeddings) -> None:
        """Writes `embeddings.npy`, and `embeddings_rows.npy` before it."""
        write_array(self.path / "embeddings_rows.npy", embeddings.rows)
        write_array(self.path / "embeddings.npy", embeddings.vectors)

    def read_embeddings(self) -> Embeddings | None:
        """Reads the embeddings; None where the run has none (baselines)."""
        rows, vectors = self.path / "embeddings_rows.npy", self.path / "embeddings.npy"
        if not vectors.exists():
            return None
        found = Embeddings(_array(rows, "i", 1), _array(vectors, "f", 2))
        if len(found.rows) != len(found.vectors):
            raise DamagedError(rows, "it does not hold a row for each vector")
        return found


SHORT = 8
"""Digits of a run's id in its folder's name."""
LONGEST_SLUG = 60
"""Letters of a run's name in its folder's."""


class RunFolders:
    """`OUT/runs`: which folder is which run's.

    Folders of earlier releases are called by the whole id, and are found too.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._known: dict[str, Path] = {}

    def path_of(self, run_id: str) -> Path | None:
        """The folder that is there for a run; None where none is."""
        known = self._known.get(run_id)
        if known is not None and known.exists():
            return known
        whole = self.root / run_id
        found = whole if _is_there(whole) else self._named(run_id)
        if found is not None:
            self._known[run_id] = found
        return found

    def path(self, run_id: str, cell: str | None, seed: int) -> Path:
        """The same; where none is there, the one that it is to have."""
        found = self.path_of(run_id)
        if found is not None:
            return found
        if cell is None:
            return self.root / run_id
        new = self.root / folder_name(cell, seed, run_id)
        return self.root / folder_name(cell, seed, run_id, short=len(run_id)) if _is_there(new) else new

    def _named(self, run_id: str) -> Path | None:
        """The folder whose name ends in the id, or in its beginning and is no other run's."""
        if not self.root.is_dir():
            return None
        endings = (f"-{run_id}", f"-{run_id[:SHORT]}")
        found = sorted(each for each in self.root.iterdir() if each.name.endswith(endings))
        owners = {each: _owner(each) for each in found}
        exact = [each for each in found if owners[each] == run_id]
        return next(iter(exact), None) or next((each for each in found if owners[each] is None), None)


def folder_name(cell: str, seed: int, run_id: str, short: int = SHORT) -> str:
    """`lora-r8-all-seed0-1a2b3c4d`: lower-case letters, digits and hyphens, at most 100 of them."""
    return f"{ascii_name(cell)}-seed{seed}-{run_id[:short]}"


def ascii_name(text: str) -> str:
    """A name as part of a path on any file system: ASCII letters, digits and single hyphens; never empty."""
    plain = unicodedata.normalize("NFKD", text.casefold()).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:LONGEST_SLUG].rstrip("-") or "run"


def _is_there(path: Path) -> bool:
    return path.exists() or path.is_symlink()


def _owner(folder: Path) -> str | None:
    """The id in a folder's run.json; None where none can be read."""
    try:
        found = json.loads((folder / "run.json").read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    owner = found.get("run_id") if isinstance(found, dict) else None
    return owner if isinstance(owner, str) else None
