"""Output folders as a study leaves them, made up from a seed: realistic numbers, no training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support
from tests.report.further import votes, write_dynamics, write_robustness

from thriftune.analysis.statistics.basics import wilson
from thriftune.results.cost import Cost, Memory, PassSeconds, StepSeconds
from thriftune.results.history import EpochPoint, StepPoint
from thriftune.results.prediction import Prediction
from thriftune.results.profile import Box, DataProfile, Dropped, Histogram, Lengths, SharedText, TokenLengths
from thriftune.results.record import RunRecord, StudyResults
from thriftune.results.run_folder import Embeddings
from thriftune.results.scores import ClassScores, Evaluated, FurtherTest, Scores
from thriftune.results.store import Store
from thriftune.results.training import SearchPoint, Training, state_of

COMMON = (
    "man woman people wearing shirt young red blue street dog playing outside ball water group standing child "
    "sitting black white girl boy running field bike walking holding camera the a is in on and of with"
)
WORDS = COMMON.split()
NASTY = (
    "</script><script>throw new Error('label')</script>",
    "<!-- \"quoted\" & 'single' -->",
    "=cmd|' /C calc'!A0",
    "שלום \u202eעולם",
    "Donaudampfschifffahrts" * 6,
)


ODD = (
    "<script>alert(1)</script><img src=x onerror=alert(2)>",
    "=cmd()",
    "+1",
    '-1 and "quotes", commas',
    "@SUM(A1)",
    "\tTab first",
    "\rReturn first",
    "two\nlines",
    " = after a space",
    "plain &amp; simple \u2028 end",
)
"""Texts that a page or a spreadsheet might take for more than text."""


@dataclass(frozen=True)
class Variant:
    """What a synthetic study looks like."""

    labels: tuple[str, ...] = ("entailment", "neutral", "contradiction")
    columns: tuple[str, ...] = ("premise", "hypothesis")
    models: tuple[str, ...] = ("demo:minilm",)
    seeds: int = 1
    texts: int = 600
    name: str = "snli-demo"
    suffix: str = ""
    """Appended to every run's name."""
    troubled: bool = True
    """Whether one run did not learn, one failed and one had another protocol."""
    baselines: bool = True
    published: bool = False
    epochs: int = 3
    annotators: bool = False
    """Whether single annotators' labels are kept, and a baseline sees the last text column alone."""
    training_texts: int = 400
    further_texts: int = 150
    """Of the larger robustness set."""
    hidden: int = 16
    training: tuple[tuple[str, Training], ...] = ()
    """How the training of all runs of a method ended; the others' records are those of earlier versions."""


VARIANTS = {
    "plain": Variant(published=True),
    "two-labels": Variant(labels=("ham", "spam"), columns=("text",), troubled=False, baselines=False),
    "seeds": Variant(labels=tuple("abcde"), seeds=2, models=("demo:minilm", "bert-base-uncased"), columns=("text",)),
    "nasty": Variant(
        labels=NASTY,
        columns=('<b>pre"mise</b>', "=1+1"),
        name=NASTY[0],
        suffix=f" {NASTY[1]}",
        models=(NASTY[2],),
        annotators=True,
    ),
}
METHODS: dict[str, tuple[float, float, float, dict[str, Any]]] = {
    # name: (accuracy, relative seconds, relative memory, settings)
    "full": (0.775, 2.4, 2.6, {"name": "full"}),
    "top_layers 2": (0.755, 1.0, 1.0, {"name": "top_layers", "layers": 2}),
    "lora r8": (0.780, 1.9, 1.8, {"name": "lora", "rank": 8, "alpha": 16, "targets": ["query", "value"]}),
}
TRAINED = {"full": 22_700_000, "top_layers 2": 3_600_000, "lora r8": 222_000}


