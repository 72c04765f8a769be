"""A study's results as Python shows and asks them: the decision, tables, charts and the trained classifiers."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from thriftune.errors import InputError, unknown_name
from thriftune.remote.reading import folder_here
from thriftune.results import store
from thriftune.results.record import RunRecord

if TYPE_CHECKING:
    import polars as pl

    from thriftune.analysis.analyse import Analysis
    from thriftune.analysis.display.panel import Chart
    from thriftune.analysis.findings.decision import Decision
    from thriftune.python.advice import Advice
    from thriftune.use.classifier import Classifier

As = Literal["polars", "pandas"]
Rows = Literal["methods", "runs"]


class Results(store.Results):
    """What a study found; `thriftune.compare` and `thriftune.load_results` make it.

    In a notebook it shows which method to take, how sure that is, and every method with its score and cost.
    """

    @classmethod
    def load(cls, path: Path | str) -> Results:
        """Those of an output folder; raises `InputError` where it holds none."""
        return cls.of(store.Store(folder_here(path)).load())

    @classmethod
    def of(cls, results: store.Results) -> Results:
        """The same results with what Python asks of them."""
        found = cls(results.store, results.study, results.source)
        found.plain = results
        return found

    @cached_property
    def plain(self) -> store.Results:
        """What the analysis reads: what it finds out of these results it finds out once."""
        return self

    @property
    def path(self) -> Path:
        """The output folder."""
        return self.store.path

    @cached_property
    def analysis(self) -> Analysis:
        """What every panel of the page says."""
        from thriftune.analysis.analyse import analyse

        return analyse(self.plain)

    @property
    def decision(self) -> Decision:
        """What to take, how sure that is, and where every other method stands."""
        from thriftune.analysis.findings.decision import decide

        return decide(self.plain)

    @property
    def recommended(self) -> RunRecord | None:
        """The run that `recommend` names without limits; None where no method learned anything."""
        from thriftune.use.choose import recommended

        return None if self.decision.taken is None else recommended(self.plain)

    def recommend(self, **limits: Any) -> Advice:
        """Which method to take under limits; see `thriftune.recommend`."""
        from thriftune.python.advice import recommend

        return recommend(self.plain, **limits)

    def best(
        self,
        run: str | None = None,
        *,
        calibrated: bool = False,
        device: Literal["auto", "cpu", "cuda"] = "auto",
        threads: int | None = None,
    ) -> Classifier:
        """The recommended run's classifier, ready to predict; with `run` that of the run called so.

        Raises `InputError` where no run is recommended, or none is called so; see `Classifier.load`.
        """
        from thriftune.use.classifier import Classifier

        name = str(self.path.absolute()) + ("" if run is None else f":{run}")
        return Classifier.load(name, calibrated=calibrated, device=device, threads=threads)

    @overload
    def table(self, rows: Rows = ..., *, to: Literal["polars"] = ...) -> pl.DataFrame: ...
    @overload
    def table(self, rows: Rows = ..., *, to: Literal["pandas"]) -> Any: ...

    def table(self, rows: Rows = "methods", *, to: As = "polars") -> Any:
        """One row per method, the best first, or per run in the study's order; a pandas DataFrame on demand.

        Numbers are plain: scores and lags are fractions, times seconds, sizes bytes; what is not known is null.
        Raises `InputError` for other words.
        """
        import polars as pl

        if rows not in ("methods", "runs"):
            raise unknown_name("The kind of rows", str(rows), ("methods", "runs"))
        if to not in ("polars", "pandas"):
            raise unknown_name("The kind of table", str(to), ("polars", "pandas"))
        values = _methods(self) if rows == "methods" else [_run(run) for run in self.runs]
        frame = pl.DataFrame(values, infer_schema_length=None)
        return frame.to_pandas() if to == "pandas" else frame

    @property
    def charts(self) -> list[str]:
        """The names of the page's charts, which `chart` takes."""
        return [chart.name for chart in self._charts]

    def chart(self, name: str) -> Drawing:
        """A chart by its name, or the first one of a panel or of a part of the page ("cost"); a notebook shows it.

        Raises `InputError` where there is none.
        """
        sections = self.analysis.sections
        found = next((chart for chart in self._charts if chart.name == name), None)
        places = [each for each in sections if name == each.id] or [each for each in sections if name == each.group]
        found = found or next((chart for each in places for chart in each.panel.charts), None)
        if found is None:
            raise unknown_name("The chart", name, self.charts)
        return Drawing(found)

    @property
    def _charts(self) -> list[Chart]:
        return [chart for each in self.analysis.sections for chart in each.panel.charts]

    def report(self) -> Path:
        """Writes the page, `report.html`, and its figures into the output folder; returns the page's path."""
        from thriftune.report.render import write_page

        return write_page(self.analysis)

    def __repr__(self) -> str:
        taken = self.decision.taken
        what = "none learned" if taken is None else f"take {taken.name}"
        return f"<Results of {self.study.name}: {len(self.done)} of {len(self.runs)} runs done, {what}; {self.path}>"

    def _repr_html_(self) -> str:
        from thriftune.report.inline import listed, named, table
        from thriftune.report.printed.brief import brief

        found = brief(self.plain)
        more = [f"{found.more.partition(':')[0]}: .table()"] if found.more else []
        lost = [f"{run.name}: {run.status.replace('_', ' ')}. {run.message or ''}" for run in _lost(self)]
        return table(found.rows) + listed(more) + named([(line.name, line.text) for line in found.lines]) + listed(lost)


