"""Who computes a request: lone short ones go to onnxruntime, and the service says so."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.engine.stored.graphs import Maker, faster_up_to, quick_graphs
from tests.serve.running import Running, running
from tests.tiny_data import pairs
from tests.use.many.stored import METHODS, store

from thriftune.errors import InputError
from thriftune.serve.models import OWN, SHARED, Models, load
from thriftune.use.classifier import Classifier

TEXTS = pairs(12)[0]


@pytest.fixture
def maker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Maker:
    faster_up_to(monkeypatch, texts=1, tokens=24)
    return quick_graphs(monkeypatch, tmp_path / "cache")


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, str]]:
    folder = tmp_path_factory.mktemp("models")
    return [(name, str(store(folder / name, "bert", METHODS[name], "own"))) for name in ("first", "head")]


def loaded(paths: list[tuple[str, str]], engine: Any) -> tuple[Models, list[str]]:
    said: list[str] = []
    found = load(paths, calibrate=False, device="cpu", threads=None, say=said.append, engine=engine)
    return found, said


def counted(service: Running) -> dict[str, float]:
    lines = service.send("GET", "/metrics")[2].decode().splitlines()
    pairs_ = (line.rsplit(" ", 1) for line in lines if line.startswith(("thriftune_engine_texts_total", "thriftune_o")))
    return {name: float(value) for name, value in pairs_}


def test_a_lone_text_goes_to_onnxruntime(paths: list[tuple[str, str]], maker: Maker) -> None:
    models, said = loaded(paths[:1], "auto")
    assert said[-1].startswith("first: Onnxruntime computes requests of one text with up to 24 tokens")
    expected = Classifier.load(paths[0][1]).predict_proba(TEXTS)
    with running(models) as service:
        for texts, rows in ((TEXTS, expected), ([TEXTS[3]], expected[3:4])):
            status, found = service.predict(texts=texts, probabilities=True)
            assert status == 200
            given = [list(row["probabilities"].values()) for row in found["predictions"]]
            np.testing.assert_allclose(given, rows, atol=1e-5)
        status, found = service.predict(texts=[TEXTS[3]], abstain=1.0)
        assert found["predictions"][0]["label"] is None
        count = counted(service)
        assert count['thriftune_engine_texts_total{engine="onnxruntime"}'] == 2
        assert count['thriftune_engine_texts_total{engine="own"}'] == len(TEXTS)
        (about,) = json.loads(service.send("GET", "/models")[2])["models"]
        assert count["thriftune_onnx_bytes"] == about["onnxruntime"]["bytes"]
        assert about["onnxruntime"] | {"bytes": 0} == {"most_texts": 1, "most_tokens": 24, "threads": 1, "bytes": 0}
        assert about["engine"] == said[-1].partition(": ")[2]


def test_calibration_is_the_same_by_every_engine(paths: list[tuple[str, str]], maker: Maker) -> None:
    found = Classifier.load(paths[0][1], engine="onnx")
    own = Classifier.load(paths[0][1])
    warm, expected = replace(found, temperature=2.5), replace(own, temperature=2.5)
    assert found.model.route is not None  # type: ignore[attr-defined]
    np.testing.assert_allclose(warm.predict_proba(TEXTS), expected.predict_proba(TEXTS), atol=1e-5)
    assert np.abs(warm.predict_proba(TEXTS) - own.predict_proba(TEXTS)).max() > 1e-3


def test_several_share_one_engine_or_have_a_graph_each(paths: list[tuple[str, str]], maker: Maker) -> None:
    asked = [("head", [TEXTS[:2]]), ("first", [TEXTS[2:5]]), ("head", [TEXTS[5:]])]
    parts = []
    for engine in ("own", "auto", "onnx"):
        models, said = loaded(paths, engine)
        assert (SHARED in said) == (engine == "auto")
        assert len(models.routes) == (2 if engine == "onnx" else 0)
        parts.append(models.predict(asked))
        assert [len(part) for part in parts[-1]] == [2, 3, len(TEXTS) - 5]
    for found, shared, expected in zip(parts[2], parts[1], parts[0], strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-5)
        np.testing.assert_array_equal(shared, expected)
    assert maker.made == 2


def test_a_model_without_a_transformer(tmp_path: Path) -> None:
    (tmp_path / "majority.json").write_text('{"shares": [0.5, 0.5]}')
    (tmp_path / "labels.json").write_text('{"labels": ["a", "b"]}')
    (tmp_path / "thriftune.json").unlink(missing_ok=True)
    with pytest.raises(InputError, match="onnxruntime cannot compute this model: it has no transformer"):
        loaded([("m", str(tmp_path))], "onnx")


def test_without_onnxruntime_nothing_is_said_of_it(paths: list[tuple[str, str]]) -> None:
    models, said = loaded(paths[:1], "own")
    assert said == []
    assert models.served["first"].engine == OWN
    with running(models) as service:
        service.predict(texts=["a"])
        count = counted(service)
        assert count['thriftune_engine_texts_total{engine="own"}'] == 1
        assert count["thriftune_onnx_bytes"] == 0
        assert json.loads(service.send("GET", "/models")[2])["models"][0]["onnxruntime"] is None