def write(out: Path, variant: Variant, seed: int = 0) -> Store:
    """Writes a whole output folder and returns its store."""
    rng = np.random.default_rng(seed)
    store = Store(out)
    shares = rng.dirichlet(np.full(len(variant.labels), 40.0))
    truth = rng.choice(len(variant.labels), size=variant.texts, p=shares)
    hardness = rng.normal(0, 0.15, variant.texts) - 0.15 * (truth == 1)
    frame = {"example": np.arange(variant.texts)}
    for column in variant.columns:
        draws = rng.zipf(1.3, (variant.texts, 12)) % len(WORDS)
        frame[column] = [" ".join(WORDS[i] for i in row) for row in draws]
    label_names = [variant.labels[i] for i in truth]
    own = np.random.default_rng(seed + 1)
    kept = votes(label_names, variant.labels, own) if variant.annotators else {}
    store.write_test(pl.DataFrame(frame | {"label": label_names} | kept))
    runs = []
    for model in variant.models:
        for method in METHODS:
            for number in range(variant.seeds):
                runs.append(_tuned(store, variant, model, method, number, truth, hardness, rng))
    if variant.troubled:
        runs += [_lost(store, variant, truth, rng), _failed(variant)]
    if variant.baselines:
        runs += [_baseline(store, variant, name, truth, rng) for name in ("tfidf", "majority")]
    if variant.annotators:
        runs.append(_baseline(store, variant, "part", truth, own))
    write_dynamics(store, variant, runs, own)
    further = write_robustness(store, variant, runs)
    if variant.published:
        write_further(store, variant, runs[0])
    study = StudyResults(
        name=variant.name,
        study={"name": variant.name},
        profile=_profile(variant, truth, rng),
        runs=runs,
        margin=0.5,
        published={
            runs[0].name: {"accuracy": 0.7498, "loss": 0.4151, "train_seconds": 2566.0, "peak_memory_bytes": 885e6},
            runs[2].cell: {"accuracy": 0.8520, "errors": 16262, "samples_per_second": 270.0, "surprise": 1},
            "nobody": {"accuracy": 0.5},
        }
        if variant.published
        else {},
        environment={"thriftune": "0.1.0", "python": "3.11.2", "packages": {"torch": "2.13.0"}, "gpu": None},
        robustness=further,
    )
    store.write_results(study)
    return store


def _tuned(
    store: Store,
    variant: Variant,
    model: str,
    method: str,
    number: int,
    truth: np.ndarray,
    hardness: np.ndarray,
    rng: np.random.Generator,
) -> RunRecord:
    accuracy, time, memory, settings = METHODS[method]
    cell = method + (f" {model}" if len(variant.models) > 1 else "") + variant.suffix
    name = f"{cell} seed {number}" if variant.seeds > 1 else cell
    chance = np.clip(accuracy + hardness + rng.normal(0, 0.01), 0.05, 0.99)
    probabilities = _probabilities(truth, rng.random(len(truth)) < chance, len(variant.labels), rng)
    protocol = _protocol(variant)
    if variant.troubled and method == "full":
        protocol["batch_size"] = 8
    scale = 1 + list(variant.models).index(model)
    cost = _cost(method, 62.0 * time * scale, memory * scale, rng)
    return _record(
        store,
        variant,
        truth,
        probabilities,
        run_id=f"{method}-{scale}-{number}".replace(" ", "_"),
        name=name,
        cell=cell,
        model=model,
        method=settings,
        seed=number,
        protocol=protocol,
        cost=cost,
        training=dict(variant.training).get(method),
        predicted=None if number else _prediction(cost, rng),
        search=[SearchPoint(1e-4, 0.7, 0.61, 20.1), SearchPoint(3e-4, 0.71, 0.6, 20.3)] if "lora" in method else [],
    )


