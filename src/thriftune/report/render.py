"""Writes `report.html`, one file that opens offline, and `figures/NAME.svg`."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from thriftune import wording as f
from thriftune.analysis.analyse import Analysis, analysed
from thriftune.analysis.display.panel import Chart, Column, Table
from thriftune.paths import check_folder
from thriftune.report import explorer
from thriftune.report.bundle import bundle
from thriftune.report.first import first
from thriftune.report.painter import NotDrawnError, Painter
from thriftune.report.printed.table import cell
from thriftune.report.section import evidence, folded_words, questions
from thriftune.report.theme import DARK, LIGHT, figure
from thriftune.results.files import write_text
from thriftune.results.store import Store

log = logging.getLogger(__name__)

FOLDER = Path(__file__).parent
ROWS_OPEN = 15
"""Longer tables scroll within a box of their own."""
ROWS_PRINTED = 15
"""Of a longer table, the rows that are printed; page.css counts the same."""
TABLE_ROWS = 500
"""Of a longer table, the rows that the page shows."""
DATA_ROWS = 60
"""Rows of a chart's data that its text alternative lists."""


@dataclass(frozen=True)
class TableCell:
    """One table cell as the page shows it."""

    text: str
    title: str | None
    numeric: bool
    best: bool


def write_report(out: Path) -> Path:
    """Builds the report of a study's output folder and returns its path.

    `results.json` then also holds what the panels computed, unless another process is writing to the folder. Raises
    `InputError` where the folder holds no results, and, naming the file, where one of them is damaged.
    """
    return rewritten(out)[1]


def rewritten(out: Path) -> tuple[Analysis, Path]:
    """The analysis of a study's output folder and its report, as `write_report` leaves it."""
    check_folder(out, "the folder that `thriftune compare --out` wrote")
    analysis = analysed(Store(out).load())
    return analysis, write_page(analysis)


def write_page(analysis: Analysis) -> Path:
    """Writes the page and the figures of an analysis into its study's folder; returns the page's path."""
    store = analysis.results.store
    charts = [chart for section in analysis.sections for chart in section.panel.charts]
    with Painter() as painter:  # its process starts while the page is made
        write_text(store.report_path, page(analysis))
        _draw(painter, store.figures_path, charts)
    for path in set(store.figures_path.glob("*.svg")) - {store.figures_path / f"{chart.name}.svg" for chart in charts}:
        path.unlink()  # of an earlier report
    return store.report_path


def write_figures(folder: Path, charts: list[Chart]) -> None:
    """Writes every chart as NAME.svg; one that cannot be drawn is missing, and a warning is logged that names it."""
    with Painter() as painter:
        _draw(painter, folder, charts)


def _draw(painter: Painter, folder: Path, charts: list[Chart]) -> None:
    for chart in charts:
        path = folder / f"{chart.name}.svg"
        try:
            write_text(path, painter.svg(figure(chart.spec)), durable=False)
        except NotDrawnError as error:
            path.unlink(missing_ok=True)  # of an earlier report
            log.warning("%s was not drawn: %s. The report itself holds the chart's data.", path, error)


def templates() -> jinja2.Environment:
    """The pages' templates; what they are given is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["plain"] = f.plain
    return environment


def page(analysis: Analysis) -> str:
    """The HTML of the report."""
    results, sections = analysis.results, analysis.sections
    environment = templates()
    environment.globals.update(
        cells=cells,
        data_table=data_table,
        evidence=evidence,
        folded_words=folded_words,
        height=_height,
        rows_open=ROWS_OPEN,
        rows_printed=ROWS_PRINTED,
        table_rows=TABLE_ROWS,
        trimmed=trimmed,
    )
    charts = {chart.name: chart.spec for section in sections for chart in section.panel.charts}
    themes = {name: {"config": t.config(), "params": t.params()} for name, t in (("light", LIGHT), ("dark", DARK))}
    found = explorer.build(results)
    scripts = [bundle(), _own("charts.js")]
    if found:
        scripts += [_own("vendor/dataTables.min.js"), _own("texts.js"), _own("explorer.js")]
    return environment.get_template("page.html.jinja").render(
        study=results.study,
        sections=sections,
        questions=questions(sections),
        first=first(results),
        ids={section.id for section in sections},
        parts={section.group for section in sections},
        explorer=found,
        skipped=[(each.title, each.reason) for each in analysis.skipped if not each.quiet],
        css=Markup(_own("page.css") + _own("first.css") + _colours()),  # noqa: S704 - our own files
        scripts=[_inline(script) for script in scripts],
        data=embedded_json({"charts": charts, "themes": themes}),
    )


def _colours() -> str:
    return f"{LIGHT.classes()}\n@media (prefers-color-scheme: dark) {{ {DARK.classes()} }}\n"


def _own(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def _inline(code: str) -> Markup:
    """A script of ours or of a library as it can stand inside a script element."""
    return Markup(code.replace("</script", "<\\/script").replace("<!--", "<\\!--"))  # noqa: S704 - no user text in it


def _height(chart: Chart) -> int:
    """Pixels to keep free until the chart is drawn: the plotting area, an axis and a legend."""
    height = chart.spec.get("height")
    return (height if isinstance(height, int) else 200) + 60


def embedded_json(data: Any) -> Markup:
    """JSON that can stand inside a script element whatever its strings hold; raises `ValueError` on NaN."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704 - escaped above


def trimmed(table: Table) -> Table:
    """The table without columns that say nothing in any row: no remark anywhere, a number that applies to none."""
    kept = [column for i, column in enumerate(table.columns) if i == 0 or any(_says(column, row) for row in table.rows)]
    return replace(table, columns=kept)


def _says(column: Column, row: dict[str, Any]) -> bool:
    value = row.get(column.name)
    return row.get(f"{column.name}_reason") is not None if value is None else value != ""


def cells(table: Table) -> Iterator[list[TableCell]]:
    """The rows of a table as text, with the best value of each ranked column marked."""
    best = {column.name: _best(table, column) for column in table.columns if column.higher_is_better is not None}
    for row in table.rows:
        yield [
            TableCell(
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
