"""The documentation's site: every page is in it, every link and heading is there, and nothing comes from elsewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.report.browser import CHROMIUM, Page

import thriftune

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("mkdocs", reason="needs the extra docs")
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


def test_every_page_is_in_it(site: Path) -> None:
    made = {path.stem for path in site.glob("*.html")}
    assert {page.stem for page in DOCS.glob("*.md")} <= made
    assert (site / "tutorial" / "questions.csv").read_bytes() == (DOCS / "tutorial" / "questions.csv").read_bytes()


def test_nothing_comes_from_elsewhere(site: Path) -> None:
    """No script, style, font or image of another host: the site opens from a disk, and tells nobody who reads it."""
    elsewhere = re.compile(r"<(?:script|link|img|iframe)[^>]*(?:src|href)=[\"']?(?:https?:)?//[^>]*>")
    for page in site.rglob("*.html"):
        assert [tag for tag in elsewhere.findall(page.read_text(encoding="utf-8")) if "canonical" not in tag] == []
    for style in site.rglob("*.css"):
        assert not re.search(r"(?:url\(|@import )[\"']?(?:https?:)?//", style.read_text(encoding="utf-8"))


def test_links_are_to_files(site: Path) -> None:
    """As a browser follows them from a disk, where no server adds index.html."""
    for page in site.glob("*.html"):
        text = page.read_text(encoding="utf-8")
        for target in re.findall(r"href=[\"']?([^\"' >#?]+)", text):
            if not re.match(r"[a-z]+:|//", target) and page.name != "404.html":
                assert (page.parent / target).is_file(), f"{page.name}: {target}"


def test_search_works_from_a_disk(site: Path) -> None:
    assert (site / "search" / "search_index.js").stat().st_size > 100_000
    assert (site / "assets" / "iframe-worker.js").exists()
    assert "assets/iframe-worker.js" in (site / "index.html").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_a_browser_opens_it_from_a_disk(site: Path) -> None:
    """Every page without a complaint or a request to elsewhere, and the search finds something."""
    with Page() as page:
        for path in sorted(set(site.glob("*.html")) - {site / "404.html"}):  # which only servers show
            page.open(path, 1200)
            assert page.problems == [], path.name
        page.open(site / "index.html", 1200)
        page.click("[data-md-toggle=search]")
        page.fill("[data-md-component=search-query]", "adapter memory")
        typed = "new KeyboardEvent('keyup', {bubbles: true, key: 'y'})"
        page.evaluate(f"document.querySelector('[data-md-component=search-query]').dispatchEvent({typed})")
        assert page.wait("document.querySelectorAll('.md-search-result__link').length > 3", seconds=20)
        assert page.problems == []


def test_the_reference_has_every_public_name(site: Path) -> None:
    text = (site / "api.html").read_text(encoding="utf-8")
    for name in thriftune.__all__:
        assert re.search(rf'<h2 id="[\w.]*\b{name}"', text), name
