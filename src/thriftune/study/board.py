"""`results.json` while a study runs: written after each run, for little even where there are thousands."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace

from thriftune.results.files import write_text
from thriftune.results.json_text import indented, json_text
from thriftune.results.record import RunRecord, StudyResults
from thriftune.results.store import Store

SHARE = 20
"""A write that takes long is made again after so many times as long at the earliest: at most a twentieth of the time
goes into them. What a run left lies in its own folder at once."""
SHORT_SECONDS = 0.1
"""What a write may take that is always made."""
PLACE = "runs come here"


class Board:
    """The records of a study's runs, and the file that holds them."""

    def __init__(self, store: Store, head: StudyResults, order: Iterable[str]) -> None:
        self.store = store
        self.head = head
        """All but the runs."""
        self._order = {name: place for place, name in enumerate(order)}
        self._records: dict[str, RunRecord] = {}
        self._texts: dict[str, str] = {}
        self.took = 0.0
        """Seconds of the last write."""
        self._ended = -float("inf")
        self._written = True

    def put(self, record: RunRecord) -> None:
        """Takes a record in, in place of one of the same name."""
        self._records[record.name] = record
        self._texts[record.name] = indented(record.to_json(), 2)
        self._written = False

    def of(self, name: str) -> RunRecord | None:
        """The record of a run; None where there is none."""
        return self._records.get(name)

    @property
    def results(self) -> StudyResults:
        """The study as it stands."""
        return replace(self.head, runs=[self._records[name] for name in self._names])

    @property
    def brief(self) -> bool:
        """Whether a write takes so little that it is always made."""
        return self.took < SHORT_SECONDS

    @property
    def due(self) -> bool:
        """Whether the file is to be written now."""
        if self._written:
            return False
        return self.brief or time.monotonic() - self._ended >= SHARE * self.took

    def write(self) -> None:
        """Writes the file."""
        began = time.monotonic()
        write_text(self.store.results_path, self.text)
        self._ended = time.monotonic()
        self.took, self._written = self._ended - began, True

    def finish(self) -> None:
        """Writes the file where it does not hold all yet."""
        if not self._written:
            self.write()

    @property
    def text(self) -> str:
        """What the file holds: the same as of `results` written at once."""
        data = self.head.to_json() | {"runs": [PLACE]}
        runs = ",\n  ".join(self._texts[name] for name in self._names)
        before, _, after = json_text(data).partition(f'"runs": [\n  "{PLACE}"\n ]')
        return f'{before}"runs": [{f"{chr(10)}  {runs}{chr(10)} " if runs else ""}]{after}\n'

    @property
    def _names(self) -> list[str]:
        return sorted(self._records, key=self._order.__getitem__)
