"""The published study: planned without hub and data, and run from end to end on tiny models and a small file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.tiny_data import LABELS, pairs
from tests.tiny_models import LAYERS, model_folder

from thriftune.analysis.display.panel import Panel
from thriftune.analysis.panels.performance import replication
from thriftune.data.tokens import Tokens
from thriftune.report.render import write_report
from thriftune.results.store import Results
from thriftune.study import execute
from thriftune.study.file.config import load_study, shipped_folder, study_from_dict
from thriftune.study.file.plan import plan
from thriftune.study.file.yaml_text import parse_yaml
from thriftune.study.preparation import prepare

PATH = shipped_folder() / "published-snli.yaml"
TINY = {
    "google-bert/bert-base-uncased": "bert",
    "distilbert/distilbert-base-uncased": "distilbert",
    "microsoft/deberta-v2-xxlarge": "deberta-v2",
}
HEADER = (
    *("gold_label", "sentence1_binary_parse", "sentence2_binary_parse", "sentence1_parse", "sentence2_parse"),
    *("sentence1", "sentence2", "captionID", "pairID", "label1", "label2", "label3", "label4", "label5"),
)
ROWS, UNLABELLED = 150, 6


def write_snli(path: Path) -> None:
    """A file as SNLI is distributed: tab-separated, quotes are text, "-" where annotators disagreed."""
    lines = ["\t".join(HEADER)]
    for i, (premise, hypothesis, label) in enumerate(zip(*pairs(ROWS), strict=True)):
        gold = "-" if i < UNLABELLED else LABELS[label]
        first = f'"{premise}' if i % 5 == 0 else premise
        second = f'{hypothesis} "the" [SEP]' if i % 7 == 0 else hypothesis
        parse = [f"( {first} )", f"( {second} )", f"(ROOT (S {first}))", f"(ROOT (S {second}))"]
        annotators = [LABELS[label], "", "", "", ""]
        lines.append("\t".join([gold, *parse, first, second, f"{i}.jpg#0", f"{i}.jpg#0r1e", *annotators]))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def test_it_states_the_published_setting() -> None:
    study = load_study(PATH)
    runs = {run.name: run for run in plan(study)}
    assert list(runs) == list(study.published)
    assert len(runs) == 6
    assert (study.data.pair, study.head.type, study.head.dropout) == ("one_segment", "linear", 0.5)
    for name, run in runs.items():
        protocol, method = run.protocol, run.method.flat()
        xxl = "XXL" in name
        assert run.seed == 42
        assert (protocol.max_tokens, protocol.padding, protocol.precision, protocol.keep) == (
            256,
            "max",
            "fp32",
            "last",
        )
        assert protocol.epochs == (1 if xxl else 3)
        assert protocol.batch_size == (4 if xxl else 13 if name == "DistilBERT partial" else 8)
        assert (protocol.optimizer.weight_decay, protocol.optimizer.max_grad_norm) == (0.1, 1.0)
        assert (protocol.schedule.type, protocol.schedule.factor, protocol.schedule.patience) == ("plateau", 0.5, 2)
        assert protocol.schedule.warmup_share == 0
        if name.endswith("partial"):
            depth = {"BERT partial": 2, "DistilBERT partial": 1, "DeBERTa-XXL partial": 8}[name]
            assert method["layers"] == depth
        else:
            assert (method["rank"], method["alpha"], method["dropout"], method["layers"]) == (8, 16, 0.1, "all")
            assert len(method["targets"]) == 2
    rates = {name: run.method.learning_rates for name, run in runs.items()}  # type: ignore[attr-defined]
    assert {name: rate for name, (rate,) in rates.items()} == {
        "BERT partial": 3e-5,
        "DistilBERT partial": 5e-5,
        "DeBERTa-XXL partial": 3e-5,
        **dict.fromkeys(("BERT LoRA", "DistilBERT LoRA", "DeBERTa-XXL LoRA"), 1e-4),
    }


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """The shipped study with tiny models in place of the three, and fewer of DeBERTa's layers."""
    folder = tmp_path_factory.mktemp("published")
    data: dict[str, Any] = parse_yaml(PATH.read_text(encoding="utf-8"), PATH.name)
    write_snli(folder / data["data"]["source"])
    data["protocol"] |= {"max_tokens": 60, "device": "cpu"}
    for run in data["runs"]:
        run["model"] = str(model_folder(TINY[run["model"]]))
        if run["name"] == "DeBERTa-XXL partial":
            run["method"]["top_layers"]["layers"] = LAYERS - 1
    study = study_from_dict(data, folder, "published")
    return execute.compare(study, folder / "out", isolate=False)


def test_every_run_is_done(results: Results) -> None:
    assert [(run.name, run.status, run.message) for run in results.runs] == [
        (name, "done", None) for name in load_study(PATH).published
    ]


