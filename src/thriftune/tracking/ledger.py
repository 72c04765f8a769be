"""Which runs a tracker that cannot be asked was told of to their end: a file in the study's folder."""

from __future__ import annotations

from pathlib import Path

from thriftune.results.files import DamagedError, read_json, write_json


class Ledger:
    """`tracking/NAME.json`: run ids by where they were tracked."""

    def __init__(self, path: Path, where: str) -> None:
        self._path, self._where = path, where

    def holds(self, run_id: str) -> bool:
        """Whether a run is in it."""
        return run_id in self._read().get(self._where, [])

    def add(self, run_id: str) -> None:
        """Adds a run."""
        found = self._read()
        write_json(self._path, {**found, self._where: sorted({*found.get(self._where, []), run_id})})

    def _read(self) -> dict[str, list[str]]:
        try:
            return {str(where): [str(each) for each in ids] for where, ids in read_json(self._path).items()}
        except (DamagedError, TypeError):
            return {}
