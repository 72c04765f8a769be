"""One record of every type, with every field that may be unknown known."""

from __future__ import annotations

from thriftune.results.cost import Cost, Memory, PassSeconds, StepSeconds
from thriftune.results.history import EpochPoint, StepPoint
from thriftune.results.prediction import Axis, AxisPoint, Crossovers, Prediction
from thriftune.results.profile import (
    Box,
    DataProfile,
    DataWarning,
    Dropped,
    Groups,
    Histogram,
    Lengths,
    RobustnessProfile,
    SharedText,
    TokenLengths,
)
from thriftune.results.record import RunRecord, StudyResults
from thriftune.results.scores import ClassScores, Evaluated, FurtherTest, Scores
from thriftune.results.search import CellSearch, Searched, StudySearch, Trial
from thriftune.results.training import FittedBatch, SearchPoint, Training

SCORES = Scores(
    accuracy=0.75,
    macro_f1=0.7,
    loss=0.5,
    per_class={"ham": ClassScores(0.7, 0.8, 0.75, 3), "spam": ClassScores(0.8, 0.7, 0.75, 1)},
    confusion=[[2, 1], [0, 1]],
    absent=["eggs"],
)
MEMORY = Memory(weights=1, gradients=2, optimizer=3, activations=4, cache=5, other=6)
COST = Cost(
    peak_memory_bytes=21,
    memory=MEMORY,
    trained_parameters=10,
    head_parameters=2,
    total_parameters=30,
    stored_bytes=120,
    delta_bytes=40,
    train_seconds=1.5,
    prefix_seconds=0.5,
    prefix_reused=True,
    evaluate_seconds=0.25,
    load_seconds=0.125,
    samples_per_second=240.0,
    peak_reserved_bytes=None,
    peak_process_bytes=99,
    prefix_peak_memory_bytes=50,
    energy_joules=None,
    reasons={"peak_reserved_bytes": "no GPU", "energy_joules": "no GPU"},
    step_seconds=StepSeconds(0.1, 0.2, 0.3, 0.4),
    pass_seconds=PassSeconds(0.1, 0.2, 0.2),
    layers=6,
    gradient_layers=2,
    pretrained_bytes=1000,
    adapter=True,
    train_cpu_seconds=2.5,
    train_waited_seconds=0.1,
    load_at_start=0.5,
    fit_memory_bytes=70,
    fit_process_bytes=71,
    threads=2,
    search_seconds=0.5,
    latency_seconds=0.004,
    latency_p95_seconds=0.006,
    predict_texts_per_second=800.0,
    predict_memory_bytes=130,
)
PREDICTION = Prediction(
    peak_memory_bytes=20,
    memory=MEMORY,
    trained_parameters=10,
    head_parameters=2,
    total_parameters=30,
    stored_bytes=120,
    delta_bytes=40,
    flops_per_sample=1e9,
    prefix_flops_per_sample=1e8,
    train_seconds=None,
    prefix_seconds=0.5,
    samples_per_second=None,
    reasons={"train_seconds": "not probed", "samples_per_second": "not probed"},
    train_samples=600.0,
)
RUN = RunRecord(
    run_id="0a1b",
    name="lora r8 seed 0",
    cell="lora r8",
    status="done",
    message=None,
    model="demo:minilm",
    method={"name": "lora", "rank": 8, "targets": ["query"]},
    seed=0,
    protocol={"epochs": 3, "optimizer": {"decay": "weights"}},
    head={"type": "own"},
    learning_rate=2e-5,
    best_epoch=1.5,
    test=SCORES,
    validation=SCORES,
    cost=COST,
    predicted=PREDICTION,
    robustness={"hard": SCORES},
    robustness_fingerprints={"hard": "f"},
    search=[SearchPoint(2e-5, 0.7, 0.5, 1.0, 10)],
    notes=["a note"],
    environment={"thriftune": "0.1.0", "commit": None, "dirty": None},
    files={"model/model.safetensors": {"bytes": 1, "sha256": "0"}},
    training=Training("plateau", 30, 2.5, 0.001, 0.01, "plateau"),
    fitted_batch=FittedBatch(8, 4),
    searched=Searched({"rank": 8}, {"rank": [4, 8]}, "accuracy", 0.7, 4, 2, 1, 1, 9.0, 8.0, 3),
)
LENGTHS = Lengths(Histogram([0.0, 1.0], [4]), Box(0, 1, 2, 3, 4, 0, 9, 2.5, [9.0], 1))
STUDY = StudyResults(
    name="mail",
    study={"name": "mail", "margin": 0.5},
    profile=DataProfile(
        name="mail",
        fingerprint="f",
        text_columns=["text"],
        label_column="label",
        labels=["ham", "spam"],
        rows={"train": 8, "test": 4},
        label_counts={"train": {"ham": 6, "spam": 2}},
        sample=[{"text": "hello", "label": "ham"}],
        characters={"text": LENGTHS},
        tokens=[TokenLengths("demo:minilm", 64, LENGTHS, {"train": 0.1})],
        dropped=[Dropped("train", "no label", 2)],
        shared=[SharedText("train", "test", 1, None, 4)],
        notes=["a note"],
        warnings=[DataWarning("few_rows", "Few rows.", "Get more.", 0.02)],
        groups=Groups("user", "user", 40, 100, None),
    ),
    runs=[RUN],
    margin=0.5,
    published={"lora r8": {"accuracy": 0.8}},
    environment={"thriftune": "0.1.0"},
    robustness={"hard": RobustnessProfile("hard.csv", 4, {"ham": 4}, [Dropped("hard", "no label", 1)], [], "f")},
    statistics={"verdicts": {"alpha": 0.05}},
)
TRIAL = Trial(1, 7, {"rank": 8}, "complete", 0.7, None, 2.0, 20, 0.5, 3.0, 0.5)
SEARCH = StudySearch(
    trials=4,
    seconds=60.0,
    prune="median",
    seed=0,
    cells=[CellSearch("lora", "demo:minilm", {"name": "lora"}, "k", {"rank": [4, 8]}, "accuracy", [TRIAL])],
)
CROSSOVERS = Crossovers(
    setting="Texts of 64 tokens.",
    axes={"tokens": Axis(["They cross."], [AxisPoint("tokens", "lora", 64.0, "64", 10, 1e9, 0.1)])},
)
FURTHER = FurtherTest(
    name="july",
    file="/data/july.csv",
    fingerprint="f",
    columns=["text"],
    label="label",
    runs=[
        Evaluated(
            run_id="1",
            run="lora r8",
            rows=4,
            accuracy=0.75,
            accuracy_interval_95=(0.3, 0.95),
            macro_f1=0.7,
            not_scored={"without a label": 1},
        )
    ],
)
HISTORY = [
    StepPoint(1, 0.5, 0.7, 1e-4),
    EpochPoint(1, 2, 0.6, 0.5, 0.55, 0.6, 0.6, 5e-5, 1.0, 0.2),
    EpochPoint(1.5, 3, 0.6, 0.5, None, None, None, 5e-5, 1.0),
]