def test_the_split(results: Results) -> None:
    rows = results.study.profile.rows
    total = ROWS - UNLABELLED
    assert sum(rows.values()) == total
    assert rows["test"] == pytest.approx(0.2 * total, abs=1)
    assert rows["validation"] == pytest.approx(0.1 * total, abs=1)
    (dropped,) = results.study.profile.dropped
    assert dropped.count == UNLABELLED
    for split, counts in results.study.profile.label_counts.items():
        assert max(counts.values()) - min(counts.values()) <= 0.15 * total * rows[split] / total + 1, split


def test_quotes_and_separators_stay_text(results: Results) -> None:
    texts = results.test["sentence1"].to_list() + results.test["sentence2"].to_list()
    assert any(text.startswith('"') for text in texts)
    assert any(text.endswith('"the" [SEP]') for text in texts)


def test_costs_follow_the_protocol(results: Results) -> None:
    runs = {run.name: run for run in results.runs}
    train = results.study.profile.rows["train"]
    for name, run in runs.items():
        assert run.cost is not None
        epochs = 1 if "XXL" in name else 3
        assert run.best_epoch == epochs, "the last epoch's weights are tested"
        assert run.cost.samples_per_second == pytest.approx(train * epochs / run.cost.train_seconds)
        assert run.cost.head_parameters == 32 * 3 + 3
        assert (results.store.run(run.run_id).model_path / "head.safetensors").exists()
    steps, _ = results.history(runs["DistilBERT partial"])
    assert steps[-1].step == 3 * -(-train // 13)


def test_the_report_shows_published_beside_measured(results: Results) -> None:
    page = write_report(results.store.path).read_text(encoding="utf-8")
    assert "Published and measured" in page
    for text in ("85.0%", "81.1%", "16,500", "885.0 MB", "42 min 46 s"):
        assert text in page, text
    assert "differ in more than the method" in page


def test_published_classes_ratios_and_chance_stand_beside_the_measured(results: Results) -> None:
    panel = replication.build(results)
    assert isinstance(panel, Panel)
    tables = {table.name: table for table in panel.tables}
    ratios = {(row["first"], row["second"]): row for row in tables["published-ratios"].rows}
    assert {
        pair: (round(row["memory_published"], 2), round(row["time_published"], 2)) for pair, row in ratios.items()
    } == {
        ("BERT LoRA", "BERT partial"): (1.77, 1.66),
        ("DistilBERT LoRA", "DistilBERT partial"): (1.36, 1.66),
        ("DeBERTa-XXL LoRA", "DeBERTa-XXL partial"): (1.82, 1.50),
    }
    runs = {run.name: run for run in results.runs}
    for (first, second), row in ratios.items():
        one, two = runs[first].cost, runs[second].cost
        assert one is not None
        assert two is not None
        assert row["memory_measured"] == pytest.approx(one.peak_memory_bytes / two.peak_memory_bytes)
        assert row["time_measured"] == pytest.approx(one.train_seconds / two.train_seconds)
        assert ("batch size" in row["differs"]) == first.startswith("DistilBERT")
    f1 = [(row["run"], row["label"], row["published"]) for row in tables["published-f1"].rows]
    assert len(f1) == 12
    assert ("BERT partial", "neutral", 0.81) in f1
    assert all(row["measured"] is not None for row in tables["published-f1"].rows)
    text = " ".join(panel.sentences)
    assert "utside" in panel.sentences[0]
    assert "DeBERTa-XXL partial (33.3%) and DeBERTa-XXL LoRA (33.4%) are published at chance" in text
    assert "1.77x the memory (measured" in text
    assert any("top 2 layers" in note for note in panel.notes)
    assert any("one NVIDIA H100" in note for note in panel.notes)


def test_pairs_are_one_segment(tmp_path: Path) -> None:
    data: dict[str, Any] = parse_yaml(PATH.read_text(encoding="utf-8"), PATH.name)
    write_snli(tmp_path / data["data"]["source"])
    data["protocol"] |= {"max_tokens": 60, "device": "cpu"}
    data["runs"] = data["runs"][:1]
    data["runs"][0]["model"] = str(model_folder("bert"))
    data["published"] = {}
    study = study_from_dict(data, tmp_path)
    runs = plan(study)
    dataset = prepare.read(study, runs, lambda event: None)
    made = prepare.prepare(study, runs, dataset, tmp_path / "work", lambda event: None)
    tokens = Tokens.load(made.tokens_path(study, runs[0], "test"))
    vocabulary = json.loads((model_folder("bert") / "tokenizer.json").read_text())["model"]["vocab"]
    separators = [list(tokens.ids[a:b]).count(vocabulary["[SEP]"]) for a, b in zip(tokens.offsets, tokens.offsets[1:])]
    assert set(separators) == {2}, "one between premise and hypothesis, one at the end, none from the text"
    assert tokens.types is None or not tokens.types.any()
