"""How the training of each run went: a plateau, still improving, stopped by a limit, or nothing learned.

What rests on a run that was still improving holds at this budget alone; `Found.more` is the command that would tell.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from thriftune import wording as f
from thriftune.analysis.findings.answers.answer import few
from thriftune.analysis.findings.memo import once
from thriftune.analysis.findings.more import More, more
from thriftune.analysis.findings.runs import CHANCE, Cell, cells, comparable, is_baseline, learned
from thriftune.results.history import EpochPoint
from thriftune.results.record import RunRecord
from thriftune.results.store import Results
from thriftune.results.training import State, improving, state_of

AT = "at this budget"
"""The words without which nothing rests on a run that was still improving."""
MARK = "↗"
"""Beside the accuracy of a run that was still improving."""
WHOLE = 1e-6
WORST_FIRST: tuple[State, ...] = ("improving", "unknown", "limit", "plateau")

ENDED = {
    "plateau": "validation had stopped improving",
    "max_epochs": "the budget's epochs were done",
    "seconds": "the budget's seconds were over",
    "epochs": "the study's epochs were done",
    "solved": "the head was solved",
}


@dataclass(frozen=True, kw_only=True)
class RunTraining:
    """How one fine-tuned run's training went, by its record and the study's margin."""

    run: RunRecord
    state: State
    ended: str | None
    """As in `Training.ended`; None in results of earlier versions."""
    epochs: float | None
    steps: int | None
    gain: float | None
    """Validation accuracy gained over the last epoch."""
    noise: float | None
    """What a gain must exceed to be more than chance: 2 sqrt(d / n)."""
    learned: bool
    """Whether its predictions on the test texts depend on their labels."""
    chance: float
    """ln K, the loss of a guess among K labels."""
    training_at_chance: bool
    """Whether the training loss never fell below `chance`."""
    validation_at_chance: bool
    """Whether the validation loss of the weights that were kept is not below `chance`."""

    @property
    def improving(self) -> bool:
        """Whether its last epoch still gained: what is said of it holds at this budget."""
        return self.state == "improving"

    @property
    def words(self) -> str:
        """The state for a table: "still improving"."""
        if not self.learned:
            return "did not learn" + (", still improving" if self.improving else "")
        return {
            "plateau": "head solved" if self.ended == "solved" else "plateau",
            "improving": "still improving",
            "limit": "stopped by the limit",
            "unknown": "not known",
        }[self.state]

    @property
    def sentence(self) -> str:
        """What is said of it in full: "full was still improving (+2.4 points in its last epoch)"."""
        name, gain = self.run.name, gain_text(self.gain)
        if not self.learned:
            why = f"its loss {self.loss_words}" if self.loss_words else f"its {CHANCE}"
            return f"{name} did not learn: {why}" + (f"; it was still improving ({gain})" if self.improving else "")
        if self.state == "improving":
            return f"{name} was still improving ({gain} in its last epoch)"
        if self.state == "limit":
            return f"{name} was stopped by the budget's limit, with no measurable gain in its last epoch ({gain})"
        if self.state == "plateau":
            if self.ended == "solved":
                return f"{name} has a solved head: there was nothing left to train"
            return f"{name} had reached a plateau" + ("" if self.gain is None else f" ({gain} in its last epoch)")
        return f"whether {name} was still improving is not known"

    @property
    def loss_words(self) -> str | None:
        """What its loss says against chance, after "its loss"; None where it fell below it."""
        if self.training_at_chance or (self.validation_at_chance and not self.learned):
            return f"stayed at chance (ln K = {self.chance:.2f})"
        return None


@dataclass(frozen=True)
class Found:
    """The training of every fine-tuned run with scores, in the study's order."""

    runs: list[RunTraining]
    more: More | None
    """What would tell how the runs that were still improving go on; None where there are none."""

    @property
    def improving(self) -> list[RunTraining]:
        """The runs that were still improving."""
        return [each for each in self.runs if each.improving]

    def of(self, run: RunRecord) -> RunTraining | None:
        """One run's training; None for baselines and runs without scores."""
        return next((each for each in self.runs if each.run.run_id == run.run_id), None)

    def still(self, *groups: Cell) -> bool:
        """Whether any run of these cells was still improving, so that what rests on them holds at this budget."""
        ids = {each.run.run_id for each in self.improving}
        return any(run.run_id in ids for cell in groups for run in cell.runs)

    def state(self, cell: Cell) -> State:
        """A cell's state: that of its runs where they agree; improving, unknown or limit where any run is, in turn."""
        ids = {run.run_id for run in cell.runs}
        found = {each.state for each in self.runs if each.run.run_id in ids}
        return next((state for state in WORST_FIRST if state in found), "unknown")

    def remark(self, run: RunRecord) -> str:
        """What a reader must know before comparing the run; empty where all is well."""
        if run.test is None or run.status != "done":
            return f"{run.status.replace('_', ' ')}: {run.message or 'no message'}"
        found = self.of(run)
        still = found is not None and found.improving
        if not learned(run):
            return f"did not learn{at(still)}"
        return "still improving" if still else "baseline" if is_baseline(run) else ""

    def names(self, groups: Iterable[Cell]) -> list[str]:
        """The cells among these of which a run was still improving, with the largest gain: "full (+2.4 points)"."""
        return [f"{cell.name} ({gain_text(self.gain(cell))})" for cell in groups if self.still(cell)]

    def gain(self, cell: Cell) -> float | None:
        """The largest gain in the last epoch among a cell's runs that were still improving."""
        ids = {run.run_id for run in cell.runs}
        gains = [each.gain for each in self.improving if each.run.run_id in ids and each.gain is not None]
        return max(gains, default=None)


