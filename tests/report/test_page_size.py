"""How long the page is, on a screen and printed, what of it stands open, and how far the keyboard has to go."""

from __future__ import annotations

import base64
import re
import time
from pathlib import Path
from typing import Any

import pytest
from tests.report.browser import CHROMIUM, Page
from tests.report.synthetic import Variant, write

from thriftune.analysis.analyse import analyse
from thriftune.report.render import page
from thriftune.results.files import write_text

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
DRAWN = "document.documentElement.dataset.drawn === 'true'"
HEIGHT = "document.documentElement.scrollHeight"
SCREEN = 900
STOPS = """(() => {
  const explorer = document.getElementById('explorer');
  const stops = 'a[href], button, input, select, summary, [tabindex]:not([tabindex="-1"])';
  const before = (element) => element.compareDocumentPosition(explorer) & Node.DOCUMENT_POSITION_FOLLOWING;
  return [...document.querySelectorAll(stops)].filter((element) => before(element) && element.checkVisibility()).length;
})()"""
"""Elements before the explorer that the tab key can stop at."""
A4 = 703
"""Pixels between the margins of a printed page."""


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page like the demo's, of a study with every kind of panel."""
    out = tmp_path_factory.mktemp("demo")
    return written(out, Variant(texts=600, annotators=True, published=False))


def written(out: Path, variant: Variant) -> Path:
    store = write(out, variant)
    write_text(store.report_path, page(analyse(store.load())))
    return store.report_path


def printed(browser: Page) -> int:
    """How many pages the open page has in print."""
    pdf = browser.call("Page.printToPDF", preferCSSPageSize=True, printBackground=True)["data"]
    return len(re.findall(rb"/Type\s*/Page\b", base64.b64decode(pdf)))


def in_print(browser: Page, expression: str) -> Any:
    """A JavaScript value as on a printed page."""
    browser.call("Emulation.setEmulatedMedia", media="print")
    metrics = {"width": A4, "height": 1032, "deviceScaleFactor": 1, "mobile": False}
    browser.call("Emulation.setDeviceMetricsOverride", **metrics)
    try:
        return browser.evaluate(expression)
    finally:
        browser.call("Emulation.setEmulatedMedia", media="")


def opened(browser: Page, path: Path, width: int = 1280) -> Page:
    browser.open(path, width)
    assert browser.wait(DRAWN), browser.problems
    return browser


def test_twelve_screens_eight_pages_sixty_stops(browser: Page, demo: Path) -> None:
    opened(browser, demo)
    assert browser.evaluate(HEIGHT) <= 12 * SCREEN
    assert browser.evaluate(STOPS) <= 60
    assert printed(browser) <= 8
    assert browser.problems == []


def test_each_question_has_one_open_panel(browser: Page, demo: Path) -> None:
    opened(browser, demo)
    panels = (
        "[...document.querySelectorAll('section.group')].map(g => [g.id, g.querySelectorAll('.panel[open]').length])"
    )
    found = dict(browser.evaluate(panels))
    assert found.pop("group-setup") == 0
    assert len(found) == 5
    assert set(found.values()) == {1}
    evidence = ".panel[open] > :is(figure, .grid)"
    assert browser.evaluate(f"[...document.querySelectorAll('{evidence}')].length") == 5, "one table or chart each"


def test_a_page_in_print_has_nothing_clipped_and_names_its_folds(browser: Page, demo: Path) -> None:
    opened(browser, demo)
    wide = "[...document.querySelectorAll('main table, main svg')].filter(e => e.checkVisibility())"
    assert (
        in_print(browser, f"{wide}.filter(e => e.getBoundingClientRect().right > {A4} + 1).map(e => e.outerHTML)") == []
    )
    folded = "getComputedStyle(document.querySelector('#group-cost .further'), '::before').content"
    assert "folded when this was printed" in in_print(browser, folded)
    hidden = "document.querySelector('#explorer').checkVisibility()"
    assert in_print(browser, hidden) is False
    before = printed(browser)
    browser.evaluate("document.querySelector('#storage > details').open = true")
    assert browser.wait(DRAWN)
    assert printed(browser) >= before, "what the reader opened is printed"


def test_a_box_is_a_stop_only_where_it_scrolls(browser: Page, demo: Path) -> None:
    opened(browser, demo)
    boxes = "[...document.querySelectorAll('.scroll')].filter(e => e.checkVisibility())"
    still = f"{boxes}.filter(e => e.scrollWidth <= e.clientWidth + 1 && e.scrollHeight <= e.clientHeight + 1)"
    assert browser.evaluate(f"{still}.length") > 0
    assert browser.evaluate(f"{still}.filter(e => e.hasAttribute('tabindex')).length") == 0
    opened(browser, demo, 400)
    moving = f"{boxes}.filter(e => e.scrollWidth > e.clientWidth + 1)"
    assert browser.evaluate(f"{moving}.length") > 0
    assert browser.evaluate(f"{moving}.every(e => e.tabIndex === 0 && e.role === 'region' && e.ariaLabel)")


@pytest.mark.slow
def test_77_classes_32_runs_5000_texts(browser: Page, tmp_path: Path) -> None:
    labels = tuple(f"intent number {i}" for i in range(77))
    store = write(tmp_path, Variant(labels=labels, columns=("text",), texts=5000, seeds=10))
    started = time.monotonic()
    write_text(store.report_path, page(analyse(store.load())))
    assert time.monotonic() - started <= 60
    assert store.report_path.stat().st_size <= 8e6
    opened(browser, store.report_path)
    assert browser.evaluate(HEIGHT) <= 15 * SCREEN
    assert browser.evaluate(STOPS) <= 60
    assert printed(browser) <= 8
    assert browser.problems == []
