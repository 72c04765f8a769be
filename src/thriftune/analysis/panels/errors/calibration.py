"""Whether the runs' probabilities can be believed, before and after temperature scaling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thriftune import wording as f
from thriftune.analysis.display import chart, planes
from thriftune.analysis.display.panel import Chart, Column, NotApplicable, Panel, Table
from thriftune.analysis.findings import predictions
from thriftune.analysis.findings.runs import above_majority
from thriftune.analysis.statistics.basics import Floats
from thriftune.analysis.statistics.reliability import BINS, Bins, bins, brier, overconfidence, scaled, temperature
from thriftune.results.record import RunRecord
from thriftune.results.store import Results

TITLE = "Calibration"
QUESTION = "When a run says 90%, is it right nine times in ten?"

NO_VALIDATION = "there are no validation predictions to fit a temperature on"
COLUMNS = [
    Column("run", "Run"),
    Column("over", "Overconfidence, points", "points"),
    Column("interval", "95% interval"),
    Column("ece", "Calibration error", "percent", higher_is_better=False),
    Column("brier", "Brier score", "number", higher_is_better=False),
    Column("temperature", "Temperature", "number"),
    Column("over_after", "Overconfidence, scaled", "points"),
    Column("ece_after", "Calibration error, scaled", "percent", higher_is_better=False),
    Column("brier_after", "Brier score, scaled", "number", higher_is_better=False),
]


@dataclass(frozen=True)
class State:
    """A run's calibration on the test texts, as it is or scaled."""

    over: tuple[float, float, float]
    """Mean confidence minus accuracy, and its interval."""
    bins: Bins
    brier: float


@dataclass(frozen=True)
class Calibration:
    """A run's calibration before and, where there are validation predictions, after temperature scaling."""

    run: RunRecord
    before: State
    temperature: float | None
    after: State | None


def build(results: Results) -> Panel | NotApplicable:
    """Calibration errors, Brier scores and reliability diagrams, the most overconfident run first."""
    found, silent = [], []
    for run in (run for run in results.done if run.test is not None and above_majority(run.test)):
        read = predictions.read(results, run)
        if read.probabilities is None:
            silent.append(run.name)
        else:
            found.append(_calibration(results, run, read.probabilities, read.label))
    if not found:
        return NotApplicable("No run that learned gave probabilities.")
    found.sort(key=lambda each: -each.before.over[0])
    caption = "On the test texts, the most overconfident first. Scaled: with the temperature fitted on validation."
    tables = [Table("calibration", caption, COLUMNS, [_row(each) for each in found])]
    charts = [_chart(results, {each.run.name: each.before for each in found}, "reliability", "as trained")]
    after = {each.run.name: each.after for each in found if each.after is not None}
    if after:
        charts.append(_chart(results, after, "reliability-scaled", "after temperature scaling"))
    statistics = {"bins": BINS, "runs": [_statistics(each) for each in found]}
    return Panel(_sentences(found), tables, charts, _notes(silent), statistics)


def _statistics(each: Calibration) -> dict[str, Any]:
    out: dict[str, Any] = {"run": each.run.run_id, "as_trained": _plain(each.before), "temperature": each.temperature}
    out["scaled"] = None if each.after is None else _plain(each.after)
    return out | ({f"{name}_reason": NO_VALIDATION for name in ("temperature", "scaled")} if each.after is None else {})


def _plain(state: State) -> dict[str, Any]:
    mean, low, high = state.over
    return {
        "overconfidence": mean,
        "overconfidence_interval_95": [low, high],
        "expected_calibration_error": state.bins.error,
        "brier_score": state.brier,
    }


def _calibration(results: Results, run: RunRecord, probabilities: Floats, label: NDArray[np.int64]) -> Calibration:
    before = _state(probabilities, label)
    if not results.has_predictions(run, "validation"):
        return Calibration(run, before, None, None)
    read = predictions.read(results, run, "validation")
    if read.probabilities is None or not len(read.label):
        return Calibration(run, before, None, None)
    fitted = temperature(read.probabilities, read.label)
    return Calibration(run, before, fitted, _state(scaled(probabilities, fitted), label))