@once
def trained(results: Results) -> Found:
    """How every fine-tuned run's training went, recomputed with the study's margin."""
    runs = [_training(results, run) for run in results.done if not is_baseline(run)]
    still = [each.run for each in runs if each.improving]
    return Found(runs, more(results, still, [each.run for each in runs if each.state == "limit"]) if still else None)


def _training(results: Results, run: RunRecord) -> RunTraining:
    _, looks = results.history(run)
    margin, chance = results.study.margin, math.log(max(2, len(results.labels)))
    found = run.training
    if found is not None:
        state, gain, noise = state_of(found.ended, found.gain, found.noise, margin), found.gain, found.noise
    else:
        gain, noise = _last_gain(looks), None
        state = earlier_state(looks, _validation_texts(results, run), margin)
    kept = next((p for p in looks if run.best_epoch is not None and math.isclose(p.epoch, run.best_epoch)), None)
    loss = kept.validation_loss if kept else run.validation.loss if run.validation else None
    return RunTraining(
        run=run,
        state=state,
        ended=found.ended if found else None,
        epochs=found.epochs if found else looks[-1].epoch if looks else None,
        steps=found.steps if found else looks[-1].step if looks else None,
        gain=gain,
        noise=noise,
        learned=learned(run),
        chance=chance,
        training_at_chance=bool(looks) and min(p.train_loss for p in looks) >= chance,
        validation_at_chance=loss is not None and loss >= chance,
    )


def _validation_texts(results: Results, run: RunRecord) -> int:
    return run.validation.texts if run.validation else results.study.profile.rows.get("validation", 0)


def _last_two(looks: list[EpochPoint]) -> tuple[float, float] | None:
    """Validation accuracy at the last look and one epoch before; None where there are no two such looks."""
    if not looks:
        return None
    before = next((p for p in looks if abs(looks[-1].epoch - 1 - p.epoch) < WHOLE), None)
    if before is None or before.validation_accuracy is None or looks[-1].validation_accuracy is None:
        return None
    return before.validation_accuracy, looks[-1].validation_accuracy


def _last_gain(looks: list[EpochPoint]) -> float | None:
    pair = _last_two(looks)
    return None if pair is None else pair[1] - pair[0]


def earlier_state(looks: list[EpochPoint], texts: int, margin: float) -> State:
    """The state of a run whose record holds no `training`, from its looks at validation (`texts` of them).

    How many answers changed was not kept. Right and wrong answers that changed lie between the gain itself and all
    that were wrong at either look (or right, where those are fewer): the state is known where both ends agree.
    """
    pair = _last_two(looks)
    if pair is None or not texts:
        return "unknown"
    before, after = pair
    gain = after - before
    fewest, most = abs(gain), max(abs(gain), min(before + after, 2 - before - after))
    ends = {improving(gain, 2 * math.sqrt(share / texts), margin) for share in (fewest, most)}
    if len(ends) > 1:
        return "unknown"
    return "improving" if ends.pop() else "plateau"


