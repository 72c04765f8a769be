"""How long one text takes, and 32: our fast path against transformers and onnxruntime on the same model.

    python benchmarks/latency.py
    python benchmarks/latency.py --folder ../shared/data/banking77 --threads 2
    python benchmarks/latency.py --texts 64 --threads 1

The model is the demo's encoder with a head that is not trained, stored as a run stores it. Each arm goes from texts to
probabilities, tokenising included: `Classifier.predict_proba` (ours); transformers, eager, in inference mode with its
own tokenizer; and, where onnxruntime is installed, the same model in float32 with the tokenizer's own library, exported
by torch, and `predict_proba` of `Classifier.load(..., engine="auto")`. Two further arms are requests, one after another
on one connection, to `thriftune serve --engine own` and `--engine auto` in processes of their own: a text that comes
alone to a service that does nothing else. All have the same number of threads and take turns in three rounds. Written
are, for batches of 1 and 32, the medians over rounds of each arm's median and 95th percentile, and how many times ours
the others take; of probabilities the largest difference.

The bar: one text takes at most 1.2 times what onnxruntime takes, each at its best number of threads; if not by ours,
then by what `thriftune serve` uses. Said, too, is how many milliseconds a request takes beyond `predict_proba` of the
same engine. Run it on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import http.client
import importlib.util
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from compare import save
from predict import LABELS, MAX_TOKENS, stored, texts_of

BAR = 1.2
BATCHES = (1, 32)
ROUNDS = 3
ENGINES = ("own", "auto")
SERVE = [sys.executable, "-W", "ignore", "-c", "from thriftune.cli import main; main()", "serve"]
Arm = Callable[[list[str]], np.ndarray]


def softmax(logits: np.ndarray) -> np.ndarray:
    """Rows of logits as probabilities."""
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))


def eager(folder: Path) -> Arm:
    """Transformers as most people run it."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model: Any = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)

    def run(texts: list[str]) -> np.ndarray:
        inputs = tokenizer(texts, return_tensors="pt", padding=True, truncation=True, max_length=MAX_TOKENS)
        with torch.inference_mode():
            return np.asarray(model(**inputs).logits.softmax(-1).numpy())

    return run


def exported(folder: Path, target: Path) -> None:
    """The model as an ONNX graph in float32, with batch and length open."""
    import torch
    from transformers import AutoModelForSequenceClassification

    model: Any = AutoModelForSequenceClassification.from_pretrained(folder, attn_implementation="eager").eval()

    class Logits(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, input_ids: Any, attention_mask: Any, token_type_ids: Any) -> Any:
            out = self.model(input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids)
            return out.logits

    ids = torch.randint(5, 100, (2, 9))
    names = ["input_ids", "attention_mask", "token_type_ids"]
    sizes = {0: torch.export.Dim("texts", max=4096), 1: torch.export.Dim("tokens", min=2, max=512)}
    torch.onnx.export(
        Logits(),
        (ids, torch.ones_like(ids), torch.zeros_like(ids)),
        str(target),
        dynamo=True,
        input_names=names,
        output_names=["logits"],
        dynamic_shapes=dict.fromkeys(names, sizes),
        external_data=False,
        verbose=False,
    )


def onnx(folder: Path, threads: int) -> Arm:
    """Onnxruntime, float32."""
    import onnxruntime
    from tokenizers import Tokenizer

    path = folder.parent / "model.onnx"
    exported(folder, path)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(MAX_TOKENS)
    tokenizer.enable_padding()

    def run(texts: list[str]) -> np.ndarray:
        encoded = tokenizer.encode_batch(texts)
        inputs = {
            "input_ids": [each.ids for each in encoded],
            "attention_mask": [each.attention_mask for each in encoded],
            "token_type_ids": [each.type_ids for each in encoded],
        }
        (logits,) = session.run(None, {name: np.array(rows, dtype=np.int64) for name, rows in inputs.items()})
        return softmax(logits)

    return run


@contextmanager
def served(folder: Path, threads: int, engine: str) -> Iterator[Arm]:
    """Requests to a service of the model; of one text alone they ask for the label, as most do."""
    command = [*SERVE, str(folder), "--port", "0", "--threads", str(threads), "--engine", engine]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        found = re.search(r"http://127\.0\.0\.1:(\d+)", process.stdout.readline())
        assert found is not None
        connection = http.client.HTTPConnection("127.0.0.1", int(found[1]), timeout=60)
        last = 0.0

        def run(texts: list[str]) -> np.ndarray:
            body = json.dumps({"texts": texts, "probabilities": len(texts) > 1})
            nonlocal last
            if time.monotonic() - last > 1:  # the service closes what is unused while other arms run
                connection.close()
            connection.request("POST", "/predict", body, {"Content-Type": "application/json"})
            rows = json.loads(connection.getresponse().read())["predictions"]
            last = time.monotonic()
            return np.array([list(row.get("probabilities", {"": row["confidence"]}).values()) for row in rows])

        yield run
        connection.close()
    finally:
        process.terminate()
        process.wait(60)


