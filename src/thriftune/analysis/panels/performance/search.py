"""What the search brought each method for its budget, and whether more of it would pay."""

from __future__ import annotations

from typing import Any

import numpy as np

from thriftune import wording as f
from thriftune.analysis.display import chart, planes
from thriftune.analysis.display.panel import Chart, Column, NotApplicable, Panel, Table, of_kind
from thriftune.analysis.findings.runs import is_baseline, training_seconds
from thriftune.analysis.findings.search import Curve, curve_of
from thriftune.analysis.statistics.expected_best import LEVEL, budgets, expected_best
from thriftune.metrics import METRICS, Kind
from thriftune.results.record import RunRecord
from thriftune.results.search import CellSearch, Select, StudySearch
from thriftune.results.store import Results

TITLE = "Search"
QUESTION = "What does each method score for the budget that its search had, and does more search pay?"

ROWS = 400
MEASURES = {"accuracy": "accuracy", "macro_f1": "macro F1", "loss": "loss"}


def build(results: Results) -> Panel | NotApplicable:
    """Expected best scores against trials and against seconds, the winners, and every trial."""
    search = results.search
    if search is None or not search.cells:
        return NotApplicable("The study has no search; `search` in the study file gives every method the same trials.")
    curves = [curve for cell in search.cells if (curve := curve_of(cell)) is not None]
    charts = []
    for select in dict.fromkeys(curve.cell.select for curve in curves):
        group = [curve for curve in curves if curve.cell.select == select]
        charts += [_chart(group, select, per_second=False), _chart(group, select, per_second=True)]
    statistics = {
        "budget": {"trials": search.trials, "seconds": search.seconds}
        | ({"seconds_reason": "trials alone are limited"} if search.seconds is None else {}),
        "methods": [_statistics(curve) for curve in curves],
    }
    return Panel(
        _sentences(results, search, curves),
        [_winners(results, search.cells), _trials(search.cells)],
        charts,
        _notes(results, search),
        statistics,
    )


def _sentences(results: Results, search: StudySearch, curves: list[Curve]) -> list[str]:
    if not curves:
        return ["No trial of the search has a score."]
    counts = {curve.trials for curve in curves}
    each = f.plural(counts.pop(), "trial") if len(counts) == 1 else f"{min(counts)} to {max(counts)} trials"
    held = f" (none began after {f.seconds(search.seconds)} of trials)" if search.seconds is not None else ""
    out = [f"Each method was searched with {each}{held}: {f.listing([_reached(curve) for curve in curves])}."]
    if search.seconds is None and len({curve.trials for curve in curves}) > 1:
        out.append("Their budgets are not equal; compare without --only and --without makes them so.")
    for select in dict.fromkeys(curve.cell.select for curve in curves):
        group = [curve for curve in curves if curve.cell.select == select]
        out += [each for each in (_profit(group), _lead(group)) if each]
        out.append(_worth(group, results.study.margin / 100, search))
    out.append(_cost(results, curves))
    return out


def _reached(curve: Curve) -> str:
    best = curve.cell.best
    if best is None or best.score is None:
        return f"{curve.name} (no trial complete)"
    return f"{curve.name} {f.select_score(best.score, curve.cell.select)}"


def _profit(curves: list[Curve]) -> str | None:
    """Which method gains most and least from searching, rather than taking one setting at random."""
    known = {curve.name: curve for curve in curves if curve.trials > 1}
    if not known:
        return None
    gains = {name: curve.gain(1, curve.trials) for name, curve in known.items()}
    most, least = max(gains, key=lambda name: gains[name]), min(gains, key=lambda name: gains[name])
    curve = known[most]
    select = curve.cell.select
    ends = [f.select_score(curve.best(k).mean, select) for k in (1, curve.trials)]
    text = (
        f"{most} profits most from the search: one random setting is expected to reach {MEASURES[select]} {ends[0]}, "
        f"the best of {curve.trials} {ends[1]}"
    )
    return f"{text}; {least} profits least ({_amount(gains[least], select)})." if least != most else f"{text}."


