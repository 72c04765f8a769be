"""Whether the methods' probabilities can be believed, before and after temperature scaling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thriftune import wording as f
from thriftune.analysis.display import chart, planes
from thriftune.analysis.display.panel import Chart, Column, NotApplicable, Panel, Table
from thriftune.analysis.findings import predictions
from thriftune.analysis.findings.runs import Cell, cells, depends
from thriftune.analysis.statistics.basics import Floats
from thriftune.analysis.statistics.reliability import BINS, Bins, bins, brier, overconfidence, scaled, temperature
from thriftune.results.record import RunRecord
from thriftune.results.store import Results

TITLE = "Calibration"
QUESTION = "When a method says 90%, is it right nine times in ten?"

NO_VALIDATION = "there are no validation predictions to fit a temperature on"
COLUMNS = [
    Column("method", "Method"),
    Column("over", "Overconfidence, points", "points"),
    Column("interval", "95% interval"),
    Column("ece", "Calibration error", "percent", higher_is_better=False),
    Column("ece_seeds", "Lowest to highest seed"),
    Column("brier", "Brier score", "number", higher_is_better=False),
    Column("temperature", "Temperature", "number"),
    Column("over_after", "Overconfidence, scaled", "points"),
    Column("ece_after", "Calibration error, scaled", "percent", higher_is_better=False),
    Column("brier_after", "Brier score, scaled", "number", higher_is_better=False),
]


@dataclass(frozen=True)
class State:
    """The calibration on the test texts of a run, or of a method's seeds together, as it is or scaled."""

    over: tuple[float, float, float]
    """Mean confidence minus accuracy, and its interval."""
    bins: Bins
    brier: float


@dataclass(frozen=True)
class Calibration:
    """Calibration before and, where there are validation predictions, after temperature scaling."""

    before: State
    temperature: float | None
    """Of several seeds the mean: each has its own."""
    after: State | None


@dataclass(frozen=True)
class Method:
    """Runs that differ by seed alone, together and one by one."""

    name: str
    together: Calibration
    seeds: list[tuple[RunRecord, Calibration]]


def build(results: Results) -> Panel | NotApplicable:
    """Calibration errors, Brier scores and reliability diagrams, the most overconfident method first."""
    found, silent = [], []
    for cell in cells(run for run in results.done if depends(run)):
        method = _method(results, cell)
        if method is None:
            silent.append(cell.name)
        else:
            found.append(method)
    if not found:
        return NotApplicable("No run that learned gave probabilities.")
    order = {each.name: each.together.before for each in found}
    found.sort(key=lambda each: -each.together.before.over[0])
    caption = "On the test texts, the most overconfident first. Scaled: with the temperature fitted on validation."
    several = any(len(each.seeds) > 1 for each in found)
    if several:
        caption += " Of several seeds the mean, each with its own temperature."
    columns = [column for column in COLUMNS if several or column.name != "ece_seeds"]
    tables = [Table("calibration", caption, columns, [_row(each) for each in found])]
    charts = [_chart(order, "reliability", "as trained")]
    after = {each.name: each.together.after for each in found if each.together.after is not None}
    if after:
        after = {name: after[name] for name in order if name in after}
        charts.append(_chart(after, "reliability-scaled", "after temperature scaling"))
    runs = [_statistics(run, each) for method in found for run, each in method.seeds]
    return Panel(_sentences(found), tables, charts, _notes(silent), {"bins": BINS, "runs": runs})


def _statistics(run: RunRecord, each: Calibration) -> dict[str, Any]:
    out: dict[str, Any] = {"run": run.run_id, "as_trained": _plain(each.before), "temperature": each.temperature}
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


def _method(results: Results, cell: Cell) -> Method | None:
    """A method's calibration; None where one of its runs gave no probabilities."""
    reads = [predictions.read(results, run) for run in cell.runs]
    probabilities = [each.probabilities for each in reads if each.probabilities is not None]
    if len(probabilities) < len(reads):
        return None
    label = reads[0].label
    fitted = [known for run in cell.runs if (known := _fitted(results, run)) is not None]
    own = [*fitted] if len(fitted) == len(reads) else [None] * len(reads)
    seeds = [
        (run, _calibration([each], label, [heat] if heat is not None else []))
        for run, each, heat in zip(cell.runs, probabilities, own, strict=True)
    ]
    heats = fitted if len(fitted) == len(reads) else []
    together = seeds[0][1] if len(seeds) == 1 else _calibration(probabilities, label, heats)
    return Method(cell.name, together, seeds)


def _fitted(results: Results, run: RunRecord) -> float | None:
    """The temperature of a run; None without validation predictions."""
    if not results.has_predictions(run, "validation"):
        return None
    read = predictions.read(results, run, "validation")
    if read.probabilities is None or not len(read.label):
        return None
    return temperature(read.probabilities, read.label)


