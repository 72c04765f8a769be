"""Reads the small JSON files of a model's folder, of which any may be something else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from thriftune.errors import InputError, printable, shortened

MOST_BYTES = 2**25
"""Of a file that holds settings: a tenth is enough for the label names of 20,000 classes."""
LFS = b"version https://git-lfs"


def read_object(path: Path, remedy: str = "Save it again.") -> dict[str, Any]:
    """The mapping in a small JSON file; raises `InputError`, naming the file, for anything else."""
    if not path.is_file():
        raise InputError(f"{path} is no file. {remedy}")
    refuse_pointer(path)
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise InputError(f"{path} has {size:,} bytes; at most {MOST_BYTES:,} are read. Is it what its name says?")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text (byte {error.start}). {remedy}") from None
    except json.JSONDecodeError as error:
        raise InputError(f"{path}, line {error.lineno} is not JSON: {error.msg}. {remedy}") from None
    except (ValueError, RecursionError) as error:
        why = "it is nested too deep" if isinstance(error, RecursionError) else "a number has too many digits"
        raise InputError(f"{path} cannot be read: {why}. {remedy}") from None
    if not isinstance(found, dict):
        raise InputError(f"{path} holds {shown(found)}; it must be a JSON object. {remedy}")
    return found


def refuse_pointer(path: Path) -> None:
    """Raises `InputError` for what Git LFS leaves in place of a file that was not fetched."""
    with path.open("rb") as file:
        if file.read(len(LFS)) == LFS:
            raise InputError(
                f"{path} is a Git LFS pointer, not the file itself. Run `git lfs pull` in that repository, "
                "or download the model again."
            )


def shown(value: Any) -> str:
    """A value of such a file as a message quotes it."""
    return printable(shortened(json.dumps(value, ensure_ascii=False), 60))
