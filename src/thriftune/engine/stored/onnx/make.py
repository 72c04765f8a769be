"""A process of its own that writes a stored transformer's ONNX graph."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

CANNOT = 3
"""Exit code where the model has no graph; standard output says why."""


def main(job: dict[str, Any]) -> None:
    """Writes the graph of the model in `folder` to `graph`, and ends the process with what came of it."""
    from thriftune.endings import killed_with_parent

    killed_with_parent()
    why = write(Path(job["folder"]), Path(job["graph"]))
    if why is not None:
        sys.stdout.write(why)
    sys.stdout.flush()
    sys.exit(0 if why is None else CANNOT)


def write(folder: Path, path: Path) -> str | None:
    """Writes the graph; why there is none, where there is none."""
    from thriftune.engine.stored.onnx.graph import ConversionError, convert, input_names
    from thriftune.models.trained.plain import MergeError, plain_of
    from thriftune.models.trained.usage import Usage

    usage = Usage.read(folder)
    try:
        whole = plain_of(folder, None, adapter=usage.base is not None and not usage.frozen)
        convert(whole, usage, input_names(usage, whole.tokenizer), 1.0, path)
    except (ConversionError, MergeError) as error:
        return str(error).rstrip(".")
    return None