@dataclass(frozen=True)
class Drawing:
    """A chart of the page."""

    chart: Chart

    @property
    def spec(self) -> dict[str, Any]:
        """Its Vega-Lite specification, the data inside."""
        return self.chart.spec

    @cached_property
    def svg(self) -> str:
        """It, drawn; raises `InputError` where the library cannot."""
        from thriftune.report.painter import NotDrawnError, Painter
        from thriftune.report.theme import figure

        try:
            with Painter() as painter:
                return painter.svg(figure(self.chart.spec))
        except NotDrawnError as error:
            raise InputError(f"The chart {self.chart.name} was not drawn: {error}.") from error

    def save(self, path: Path | str) -> Path:
        """Writes it as an SVG file and returns the path."""
        from thriftune.results.files import write_text

        write_text(Path(path), self.svg)
        return Path(path)

    def __repr__(self) -> str:
        return f"<Chart {self.chart.name}: {self.chart.description}>"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"image/svg+xml": self.svg, "text/plain": f"{self.chart.title}. {self.chart.description}"}


def _lost(results: store.Results) -> list[RunRecord]:
    return [run for run in results.runs if run.status != "done"]


def _methods(results: Results) -> list[dict[str, Any]]:
    """The decision's standings, then the methods without a result."""
    decision = results.decision
    best = decision.best
    found = []
    for each in decision.standings:
        below = each.below or (None, None)
        lag = None if best is None or each.place == "not learned" else best.score.value - each.score.value
        found.append(
            {
                "method": each.name,
                "model": each.cell.runs[0].model,
                "take": each is decision.taken,
                decision.metric: each.score.value,
                "low": None if each.interval is None else each.interval[0],
                "high": None if each.interval is None else each.interval[1],
                "below_best": lag,
                "below_least": below[0],
                "below_most": below[1],
                "standing": each.words,
                "baseline": each.baseline,
                "still_improving": each.still_improving,
                "seeds": len(each.cell.runs),
                "seconds": each.cell.seconds,
                "memory_bytes": each.cell.memory,
                "stored_bytes": each.cell.stored,
                "trained_parameters": each.cell.parameters,
            }
        )
    known = {run.name for each in decision.standings for run in each.cell.runs}
    without = {run.cell: run for run in reversed(results.runs) if run.name not in known and run.status != "done"}
    shown = {run.cell for each in decision.standings for run in each.cell.runs}
    blank: dict[str, Any] = dict.fromkeys(found[0] if found else ("method", "model", "take", "standing"))
    for run in reversed(list(without.values())):
        if run.cell not in shown:
            state = run.status.replace("_", " ")
            found.append(blank | {"method": run.cell, "model": run.model, "take": False, "standing": state})
    return found


def _run(run: RunRecord) -> dict[str, Any]:
    """A run's scores and costs."""
    from thriftune.results.cost import Cost

    out: dict[str, Any] = {
        "run": run.name,
        "method": run.method.get("name"),
        "model": run.model,
        "seed": run.seed,
        "status": run.status,
        "learning_rate": run.learning_rate,
        "best_epoch": run.best_epoch,
    }
    for split, scores in (("validation", run.validation), ("test", run.test)):
        for name in ("accuracy", "macro_f1", "loss"):
            out[f"{split}_{name}"] = None if scores is None else getattr(scores, name)
    for each in fields(Cost):
        value = None if run.cost is None else getattr(run.cost, each.name)
        if each.name not in ("reasons", "memory"):
            out[each.name] = value
    return out