def ended(gain: float | None, noise: float | None = 0.01, how: str = "epochs", epochs: float = 3) -> Training:
    """How a training ended, with its state at a margin of half a point."""
    state = state_of(how, gain, noise, 0.5)
    return Training(ended=how, steps=round(94 * epochs), epochs=epochs, gain=gain, noise=noise, state=state)  # type: ignore[arg-type]


def _prediction(cost: Cost, rng: np.random.Generator) -> Prediction:
    """A prediction near a cost; now and then without times."""
    timed = bool(rng.random() < 0.8)
    assert cost.memory is not None
    assert cost.peak_memory_bytes is not None
    return Prediction(
        peak_memory_bytes=round(cost.peak_memory_bytes * rng.uniform(0.98, 1.02)),
        memory=cost.memory,
        trained_parameters=cost.trained_parameters,
        head_parameters=cost.head_parameters,
        total_parameters=cost.total_parameters,
        stored_bytes=cost.stored_bytes,
        delta_bytes=cost.delta_bytes,
        flops_per_sample=1.2e9,
        prefix_flops_per_sample=0.4e9,
        train_seconds=cost.train_seconds * rng.uniform(0.85, 1.15) if timed else None,
        prefix_seconds=cost.prefix_seconds if timed else None,
        samples_per_second=cost.samples_per_second if timed else None,
        reasons={} if timed else dict.fromkeys(("train_seconds", "prefix_seconds", "samples_per_second"), "no probe"),
    )


def _lost(store: Store, variant: Variant, truth: np.ndarray, rng: np.random.Generator) -> RunRecord:
    flat = np.full((len(truth), len(variant.labels)), 1 / len(variant.labels))
    flat[:, int(np.bincount(truth).argmin())] += 0.01
    return _record(
        store,
        variant,
        truth,
        flat / flat.sum(axis=1, keepdims=True),
        run_id="lost",
        name="lora r64" + variant.suffix,
        cell="lora r64" + variant.suffix,
        model=variant.models[0],
        method={"name": "lora", "rank": 64},
        seed=0,
        protocol=_protocol(variant),
        cost=_cost("lora r8", 130.0, 1.9, rng),
    )


def _failed(variant: Variant) -> RunRecord:
    return RunRecord(
        run_id="failed",
        name="full on xxl" + variant.suffix,
        cell="full on xxl" + variant.suffix,
        status="out_of_memory",
        message="the batch of 32 x 256 tokens needed 19.7 GB; <b>8 GB</b> are there. Use a smaller batch_size.",
        model="xxl",
        method={"name": "full"},
        seed=0,
        protocol=_protocol(variant),
        head={"type": "own"},
        learning_rate=None,
        best_epoch=None,
        test=None,
        validation=None,
        cost=None,
    )


def _baseline(store: Store, variant: Variant, name: str, truth: np.ndarray, rng: np.random.Generator) -> RunRecord:
    classes = len(variant.labels)
    if name == "majority":
        probabilities = np.tile(np.eye(classes)[np.bincount(truth).argmax()], (len(truth), 1))
    else:
        probabilities = _probabilities(truth, rng.random(len(truth)) < 0.6, classes, rng)
    reason = "no optimisation steps"
    cost = Cost(
        train_seconds=0.8, prefix_seconds=0.0, prefix_reused=False, evaluate_seconds=0.1, load_seconds=0.0,
        samples_per_second=None, peak_memory_bytes=None, peak_reserved_bytes=None, peak_process_bytes=210_000_000,
        prefix_peak_memory_bytes=None, memory=None, trained_parameters=9000, head_parameters=0, total_parameters=9000,
        stored_bytes=72_000, delta_bytes=72_000, energy_joules=None,
        reasons={"samples_per_second": reason, "peak_memory_bytes": reason, "peak_reserved_bytes": "no GPU"},
    )  # fmt: skip
    return _record(
        store,
        variant,
        truth,
        probabilities,
        history=False,
        run_id=name,
        name=name + variant.suffix,
        cell=name + variant.suffix,
        model=None,
        method={"name": "tfidf", "text": list(variant.columns[-1:])} if name == "part" else {"name": name},
        seed=0,
        protocol=_protocol(variant),
        cost=cost,
    )


