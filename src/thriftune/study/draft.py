"""Writes a commented study file from what `data.inspect` guessed."""

from __future__ import annotations

import os
from pathlib import Path

from thriftune.data.inspect import Guess
from thriftune.study.yaml_text import inline_yaml

METHODS = """\
methods: # all of them: thriftune methods
  - majority # the floor
  - tfidf # what needs no transformer
  - head_only
  - top_layers: {layers: 2}
  - lora: {rank: 8, layers: all}
  - full
"""


def draft(guess: Guess, name: str, folder: Path) -> str:
    """A study file for the guessed data, to be written into `folder`: source paths are relative to it."""
    labels = ", ".join(f"{label}: {count:,} rows" for label, count in list(guess.labels.items())[:8])
    more = len(guess.labels) - 8
    lines = [
        "# Written by `thriftune init`; what is guessed and why:",
        *(f"#   {_printable(reason)}" for reason in guess.reasons),
        f"name: {inline_yaml(name)}",
        "data:",
        f"  source: {inline_yaml(_relative(guess.source, folder))}",
        f"  text: {inline_yaml(list(guess.text))}",
        f"  label: {inline_yaml(guess.label)} # {_printable(labels)}{f' and {more} more' if more > 0 else ''}",
        *_split_lines(guess),
        "  # limit: {train: 3000} # fewer rows, for a first look",
        "protocol:",
        "  epochs: 3",
        "  batch_size: 32",
        f"  max_tokens: {guess.max_tokens} # longer texts are truncated",
        "models: [demo:minilm] # or for example google-bert/bert-base-uncased, microsoft/deberta-v3-base",
    ]
    return "\n".join(lines) + "\n" + METHODS + "seeds: [0] # with [0, 1, 2] differences can be told from luck\n"


def _split_lines(guess: Guess) -> list[str]:
    if guess.split is None:
        return []
    split = guess.split
    given = {"test": split.test, "validation": split.validation, "group_by": split.group_by, "seed": split.seed}
    chosen = {key: value for key, value in given.items() if value not in (None, 0.0)}
    has = ", ".join(guess.splits)
    return [f"  split: {inline_yaml(chosen)} # the source has {has}; the rest is carved from train"]


def _relative(source: str, folder: Path) -> str:
    if source.startswith(("demo:", "hub:")) or Path(source).expanduser().is_absolute():
        return source
    return os.path.relpath(Path(source).resolve(), folder)


def _printable(text: str) -> str:
    """The text on one line: a comment must not end early."""
    return "".join(character if character.isprintable() else " " for character in text)
