"""The explorer in a real browser, against the same questions answered by polars."""

from __future__ import annotations

import csv
import io
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from tests.report.browser import CHROMIUM, Page
from tests.report.synthetic import ODD, Variant, write

from thriftune.analysis.analyse import analyse
from thriftune.analysis.findings import predictions
from thriftune.analysis.findings.decision import decide
from thriftune.analysis.findings.runs import comparable
from thriftune.report.render import page
from thriftune.results.files import write_text
from thriftune.results.store import Results

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
READY = "document.getElementById('explorer').dataset.ready === 'true'"


@pytest.fixture
def results(nasty: Results) -> Results:
    return nasty


@pytest.fixture(scope="module")
def answers(nasty: Results) -> pl.DataFrame:
    """One row per test text: search, label id, and each compared run's answer, confidence and whether it is wrong."""
    text = pl.concat_str(nasty.study.profile.text_columns, separator="\n").str.to_lowercase()
    columns: dict[str, Any] = {"example": nasty.test["example"], "search": nasty.test.select(text).to_series()}
    for i, run in enumerate(comparable(nasty)):
        read = predictions.read(nasty, run)
        assert read.probabilities is not None
        sure = np.rint(1000 * read.probabilities[np.arange(len(read.label)), read.predicted]) / 1000
        columns |= {"label": read.label, f"answer{i}": read.predicted, f"sure{i}": sure, f"wrong{i}": read.wrong}
    frame = pl.DataFrame(columns)
    return frame.with_columns(count=pl.sum_horizontal(pl.col("^wrong.$").cast(pl.Int64)))


@pytest.fixture
def explorer(browser: Page, results: Results) -> Page:
    """The explorer with all texts."""
    browser.open(results.store.report_path, 1280)
    ready(browser)
    browser.click("#explorer-all")
    return browser


def ready(browser: Page) -> Page:
    browser.evaluate("document.getElementById('explorer').scrollIntoView()")
    assert browser.wait(READY), browser.problems
    return browser


def status(browser: Page) -> str:
    return browser.evaluate("document.getElementById('explorer-status').textContent")


def column(browser: Page, number: int) -> list[str]:
    """What the cells of a column show on this page of the table."""
    return browser.evaluate(
        f"[...document.querySelectorAll('#explorer tbody tr')].map(row => row.cells[{number}].innerText)"
    )


def finds(browser: Page, count: int, total: int = 600) -> None:
    text = f"{total} texts" if count == total else f"{count} of {total} texts"
    assert browser.wait(f"document.getElementById('explorer-status').textContent === '{text}'", 5), (
        text,
        status(browser),
        browser.problems,
    )


def condition(browser: Page, number: int = 1, **values: str) -> None:
    for name, value in values.items():
        browser.fill(f"#explorer-conditions .condition:nth-child({number}) [name={name}]", value)


def test_it_opens_where_the_two_best_methods_disagree(browser: Page, results: Results, answers: pl.DataFrame) -> None:
    browser.open(results.store.report_path, 1280)
    ready(browser)
    best = decide(results).standings[:2]
    names = [run.name for run in comparable(results)]
    first, second = (names.index(each.cell.runs[0].name) for each in best)
    count = len(answers.filter(pl.col(f"answer{first}") != pl.col(f"answer{second}")))
    assert 0 < count < 600
    assert status(browser).startswith(f"{count} of 600 texts on which ")
    assert status(browser).endswith(" disagree")
    browser.click("#explorer-all")
    finds(browser, 600)
    assert browser.evaluate("document.getElementById('explorer-all').hidden")
    browser.fill("[name=agreement]", "best")
    assert browser.wait(f"document.getElementById('explorer-status').textContent.startsWith('{count} of')", 5)
    browser.click("#explorer-form [type=reset]")
    finds(browser, 600)


def test_search(explorer: Page, answers: pl.DataFrame) -> None:
    explorer.fill("[name=search]", "STREET  dog")
    expected = answers.filter(pl.col("search").str.contains("street") & pl.col("search").str.contains("dog"))
    assert 0 < len(expected) < 300
    finds(explorer, len(expected))
    marks = "[...new Set([...document.querySelectorAll('#explorer mark')].map(m => m.textContent))].sort()"
    assert explorer.evaluate(marks) == ["dog", "street"]
    explorer.fill("[name=search]", "(no.such*text")
    finds(explorer, 0)
    assert "No text meets all conditions." in explorer.evaluate("document.querySelector('#explorer tbody').innerText")
    assert explorer.evaluate("document.getElementById('explorer-download').disabled")
    explorer.click("#explorer-form [type=reset]")
    finds(explorer, 600)
    assert explorer.problems == []


