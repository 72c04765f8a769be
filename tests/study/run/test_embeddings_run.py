"""Frozen embeddings in a study: a baseline that needs a model, from the plan to the page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.study.small_study import small_study, write_pairs
from tests.tiny_models import model_folder
from typer.testing import CliRunner

from thriftune import cli
from thriftune.analysis.findings.choice import Limits, advise, measured, reasons
from thriftune.analysis.findings.judgement import judge
from thriftune.analysis.findings.runs import is_baseline
from thriftune.engine import ENGINE_VERSION
from thriftune.errors import InputError
from thriftune.models.trained.reload import load_saved
from thriftune.report.render import write_report
from thriftune.results.record import RunRecord
from thriftune.results.store import Results
from thriftune.study.execute import compare
from thriftune.study.file.config import Study
from thriftune.study.file.plan import plan, run_id
from thriftune.study.forecast.estimate import Question, estimate

SHORT = {"epochs": 1, "batch_size": 16, "max_tokens": 32, "device": "cpu"}
LONG = SHORT | {"epochs": 10}
ALONE = {"max_tokens": 32, "device": "cpu"}
EMBEDDINGS = {"embeddings": {"text": ["hypothesis"]}}
HEAD_ONLY = {"head_only": {"text": ["hypothesis"]}}


def made(folder: Path, kind: str = "bert", **changes: Any) -> Results:
    study = small_study(folder, kind, **{"methods": [EMBEDDINGS], "protocol": ALONE} | changes)
    return compare(study, folder / "out", isolate=False)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Results:
    methods = ["majority", "tfidf", EMBEDDINGS, HEAD_ONLY, {"full": {"learning_rate": 0.003}}]
    return made(tmp_path_factory.mktemp("mixed"), methods=methods, protocol=LONG, seeds=[0, 1], head={"type": "mean"})


def test_it_runs_once_and_shares_its_pass(mixed: Results) -> None:
    names = [run.name for run in mixed.runs]
    assert names[:3] == ["majority", "tfidf", "embeddings"]
    assert len(names) == 7
    assert [run.status for run in mixed.runs] == ["done"] * 7
    run, head_only = mixed.runs[2], mixed.runs[3]
    assert run.baseline
    assert is_baseline(run)
    assert not head_only.baseline
    assert run.test is not None
    assert run.cost is not None
    assert head_only.cost is not None
    assert run.test.accuracy > 0.6
    assert head_only.cost.prefix_reused
    assert head_only.cost.prefix_seconds == run.cost.prefix_seconds > 0
    assert run.cost.prefix_peak_memory_bytes == head_only.cost.prefix_peak_memory_bytes
    assert (run.cost.adapter, run.cost.pretrained_bytes) == (True, head_only.cost.pretrained_bytes)
    assert run.cost.trained_parameters == run.cost.head_parameters == 3 * 33
    assert run.cost.fit_memory_bytes is not None or run.cost.reasons["fit_memory_bytes"]
    assert head_only.cost.fit_memory_bytes is None
    assert "steps" in head_only.cost.reasons["fit_memory_bytes"]
    assert run.cost.total_parameters == head_only.cost.total_parameters
    assert run.cost.delta_bytes == 4 * 3 * 33 < run.cost.stored_bytes < 1000
    assert (run.cost.layers, run.cost.gradient_layers) == (3, 0)
    assert run.predicted is None
    assert RunRecord.from_json(json.loads(json.dumps(run.to_json()))) == run
    assert "was chosen by validation accuracy" in run.notes[1]


def test_what_it_stores(mixed: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = mixed.store.run(mixed.runs[2].run_id)
    files = {path.name for path in folder.model_path.iterdir()}
    assert {"head.safetensors", "config.json", "thriftune.json", "settings.json", "README.md"} <= files
    assert "model.safetensors" not in files
    settings = json.loads((folder.model_path / "settings.json").read_text())
    assert settings["labels"] == ["entailment", "neutral", "contradiction"]
    assert (settings["pooling"], settings["normalize"]) == ("mean", True)
    assert settings["regularization"] in (0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000)
    texts = [mixed.test["hypothesis"].to_list()]
    before = folder.read_predictions("test").select(f"p_{label}" for label in settings["labels"]).to_numpy()
    np.testing.assert_allclose(load_saved(folder.model_path).probabilities(texts), before, atol=1e-4)
    monkeypatch.chdir(folder.model_path)
    names: dict[str, Any] = {}
    exec((folder.model_path / "README.md").read_text().split("```python\n")[1].split("```")[0], names)
    np.testing.assert_allclose(names["probabilities"](*texts).numpy(), before, atol=1e-4)
    assert "a regression on the vectors of the model" in (folder.model_path / "README.md").read_text()
    found = folder.read_embeddings()
    assert found is not None
    np.testing.assert_allclose(np.linalg.norm(found.vectors.astype(float), axis=1), 1, atol=1e-2)
    assert folder.read_dynamics() is None


def test_it_takes_part_in_every_comparison(mixed: Results) -> None:
    judgement = judge(mixed)
    assert {v.second.name for v in judgement.verdicts if v.baseline} == {"tfidf", "embeddings"}
    assert "embeddings" not in {v.first.name for v in judgement.verdicts}
    candidates = {each.name: each for each in measured(mixed)}
    assert candidates["embeddings"].memory
    assert candidates["embeddings"].shared_bytes
    assert reasons(advise(list(candidates.values()), Limits(tasks=5), mixed))
    page = write_report(mixed.store.path).read_text(encoding="utf-8")
    assert "without fine-tuning" in page.lower()
    done = CliRunner().invoke(cli.app, ["recommend", str(mixed.store.path)])
    assert done.exit_code == 0, done.output
    assert "embeddings" in done.output


def test_a_study_of_baselines(tmp_path: Path) -> None:
    results = made(tmp_path, methods=["majority", "tfidf", EMBEDDINGS])
    assert [run.status for run in results.runs] == ["done"] * 3
    page = write_report(results.store.path).read_text(encoding="utf-8")
    assert "no fine-tuning" in page
    done = CliRunner().invoke(cli.app, ["recommend", str(results.store.path)])
    assert done.exit_code == 0, done.output
    assert "Take tfidf" in done.output


@pytest.mark.parametrize("kind", ["mpnet", "gpt2", "funnel"])
def test_architectures_with_their_own_forward(kind: str, tmp_path: Path) -> None:
    pooling = "first" if kind == "funnel" else "auto"
    results = made(tmp_path, kind, methods=[{"embeddings": {"text": ["hypothesis"], "pooling": pooling}}])
    (run,) = results.runs
    assert run.status == "done", run.message
    assert run.cost is not None
    assert run.cost.prefix_seconds > 0
    assert not run.cost.prefix_reused
    assert run.cost.prefix_peak_memory_bytes


def test_pairs_and_another_test_set_and_a_fixed_regression(tmp_path: Path) -> None:
    write_pairs(tmp_path / "hard.csv", rows=40)
    method = {"embeddings": {"regularization": 5, "class_weight": "balanced", "normalize": False}}
    common: dict[str, Any] = {"methods": [method], "data": {"pair": "one_segment", "split": {"test": 0.3}}}
    first = made(tmp_path, **common).runs[0]
    assert first.status == "done", first.message
    assert len(first.notes) == 1
    assert first.validation is None
    again = made(tmp_path, robustness={"hard": "hard.csv"}, **common).runs[0]
    assert set(again.robustness) == {"hard"}
    assert again.test == first.test
    assert again.cost is not None
    assert again.cost.prefix_reused


def test_what_the_folder_says_of_pooling(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for path in model_folder("bert").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    kinds = ["Transformer", "Pooling", "Dense"]
    modules = [{"type": f"models.{kind}", "path": f"{i}_{kind}" if i else ""} for i, kind in enumerate(kinds)]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir()
    for modes, note, stored in (
        ({"pooling_mode_cls_token": True}, "the first token, as the model's folder says. What follows", "first"),
        ({"pooling_mode_max_tokens": True}, "the mean of all tokens; what the model's folder says is not", "mean"),
    ):
        (folder / "1_Pooling" / "config.json").write_text(json.dumps(modes))
        results = made(tmp_path, models=[str(folder)])
        (run,) = results.runs
        assert run.status == "done", run.message
        assert note in run.notes[0]
        settings = results.store.run(run.run_id).model_path / "settings.json"
        assert json.loads(settings.read_text())["pooling"] == stored
        results.store.run(run.run_id).remove()


def test_a_decoder_beside_an_encoder_is_refused_alone(tmp_path: Path) -> None:
    methods = [EMBEDDINGS, {"full": {"learning_rate": 0.003, "text": ["hypothesis"]}}]
    runs = made(tmp_path, "bart", methods=methods, protocol=SHORT).runs
    assert [run.status for run in runs] == ["failed", "done"]
    assert '"bart" has a decoder too. Leave embeddings out' in str(runs[0].message)
    with pytest.raises(InputError, match=r"in a decoder .* has seen no other\. Use pooling: mean"):
        made(tmp_path, "gpt2", methods=[{"embeddings": {"pooling": "first"}}])
    with pytest.raises(InputError, match="positions for 64 tokens"):
        made(tmp_path, protocol=ALONE | {"max_tokens": 128})


def test_what_its_identity_rests_on(tmp_path: Path) -> None:
    def identity(**changes: Any) -> str:
        study = small_study(tmp_path, **{"methods": [EMBEDDINGS, "full"]} | changes)
        run = next(each for each in plan(study) if each.method.BASELINE)
        return run_id(run, study, "data", "weights", ENGINE_VERSION, "cpu")

    assert identity() == identity(protocol=SHORT) == identity(head={"type": "linear"}) == identity(seeds=[0, 1])
    assert identity() != identity(protocol=SHORT | {"max_tokens": 16})
    assert identity() != identity(protocol=SHORT | {"select": "loss"})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"protocol": {"epochs": 5}}, "protocol.epochs: has no effect; embeddings trains no layer"),
        ({"head": {"type": "linear"}}, "head: has no effect; embeddings trains no layer"),
        ({"seeds": [0, 1]}, "seeds: has no effect; embeddings trains no layer"),
        (
            {
                "protocol": {"select": "loss"},
                "methods": [{"embeddings": {"regularization": 1, "class_weight": "none"}}],
            },
            "protocol.select: has no effect; nothing is chosen on validation",
        ),
        ({"models": None}, "models: is missing; embeddings needs one"),
        ({"methods": [{"embeddings": {"pooling": "max"}}]}, '"max" is given; allowed: auto, mean or first'),
        ({"methods": [{"embeddings": {"regularization": 0}}]}, "regularization: 0.0 is given, it must be above 0"),
        ({"methods": [{"embeddings": {"learning_rate": 0.1}}]}, "learning_rate: unknown key"),
    ],
)
def test_settings_that_do_not_fit(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as raised:
        small_study(tmp_path, **{"methods": ["embeddings"], "protocol": ALONE} | changes)
    assert message in str(raised.value)


def test_entries_of_runs(tmp_path: Path) -> None:
    def study(**entry: Any) -> Study:
        model = str(model_folder("bert"))
        runs: list[Any] = [
            {"name": "frozen", "model": model, "method": "embeddings", **entry},
            {"name": "all", "model": model, "method": "full"},
        ]
        return small_study(tmp_path, runs=runs, models=None, methods=None)

    assert [run.head.type for run in plan(study(protocol={"max_tokens": 16}))] == ["mean", "own"]
    with pytest.raises(InputError) as raised:
        study(protocol={"epochs": 9}, head={"type": "linear"})
    assert "runs.0.protocol.epochs: has no effect; embeddings trains no layer" in str(raised.value)
    assert "runs.0.head: has no effect" in str(raised.value)


def test_an_estimate_leaves_it_out_and_says_why(tmp_path: Path) -> None:
    said: list[str] = []
    study = small_study(tmp_path, methods=["embeddings", "full"])
    cells = estimate(study, Question(probe=False, device="cpu"), said.append)
    assert [cell.name for cell in cells] == ["full"]
    assert any(text.startswith("left out: embeddings: a baseline") for text in said)
    with pytest.raises(InputError, match="trains no transformer"):
        estimate(small_study(tmp_path, methods=["embeddings"], protocol=ALONE), Question(probe=False))


def test_vectors_that_are_no_numbers_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from thriftune.engine.frozen import embed

    real = embed.embed

    def broken(*args: Any, **named: Any) -> Any:
        parts = real(*args, **named)
        parts["train"] = embed.Embedded(np.full((1, 32), np.nan), 0.0, None, reused=False)
        return parts

    monkeypatch.setattr(embed, "embed", broken)
    (run,) = made(tmp_path).runs
    assert run.status == "failed"
    assert "vectors are not finite" in str(run.message)
