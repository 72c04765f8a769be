"""A file that runs were scored on after the study: `evaluations/NAME.json`."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from thriftune.errors import InputError

LONGEST = 80
BARRED = re.compile(r"[^\w.+-]+")


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """One run's scores on such a file."""

    run_id: str
    run: str
    """Its name."""
    rows: int
    """Those that were scored."""
    accuracy: float
    accuracy_interval_95: tuple[float, float]
    macro_f1: float
    not_scored: dict[str, int]
    """Rows that were left out, by reason."""


@dataclass(frozen=True, kw_only=True)
class FurtherTest:
    """A file as a further test set; its predictions are in `evaluations/NAME-RUN_ID.parquet`."""

    name: str
    file: str
    """Its path, or "-" for standard input."""
    fingerprint: str
    """SHA-256 of its bytes."""
    columns: list[str]
    """Its text columns, in the order of those that were trained on."""
    label: str
    """The column of its labels."""
    runs: list[Evaluated]

    def of(self, run_id: str) -> Evaluated | None:
        """One run's scores; None where it was not scored."""
        return next((each for each in self.runs if each.run_id == run_id), None)

    def added_to(self, earlier: FurtherTest | None) -> FurtherTest:
        """With the other runs' scores of an earlier one, where that was of the same bytes and columns."""
        if earlier is None or not self.is_like(earlier):
            return self
        own = {each.run_id for each in self.runs}
        return replace(self, runs=[*(each for each in earlier.runs if each.run_id not in own), *self.runs])

    def is_like(self, other: FurtherTest) -> bool:
        """Whether two are of the same rows."""
        return (self.fingerprint, self.columns, self.label) == (other.fingerprint, other.columns, other.label)


def text_column(name: str) -> str:
    """What a text column is called among the predictions, where it can be no other column's name."""
    return f"text_{name}"


def further_name(file: str, taken: list[FurtherTest]) -> str:
    """The name of a file's test set: what the same file was called before, else after the file, with a number where
    another has that name."""
    known = next((each.name for each in taken if each.file == file and file != "-"), None)
    if known is not None:
        return known
    stem = "stdin" if file == "-" else re.split(r"[/\\]", file)[-1].split(".", 1)[0]
    stem = BARRED.sub("-", stem).strip("-.")[:LONGEST] or "file"
    if file == "-":
        return stem
    names, name, number = {each.name.casefold() for each in taken}, stem, 2
    while name.casefold() in names:
        name, number = f"{stem}-{number}", number + 1
    return name


def check_name(name: str) -> None:
    """Raises `InputError` for what is no name of a file."""
    if not name or len(name) > LONGEST or BARRED.search(name) or name.startswith((".", "-")):
        raise InputError(
            f'--name "{name[:LONGEST]}" is given; a name has letters, digits, "_", "-", "+" and ".", begins with a '
            f"letter or digit and has at most {LONGEST} characters: reviews-2026."
        )