def _record(
    store: Store,
    variant: Variant,
    truth: np.ndarray,
    probabilities: np.ndarray,
    *,
    history: bool = True,
    **settings: Any,
) -> RunRecord:
    frame = predictions_frame(truth, probabilities, variant.labels)
    folder = store.run(settings["run_id"])
    folder.write_predictions("test", frame)
    half = len(frame) // 2
    folder.write_predictions("validation", frame[:half])
    if settings["model"] is not None:
        folder.write_embeddings(_embeddings(probabilities, variant.hidden))
    test = scores(truth, probabilities, variant.labels)
    if history:
        folder.write_history(_history(variant.epochs, test.accuracy))
    record = RunRecord(
        status="done",
        message=None,
        head={"type": "own", "dropout": None},
        learning_rate=2e-5 if history else None,
        best_epoch=2 if history else None,
        test=test,
        validation=scores(truth[:half], probabilities[:half], variant.labels),
        environment={"device": "cpu", "threads": 2, "torch": "2.13.0"},
        notes=["one note <i>here</i>"],
        **settings,
    )
    folder.write_record(record)
    return record


def predictions_frame(truth: np.ndarray, probabilities: np.ndarray, labels: tuple[str, ...]) -> pl.DataFrame:
    """Predictions as a run writes them."""
    names = np.asarray(labels, dtype=object)
    return pl.DataFrame(
        {
            "example": np.arange(len(truth)),
            "label": pl.Series([*names[truth]], dtype=pl.String),
            "predicted": pl.Series([*names[probabilities.argmax(axis=1)]], dtype=pl.String),
        }
        | {f"p_{label}": probabilities[:, i] for i, label in enumerate(labels)}
    )


def write_runs(out: Path, texts: dict[str, Any], labels: tuple[str, ...], runs: dict[str, np.ndarray]) -> Store:
    """A folder with given test texts, columns "label" (ids) included, and each run's probabilities on them."""
    rng = np.random.default_rng(0)
    truth = np.asarray(texts["label"])
    columns = tuple(name for name in ("text", "premise", "hypothesis") if name in texts)
    variant = Variant(labels=labels, columns=columns, texts=len(truth))
    store = Store(out)
    named = {"label": pl.Series([labels[i] for i in truth], dtype=pl.String)}
    store.write_test(pl.DataFrame({"example": np.arange(len(truth))} | texts | named))
    records = [
        _record(
            store,
            variant,
            truth,
            probabilities,
            run_id=f"run-{i}",
            name=name,
            cell=name,
            model="demo:minilm",
            method={"name": "full"},
            seed=0,
            protocol=_protocol(variant),
            cost=_cost("full", 60.0, 1.0, rng),
        )
        for i, (name, probabilities) in enumerate(runs.items())
    ]
    profile = _profile(variant, truth, rng)
    store.write_results(StudyResults("planted", {"name": "planted"}, profile, records, 0.5, {}, {}))
    return store


def sure(truth: np.ndarray, wrong: np.ndarray, classes: int, rng: np.random.Generator) -> np.ndarray:
    """Probabilities of a run that errs on certain texts alone."""
    noise = rng.dirichlet(np.full(classes, 2.0), len(truth))
    taken = np.where(wrong, (truth + rng.integers(1, classes, len(truth))) % classes, truth)
    noise[np.arange(len(truth)), taken] += 1.2
    return noise / noise.sum(axis=1, keepdims=True)


def _embeddings(probabilities: np.ndarray, hidden: int) -> Embeddings:
    """Vectors that follow the probabilities, with noise."""
    rng = np.random.default_rng(1)
    rows = np.arange(min(len(probabilities), 5000))
    vectors = probabilities[rows] @ rng.normal(0, 2, (probabilities.shape[1], hidden))
    return Embeddings(rows, (vectors + rng.normal(0, 0.2, (len(rows), hidden))).astype(np.float16))


