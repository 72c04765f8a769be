"""Tries every PEFT type on a tiny model of every architecture; writes docs/peft.json, which docs/peft.md is made from.

python tools/peft_table.py     some minutes; needed after a change of PEFT's version or of methods/peft_types.py
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
TABLE = ROOT / "docs" / "peft.json"


def table() -> dict[str, dict[str, str]]:
    """For each type, by architecture: "works", or the reason why not."""
    from peft import PeftType
    from tests.methods.peft_reference import ARCHITECTURES

    return {kind.value: {each: outcome(each, kind.value) for each in ARCHITECTURES} for kind in PeftType}


def outcome(architecture: str, name: str) -> str:
    """Whether a type is plain PEFT's on a tiny model; raises `AssertionError` where it is something else."""
    from tests.methods.peft_reference import check, reason_of, settings_of

    from thriftune.errors import InputError

    with tempfile.TemporaryDirectory() as folder:
        try:
            check(architecture, name, settings_of(architecture, name), Path(folder))
        except InputError as error:
            return reason_of(error)
    return "works"


def main() -> None:
    """Writes the table."""
    sys.path.insert(0, str(ROOT))
    TABLE.write_text(json.dumps(table(), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
