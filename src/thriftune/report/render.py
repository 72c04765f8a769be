"""Writes `report.html`, one file that opens offline, and `figures/NAME.svg`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import vl_convert
from markupsafe import Markup

from thriftune.analysis.format import plain
from thriftune.analysis.panel import Chart, Column, NotApplicable, Panel, Table, discover
from thriftune.report.table import cell
from thriftune.report.theme import DARK, LIGHT, figure
from thriftune.results.store import Results, Store, write_text

FOLDER = Path(__file__).parent
ROWS_OPEN = 24
"""Longer tables are folded after so many rows."""
DATA_ROWS = 60
"""Rows of a chart's data that its text alternative lists."""


@dataclass(frozen=True)
class Cell:
    """One table cell as the page shows it."""

    text: str
    title: str | None
    numeric: bool
    best: bool


@dataclass(frozen=True)
class Section:
    """One panel with its place in the page."""

    id: str
    title: str
    question: str
    panel: Panel


def write_report(out: Path) -> Path:
    """Builds the report of a study's output folder and returns its path.

    `results.json` then also holds what the panels computed. Raises `InputError` where the folder holds no results.
    """
    store = Store(out)
    results = store.load()
    sections, skipped = build(results)
    statistics = {section.id: section.panel.statistics for section in sections if section.panel.statistics}
    store.write_results(replace(results.study, statistics=statistics))
    write_text(store.report_path, page(results, sections, skipped))
    charts = [chart for section in sections for chart in section.panel.charts]
    write_figures(store.figures_path, charts)
    for path in set(store.figures_path.glob("*.svg")) - {store.figures_path / f"{chart.name}.svg" for chart in charts}:
        path.unlink()  # of an earlier report
    return store.report_path


def write_figures(folder: Path, charts: list[Chart]) -> None:
    """Writes every chart as NAME.svg."""
    for chart in charts:
        write_text(folder / f"{chart.name}.svg", vl_convert.vegalite_to_svg(figure(chart.spec)))


def build(results: Results) -> tuple[list[Section], list[tuple[str, str]]]:
    """All panels that apply, and the title and reason of those that do not."""
    sections, skipped = [], []
    for module in discover():
        answer = module.build(results)
        if isinstance(answer, NotApplicable):
            skipped.append((module.TITLE, answer.reason))
        else:
            name = module.__name__.rsplit(".", 1)[-1]
            sections.append(Section(name, module.TITLE, module.QUESTION, answer))
    return sections, skipped


def page(results: Results, sections: list[Section], skipped: list[tuple[str, str]]) -> str:
    """The HTML of the report."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["plain"] = plain
    environment.globals.update(cells=cells, data_table=data_table, rows_open=ROWS_OPEN)
    charts = {chart.name: chart.spec for section in sections for chart in section.panel.charts}
    themes = {name: {"config": t.config(), "params": t.params()} for name, t in (("light", LIGHT), ("dark", DARK))}
    return environment.get_template("page.html.jinja").render(
        study=results.study,
        runs=results.runs,
        sections=sections,
        skipped=skipped,
        css=Markup((FOLDER / "page.css").read_text(encoding="utf-8")),  # noqa: S704 - our own file
        bundle=_bundle(),
        data=embedded_json({"charts": charts, "themes": themes}),
    )


def embedded_json(data: Any) -> Markup:
    """JSON that can stand inside a script element whatever its strings hold; raises `ValueError` on NaN."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704 - escaped above


@cache
def _bundle() -> Markup:
    code = vl_convert.javascript_bundle()  # type: ignore[call-arg]
    return Markup(code.replace("</script", "<\\/script").replace("<!--", "<\\!--"))  # noqa: S704 - the library


def cells(table: Table) -> Iterator[list[Cell]]:
    """The rows of a table as text, with the best value of each ranked column marked."""
    best = {column.name: _best(table, column) for column in table.columns if column.higher_is_better is not None}
    for row in table.rows:
        yield [
            Cell(
                text=cell(column, row),
                title=row.get(f"{column.name}_reason") if row.get(column.name) is None else None,
                numeric=column.kind != "text",
                best=row.get(column.name) is not None
                and _ranked(row, column)
                and row[column.name] == best.get(column.name),
            )
            for column in table.columns
        ]


def _ranked(row: dict[str, Any], column: Column) -> bool:
    unranked = row.get("unranked", False)
    return column.name not in unranked if isinstance(unranked, list) else not unranked


def _best(table: Table, column: Column) -> float | None:
    ranked = [row for row in table.rows if row.get(column.name) is not None and _ranked(row, column)]
    values = [row[column.name] for row in ranked]
    if len(set(values)) < 2:
        return None
    return float(max(values) if column.higher_is_better else min(values))


def data_table(chart: Chart) -> tuple[list[str], list[list[str]], int]:
    """A chart's data as text: the tooltips' titles, the first rows, and how many rows there are."""
    tips = next(_tooltips(chart.spec), [])
    rows = chart.spec["data"]["values"]
    shown = [[_plain(row.get(tip["field"])) for tip in tips] for row in rows[:DATA_ROWS]]
    return [tip["title"] for tip in tips], shown, len(rows)


def _tooltips(spec: dict[str, Any]) -> Iterator[list[dict[str, str]]]:
    found = spec.get("encoding", {}).get("tooltip")
    if found:
        yield found
    for layer in spec.get("layer", []):
        yield from _tooltips(layer)


def _plain(value: Any) -> str:
    return "–" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
