"""The report of 10 runs by number of test texts, and of 32 runs on 77 classes: seconds, peak memory, page size.

    python benchmarks/report.py                     # or --texts without a number for the 77 classes alone

And how quick and how long the page is: screens of 900 pixels at a width of 1,280 as opened, and printed pages.

Predictions are synthetic: three methods with three seeds, a run that did not learn, and a baseline that sees the
hypothesis alone, with single annotators' labels, robustness sets, training dynamics of as many texts and vectors of 384
numbers, so that every panel has work. Texts are recombined from the bundled SNLI; the longer ones err more. Each report
is written by a fresh process. The page is opened in headless Chromium where there is one; its figures are seconds until
what was asked for is shown.
"""

from __future__ import annotations

import argparse
import base64
import json
import re
import resource
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from compare import merge, table

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
from tests.report.browser import CHROMIUM, Page  # noqa: E402
from tests.report.synthetic import Variant, write  # noqa: E402

BARS = {"seconds": 90, "peak_mb": 2000, "page_mb": 25}
BARS_OF_CLASSES = {"seconds": 60, "page_mb": 8, "screens": 15}
CLASSES, CLASS_TEXTS, SEEDS = 77, 5_000, 10
SCREEN = 900
SNLI = ROOT / "src" / "thriftune" / "data" / "demo" / "snli"
ACTIONS = {
    "sort_seconds": "document.querySelector('#explorer thead th:nth-child(2)').click()",
    "search_seconds": "form.elements.search.value = 'dog street'; form.dispatchEvent(new Event('input'))",
    "page_seconds": "document.querySelector('#explorer .dt-paging-button.next').click()",
}


def study(out: Path, texts: int) -> None:
    """Writes the output folder of ten fine-tuned runs, one of which did not learn, a baseline and a run that failed."""
    store = write(
        out,
        Variant(
            seeds=3,
            texts=texts,
            baselines=False,
            published=True,
            annotators=True,
            training_texts=texts,
            further_texts=min(texts, 10_000),
            hidden=384,
        ),
    )
    results = store.load()
    pairs = pl.concat([pl.read_parquet(path) for path in sorted(SNLI.glob("*.parquet"))])
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, len(pairs), texts)
    wrong = sum(
        (frame["label"] != frame["predicted"]).cast(pl.Int8) for frame in map(results.predictions, results.done)
    )
    hard = np.argsort(wrong.to_numpy() + rng.normal(0, 2, texts))
    long = np.argsort(pairs["hypothesis"].str.len_chars().to_numpy()[drawn] + rng.normal(0, 20, texts))
    order = np.empty(texts, dtype=np.int64)
    order[hard] = drawn[long]
    columns = {name: pairs[name].cast(pl.String).gather(order) for name in results.test.columns[1:3]}
    store.write_test(results.test.with_columns(**columns))


def classes_study(out: Path) -> None:
    """Writes the output folder of 32 runs (three methods with ten seeds, one that did not learn, one that failed)."""
    labels = tuple(f"intent number {i}" for i in range(CLASSES))
    write(out, Variant(labels=labels, columns=("text",), texts=CLASS_TEXTS, seeds=SEEDS, baselines=False))


def write_report(out: Path) -> dict[str, Any]:
    """Writes the report, as the command does, and then times each panel; runs in a process of its own."""
    started = time.perf_counter()
    from thriftune.analysis.display.panel import NotApplicable
    from thriftune.analysis.panels import discover
    from thriftune.report.render import write_report
    from thriftune.results.store import Store

    page = write_report(out)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    results = Store(out).load()
    panels, skipped = {}, []
    for module in discover():
        name = module.__name__.rsplit(".", 1)[-1]
        began = time.perf_counter()
        answer = module.build(results)
        panels[name] = round(time.perf_counter() - began, 3)
        skipped += [name] if isinstance(answer, NotApplicable) else []
    size = page.stat().st_size / 1e6
    return {"seconds": seconds, "peak_mb": peak, "page_mb": size, "panels": panels, "panels_skipped": skipped}


def browse(page: Path) -> dict[str, float]:
    """Seconds until the charts are drawn, the explorer is there, and each of its actions is shown."""
    out = {}
    with Page() as browser:
        started = time.perf_counter()
        browser.open(page, 1280)
        assert browser.wait("document.documentElement.dataset.drawn === 'true'"), browser.problems
        out["open_seconds"] = time.perf_counter() - started
        out["screens"] = browser.evaluate("document.documentElement.scrollHeight") / SCREEN
        pdf = base64.b64decode(browser.call("Page.printToPDF", preferCSSPageSize=True)["data"])
        out["printed_pages"] = len(re.findall(rb"/Type\s*/Page\b", pdf))
        started = time.perf_counter()
        browser.evaluate("document.getElementById('explorer').scrollIntoView()")
        assert browser.wait("document.getElementById('explorer').dataset.ready === 'true'"), browser.problems
        out["explorer_seconds"] = time.perf_counter() - started
        for name, action in ACTIONS.items():
            out[name] = browser.evaluate(
                f"""new Promise((resolve) => {{
                const form = document.getElementById('explorer-form');
                const started = performance.now();
                const body = document.querySelector('#explorer tbody');
                const shown = () => resolve((performance.now() - started) / 1000);
                new MutationObserver(shown).observe(body, {{childList: true}});
                {action};
                }})"""
            )
    return out


def main() -> None:
    """Measures, prints a table and writes benchmarks/results/report.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, nargs="*", default=[20_000, 100_000])
    parser.add_argument("--write", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.write:
        print(json.dumps(write_report(args.write)))
        return
    cases = [(texts, 3, 10, partial(study, texts=texts)) for texts in args.texts]
    cases.append((CLASS_TEXTS, CLASSES, 32, classes_study))
    rows: list[dict[str, Any]] = []
    for texts, classes, runs, make in cases:
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder)
            make(out)
            command = [sys.executable, __file__, "--write", folder]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            row = {"texts": texts, "classes": classes, "runs": runs, **json.loads(done.stdout)}
            rows.append(row | (browse(out / "report.html") if CHROMIUM else {}))
    columns = {"texts": ",", "classes": "", "runs": "", "seconds": ".1f", "peak_mb": ".0f", "page_mb": ".1f"}
    columns |= {name: ".1f" for name in ("screens", "printed_pages") if name in rows[0]}
    columns |= {name: ".2f" for name in ("open_seconds", "explorer_seconds", *ACTIONS) if name in rows[0]}
    print(table(rows, columns))
    settings = {"bars_at_100000_texts": BARS, "bars_at_77_classes": BARS_OF_CLASSES}
    print(merge("report", settings, rows, ("texts", "classes", "runs")))


if __name__ == "__main__":
    main()
