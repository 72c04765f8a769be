"""Writes a commented study file from what `data.inspect` guessed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from thriftune.data.guess.inspect import Guess
from thriftune.data.guess.names import numbered
from thriftune.data.readers.plug_ins import scheme_of
from thriftune.study.file.yaml_text import inline_yaml
from thriftune.study.proposal.max_tokens import TokenRoom
from thriftune.study.proposal.propose import Proposal, ProposedMethod
from thriftune.wording import one_line

MODEL = "demo:minilm"
_NAMED = 12


def draft(guess: Guess, room: TokenRoom, proposal: Proposal, name: str, folder: Path) -> str:
    """A study file for the guessed data, to be written into `folder`: source paths are relative to it."""
    labels = ", ".join(f"{label}: {count:,} rows" for label, count in list(guess.labels.items())[:8])
    more = len(guess.labels) - 8
    lines = [
        "# Written by `thriftune init`; what is guessed and why:",
        *(f"#   {one_line(reason)}" for reason in [*guess.reasons, room.reason, *proposal.reasons]),
        *_settle_lines(guess),
        f"name: {inline_yaml(name)}",
        "data:",
        f"  source: {inline_yaml(_relative(guess.source, folder))}",
        f"  text: {inline_yaml(list(guess.text))}",
        f"  label: {inline_yaml(guess.label)} # {one_line(labels)}{f' and {more} more' if more > 0 else ''}",
        *_label_lines(guess),
        *_group_lines(guess),
        *_split_lines(guess),
        *_setting_lines(guess),
        *_limit_lines(proposal),
        *_protocol_lines(proposal),
        f"models: [{MODEL}] # or for example google-bert/bert-base-uncased, microsoft/deberta-v3-base",
        *_head_lines(proposal),
        "methods: # all of them: thriftune methods",
        *(_method_line(entry) for entry in proposal.methods),
        *_decide_lines(proposal),
        "seeds: [0] # with [0, 1, 2] differences can be told from luck",
    ]
    return "\n".join(lines) + "\n"


def _limit_lines(proposal: Proposal) -> list[str]:
    limit = proposal.limit
    return [] if limit is None else [f"  # limit: {inline_yaml(dict(limit.rows))} # {limit.comment}"]


def _protocol_lines(proposal: Proposal) -> list[str]:
    protocol = proposal.protocol
    lines = [
        "protocol:",
        "  epochs: auto # until validation no longer improves",
        f"  batch_size: {protocol.batch_size}",
        f"  max_tokens: {protocol.max_tokens} # longer texts are truncated",
    ]
    if protocol.budget.seconds is not None:
        lines.insert(2, f"  budget: {{seconds: {protocol.budget.seconds:g}}} # or until so many seconds of training")
    return lines


def _head_lines(proposal: Proposal) -> list[str]:
    if proposal.head.type == "own":
        return []
    return [f"head: {{type: {proposal.head.type}}} # how {MODEL} was trained to be read; own for other models"]


def _method_line(entry: ProposedMethod) -> str:
    name = f"{entry.name}: {inline_yaml(dict(entry.settings))}" if entry.settings else entry.name
    comment = f" # {entry.comment}" if entry.comment else ""
    return f"  {'# ' if entry.off else ''}- {name}{comment}"


def _label_lines(guess: Guess) -> list[str]:
    """Names for labels that are numbers: those that the file has, or the place for them as a comment."""
    if guess.names:
        named = {int(number) if str(int(number)) == number else number: name for number, name in guess.names.items()}
        return [f"  labels: {inline_yaml(named)} # names for the numbers"]
    if not numbered(guess.labels):
        return []
    some = ", ".join(f"{label}: name of {label}" for label in list(guess.labels)[:_NAMED])
    more = ", ..." if len(guess.labels) > _NAMED else ""
    return [f"  # labels: {{{some}{more}}} # names for the numbers, used wherever results are shown"]


def _group_lines(guess: Guess) -> list[str]:
    if guess.group is None:
        return []
    return [f"  group: {inline_yaml(guess.group)} # its equal values belong together: intervals count them, not texts"]


def _decide_lines(proposal: Proposal) -> list[str]:
    if proposal.decide_by is None:
        return []
    return [f"decide_by: {proposal.decide_by} # weighs every class alike, however rare"]


def _split_lines(guess: Guess) -> list[str]:
    if guess.split is None:
        return []
    split = guess.split
    given = {key: getattr(split, key) for key in ("column", "test", "validation", "group_by", "seed")}
    chosen = {key: value for key, value in given.items() if value not in (None, 0.0)}
    if split.column is not None:
        rest = "; the rest is carved from train" if split.test or split.validation else ""
        return [f"  split: {inline_yaml(chosen)} # the column says each row's split{rest}"]
    made = ", ".join(f"{split} {count:,}" for split, count in guess.rows.items())
    sizes = f"; rows: {made}" if made else ""
    return [f"  split: {inline_yaml(chosen)} # carved from train{sizes}"]


def _settle_lines(guess: Guess) -> list[str]:
    """What the data needs first, as comments."""
    found = [guess.problem] if guess.problem else []
    found += [warning.text for warning in guess.warnings]
    return ["# To settle before comparing:", *(f"#   {one_line(each)}" for each in found)] if found else []


def _setting_lines(guess: Guess) -> list[str]:
    """The settings that would settle what was found, switched off."""
    kinds = {warning.kind for warning in guess.warnings}
    if kinds & {"shared_texts", "repeated_texts", "conflicting_labels"}:
        return ["  # deduplicate: true # leaves out of train what test or validation holds, and repeated texts"]
    return []


def _relative(source: str | dict[str, str], folder: Path) -> Any:
    if isinstance(source, dict):
        return {split: _relative(each, folder) for split, each in source.items()}
    if scheme_of(source) or Path(source).expanduser().is_absolute():
        return source
    return os.path.relpath(Path(source).resolve(), folder)
