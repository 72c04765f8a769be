"""What a study's time and memory do as its texts become more: reading, tokenising, training, prediction, page.

    python benchmarks/growth.py
    python benchmarks/growth.py --sizes 1000 100000 570000 --rows --draw docs/assets/growth.svg
    python benchmarks/growth.py --kept --draw docs/assets/growth.svg     # of what was measured before

For each size a file of short texts is written and a study of one tiny model compared on it, in a process of its own;
nine tenths of the texts are trained on for one epoch, a tenth is tested, and the page is made. Every phase has its
seconds, those of the processors (of all processes together, on one thread: on a busy machine they say more), and the
peak of the memory that the system cannot take back (RssAnon of the largest of the study's processes, read from /proc
several times a second): pages of mapped files can be taken back and are counted apart. With `--rows` a run that keeps
the output of frozen layers is measured too. `starting` is the process that makes the run: it imports torch and the rest
anew, since each size is a process of its own, and has nothing to do with the texts.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SIZES = [1_000, 10_000, 100_000, 300_000, 570_000]
DRAWN = ("reading data", "tokenising", "profiling data", "prefix", "training", "evaluating", "analysis", "page")
WORDS = 5000
TEXT_WORDS = 9
ALPHABET = "abcdefghijklmnopqrstuvwxyz"


def main() -> None:
    """Measures every size, prints a table and writes benchmarks/results/growth.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--rows", action="store_true", help="with the output of frozen layers (a second study each)")
    parser.add_argument("--folder", type=Path, help="where files are written (as large as the texts, several times)")
    parser.add_argument("--format", choices=("jsonl", "csv", "parquet"), default="jsonl")
    parser.add_argument("--draw", type=Path, help="an SVG file of it")
    parser.add_argument("--kept", action="store_true", help="measure nothing, draw benchmarks/results/growth.json")
    parser.add_argument("--prepare", action="store_true", help="reading and tokenising alone, without a study")
    parser.add_argument("--only", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--method", default="full", help=argparse.SUPPRESS)
    args = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # with more, processors wait for each other too
    if args.only is not None:
        measure = prepared if args.method == "prepare" else measured
        print(json.dumps(measure(args.only, args.folder, args.format, args.method)))
        return
    from compare import RESULTS, save

    if args.kept:
        draw(json.loads((RESULTS / "growth.json").read_text())["rows"], args.draw)
        return
    rows = []
    methods = ("prepare",) if args.prepare else ("full", "top_layers") if args.rows else ("full",)
    for method in methods:
        for size in args.sizes:
            folder = Path(tempfile.mkdtemp(prefix="growth-", dir=args.folder))
            try:
                command = [sys.executable, __file__, "--only", str(size), "--folder", str(folder)]
                command += ["--format", args.format, "--method", method]
                out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            finally:
                shutil.rmtree(folder, ignore_errors=True)
            rows.append(json.loads(out.splitlines()[-1]))
            print(shown(rows[-1]), flush=True)
    settings = {key: str(value) for key, value in vars(args).items() if key not in ("only", "method")}
    settings["threads"] = os.environ["OMP_NUM_THREADS"]
    print(save("growth_prepare" if args.prepare else "growth", settings, rows))
    if args.draw:
        draw(rows, args.draw)


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Processor seconds per 1,000 texts and memory of every phase against the number of texts, as one SVG file."""
    import altair
    import polars as pl
    import vl_convert

    points = [
        {
            "texts": row["texts"],
            "phase": phase,
            "processor seconds per 1,000 texts": max(1e-3, found["cpu_seconds"] / row["texts"] * 1000),
            "memory in MB": found["memory_bytes"] / 1e6,
        }
        for row in rows
        if row["method"] == ("top_layers" if any(each["method"] == "top_layers" for each in rows) else "full")
        for phase, found in row["phases"].items()
        if phase in DRAWN
    ]
    texts = altair.X("texts:Q", scale=altair.Scale(type="log"), axis=altair.Axis(format="s"))
    base = altair.Chart(pl.DataFrame(points)).mark_line(point=True).encode(x=texts, color="phase:N")
    seconds = base.encode(y=altair.Y("processor seconds per 1,000 texts:Q", scale=altair.Scale(type="log")))
    memory = base.encode(y=altair.Y("memory in MB:Q", scale=altair.Scale(zero=True)))
    charts = (seconds.properties(width=320, height=240) | memory.properties(width=320, height=240)).to_json()
    path.write_text(vl_convert.vegalite_to_svg(charts), encoding="utf-8")
    print(path)


def shown(row: dict[str, Any]) -> str:
    """A line of the table."""
    phases = ", ".join(
        f"{name} {found['seconds']:.1f} s ({found['cpu_seconds']:.1f}) {found['memory_bytes'] / 1e6:.0f} MB"
        for name, found in row["phases"].items()
    )
    return f"{row['method']} {row['texts']:,}: {phases}"


def _used() -> float:
    return processor_seconds()


@dataclass
class Watch:
    """The peak of the memory that cannot be taken back, and of mapped pages, of this process and its children."""

    phase: str = "start"
    peaks: dict[str, list[int]] = field(default_factory=dict)
    """Bytes by phase: anonymous, mapped."""
    seconds: dict[str, float] = field(default_factory=dict)
    cpu_seconds: dict[str, float] = field(default_factory=dict)
    done: bool = False
    since: float = field(default_factory=time.perf_counter)
    cpu_since: float = field(default_factory=_used)

    def enter(self, phase: str) -> None:
        """The phase before is over."""
        now, used = time.perf_counter(), processor_seconds()
        self.seconds[self.phase] = self.seconds.get(self.phase, 0.0) + now - self.since
        self.cpu_seconds[self.phase] = self.cpu_seconds.get(self.phase, 0.0) + used - self.cpu_since
        self.phase, self.since, self.cpu_since = phase, now, used

    def run(self) -> None:
        """Reads until it is done."""
        own = os.getpid()
        while not self.done:
            found = [memory_of(pid) for pid in (own, *children_of(own))]
            anonymous, mapped = (max(each[place] for each in found) for place in (0, 1))
            peak = self.peaks.setdefault(self.phase, [0, 0])
            peak[0], peak[1] = max(peak[0], anonymous), max(peak[1], mapped)
            time.sleep(0.05)


def memory_of(pid: int) -> tuple[int, int]:
    """Bytes of a process that the system cannot take back, and of mapped files; 0 where it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0, 0
    values = {line.split(":")[0]: line.split()[1] for line in lines if line.startswith(("RssAnon", "RssFile"))}
    return int(values.get("RssAnon", 0)) * 1024, int(values.get("RssFile", 0)) * 1024


def processor_seconds() -> float:
    """Of this process, those below it and those below it that have ended."""
    import psutil

    total = 0.0
    for pid in (os.getpid(), *children_of(os.getpid())):
        try:
            times = psutil.Process(pid).cpu_times()
        except psutil.Error:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


def children_of(pid: int) -> list[int]:
    """All processes below a process."""
    import psutil

    try:
        return [child.pid for child in psutil.Process(pid).children(recursive=True)]
    except psutil.Error:
        return []


def write_texts(path: Path, count: int) -> None:
    """A file of short texts of three classes, row by row."""
    rng = random.Random(0)
    words = ["".join(rng.choices(ALPHABET, k=rng.randint(2, 9))) for _ in range(WORDS)]
    kind = path.suffix
    rows = (
        {"text": " ".join([*rng.choices(words, k=TEXT_WORDS), str(i)]), "label": ("yes", "no", "maybe")[i % 3]}
        for i in range(count)
    )
    if kind == ".parquet":
        import polars as pl
        import pyarrow.parquet as pq

        writer = None
        for start in range(0, count, 100_000):
            table = pl.DataFrame([next(rows) for _ in range(min(100_000, count - start))]).to_arrow()
            writer = writer or pq.ParquetWriter(path, table.schema)
            writer.write_table(table)
        assert writer is not None
        writer.close()
        return
    with path.open("w", encoding="utf-8") as file:
        if kind == ".csv":
            file.write("text,label\n")
        for row in rows:
            file.write(f"{row['text']},{row['label']}\n" if kind == ".csv" else json.dumps(row) + "\n")


def prepared(count: int, folder: Path, kind: str, method: str) -> dict[str, Any]:
    """One size: reading, splits, tokens and the order of an epoch, with their seconds and memory."""
    os.environ["THRIFTUNE_CACHE"] = str(folder / "cache")
    from thriftune.data.load import load_dataset
    from thriftune.data.settings import DataSettings, SplitSettings
    from thriftune.data.tokens import Tokens, encode
    from thriftune.engine.batches import token_batches, training_batches
    from thriftune.testing.tokenizers import KINDS

    data = folder / f"texts.{kind}"
    write_texts(data, count)
    tokenizer = KINDS["bert"]()
    encode(tokenizer, [["a text of some words"] * 8192], 32, token_types=True)  # what the library keeps anyway
    watch = Watch()
    thread = threading.Thread(target=watch.run, daemon=True)
    thread.start()
    watch.enter("reading data")
    dataset = load_dataset(
        DataSettings(source=str(data), text=("text",), label="label", split=SplitSettings(test=0.1)),
        needs_validation=False,
    )
    watch.enter("tokenising")
    tokens = encode(tokenizer, [dataset.splits["train"]["text"]], 32, token_types=True)
    tokens.save(folder / "tokens")
    watch.enter("batches")
    read = Tokens.load(folder / "tokens", mmap=True)
    batches = training_batches(len(read), 32, 0, 0), token_batches(read.lengths)
    watch.enter("end")
    watch.done = True
    thread.join()
    return row_of(count, method, watch, data) | {"tokens": len(read.ids), "batches": sum(map(len, batches))}


def row_of(count: int, method: str, watch: Watch, data: Path) -> dict[str, Any]:
    """What a watch saw."""
    return {
        "texts": count,
        "method": method,
        "phases": {
            phase: {
                "seconds": seconds,
                "cpu_seconds": watch.cpu_seconds[phase],
                "memory_bytes": watch.peaks.get(phase, [0, 0])[0],
                "mapped_bytes": watch.peaks.get(phase, [0, 0])[1],
            }
            for phase, seconds in watch.seconds.items()
            if phase != "start"
        },
        "file_bytes": data.stat().st_size,
    }


def measured(count: int, folder: Path, kind: str, method: str) -> dict[str, Any]:
    """One size: the study's phases with their seconds and memory."""
    os.environ["THRIFTUNE_CACHE"] = str(folder / "cache")
    from thriftune.comparison import analyse
    from thriftune.models.ops.kernels.build import build
    from thriftune.report.render import write_page
    from thriftune.study.events import RunFinished, RunProgress, RunStarted, Stage
    from thriftune.study.execute import compare
    from thriftune.study.file.config import study_from_dict
    from thriftune.testing import models

    data = folder / f"texts.{kind}"
    write_texts(data, count)
    models.save_model(models.config("bert"), folder / "model", "bert", 0)
    build()  # the cache is empty: what is compiled once on a machine belongs to no phase
    study = study_from_dict(
        {
            "name": "growth",
            "data": {"source": str(data), "text": "text", "label": "label", "split": {"test": 0.1}},
            "protocol": {"epochs": 1, "max_tokens": 32, "keep": "last"},
            "models": [str(folder / "model")],
            "methods": [method if method == "full" else {method: {"layers": 1}}],
        },
        folder,
    )
    watch = Watch()

    def listen(event: object) -> None:
        if isinstance(event, Stage) and event.text != watch.phase:
            watch.enter(event.text)
        elif isinstance(event, RunProgress) and event.stage != watch.phase:
            watch.enter(event.stage)
        elif isinstance(event, RunStarted | RunFinished):
            watch.enter("starting" if isinstance(event, RunStarted) else "ending")

    thread = threading.Thread(target=watch.run, daemon=True)
    thread.start()
    results = compare(study, folder / "out", listen)
    watch.enter("analysis")
    analysis = analyse(results)
    watch.enter("page")
    write_page(analysis)
    watch.enter("end")
    watch.done = True
    thread.join()
    (run,) = results.runs
    assert run.status == "done", run.message
    assert run.cost is not None
    spent = {"train_seconds": run.cost.train_seconds, "prefix_seconds": run.cost.prefix_seconds}
    return row_of(count, method, watch, data) | spent


if __name__ == "__main__":
    main()