AGREEMENTS = {
    "right": pl.col("count") == 0,
    "wrong": pl.col("count") == 3,
    "split": pl.col("count").is_between(1, 2),
    "same": (pl.col("count") == 3)
    & (pl.col("answer0") == pl.col("answer1"))
    & (pl.col("answer0") == pl.col("answer2")),
    "differ": (pl.col("answer0") != pl.col("answer1")) | (pl.col("answer0") != pl.col("answer2")),
}


@pytest.mark.parametrize("kind", AGREEMENTS)
def test_agreement_and_label(explorer: Page, answers: pl.DataFrame, kind: str) -> None:
    expected = answers.filter(AGREEMENTS[kind])
    assert 0 < len(expected) < 600
    explorer.fill("[name=agreement]", kind)
    finds(explorer, len(expected))
    explorer.fill("[name=label]", "1")
    finds(explorer, len(expected.filter(pl.col("label") == 1)))


def test_conditions_on_runs(explorer: Page, answers: pl.DataFrame) -> None:
    first = pl.col("wrong0") & pl.col("sure0").is_between(0.6, 0.9)
    condition(explorer, run="0", answer="wrong", low="0.6", high="0.9")
    finds(explorer, len(answers.filter(first)))
    explorer.click("#explorer-add")
    condition(explorer, 2, run="1", answer="right")
    finds(explorer, len(answers.filter(first & ~pl.col("wrong1"))))
    condition(explorer, 2, answer="2")
    finds(explorer, len(answers.filter(first & (pl.col("answer1") == 2))))
    explorer.click("#explorer-conditions .condition [name=remove]")
    finds(explorer, len(answers.filter(pl.col("answer1") == 2)))
    condition(explorer, run="any", answer="wrong", low="0.8")
    sure = [pl.col(f"wrong{i}") & (pl.col(f"sure{i}") >= 0.8) for i in range(3)]
    finds(explorer, len(answers.filter(pl.any_horizontal(sure))))
    condition(explorer, run="every")
    finds(explorer, len(answers.filter(pl.all_horizontal(sure))))


def test_sorting(explorer: Page, answers: pl.DataFrame) -> None:
    assert column(explorer, 3) == ["3 of 3"] * 10
    explorer.click("#explorer thead th:nth-child(1)")
    assert column(explorer, 0) == [str(i) for i in range(10)]
    explorer.click("#explorer thead th:nth-child(1)")
    assert column(explorer, 0) == [str(i) for i in range(599, 589, -1)]
    signed = pl.when("wrong0").then(-pl.col("sure0")).otherwise(pl.col("sure0"))
    order = answers.sort(signed, "example")
    explorer.click("#explorer thead th:nth-child(5)")
    assert column(explorer, 0) == [str(i) for i in order["example"].head(10)]
    assert all(text.startswith("wrong:") for text in column(explorer, 4))
    explorer.click("#explorer thead th:nth-child(5)")
    order = answers.sort(-signed, "example")
    assert column(explorer, 0) == [str(i) for i in order["example"].head(10)]
    explorer.click("#explorer thead th:nth-child(2)")
    sort = "document.querySelector('#explorer thead th:nth-child(2)').getAttribute('aria-sort')"
    assert explorer.evaluate(sort) == "ascending"
    shown = "[...document.querySelectorAll('#explorer .texts > div:first-child [dir]')].map(e => e.textContent)"
    texts = explorer.evaluate(shown)
    assert len(texts) == 10
    order = f"(({{compare}}) => {shown}.sort(compare))(new Intl.Collator(undefined, {{numeric: true}}))"
    assert explorer.evaluate(order) == texts


def test_paging(explorer: Page) -> None:
    explorer.click("#explorer thead th:nth-child(1)")
    explorer.click("#explorer .dt-paging-button.next")
    assert column(explorer, 0) == [str(i) for i in range(10, 20)]
    code = "(e => { e.value = '100'; e.dispatchEvent(new Event('change', {bubbles: true})) })"
    explorer.evaluate(f"{code}(document.querySelector('#explorer .dt-length select'))")
    assert len(column(explorer, 0)) == 100
    explorer.fill("[name=search]", "dog")
    explorer.wait("document.getElementById('explorer-status').textContent !== '600 texts'")
    assert int(column(explorer, 0)[0]) < 10, "a new filter shows its first page"


def test_chosen_runs(explorer: Page, results: Results, answers: pl.DataFrame) -> None:
    titles = "[...document.querySelectorAll('#explorer thead th')].map(head => head.innerText.trim())"
    names = [run.name for run in comparable(results)]
    assert explorer.evaluate(titles)[4:] == names
    explorer.click("#explorer-runs label:nth-child(2) input")
    assert explorer.evaluate(titles)[4:] == [names[0], names[2]]
    explorer.fill("[name=agreement]", "wrong")
    finds(explorer, len(answers.filter(pl.col("wrong0") & pl.col("wrong2"))))
    assert explorer.problems == []


