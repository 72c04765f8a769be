"""The report in a real browser: no errors, no requests, every chart drawn, nothing wider than the window."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from tests.report.browser import CHROMIUM, Page

from thriftune.results.store import Results

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
DRAWN = "document.documentElement.dataset.drawn === 'true'"
FOLDED = "[...document.querySelectorAll('details:not([open]) .chart')]"
FAINT_ON_CELLS = """(() => {
  const parse = (c) => (c.match(/[\\d.]+/g) ?? []).map(Number);
  const light = (c) => parse(c).slice(0, 3).map((v) => v / 255)
    .map((v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const fill = (e) => getComputedStyle(e).fill;
  const out = [];
  let count = 0;
  for (const e of document.querySelectorAll('.chart svg .mark-text text')) {
    const own = e.getBoundingClientRect(), x = own.x + own.width / 2, y = own.y + own.height / 2;
    const cell = [...e.closest('svg').querySelectorAll('.mark-rect path')].find((o) => {
      const r = o.getBoundingClientRect();
      return r.left <= x && x <= r.right && r.top <= y && y <= r.bottom && parse(fill(o)).length === 3;
    });
    if (!cell || !e.textContent.trim()) continue;
    const [a, b] = [light(fill(e)), light(fill(cell))].sort((p, q) => q - p);
    count += 1;
    if ((a + 0.05) / (b + 0.05) < 4.5) out.push([e.textContent, fill(e), fill(cell)]);
  }
  return [count, out];
})()"""
OPEN_ALL = "document.querySelectorAll('main details').forEach(each => { each.open = true })"


@pytest.fixture
def report(nasty: Results) -> Path:
    return nasty.store.report_path


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (400, "dark")])
def test_report_opens(browser: Page, report: Path, width: int, scheme: str) -> None:
    browser.open(report, width, scheme=scheme)
    assert browser.wait(DRAWN), browser.problems
    assert browser.evaluate(f"{FOLDED}.length") > 0
    assert browser.evaluate(f"{FOLDED}.every(c => !c.querySelector('svg'))"), "folded charts take no time"
    browser.evaluate(OPEN_ALL)
    assert browser.wait(f"{DRAWN} && document.querySelectorAll('.chart:not(:has(svg))').length === 0"), browser.problems
    assert browser.problems == []
    assert browser.evaluate("innerWidth") == width
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    assert browser.evaluate("[...document.querySelectorAll('.chart')].every(c => c.querySelector('svg'))")
    too_wide = "[...document.querySelectorAll('.chart')].filter(c => c.scrollWidth > c.clientWidth + 1).map(c => c.id)"
    assert browser.evaluate(too_wide) == []
    assert browser.evaluate("document.querySelectorAll('main script, main b, main i').length") == 0


def test_charts_follow_the_colour_scheme(browser: Page, report: Path) -> None:
    browser.open(report, 800, scheme="light")
    assert browser.wait(DRAWN), browser.problems
    fill = "getComputedStyle(document.querySelector('.chart svg text')).fill"
    light = browser.evaluate(fill)
    browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    assert browser.wait(f"{DRAWN} && {fill} !== '{light}'"), browser.problems


def test_charts_have_text_alternatives(browser: Page, report: Path) -> None:
    browser.open(report, 800)
    assert browser.evaluate("document.querySelectorAll('.chart').length") > 10
    assert browser.wait(DRAWN), browser.problems
    labels = "[...document.querySelectorAll('.chart')].map(c => c.role === 'img' ? c.ariaLabel : null)"
    assert all(label and ". " in label for label in browser.evaluate(labels))
    tables = "[...document.querySelectorAll('.chart-box')].every(c => c.querySelectorAll('details td').length > 0)"
    assert browser.evaluate(tables)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_numbers_on_heat_maps_have_contrast(browser: Page, report: Path, scheme: str) -> None:
    browser.open(report, 1280, scheme=scheme)
    assert browser.wait(DRAWN), browser.problems
    count, faint = browser.evaluate(FAINT_ON_CELLS)
    assert count > 0
    assert faint == []


def test_panels_fold(browser: Page, report: Path) -> None:
    browser.open(report, 1280)
    opened = "document.querySelectorAll('details.panel[open]').length"
    panels = browser.evaluate("document.querySelectorAll('details.panel').length")
    assert browser.evaluate(opened) == 5, "one for each question"
    browser.click("#fold-all")
    assert browser.evaluate(opened) == panels > 8
    assert browser.wait("document.getElementById('fold-all').textContent === 'Close all panels'")
    browser.click("#fold-all")
    assert browser.evaluate(opened) == 0
    assert browser.wait("document.getElementById('fold-all').textContent === 'Open all panels'")


def test_a_link_opens_its_panel(browser: Page, report: Path) -> None:
    browser.open(report, 1280)
    opened = "document.querySelector('#storage > details').open"
    assert not browser.evaluate(opened)
    link = "Object.assign(document.createElement('a'), { href: '#storage', id: 'to-storage' })"
    browser.evaluate(f"document.querySelector('main').append({link})")
    browser.click("#to-storage")
    assert browser.evaluate(opened)


def test_contents_fold_away_on_a_phone(browser: Page, report: Path) -> None:
    browser.open(report, 400)
    shown = "document.querySelector('nav details').open"
    assert not browser.evaluate(shown)
    browser.click("nav summary")
    assert browser.evaluate(shown)
    browser.click("nav a[href='#group-cost']")
    assert not browser.evaluate(shown)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("throw new Error('thrown on purpose')", "thrown on purpose"),
        ("console.error('logged on purpose')", "logged on purpose"),
        ("Promise.reject(new Error('rejected on purpose'))", "rejected on purpose"),
    ],
)
def test_problems_are_noticed(browser: Page, tmp_path: Path, code: str, said: str) -> None:
    path = tmp_path / "broken.html"
    path.write_text(f"<!doctype html><script>{code}</script>", encoding="utf-8")
    browser.open(path, 800)
    browser.wait("false", seconds=5)
    assert any(said in problem for problem in browser.problems)


def test_requests_are_noticed(browser: Page, tmp_path: Path) -> None:
    path = tmp_path / "loading.html"
    path.write_text("<!doctype html><img src='http://127.0.0.1:9/x.png'>", encoding="utf-8")
    browser.open(path, 800)
    browser.wait("false", seconds=5)
    end = time.monotonic() + 5
    while len(browser.problems) < 2 and time.monotonic() < end:  # the request, and that its port is refused
        browser.evaluate("1")
    assert any("127.0.0.1" in problem for problem in browser.problems)
