"""What a baseline's model folder says of itself, so that it predicts alone: `baseline.json`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from thriftune.results.files import read_json, write_json

FILE = "baseline.json"
REMEDY = "Give the folder of a run whose model is whole."


@dataclass(frozen=True)
class BaselineModel:
    """The labels and columns of a stored baseline."""

    method: str
    labels: tuple[str, ...]
    """Names, in id order."""
    columns: tuple[str, ...]
    """The text columns that it reads, in its order."""

    def write(self, folder: Path) -> None:
        """Writes the file."""
        data = {"method": self.method, "labels": list(self.labels), "columns": list(self.columns)}
        write_json(folder / FILE, data)

    @classmethod
    def read(cls, folder: Path) -> BaselineModel | None:
        """Reads the file; None where an earlier release left none. Raises `DamagedError` where it is damaged."""
        if not (folder / FILE).is_file():
            return None
        data = read_json(folder / FILE, REMEDY)
        lists = (data.get("labels") or (), data.get("columns") or ())
        return cls(str(data.get("method", "")), *(tuple(str(each) for each in values) for values in lists))
