"""README.md of a refit: the study's card, without the results as the model's own."""

from __future__ import annotations

from pathlib import Path

from thriftune.results.models.refitted import Refitted
from thriftune.results.record import RunRecord
from thriftune.results.store import Results
from thriftune.use.models.best import Card, base_of
from thriftune.wording import plain

FENCE = "---"


def write_card(folder: Path, about: Refitted, results: Results, record: RunRecord, card: Card) -> None:
    """Writes `model/README.md`: what it was trained on, that no test score belongs to it, then the run's card."""
    path = folder / "model" / "README.md"
    head, body = _parted(card(results, record, base_of(folder / "model")))
    said = "\n\n".join(["# Trained for use", *(plain(each) for each in about.sentences())])
    path.write_text(f"{head}{said}\n\nWhat follows was measured of the study's run.\n\n{body}", encoding="utf-8")


def _parted(text: str) -> tuple[str, str]:
    """The metadata block without `model-index`, whose scores are not this model's, and the rest."""
    lines = text.splitlines(keepends=True)
    if not lines or lines[0].strip() != FENCE:
        return "", text
    end = next((i for i, line in enumerate(lines[1:], start=1) if line.strip() == FENCE), None)
    if end is None:
        return "", text
    kept, inside = [], False
    for line in lines[: end + 1]:
        inside = line.startswith("model-index:") or (inside and line.startswith((" ", "- ")))
        kept += [] if inside else [line]
    return "".join(kept) + "\n", "".join(lines[end + 1 :]).lstrip("\n")