def scores(truth: np.ndarray, probabilities: np.ndarray, labels: tuple[str, ...]) -> Scores:
    """The scores that scikit-learn computes."""
    predicted = probabilities.argmax(axis=1)
    ids = list(range(len(labels)))
    columns = precision_recall_fscore_support(truth, predicted, labels=ids, zero_division=0)
    per_class = {
        label: ClassScores(*(float(column[i]) for column in columns[:3]), int(columns[3][i]))
        for i, label in enumerate(labels)
    }
    return Scores(
        accuracy=float((truth == predicted).mean()),
        macro_f1=float(columns[2].mean()),
        loss=float(-np.log(np.clip(probabilities[np.arange(len(truth)), truth], 1e-12, 1)).mean()),
        per_class=per_class,
        confusion=confusion_matrix(truth, predicted, labels=ids).tolist(),
    )


def _probabilities(truth: np.ndarray, right: np.ndarray, classes: int, rng: np.random.Generator) -> np.ndarray:
    noise = rng.normal(0, 0.8, (len(truth), classes))
    other = (truth + 1 + (rng.random(len(truth)) < 0.3)) % classes
    other = np.where(other == truth, (truth + 1) % classes, other)
    noise[np.arange(len(truth)), np.where(right, truth, other)] += 2.5 + rng.random(len(truth))
    exponents = np.exp(noise)
    return exponents / exponents.sum(axis=1, keepdims=True)


def _history(epochs: int, accuracy: float) -> list[StepPoint | EpochPoint]:
    points: list[StepPoint | EpochPoint] = []
    for step in range(1, 94 * epochs + 1):
        at = step / 94
        wave = 0.1 * np.sin(step)
        points.append(StepPoint(step, at, 0.6 + 0.5 / (1 + at) + wave, 2e-5 * (1 - at / epochs)))
    for epoch in range(1, epochs + 1):
        best = accuracy - 0.02 * abs(epoch - 2)
        loss = 0.65 + 0.05 * abs(epoch - 2)
        points.append(EpochPoint(epoch, 94 * epoch, 1.1 - 0.2 * epoch, 0.5 + 0.1 * epoch, loss, best, best, 1e-5, 20.5))
    return points


def _protocol(variant: Variant) -> dict[str, Any]:
    return {
        "epochs": variant.epochs,
        "batch_size": 32,
        "max_tokens": 256,
        "precision": "fp32",
        "device": "auto",
        "optimizer": {"weight_decay": 0.01, "decay": "weights"},
        "schedule": {"type": "linear", "warmup": 0.1},
        "early_stopping": None,
    }


def _cost(method: str, seconds: float, memory: float, rng: np.random.Generator) -> Cost:
    parts = rng.dirichlet([6, 1, 2, 8, 0.5, 0.3]) * 900e6 * memory
    split = Memory(*(int(part) for part in parts))
    trained = TRAINED[method]
    prefix = 4.2 if method == "top_layers 2" else 0.0
    return Cost(
        train_seconds=seconds,
        prefix_seconds=prefix,
        prefix_reused=prefix > 0,
        evaluate_seconds=6.1,
        load_seconds=0.8,
        samples_per_second=9000 / (seconds + prefix),
        peak_memory_bytes=sum(vars(split).values()),
        peak_reserved_bytes=None,
        peak_process_bytes=2_100_000_000,
        prefix_peak_memory_bytes=310_000_000 if prefix else None,
        memory=split,
        trained_parameters=trained,
        head_parameters=148_995,
        total_parameters=22_862_979,
        stored_bytes=900_000 if "lora" in method else 91_000_000,
        delta_bytes=trained * 4,
        energy_joules=None,
        reasons={"peak_reserved_bytes": "no GPU", "energy_joules": "no GPU"},
        step_seconds=StepSeconds(0.001, seconds / 500, seconds / 400, seconds / 9000),
        pass_seconds=PassSeconds(seconds / 500, seconds / 600, seconds / 400 - seconds / 600),
        layers=6,
        gradient_layers=2 if method == "top_layers 2" else 6,
        pretrained_bytes=90_000_000,
        adapter="lora" in method,
        latency_seconds=0.005,
        latency_p95_seconds=0.007,
        predict_texts_per_second=600.0,
        predict_memory_bytes=95_000_000,
    )