def test_text_is_shown_as_text(explorer: Page) -> None:
    explorer.click("#explorer thead th:nth-child(1)")
    cells = column(explorer, 1)
    assert ODD[0] in cells[0]
    assert "=cmd()" in cells[1]
    assert "plain &amp; simple" in cells[9]
    assert explorer.evaluate("document.querySelectorAll('#explorer :is(script, img, b, i)').length") == 0
    explorer.click("#explorer .dt-paging-button.next")
    length = "document.querySelector('#explorer tbody .texts').innerText.length"
    assert explorer.evaluate(length) < 700
    explorer.click("#explorer tbody button")
    assert explorer.evaluate(length) > 1000
    assert explorer.problems == []


def test_download(explorer: Page, results: Results, answers: pl.DataFrame, tmp_path: Path) -> None:
    explorer.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    explorer.fill("[name=label]", str(answers["label"][1]))
    expected = answers.filter(pl.col("label") == answers["label"][1])
    finds(explorer, len(expected))
    explorer.click("#explorer thead th:nth-child(1)")
    explorer.click("#explorer-download")
    rows = list(csv.reader(io.StringIO(_downloaded(tmp_path), newline="")))
    runs = [run.name for run in comparable(results)]
    first, second = results.study.profile.text_columns
    head = ["row", first, f"'{second}", "true label", "wrong runs"]
    assert rows[0] == [*head, *(name for run in runs for name in (run, f"{run}: confidence"))]
    assert [int(row[0]) for row in rows[1:]] == expected["example"].to_list()
    texts = dict(enumerate(results.test[first]))
    for row in rows[1:]:
        text = texts[int(row[0])]
        assert row[1] == (f"'{text}" if text.lstrip(" ")[0] in "=+-@\t\r" else text)
        assert float(row[6]) == expected.filter(example=int(row[0]))["sure0"].item()
        assert not any(cell.lstrip(" ").startswith(tuple("=+-@\t\r")) for cell in row)
    assert "1" in {row[0] for row in rows}, "the formula was among them"
    assert explorer.problems == []


def test_no_cell_of_the_download_is_a_formula(explorer: Page) -> None:
    """A sign in any form, behind anything that a spreadsheet does not show."""
    unseen = [
        "",
        " ",
        "\u00a0",
        "\u3000",
        "\u200b",
        "\u200d\u2060",
        "\ufeff",
        "\0",
        "\x1b",
        "\u202e",
        "\u2066",
        "\u00ad",
    ]
    unseen += ["\ufe0f", "\u034f", "\u3164", "\u2800", "\U000e0001", "\ue000", " \u200b\0"]
    signs = [*"=+-@＝＋－＠﹦﹢﹣﹫⁼⁺⁻₌₊₋−", "=\u0338", "\t", "\r", "\n", "\r\n"]
    risky = [f"{before}{sign}1" for before in unseen for sign in signs]
    harmless = ["", "a", "1", " a", "\u200ba", "a=1", "'=1", "🎉=1", "“=1”", "é", "中文", 'say "=1"']
    quoted = f"{json.dumps(risky + harmless)}.map((text) => TestTexts.quoted(text))"
    got = explorer.evaluate(f"JSON.stringify({quoted})")
    as_text = [text.replace('"', '""') for text in harmless]
    assert json.loads(got) == [*(f'"\'{text}"' for text in risky), *(f'"{text}"' for text in as_text)]


def _downloaded(folder: Path) -> str:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        found = [path for path in folder.iterdir() if path.suffix == ".csv"]
        if found:
            return found[0].read_bytes().decode("utf-8-sig")
        time.sleep(0.05)
    raise AssertionError(f"no download; {list(folder.iterdir())}")


@pytest.mark.slow
def test_quick_at_20000_texts_and_10_runs(browser: Page, tmp_path: Path) -> None:
    store = write(tmp_path, Variant(seeds=3, texts=20_000, baselines=False))
    results = store.load()
    write_text(store.report_path, page(analyse(results)))
    browser.open(tmp_path / "report.html", 1280)
    ready(browser)
    heads = [f"document.querySelector('#explorer thead th:nth-child({i})')" for i in (1, 2, 5)]
    assert max(_seconds(browser, f"{head}.click()") for head in heads) < 0.5
    typed = "form.elements.search.value = 'dog street'; form.dispatchEvent(new Event('input'))"
    assert _seconds(browser, typed) < 1.0


def _seconds(browser: Page, action: str) -> float:
    """Seconds until the table shows what the action asked for."""
    code = f"""new Promise((resolve) => {{
        const form = document.getElementById('explorer-form');
        const started = performance.now();
        const body = document.querySelector('#explorer tbody');
        new MutationObserver(() => resolve(performance.now() - started)).observe(body, {{childList: true}});
        {action};
    }})"""
    return browser.evaluate(code) / 1000
