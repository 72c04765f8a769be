"""Brings together what a proposal needs: the data's size, the model's folder and this machine's speeds."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from thriftune.data.guess.inspect import Guess
from thriftune.errors import InputError
from thriftune.models.head import HeadSettings
from thriftune.models.pretrained.pooled_by import pooled_by
from thriftune.study.proposal.max_tokens import Room, model_folder
from thriftune.study.proposal.protocol import Proposal, propose, protocol_for, tuned_methods


def initial(guess: Guess, room: Room, model: str, probe: bool, report: Callable[[str], None]) -> Proposal:
    """The proposal for guessed data; `probe`: whether this machine may be timed, `report` is told of it."""
    from thriftune.study.proposal.speeds import speeds_here

    rows, classes = guess.rows or _rows(guess), len(guess.labels)
    folder = model_folder(model)
    mean = folder is not None and pooled_by(folder) == "mean"
    head = HeadSettings(type="mean" if mean else "own")
    protocol = protocol_for(rows["train"], room.max_tokens)
    speeds, why = None, ""
    if folder is None:
        why = f"{model} is not on this machine"
    elif not probe:
        why = "the machine was not probed (--no-probe)"
    else:
        try:
            speeds = speeds_here(folder, tuned_methods(head), head, protocol, room, classes, report)
        except InputError as error:
            why = str(error).rstrip(".")
    return propose(rows, classes, protocol, head, model, speeds, why)


def _rows(guess: Guess) -> Mapping[str, int]:
    """About the rows by split of data that `compare` would refuse as they are."""
    total = sum(guess.labels.values())
    if guess.split is None:
        return {"train": total}
    made = {"validation": round(guess.split.validation * total), "test": round(guess.split.test * total)}
    return {"train": max(1, total - sum(made.values())), **made}