def _calibration(probabilities: list[Floats], label: NDArray[np.int64], heats: list[float]) -> Calibration:
    before = _state(probabilities, label)
    if not heats:
        return Calibration(before, None, None)
    after = [scaled(each, heat) for each, heat in zip(probabilities, heats, strict=True)]
    return Calibration(before, float(np.mean(heats)), _state(after, label))


def _state(probabilities: list[Floats], label: NDArray[np.int64]) -> State:
    every, labels = np.concatenate(probabilities), np.tile(label, len(probabilities))
    return State(overconfidence(probabilities, label), bins(every, labels), brier(every, labels))


def _row(method: Method) -> dict[str, Any]:
    each = method.together
    mean, low, high = each.before.over
    errors = [seed.before.bins.error for _, seed in method.seeds]
    row: dict[str, Any] = {"method": method.name, "over": mean, "interval": f.points_range(low, high)}
    row |= {"ece": float(np.mean(errors)), "brier": each.before.brier}
    row |= {"ece_seeds": f.percent_range(min(errors), max(errors)) if len(errors) > 1 else None}
    row |= {"ece_seeds_reason": "one seed"}
    if each.after is None:
        reasons = ("temperature", "over_after", "ece_after", "brier_after")
        return row | {f"{name}_reason": NO_VALIDATION for name in reasons}
    row |= {"temperature": each.temperature, "over_after": each.after.over[0]}
    return row | {"ece_after": _error(method, scaled=True), "brier_after": each.after.brier}


def _error(method: Method, scaled: bool = False) -> float:
    """The calibration error, the mean over seeds."""
    states = [seed.after if scaled else seed.before for _, seed in method.seeds]
    return float(np.mean([state.bins.error for state in states if state is not None]))


def _sentences(found: list[Method]) -> list[str]:
    scored = [(_error(each), _error(each, scaled=True)) for each in found if each.together.after is not None]
    if not scored:
        return [_ranking(found)]
    before, after = (float(mean) for mean in np.mean(scored, axis=0))
    better = sum(last < first for first, last in scored)
    if len(scored) == 1:
        change = "lowers its calibration error" if better else "does not lower its calibration error"
        text = f"A temperature fitted on validation {change}: {f.percent(before)} before, {f.percent(after)} after."
    else:
        every = "both methods" if len(scored) == 2 else f"all {len(scored)} methods"
        some = f"{better} of {len(scored)} methods" if better else "no method"
        whose = f"that of {every if better == len(scored) else some}"
        text = f"The mean calibration error is {f.percent(before)}, and {f.percent(after)} with each run's temperature "
        text += f"fitted on validation, which lowers {whose}."
    return [_ranking(found), text]


def _ranking(found: list[Method]) -> str:
    """Who claims more than it delivers, in order; an interval around zero is no claim."""
    over = [each for each in found if each.together.before.over[1] > 0]
    under = [each for each in found if each.together.before.over[2] < 0]
    parts = []
    if over:
        first = over[0]
        text = f"{first.name} is the most overconfident" if len(over) > 1 else f"{first.name} is overconfident"
        mean, low, high = first.together.before.over
        text += f": {f.points(mean)} surer than it is right (95% interval {f.points_range(low, high)})"
        rest = [f"{each.name} ({_signed(each)})" for each in over[1:]]
        parts.append(f"{text}{'; then ' + f.listing(rest) if rest else ''}.")
    if under:
        names = [f"{each.name} ({_signed(each)})" for each in reversed(under)]
        parts.append(f"Less sure than right: {f.listing(names)}.")
    if not parts:
        who = f"{found[0].name}'s" if len(found) == 1 else "No method's"
        verb = "does not differ" if len(found) == 1 else "differs"
        return f"{who} mean confidence {verb} from its accuracy beyond chance."
    return " ".join(parts)


def _signed(method: Method) -> str:
    return f"{f.signed_points(method.together.before.over[0])} points"


def _chart(states: dict[str, State], name: str, when: str) -> Chart:
    rows = [
        {
            "series": method,
            "x": chart.short(float(state.bins.confidence[i])),
            "y": chart.short(float(state.bins.accuracy[i])),
            "texts": int(state.bins.texts[i]),
        }
        for method, state in states.items()
        for i in range(BINS)
        if state.bins.texts[i]
    ]
    tooltip = chart.tips(series="method", x=("mean confidence", ".1%"), y=("accuracy", ".1%"), texts=("texts", ","))
    spec = planes.reliability(rows, series=list(states), tooltip=tooltip)
    description = f"Accuracy over confidence by method, {when}; below the dashed diagonal one is overconfident."
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
