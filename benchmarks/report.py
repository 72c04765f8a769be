"""The report of 10 runs: seconds, peak memory and page size by number of test texts; and how quick the page is.

    python benchmarks/report.py

Predictions are synthetic: three methods with three seeds, a run that did not learn, and a baseline that sees the
hypothesis alone, with single annotators' labels, robustness sets, training dynamics of as many texts and vectors of 384
numbers, so that every panel has work. Texts are recombined from the bundled SNLI; the longer ones err more. Each report
is written by a fresh process. The page is opened in headless Chromium where there is one; its figures are seconds until
what was asked for is shown.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from compare import save, table

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
from tests.report.browser import CHROMIUM, Page  # noqa: E402
from tests.report.synthetic import Variant, write  # noqa: E402

BARS = {"seconds": 90, "peak_mb": 2000, "page_mb": 25}
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
    rows: list[dict[str, Any]] = []
    for texts in args.texts:
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder)
            study(out, texts)
            command = [sys.executable, __file__, "--write", folder]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            row = {"texts": texts, "runs": 10, **json.loads(done.stdout)}
            rows.append(row | (browse(out / "report.html") if CHROMIUM else {}))
    columns = {"texts": ",", "runs": "", "seconds": ".1f", "peak_mb": ".0f", "page_mb": ".1f"}
    columns |= {name: ".2f" for name in ("open_seconds", "explorer_seconds", *ACTIONS) if name in rows[0]}
    print(table(rows, columns))
    print(save("report", {"texts": args.texts, "bars_at_100000_texts": BARS}, rows))


if __name__ == "__main__":
    main()
