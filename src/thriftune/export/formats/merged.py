"""An adapter (or a regression) and its base as one model, in the format of transformers."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from thriftune.export.formats.base import Format, Options, Written
from thriftune.export.formats.transformers import unmergeable, write_whole
from thriftune.export.trained import Trained


class Merged(Format):
    """As `transformers` writes it; the update is added to the weights in float64."""

    NAME: ClassVar[str] = "merged"
    SUMMARY: ClassVar[str] = "an adapter merged into its base, then as transformers"

    def refusal(self, found: Trained) -> str | None:
        """What has no base, and an adapter that has no weights to merge into."""
        if found.usage.base is None:
            return "its weights are whole already, there is nothing to merge"
        return "its method changes the input, not the weights" if unmergeable(found) else None

    def write(self, found: Trained, folder: Path, options: Options) -> Written:
        """Writes it."""
        return write_whole(found, folder)


FORMAT = Merged()
