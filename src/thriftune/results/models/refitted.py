"""`OUT/refit/NAME/refit.json`: which run was trained once more, on what, for use."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from thriftune import wording as f
from thriftune.results.files import read_record
from thriftune.results.plain import record_from
from thriftune.results.store import Store

FILE = "refit.json"
REMEDY = "Train it again with `thriftune refit`."


@dataclass(frozen=True, kw_only=True)
class Refitted:
    """A run's method trained once more, with what the study chose, on more rows. No test score belongs to it."""

    run_id: str
    """The study's run, whose score is what to expect."""
    name: str
    trained_on: list[str]
    """Splits."""
    rows: int
    study_rows: int
    """That the study's run was trained on."""
    method: dict[str, Any]
    seed: int
    chosen: dict[str, Any]
    """What the study chose and is fixed here: epochs, learning rate, C ..."""
    epochs: int | None
    """None where nothing is trained in steps."""
    steps: int | None
    seconds: float
    stored_bytes: int
    expected: dict[str, Any]
    """The study's: metric, score of its run on the test split, that was not trained on there."""
    notes: list[str]
    environment: dict[str, Any]
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    """`bytes` and `sha256` of the files in its `model/`; empty in those of earlier versions."""

    @classmethod
    def read(cls, folder: Path) -> Refitted | None:
        """What a folder's refit.json says; None where it has none. Raises `DamagedError` where it is damaged."""
        path = folder / FILE
        return read_record(path, lambda data: record_from(cls, data), REMEDY) if path.is_file() else None

    def sentence(self) -> str:
        """What to expect of it."""
        return (
            f"It was trained once more on {f.listing(self.trained_on)} ({f.count(self.rows)} texts), so no test score "
            f"belongs to it: calibration and what to expect are those of {self.name} in the study."
        )

    def sentences(self) -> list[str]:
        """What was done, and what to expect."""
        found = [
            f"{self.name} was trained once more on {f.listing(self.trained_on)}: {f.count(self.rows)} texts, in the "
            f"study {f.count(self.study_rows)}. Fixed as the study chose: {self._fixed()}."
        ]
        low, high = self.expected["accuracy_interval_95"]
        found.append(
            f"No test score belongs to this model. Expect what the study measured of {self.name}: accuracy "
            f"{f.percent(self.expected['accuracy'])} (95% {f.percent_range(low, high)})."
        )
        if "test" in self.trained_on:
            found.append("It has seen the test texts: scores on them would say nothing.")
        return found

    def _fixed(self) -> str:
        named = {"learning_rate": "learning rate", "head_c": "C of the head", "regularization": "C"}
        parts = [
            f"{named.get(key, key.replace('_', ' '))} {f'{value:.3g}' if isinstance(value, float) else value}"
            for key, value in self.chosen.items()
            if isinstance(value, str | int | float) and key not in ("epochs", "scale")
        ]
        if self.epochs is not None:
            parts.insert(0, f"{f.plural(self.epochs, 'epoch')} ({f.count(self.steps or 0)} steps)")
        return ", ".join(parts) or "nothing, as there is nothing to choose"


def refits(store: Store) -> list[Path]:
    """The folders of a study's refits, by name."""
    if not store.refit_path.is_dir():
        return []
    return sorted(each for each in store.refit_path.iterdir() if (each / FILE).is_file() and each.name[0] != ".")