def gain_text(gain: float | None) -> str:
    """A gain in words: "+2.4 points"."""
    if gain is None:
        return "gain not known"
    return f"{'+' if gain >= 0 else ''}{f.signed_points(gain)} points"


def at(still: bool, before: str = " ") -> str:
    """The words, after a blank or what is given, where something rests on a run that was still improving."""
    return f"{before}{AT}" if still else ""


def careful(results: Results) -> list[str]:
    """Which methods were still improving and what that means; empty where none was.

    Where a command would tell more, the last sentence ends in a colon: the command stands after it, to be copied.
    """
    found = trained(results)
    groups = [cell for cell in cells(each.run for each in found.runs) if found.still(cell)]
    if not groups:
        return []
    text = f"Still improving in the last epoch: {few(found.names(groups))} on validation. "
    text += f"What rests on {'it' if len(groups) == 1 else 'them'} holds {AT}."
    return [text, *([found.more.sentence] if found.more else [])]


def others(results: Results) -> list[str]:
    """How training ended for the methods that learned and were not still improving, in a sentence; or none."""
    found = trained(results)
    groups = cells(comparable(results))
    words = {
        "plateau": "a plateau for {}",
        "limit": "stopped by the limit without a measurable gain: {}",
        "unknown": "whether {} would have improved further is not known",
    }
    named = {state: [cell.name for cell in groups if found.state(cell) == state] for state in words}
    if len(named["plateau"]) == len(groups) > 1:
        return ["Every fine-tuned method had reached a plateau when training ended."]
    parts = [words[state].format(few(names)) for state, names in named.items() if names]
    return [f"When training ended: {'; '.join(parts)}."] if parts else []


def pointer(results: Results) -> str:
    """A sentence, after a blank, on where the command stands that would tell; empty where there is none."""
    found = trained(results).more
    return f" The summary holds the command that would tell ({found.time})." if found else ""


def losses(results: Results) -> list[str]:
    """Which runs' loss stayed at chance, whatever their accuracy; empty where none did."""
    found = [(each.run.name, words) for each in trained(results).runs if (words := each.loss_words)]
    if not found:
        return []
    names = [name for name, _ in found]
    return [f"{few(names)}: {'its' if len(names) == 1 else 'their'} loss {found[0][1]}."]


def still(results: Results, groups: Iterable[Cell]) -> list[str]:
    """Which of these methods were still improving, and where the command stands that would tell; empty where none."""
    names = trained(results).names(groups)
    return [f"Still improving in the last epoch: {few(names)}.{pointer(results)}"] if names else []


def statistics(results: Results) -> dict[str, Any]:
    """What `results.json` keeps under `training`."""
    found = trained(results)
    out: dict[str, Any] = {
        "margin": results.study.margin / 100,
        "runs": [_figures(each) for each in found.runs],
        "still_improving": [each.run.name for each in found.improving],
        "command": None,
        "predicted_seconds": None,
    }
    if found.more is None:
        reason = "the study's epochs cannot be raised" if found.improving else "no run was still improving"
        return out | {"command_reason": reason, "predicted_seconds_reason": reason}
    out |= {"command": found.more.command, "predicted_seconds": found.more.seconds}
    return out if found.more.seconds is not None else out | {"predicted_seconds_reason": "a run's cost is not known"}


def _figures(each: RunTraining) -> dict[str, Any]:
    out: dict[str, Any] = {
        "run": each.run.run_id,
        "state": each.state,
        "ended": each.ended,
        "epochs": each.epochs,
        "steps": each.steps,
        "gain": each.gain,
        "noise": each.noise,
        "learned": each.learned,
        "chance_loss": each.chance,
        "training_loss_at_chance": each.training_at_chance,
        "validation_loss_at_chance": each.validation_at_chance,
    }
    reasons = {
        "ended": "not kept by the version that made the run",
        "epochs": "the run has no history",
        "steps": "the run has no history",
        "gain": "validation was not looked at twice, an epoch apart",
        "noise": "how many answers changed was not kept",
    }
    return out | {f"{name}_reason": reason for name, reason in reasons.items() if out[name] is None}