def write_further(store: Store, variant: Variant, run: RunRecord) -> None:
    """The first hundred test texts as a file that a run was scored on afterwards."""
    frame = store.run(run.run_id).read_predictions("test").head(100)
    texts = pl.read_parquet(store.test_path).head(100)
    rows = {"row": np.arange(frame.height)} | {f"text_{name}": texts[name] for name in variant.columns}
    pl.DataFrame(rows | {name: frame[name] for name in ("label", "predicted")}).write_parquet(
        store.path / "rows.parquet"
    )
    right = int((frame["label"] == frame["predicted"]).sum())
    own = Evaluated(
        run_id=run.run_id,
        run=run.name,
        rows=frame.height,
        accuracy=right / frame.height,
        accuracy_interval_95=wilson(right, frame.height),
        macro_f1=right / frame.height,
        not_scored={"without a label": 2},
    )
    test = FurtherTest(name="july", file="/data/july.csv", fingerprint="f", columns=[], label="label", runs=[own])
    store.write_evaluation(test, run.run_id, store.path / "rows.parquet")
    (store.path / "rows.parquet").unlink()


def _profile(variant: Variant, truth: np.ndarray, rng: np.random.Generator) -> DataProfile:
    counts = np.bincount(truth, minlength=len(variant.labels))
    by_split = {"train": counts * 5, "validation": counts, "test": counts}
    names = [*variant.columns, *(["all"] if len(variant.columns) > 1 else [])]
    pair = len(variant.columns) > 1
    return DataProfile(
        name="demo:snli" + variant.suffix,
        fingerprint="0" * 64,
        text_columns=list(variant.columns),
        label_column="label",
        labels=list(variant.labels),
        rows={split: int(each.sum()) for split, each in by_split.items()},
        label_counts={
            split: {label: int(n) for label, n in zip(variant.labels, each, strict=True)}
            for split, each in by_split.items()
        },
        sample=[
            {column: f"{text} in {column}" for column in variant.columns} | {"label": variant.labels[0]}
            for text in (*NASTY, "A soccer game with multiple males playing.")
        ],
        characters={name: _lengths(rng.gamma(4, 20, 3000)) for name in names},
        tokens=[
            TokenLengths(m, 64, _lengths(rng.gamma(4, 6, 3000)), {"train": 0.012, "test": 0.0}) for m in variant.models
        ],
        dropped=[Dropped("train", "label is empty", 12)],
        shared=[SharedText("train", "test", 3, 180 if pair else None, int(counts.sum()))],
        notes=["The validation split was carved from train."],
    )


def _lengths(values: np.ndarray) -> Lengths:
    values = np.round(values) + 1
    counts, edges = np.histogram(values, bins=30)
    q1, median, q3 = np.quantile(values, [0.25, 0.5, 0.75])
    inside = values[(values >= q1 - 1.5 * (q3 - q1)) & (values <= q3 + 1.5 * (q3 - q1))]
    outside = np.setdiff1d(values, inside)
    numbers = (inside.min(), q1, median, q3, inside.max(), values.min(), values.max(), values.mean())
    box = Box(*(float(n) for n in numbers), outliers=outside[:50].tolist(), outlier_count=len(outside))
    return Lengths(Histogram(edges.tolist(), counts.tolist()), box)