def arms(folder: Path, threads: int, services: ExitStack) -> dict[str, Arm]:
    """What takes texts, by name; `ours` first."""
    from thriftune.use.classifier import Classifier

    found: dict[str, Arm] = {"ours": Classifier.load(folder, device="cpu", threads=threads).predict_proba}
    found["transformers"] = eager(folder)
    if importlib.util.find_spec("onnxruntime") is not None:
        found["onnxruntime"] = onnx(folder, threads)
        auto = Classifier.load(folder, device="cpu", threads=threads, engine="auto", say=print)
        found["auto"] = auto.predict_proba
    for engine in ENGINES:
        found[f"served {engine}"] = services.enter_context(served(folder, threads, engine))
    return found


def seconds(found: dict[str, Arm], texts: list[str], batch: int) -> dict[str, list[float]]:
    """Of every batch by every arm: one round, all texts by one arm and then by the next, as each is in use."""
    took: dict[str, list[float]] = {name: [] for name in found}
    for name, arm in found.items():
        for start in range(0, len(texts) - batch + 1, batch):
            own = texts[start : start + batch]
            started = time.perf_counter()
            arm(own)
            took[name].append(time.perf_counter() - started)
    return took


def rows_of(found: dict[str, Arm], texts: list[str]) -> list[dict[str, Any]]:
    """A row for each arm and batch size."""
    made = {name: arm(texts[:64]) for name, arm in found.items()}  # warm, too
    for arm in found.values():
        for text in texts[:20]:
            arm([text])
    rows = []
    for batch in BATCHES:
        rounds = [seconds(found, texts, batch) for _ in range(ROUNDS)]
        for name in found:
            medians = [statistics.median(each[name]) for each in rounds]
            times = [statistics.median(each[name]) / statistics.median(each["ours"]) for each in rounds]
            rows.append(
                {
                    "arm": name,
                    "batch": batch,
                    "median_seconds": statistics.median(medians),
                    "p95_seconds": statistics.median(float(np.percentile(each[name], 95)) for each in rounds),
                    "rounds": medians,
                    "times_ours": statistics.median(times),
                    "difference": float(np.abs(made[name] - made["ours"]).max()),
                }
            )
    return rows


def main() -> None:
    """Measures, prints and writes benchmarks/results/latency.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="holds test.csv with a column text; else the demo's texts")
    parser.add_argument("--texts", type=int, default=512)
    parser.add_argument("--threads", type=int, nargs="*", default=[1, 2], help="each is measured")
    args = parser.parse_args()
    texts = texts_of(args.folder, args.texts)
    rows = []
    with tempfile.TemporaryDirectory(prefix="thriftune-latency-") as name:
        folder = stored(Path(name) / "model")
        for threads in args.threads:
            with ExitStack() as services:
                found = rows_of(arms(folder, threads, services), texts)
            for row in found:
                rows.append({"threads": threads} | row)
                print(
                    f"{threads} threads, batches of {row['batch']}, {row['arm']}: "
                    f"{1000 * row['median_seconds']:.2f} ms "
                    f"(95%: {1000 * row['p95_seconds']:.2f}), {row['times_ours']:.2f} times ours"
                )
    best = {name: _best(rows, name) for name in {row["arm"] for row in rows}}
    ratios = {}
    if "onnxruntime" in best:
        ratios = {f"{name}_times_onnxruntime": best[name] / best["onnxruntime"] for name in ("ours", "auto")}
        print(
            f"One text: ours takes {ratios['ours_times_onnxruntime']:.2f} times what onnxruntime takes, auto "
            f"{ratios['auto_times_onnxruntime']:.2f} times (bar {BAR})."
        )
    for engine, direct in zip(ENGINES, ("ours", "auto"), strict=True):
        if direct in best:
            beyond = 1000 * (best[f"served {engine}"] - best[direct])
            print(f"A request of one text takes {beyond:.2f} ms beyond predict_proba (engine {engine}).")
    settings = {**vars(args), "folder": args.folder and args.folder.name, "labels": len(LABELS), "bar": BAR}
    print(save("latency", settings | ratios, rows))


def _best(rows: list[dict[str, Any]], arm: str) -> float:
    return min(row["median_seconds"] for row in rows if row["arm"] == arm and row["batch"] == 1)


if __name__ == "__main__":
    main()
