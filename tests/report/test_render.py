"""The page as text: self-contained, user text escaped, failed runs shown, files written whole."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from tests.analysis.summarised import summarised
from tests.report.synthetic import NASTY, VARIANTS, write

from thriftune.analysis.display.panel import Column, Table
from thriftune.analysis.findings.answers.verdicts import OUTCOMES
from thriftune.analysis.panels import discover
from thriftune.errors import InputError
from thriftune.report.printed.table import summary_notes, summary_remarks, summary_rows
from thriftune.report.render import cells, embedded_json, trimmed, write_report
from thriftune.results.store import Results, Store


@pytest.fixture(scope="module")
def html(nasty: Results) -> str:
    return nasty.store.report_path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a report to which every panel about the results has something to say."""
    out = tmp_path_factory.mktemp("written")
    store = write(out, replace(VARIANTS["two-labels"], columns=("first", "second"), annotators=True))
    assert store.load().study.statistics == {}
    assert write_report(out) == out / "report.html"
    return out


class Reader(HTMLParser):
    """Collects elements, attributes and the text outside scripts."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] not in ("script", "style"):
            self.text.append(data)


def test_user_text_stays_text(html: str) -> None:
    reader = Reader(html)
    assert sum(tag == "script" for tag, _ in reader.tags) == 7
    assert not any(tag in ("b", "i", "img", "iframe") for tag, _ in reader.tags)
    assert not any(name.startswith("on") for _, attrs in reader.tags for name in attrs)
    text = "".join(reader.text)
    for each in NASTY:
        assert each in text


def test_page_loads_nothing(html: str) -> None:
    for tag, attrs in Reader(html).tags:
        assert tag not in ("link", "img", "iframe", "object", "embed", "base")
        assert "src" not in attrs
        assert attrs.get("href", "#") is not None
        assert str(attrs.get("href", "#")).startswith("#")
    css = re.search(r"<style>(.*?)</style>", html, re.DOTALL)
    assert css is not None
    assert "url(" not in css[1]
    assert "@import" not in css[1]
    assert "default-src 'none'" in html


def test_embedded_json_reads_back(html: str) -> None:
    found = re.search(r'<script type="application/json" id="report-data">(.*?)</script>', html, re.DOTALL)
    assert found is not None
    assert NASTY[0] in json.dumps(json.loads(found[1]), ensure_ascii=False)
    assert json.loads(str(embedded_json({"a": "</script><!--\u2028&"}))) == {"a": "</script><!--\u2028&"}
    assert "<" not in str(embedded_json("</script><!--"))
    with pytest.raises(ValueError, match="JSON"):
        embedded_json(float("nan"))


def test_every_run_is_named(html: str, nasty: Results) -> None:
    text = "".join(Reader(html).text)
    for run in nasty.runs:
        assert run.name in text
    assert "<b>8 GB</b> are there" in text
    assert "did not learn" in text


def test_best_values() -> None:
    columns = [Column("run", "Run"), Column("a", "A", "percent", True), Column("b", "B", "seconds", False)]
    rows = [
        {"run": "x", "a": 0.9, "b": 2.0},
        {"run": "y", "a": 0.9, "b": 1.0, "unranked": ["b"]},
        {"run": "z", "a": 0.99, "b": 0.1, "unranked": True},
        {"run": "w", "a": 0.8, "b": 3.0},
        {"run": "v", "a": None, "a_reason": "no test", "b": None},
    ]
    marks = [[c.best for c in row] for row in cells(Table("t", "", columns, rows))]
    assert marks == [[False, True, True], [False, True, False], *([[False] * 3] * 3)]
    last = list(cells(Table("t", "", columns, rows)))[-1]
    assert [(c.text, c.title) for c in last[1:]] == [("no test", "no test"), ("–", None)]
    rows[-1]["a_reason"] = "the validation split is empty"
    assert list(cells(Table("t", "", columns, rows)))[-1][1].text == "–"


def test_columns_without_a_word_are_left_out() -> None:
    columns = [Column("run", "Run"), Column("n", "N", "int"), Column("remark", "Remark")]
    table = Table("t", "", columns, [{"run": "", "n": None, "remark": ""}])
    assert trimmed(table).columns == columns[:1]
    table.rows.append({"run": "", "n": None, "n_reason": "not measured", "remark": "baseline"})
    assert trimmed(table).columns == columns


def test_terminal_rows(nasty: Results) -> None:
    rows = summary_rows(summarised(nasty))
    assert [row["Run"] for row in rows] == [run.name for run in nasty.runs]
    assert rows[0]["Trained"] == "22.7M"
    assert rows[-1]["Memory"] == "–"
    remarks = summary_remarks(summarised(nasty))
    assert any(each.startswith("Baseline: ") for each in remarks)
    assert any(each.startswith("Did not learn: ") for each in remarks)
    assert not any("out of memory" in each for each in remarks), "said with the run's message"
    assert summary_notes(summarised(nasty))


def test_report_and_figures_are_written(written: Path) -> None:
    path = written / "report.html"
    figures = sorted(each.name for each in (written / "figures").iterdir())
    assert "peak-memory.svg" in figures
    assert all(re.fullmatch(r"[a-z0-9-]+\.svg", name) for name in figures)
    assert (written / "figures" / "errors-by-class.svg").read_text(encoding="utf-8").startswith("<svg")
    again = path.read_bytes()
    (written / "figures" / "of-an-earlier-study.svg").touch()
    write_report(written)
    assert path.read_bytes() == again
    assert sorted(each.name for each in (written / "figures").iterdir()) == figures


def test_results_json_carries_the_statistics(written: Path) -> None:
    data = json.loads((written / "results.json").read_text(encoding="utf-8"))
    pair = data["verdicts"]["pairs"][0]
    assert pair["outcome"] in OUTCOMES
    assert pair["accuracy"]["interval_90"][0] <= pair["accuracy"]["difference"] <= pair["accuracy"]["interval_90"][1]
    assert Store(written).load().study.statistics["verdicts"] == data["verdicts"]
    assert data["curves"] == {}, "what the runs' records hold anyway"
    names = {module.__name__.rsplit(".", 1)[-1] for module in discover()}
    assert names | {"training"} <= data.keys(), "the name of every panel is a key"
    for name in names:
        assert (data[name] is None) == (f"{name}_reason" in data)
    assert data["hypotheses"] is None
    assert "hypotheses: true" in data["hypotheses_reason"]


def test_a_folder_without_results_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"results\.json"):
        write_report(Store(tmp_path).path)