def _lead(curves: list[Curve]) -> str | None:
    """Whether the order of methods depends on the budget."""
    if len(curves) < 2:
        return None
    shortest = min(curve.trials for curve in curves)
    leaders = [max(curves, key=lambda c: expected_best(c.scores, k).mean).name for k in range(1, shortest + 1)]
    if leaders[0] == leaders[-1]:
        return f"{leaders[0]} is ahead with one trial and with {shortest}." if len(set(leaders)) == 1 else None
    since = next(k for k in range(shortest, 0, -1) if leaders[k - 1] != leaders[-1]) + 1
    return (
        f"The order depends on the budget: {leaders[0]} is ahead with one trial, {leaders[-1]} from {since} trials on."
    )


def _worth(curves: list[Curve], margin: float, search: StudySearch) -> str:
    """Whether the second half of the trials brought more than the margin."""
    select = curves[0].cell.select
    gains = {c.name: c.gain((c.trials + 1) // 2, c.trials) for c in curves if c.trials > 1}
    if not gains:
        return "One trial shows nothing of what more would bring."
    name = max(gains, key=lambda each: gains[each])
    curve = next(c for c in curves if c.name == name)
    half = (curve.trials + 1) // 2
    most = f"{_amount(gains[name], select)} ({name})"
    found = f"From {half} to {curve.trials} trials the expected best rises by at most {most}"
    if select == "loss":
        return f"{found.replace('rises', 'falls')}."
    if gains[name] <= margin:
        return f"{found}, within the margin of {f.points(margin)}: more search is not worth it here."
    return (
        f"{found}, beyond the margin of {f.points(margin)}: more search may pay. "
        f"`--set search.trials={2 * search.trials}` goes on with it."
    )


def _cost(results: Results, curves: list[Curve]) -> str:
    total = sum(curve.cell.seconds for curve in curves)
    cells = {curve.name for curve in curves}
    runs = [training_seconds(run) for run in results.done if run.cell in cells and run.searched is not None]
    known = [seconds for seconds in runs if seconds]
    text = f"The search took {f.seconds(total)} in all"
    if known:
        text += f", {f.ratio(total / sum(known))} the training of the runs that its best settings were then used for"
    return f"{text}; it is part of no run's cost."


def _amount(gain: float, select: str) -> str:
    return f.number(gain) if select == "loss" else f.points(gain)


def _chart(curves: list[Curve], select: Select, per_second: bool) -> Chart:
    share = METRICS[select].kind == "percent"
    divisor, unit = 1.0, "trials"
    if per_second:
        divisor, unit, _ = chart.unit_of("seconds", [c.cell.seconds for c in curves])
    rows: list[dict[str, Any]] = []
    for curve in curves:
        for found in map(curve.best, budgets(curve.trials)):
            x = found.trials * curve.seconds / divisor if per_second else found.trials
            ends = {"x": x, "y": found.mean, "low": found.low, "high": found.high}
            rows.append({"series": curve.name, "trials": found.trials} | {n: chart.short(v) for n, v in ends.items()})
    write = ".1%" if share else ".4f"
    tooltip = chart.tips(
        series="method", trials=("trials", ","), y=("expected best", write), low=("from", write), high=("to", write)
    )
    tooltip += chart.tips(x=(unit, ".3~g")) if per_second else []
    measure = MEASURES[select]
    series = [curve.name for curve in curves]
    title = f"best validation {measure}"
    spec = planes.lines(
        rows, x_title=f"{unit} spent" if per_second else unit, y_title=title, series=series, tooltip=tooltip,
        share=share, points=False, x_axis={"tickCount": 6, "format": "~g"} if per_second else None,
    )  # fmt: skip
    line = spec["layer"][-1]["encoding"]
    band = {"x": line["x"], "y": line["y"] | {"field": "low"}, "y2": {"field": "high"}, "color": line["color"]}
    spec["layer"].insert(0, {"mark": {"type": "area", "opacity": 0.14, "tooltip": None}, "encoding": band})
    by = "seconds" if per_second else "trials"
    what = "the seconds that they took" if per_second else "the number of trials"
    return Chart(
        f"search-{by}" if select == "accuracy" else f"search-{by}-{select.replace('_', '-')}",
        f"Expected best by {'time' if per_second else 'trials'} spent",
        f"Lines: the {measure} on validation that the best of some trials is expected to reach, over {what}, one line "
        f"a method; bands: where it lies in {f.percent(LEVEL, 0)} of searches of that size.",
        spec,
    )


def _winners(results: Results, cells: list[CellSearch]) -> Table:
    kind = _kind(cells)
    columns = [
        Column("cell", "Method"),
        *of_kind("int", trials="Trials", pruned="Pruned", failed="Diverged or failed"),
        Column("seconds", "Search time", "seconds"),
        Column("one", "Expected of one trial", kind),
        Column("best", "Best on validation", kind),
        Column("settings", "With"),
        Column("test", "Test accuracy of the retrained", "percent", higher_is_better=True),
    ]
    rows: list[dict[str, Any]] = []
    for cell in cells:
        best, curve = cell.best, curve_of(cell)
        rows.append(
            {
                "cell": cell.cell,
                "trials": len(cell.trials),
                "pruned": cell.count("pruned"),
                "failed": cell.count("diverged", "out_of_memory", "killed", "failed"),
                "seconds": cell.seconds,
                "one": None if curve is None else curve.best(1).mean,
                "best": None if best is None else best.score,
                "settings": "–" if best is None else f.settings(best.params),
                "test": _test(results.done, cell.cell),
            }
        )
    caption = "The best setting of each method. It was trained anew with every seed, and tested; no trial was."
    return Table("search-winners", caption, columns, rows)


def _kind(cells: list[CellSearch]) -> Kind:
    """How the scores of all searches are written."""
    return METRICS["loss" if any(cell.select == "loss" for cell in cells) else "accuracy"].kind


def _test(runs: list[RunRecord], cell: str) -> float | None:
    found = [
        run.test.accuracy for run in runs if run.cell == cell and run.searched is not None and run.test is not None
    ]
    return float(np.mean(found)) if found else None


def _trials(cells: list[CellSearch]) -> Table:
    kind = _kind(cells)
    columns = [
        Column("cell", "Method"),
        Column("trial", "Trial", "int"),
        Column("state", "State"),
        Column("score", "Validation", kind),
        Column("epochs", "Epochs", "number"),
        Column("seconds", "Time", "seconds"),
        Column("settings", "Settings"),
    ]
    rows = [
        {
            "cell": cell.cell,
            "trial": trial.number,
            "state": trial.state.replace("_", " "),
            "score": trial.score,
            "epochs": trial.epochs,
            "seconds": trial.seconds,
            "settings": f.settings(trial.params),
        }
        for cell in cells
        for trial in cell.trials
    ]
    more = f" The first {ROWS} of {f.count(len(rows))}; search.json has all." if len(rows) > ROWS else ""
    return Table("search-trials", f"Every trial.{more}", columns, rows[:ROWS])


def _notes(results: Results, search: StudySearch) -> list[str]:
    notes = [
        "Expected best: the mean of the best of k draws from a method's trials (Dodge et al., 2019); band: the middle "
        f"{f.percent(LEVEL, 0)} of such searches. Trials after the tenth were drawn with regard to the earlier ones; "
        "the curve takes them all to be independent.",
        "A trial that was pruned counts with its best score before it was ended (what it would have reached is not "
        "known), one that diverged or failed as the lowest score of its method.",
        "Trial k of every method was trained with the same seed and, where methods share a key, drawn alike at first. "
        "A winner's validation score is the best of many and flatters it; verdicts rest on the retrained models' test "
        "scores.",
    ]
    cells = {cell.cell for cell in search.cells}
    left = [run.cell for run in results.runs if run.cell not in cells and not is_baseline(run)]
    if left:
        notes.append(f"Not searched, having none of the keys: {f.listing(list(dict.fromkeys(left)))}.")
    return notes


def _statistics(curve: Curve) -> dict[str, Any]:
    return {
        "method": curve.name,
        "select": curve.cell.select,
        "mean_trial_seconds": curve.seconds,
        "expected_best": [
            {"trials": best.trials, "mean": best.mean, "interval_90": [best.low, best.high]}
            for best in map(curve.best, budgets(curve.trials))
        ],
    }
