"""Writes a commented study file from what `data.inspect` guessed."""

from __future__ import annotations

import os
from pathlib import Path

from thriftune.data.inspect import Guess
from thriftune.study.room import Room
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


MODEL = "demo:minilm"


def draft(guess: Guess, room: Room, name: str, folder: Path) -> str:
    """A study file for the guessed data, to be written into `folder`: source paths are relative to it."""
    labels = ", ".join(f"{label}: {count:,} rows" for label, count in list(guess.labels.items())[:8])
    more = len(guess.labels) - 8
    lines = [
        "# Written by `thriftune init`; what is guessed and why:",
        *(f"#   {printable(reason)}" for reason in [*guess.reasons, room.reason]),
        *_settle_lines(guess),
        f"name: {inline_yaml(name)}",
        "data:",
        f"  source: {inline_yaml(_relative_source(guess.source, folder))}",
        f"  text: {inline_yaml(list(guess.text))}",
        f"  label: {inline_yaml(guess.label)} # {printable(labels)}{f' and {more} more' if more > 0 else ''}",
        *_split_lines(guess),
        *_setting_lines(guess),
        "  # limit: {train: 3000} # fewer rows, for a first look",
        "protocol:",
        "  epochs: 3",
        "  batch_size: 32",
        f"  max_tokens: {room.max_tokens} # longer texts are truncated",
        f"models: [{MODEL}] # or for example google-bert/bert-base-uncased, microsoft/deberta-v3-base",
    ]
    return "\n".join(lines) + "\n" + METHODS + "seeds: [0] # with [0, 1, 2] differences can be told from luck\n"


def _split_lines(guess: Guess) -> list[str]:
    if guess.split is None:
        return []
    split = guess.split
    given = {
        "column": split.column,
        "test": split.test,
        "validation": split.validation,
        "group_by": split.group_by,
        "seed": split.seed,
    }
    chosen = {key: value for key, value in given.items() if value not in (None, 0.0)}
    if split.column is not None:
        rest = "; the rest is carved from train" if split.test or split.validation else ""
        return [f"  split: {inline_yaml(chosen)} # the column says each row's split{rest}"]
    has = ", ".join(guess.splits)
    return [f"  split: {inline_yaml(chosen)} # the source has {has}; the rest is carved from train"]


def _settle_lines(guess: Guess) -> list[str]:
    """What the data needs first, as comments."""
    found = [guess.problem] if guess.problem else []
    found += [warning.text for warning in guess.warnings]
    return ["# To settle before comparing:", *(f"#   {printable(each)}" for each in found)] if found else []


def _setting_lines(guess: Guess) -> list[str]:
    """The settings that would settle what was found, switched off."""
    kinds = {warning.kind for warning in guess.warnings}
    if kinds & {"shared_texts", "repeated_texts", "conflicting_labels"}:
        return ["  # deduplicate: true # leaves out of train what test or validation holds, and repeated texts"]
    return []


def _relative_source(source: str | dict[str, str], folder: Path) -> str | dict[str, str]:
    if isinstance(source, str):
        return _relative(source, folder)
    return {split: _relative(each, folder) for split, each in source.items()}


def _relative(source: str, folder: Path) -> str:
    if source.startswith(("demo:", "hub:")) or Path(source).expanduser().is_absolute():
        return source
    return os.path.relpath(Path(source).resolve(), folder)


def printable(text: str) -> str:
    """The text on one line: a comment must not end early."""
    return "".join(character if character.isprintable() else " " for character in text)
