"""How training ended, run by run, in sentences and as a table."""

from __future__ import annotations

from typing import get_args

from thriftune import wording as f
from thriftune.analysis.display.panel import Column, Table, of_kind
from thriftune.analysis.findings.training import ENDED, Found, gain_text, pointer, trained
from thriftune.results.store import Results
from thriftune.results.training import State


def sentences(results: Results) -> list[str]:
    """How training ended, by state: plateau, still improving, limit, unknown; and which runs did not learn."""
    training = trained(results)
    by_state = {state: [each for each in training.runs if each.state == state] for state in get_args(State)}
    out = []
    if found := by_state["improving"]:
        names = [f"{each.run.name} ({gain_text(each.gain)})" for each in found]
        out.append(f"Still improving in the last epoch: {f.listing(names)}.{pointer(results)}")
    if found := by_state["limit"]:
        names = [f"{each.run.name} ({ENDED[each.ended or '']})" for each in found]
        out.append(f"Stopped by the limit, without a measurable gain in the last epoch: {f.listing(names)}.")
    if found := by_state["plateau"]:
        solved = [each.run.name for each in found if each.ended == "solved"]
        flat = [each.run.name for each in found if each.ended != "solved"]
        every = len(flat) == len(training.runs) and len(flat) > 1
        if flat:
            out.append(f"{f'All {len(flat)} runs' if every else f.listing(flat)} had reached a plateau.")
        if solved:
            out.append(f"Solved, with nothing left to train: {f.listing(solved)}.")
    if found := by_state["unknown"]:
        every = len(found) == len(training.runs) and len(found) > 1
        who = "a run" if every else f.listing([each.run.name for each in found])
        out.append(f"Whether {who} was still improving is not known: the validation scores kept do not tell.")
    lost = [each.sentence for each in training.runs if not each.learned]
    lost += [
        f"the loss of {each.run.name} {each.loss_words}" for each in training.runs if each.learned and each.loss_words
    ]
    lost += [
        f"the validation loss of {each.run.name} was not below that of a guess (ln K = {each.chance:.2f}), although it "
        "learned: it is surer than it is right"
        for each in training.runs
        if each.learned and each.validation_at_chance and not each.loss_words
    ]
    return [*out, *(f"{text[0].upper()}{text[1:]}." for text in lost)]


def table(training: Found) -> Table:
    """A row for each run: its state, the gain of its last epoch, how long it trained and why it ended."""
    columns = [
        *of_kind("text", run="Run", state="When training ended"),
        *of_kind("points", gain="Gain in the last epoch, points", noise="More than chance from, points"),
        Column("epochs", "Epochs", "epochs"),
        Column("steps", "Steps", "int"),
        Column("ended", "It ended because"),
    ]
    rows = [
        {
            "run": each.run.name,
            "state": each.words,
            "gain": each.gain,
            "noise": each.noise,
            "epochs": each.epochs,
            "steps": each.steps,
            "ended": "" if each.ended is None else ENDED[each.ended],
        }
        for each in training.runs
    ]
    return Table("endings", "How training ended.", columns, rows)
