"""Small files of labelled texts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes rows (dicts) as jsonl, or text as it is, and gives the path."""

    def writer(name: str, content: str | list[dict[str, Any]]) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not isinstance(content, str):
            content = "".join(json.dumps(row) + "\n" for row in content)
        path.write_text(content, encoding="utf-8")
        return path

    return writer


@pytest.fixture
def reviews(write: Write) -> dict[str, str]:
    """One file per split: 40, 10 and 10 rows of two classes."""
    sizes = {"train": 40, "validation": 10, "test": 10}
    return {
        split: str(
            write(
                f"{split}.jsonl",
                [{"text": f"{split} {i}", "label": ["bad", "good"][i % 2], "who": f"w{i % 7}"} for i in range(size)],
            )
        )
        for split, size in sizes.items()
    }
