"""What keeps a study's first sentence from being the last word, and the command that would settle it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from thriftune import wording as f
from thriftune.analysis.findings.answers.answer import few
from thriftune.analysis.findings.decision import Decision, Standing, decide
from thriftune.analysis.findings.memo import once
from thriftune.analysis.findings.more import More, more
from thriftune.analysis.findings.runs import by_model, differing
from thriftune.analysis.findings.threats import OF_RUNS, Kind, threats
from thriftune.analysis.findings.training import gain_text, trained
from thriftune.results.store import Results

NO_RANKING = "Do not read this as a ranking of the methods."
NAMED = 2
SAID = 2
"""Reasons that are said; the sections below hold all."""


@dataclass(frozen=True)
class Caution:
    """Said before anything else is read; there is none where nothing is to be said."""

    bold: str
    """The warning itself, a sentence."""
    text: str
    """Why, in one sentence or two; may be empty."""
    command: str | None
    """A whole command that would settle it; None where none would."""
    options: str | None
    """What of the command differs from that of the study: "--set protocol.epochs=4"."""
    time: str | None
    """How long it would take: "about 30 min"; None where that is not known."""

    @property
    def words(self) -> str:
        """Without the command."""
        return f"{self.bold} {self.text}".strip()


_MEANING: dict[Kind, str] = {
    "few_texts": "The test texts are few.",
    "few_groups": "The test texts are few.",
    "rare_in_train": "Some classes have too few training texts.",
    "grouped": "The intervals are too narrow.",
}
"""What a severe threat means, in a sentence."""


@dataclass(frozen=True)
class _Reason:
    bold: str
    """What the reason means, where it is the first."""
    why: str
    """The reason itself, a sentence; empty where `bold` says it."""


@once
def caution(results: Results) -> Caution | None:
    """What must be said of the decision before it is used: under-training, one seed, lost seeds, data that mislead."""
    decision = decide(results)
    one_seed = _order_is_open(decision)
    reasons = [
        *_nothing(decision),
        *_training(results, decision, one_seed),
        *_data(results),
        *_protocols(decision),
        *_lost(results, decision),
    ]
    if not reasons:
        return None
    found = _settling(results, decision, one_seed)
    why = [reasons[0].why, *(each.why or each.bold for each in reasons[1:SAID])]
    return Caution(
        bold=reasons[0].bold,
        text=" ".join(text for text in why if text),
        command=found.command if found else None,
        options=found.options if found else None,
        time=found.short_time if found else None,
    )


def _settling(results: Results, decision: Decision, one_seed: bool) -> More | None:
    """The command that raises the budget, the seeds, or both."""
    training = trained(results)
    still = [each.run for each in training.improving]
    if decision.tuned and all(each.place == "not learned" for each in decision.tuned):
        return more(results, [run for each in decision.tuned for run in each.cell.runs], [])
    if not still and not one_seed:
        return None
    limited = [each.run for each in training.runs if each.state == "limit"]
    return more(results, still, limited, repeats=decision.one_seed and len(decision.tuned) > 1)


def _order_is_open(decision: Decision) -> bool:
    """Whether several fine-tuned methods could be the best, and one of them has a single seed."""
    tuned = [each for each in decision.best_set if not each.baseline]
    return len(tuned) > 1 and any(len(each.cell.runs) == 1 for each in tuned)


def _nothing(decision: Decision) -> Iterator[_Reason]:
    tuned = decision.tuned
    if tuned and all(each.place == "not learned" for each in tuned):
        who = tuned[0].name if len(tuned) == 1 else "No fine-tuned method"
        bold = f"{who} {'did not learn' if len(tuned) == 1 else 'learned'}."
        yield _Reason(bold, "Predictions do not depend on the labels: check these, then train longer.")


def _training(results: Results, decision: Decision, one_seed: bool) -> Iterator[_Reason]:
    still = [each for each in decision.tuned if each.still_improving]
    one = "One seed each" if all(len(each.cell.runs) == 1 for each in decision.tuned) else ""
    if still:
        who = _who(still, decision)
        verb = "was" if len(still) == 1 or who.startswith("every") else "were"
        text = f"{who} {verb} still improving{_gains(results, still)}."
        bold = NO_RANKING if len(decision.tuned) > 1 else "Training stopped too early."
        yield _Reason(bold, f"{one}; {text}" if one and len(decision.tuned) > 1 else text[0].upper() + text[1:])
    elif one_seed:
        names = few([each.name for each in decision.best_first if not each.baseline], NAMED)
        text = f"{names} could each be the best; another seed may turn them round."
        yield _Reason(NO_RANKING, f"{one or 'Some methods have one usable seed'}: {text}")


def _who(still: list[Standing], decision: Decision) -> str:
    if len(still) == len(decision.tuned) > 1:
        return "every method"
    return f.listing([each.name for each in still], NAMED + 1)


def _gains(results: Results, still: list[Standing]) -> str:
    """ " (last epoch: +2.1 to +8.6 points)"."""
    found = trained(results)
    gains = sorted(gain for each in still if (gain := found.gain(each.cell)) is not None)
    if not gains:
        return ""
    least, most = (gain_text(gain).removesuffix(" points") for gain in (gains[0], gains[-1]))
    return f" (last epoch: {least if least == most else f'{least} to {most}'} points)"


def _lost(results: Results, decision: Decision) -> Iterator[_Reason]:
    """Methods that lost some of their seeds, and those without any result."""
    some = [each for each in decision.tuned if each.lost]
    if some:
        parts = [
            f"{each.name} lost {each.lost} of its {each.lost + len(each.cell.runs)} seeds" for each in some[:NAMED]
        ]
        parts += [f"{len(some) - NAMED} more methods lost seeds"] if len(some) > NAMED else []
        yield _Reason(f"{f.listing(parts)}.", "Its score is that of the others." if len(some) == 1 else "")
    done = {run.cell for run in results.done}
    none = {run.cell: run.status.replace("_", " ") for run in results.runs if run.cell not in done}
    if none:
        named = [f"{name} ({status})" for name, status in none.items()]
        yield _Reason(f"Without a result: {f.listing(named, NAMED + 1)}.", "")


def _protocols(decision: Decision) -> Iterator[_Reason]:
    """What methods of one model differ in besides themselves."""
    found: dict[str, list[str]] = {}
    for group in by_model(run for each in decision.tuned for run in each.cell.runs).values():
        found |= differing(group, machine=False)
    if found:
        named = [f"{name} {f.listing(values, NAMED + 1)}" for name, values in found.items()]
        yield _Reason("These methods ran under different protocols.", f"They differ in {f.listing(named, NAMED + 1)}.")


def _data(results: Results) -> Iterator[_Reason]:
    for threat in threats(results):
        if threat.severe and threat.kind not in OF_RUNS:
            yield _Reason(_MEANING.get(threat.kind, "The data may mislead."), threat.words)