def _state(probabilities: Floats, label: NDArray[np.int64]) -> State:
    return State(overconfidence(probabilities, label), bins(probabilities, label), brier(probabilities, label))


def _row(each: Calibration) -> dict[str, Any]:
    mean, low, high = each.before.over
    row: dict[str, Any] = {"run": each.run.name, "over": mean, "interval": f.points_range(low, high)}
    row |= {"ece": each.before.bins.error, "brier": each.before.brier}
    if each.after is None:
        reasons = ("temperature", "over_after", "ece_after", "brier_after")
        return row | {f"{name}_reason": NO_VALIDATION for name in reasons}
    row |= {"temperature": each.temperature, "over_after": each.after.over[0]}
    return row | {"ece_after": each.after.bins.error, "brier_after": each.after.brier}


def _sentences(found: list[Calibration]) -> list[str]:
    scored = [(each.before.bins.error, each.after.bins.error) for each in found if each.after is not None]
    if not scored:
        return [_ranking(found)]
    before, after = (float(mean) for mean in np.mean(scored, axis=0))
    better = sum(last < first for first, last in scored)
    if len(scored) == 1:
        change = "lowers its calibration error" if better else "does not lower its calibration error"
        text = f"A temperature fitted on validation {change}: {f.percent(before)} before, {f.percent(after)} after."
    else:
        whose = f"that of all {better} runs" if better == len(scored) else f"that of {better} of {len(scored)} runs"
        text = f"The mean calibration error is {f.percent(before)}, and {f.percent(after)} with each run's temperature "
        text += f"fitted on validation, which lowers {whose}."
    return [_ranking(found), text]


def _ranking(found: list[Calibration]) -> str:
    """Who claims more than it delivers, in order; an interval around zero is no claim."""
    over = [each for each in found if each.before.over[1] > 0]
    under = [each for each in found if each.before.over[2] < 0]
    parts = []
    if over:
        first = over[0]
        text = f"{first.run.name} is the most overconfident" if len(found) > 1 else f"{first.run.name} is overconfident"
        mean, low, high = first.before.over
        text += f": {f.points(mean)} surer than it is right (95% interval {f.points_range(low, high)})"
        rest = [f"{each.run.name} ({f.signed_points(each.before.over[0])})" for each in over[1:]]
        parts.append(f"{text}{'; then ' + f.listing(rest) if rest else ''}.")
    if under:
        names = [f"{each.run.name} ({f.signed_points(each.before.over[0])})" for each in reversed(under)]
        parts.append(f"Less sure than right: {f.listing(names)}.")
    if not parts:
        who = "The run's" if len(found) == 1 else "No run's"
        verb = "does not differ" if len(found) == 1 else "differs"
        return f"{who} mean confidence {verb} from its accuracy beyond chance."
    return " ".join(parts)


def _chart(results: Results, states: dict[str, State], name: str, when: str) -> Chart:
    rows = [
        {
            "series": run,
            "x": chart.short(float(state.bins.confidence[i])),
            "y": chart.short(float(state.bins.accuracy[i])),
            "texts": int(state.bins.texts[i]),
        }
        for run, state in states.items()
        for i in range(BINS)
        if state.bins.texts[i]
    ]
    tooltip = chart.tips(series="run", x=("mean confidence", ".1%"), y=("accuracy", ".1%"), texts=("texts", ","))
    names = [run.name for run in results.done if run.name in states]
    spec = planes.reliability(rows, series=names, tooltip=tooltip)
    description = f"Accuracy over confidence by run, {when}; below the dashed diagonal a run is overconfident."
    return Chart(name, f"Reliability, {when}", description, spec)


def _notes(silent: list[str]) -> list[str]:
    notes = [
        f"Confidence: the predicted label's probability. Calibration error: the expected calibration error over {BINS} "
        "bins of equal width (Naeini et al. 2015; Guo et al. 2017); a perfectly calibrated run has some too, the more "
        "the fewer texts there are. Brier score: summed over labels, from 0 to 2.",
        "Overconfidence: mean confidence minus accuracy. A temperature above 1 makes a run less sure and never changes "
        "a prediction; the weights were chosen on the same validation texts, which makes it a little too low.",
    ]
    return notes + ([f"Without probabilities: {f.listing(silent)}."] if silent else [])
