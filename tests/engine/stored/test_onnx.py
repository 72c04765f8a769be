"""Every engine says the same of a text; who computes what; graphs that are kept, and models that have none."""

from __future__ import annotations

import importlib.util
import json
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.engine.stored.graphs import Maker, faster_up_to, quick_graphs
from tests.tiny_data import pairs
from tests.use.many.stored import METHODS, store

from thriftune.data.tokens import Tokens
from thriftune.engine.stored.load import load_transformer
from thriftune.engine.stored.onnx import choice, crossover, graph, kept
from thriftune.engine.stored.onnx.crossover import Crossover
from thriftune.engine.stored.onnx.session import Session
from thriftune.errors import InputError
from thriftune.use.classifier import Classifier

FIRST, SECOND, _ = pairs(12)
TEXTS = [*FIRST, "a", "[SEP] </s> <mask>", "a very long text " * 20]


@pytest.fixture
def maker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Maker:
    return quick_graphs(monkeypatch, tmp_path / "cache")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return store(tmp_path_factory.mktemp("stored") / "model", "bert", METHODS["first"], "own")


@pytest.mark.parametrize(
    ("kind", "method", "head", "columns"),
    [
        ("bert", "first", "own", 1),
        ("roberta", "all", "mean", 2),
        ("distilbert", "frozen", "mean", 1),
        pytest.param("bert", "other tuner", "linear", 2, marks=pytest.mark.slow),
        ("gpt2", "head", "own", 1),
        pytest.param("electra", "all", "own", 2, marks=pytest.mark.slow),
    ],
)
def test_every_engine_says_the_same(
    kind: str, method: str, head: Any, columns: int, maker: Maker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    faster_up_to(monkeypatch, texts=3, tokens=10)
    path = store(tmp_path / "model", kind, METHODS[method], head, columns=columns)
    if kind == "electra":  # as of a model that reads padding: texts of one length run together
        usage = json.loads((path / "thriftune.json").read_text())
        (path / "thriftune.json").write_text(json.dumps(usage | {"alone": True}))
    texts: Any = list(zip(FIRST, SECOND, strict=True)) if columns == 2 else TEXTS
    own = Classifier.load(path)
    expected = own.predict_proba(texts)
    for engine in choice.ENGINES:
        found = Classifier.load(path, engine=engine)
        np.testing.assert_allclose(found.predict_proba(texts), expected, atol=1e-5)
        alone = np.concatenate([found.predict_proba([text]) for text in texts])
        np.testing.assert_allclose(alone, expected, atol=1e-5)
        assert found.predict(texts) == own.predict(texts)
        np.testing.assert_array_equal(found.embed(texts), own.embed(texts))
        route = found.model.route  # type: ignore[attr-defined]
        assert (route is None) == (engine == "own")
        if engine == "onnx":
            assert route.texts == 3 * len(texts)
        if engine == "auto":
            assert 0 < route.texts <= len(texts)
    assert maker.made == 1


def test_few_and_short_texts_go_to_onnxruntime(folder: Path, maker: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    faster_up_to(monkeypatch, texts=3, tokens=10)
    said: list[str] = []
    found = Classifier.load(folder, engine="auto", say=said.append)
    route = found.model.route  # type: ignore[attr-defined]
    assert route.crossover == Crossover(3, 48)
    assert "requests of up to 3 texts with up to 48 tokens" in said[-1]
    assert "of memory more" in said[-1]
    for count, gone in ((1, 1), (3, 3), (4, 0), (12, 0)):
        before = route.texts
        found.predict(["a"] * count)
        assert route.texts - before == gone
    before = route.texts
    found.predict(["a " * 60] * 3)
    assert route.texts == before, "three long texts are not short"
    faster_up_to(monkeypatch, texts=0, tokens=0)
    assert Classifier.load(folder, engine="auto", say=said.append).model.route is None  # type: ignore[attr-defined]
    assert "not faster with a single text" in said[-1]


def found(faster: Callable[[int, int], bool], longest: int = 64) -> tuple[Crossover, list[tuple[int, int]]]:
    """The crossover where onnxruntime is faster for (texts, tokens of each), and what was tried."""
    sample = Tokens(np.arange(30, dtype=np.int32), None, np.array([0, 30], dtype=np.int64), truncated=0)
    tried: list[tuple[int, int]] = []

    def times(own: Any, other: Any, tokens: Tokens) -> tuple[float, float]:
        shape = (len(tokens), int(tokens.lengths[0]))
        assert set(tokens.lengths) == {shape[1]}
        tried.append(shape)
        return (2.0, 1.0) if faster(*shape) else (1.0, 2.0)

    return crossover.find(lambda tokens: None, lambda tokens: None, sample, longest, times), tried


def test_where_onnxruntime_stops_being_faster() -> None:
    assert found(lambda texts, length: True) == (
        Crossover(16, 256),
        [*((1, size) for size in (8, 16, 24, 32, 48, 64)), *((count, 16) for count in crossover.TEXTS)],
    )
    assert found(lambda texts, length: texts == 1 and length <= 24)[0] == Crossover(1, 24)
    assert found(lambda texts, length: texts * length <= 40)[0] == Crossover(2, 32)
    assert found(lambda texts, length: False) == (Crossover(0, 0), [(1, 8), (1, 16)])
    assert found(lambda texts, length: texts == 1, longest=5) == (Crossover(1, 5), [(1, 5), (2, 5), (3, 5)])
    assert found(lambda texts, length: texts == 1 and length != 16)[0] == Crossover(1, 64), "once may be other work"


def test_both_are_timed_in_turn() -> None:
    calls: list[str] = []
    sample = Tokens(np.arange(4, dtype=np.int32), None, np.array([0, 4], dtype=np.int64), truncated=0)
    least = crossover.least_seconds(lambda tokens: calls.append("own"), lambda tokens: calls.append("other"), sample)
    assert min(least) >= 0
    assert calls == ["own", "other"] * (len(calls) // 2)
    assert len(calls) > 2


def test_a_graph_is_made_once_and_again_where_it_is_damaged(folder: Path, maker: Maker, tmp_path: Path) -> None:
    before = sorted(path.name for path in folder.iterdir())
    said: list[str] = []
    expected = Classifier.load(folder, engine="onnx", say=said.append).predict_proba(TEXTS)
    assert "once" in said[0]
    (place,) = (path for path in (tmp_path / "cache" / "onnx").iterdir() if path.is_dir())
    assert sorted(path.name for path in folder.iterdir()) == before

    said.clear()
    Classifier.load(folder, engine="onnx", say=said.append)
    assert (maker.made, len(said)) == (1, 1)

    def damage_weights() -> None:
        raw = bytearray((place / kept.GRAPH).read_bytes())
        raw[len(raw) // 2] ^= 1
        (place / kept.GRAPH).write_bytes(raw)

    def damage_note() -> None:
        (place / kept.NOTE).write_text("[]")

    def cut() -> None:
        os.truncate(place / kept.GRAPH, 100)

    def others_may_write() -> None:
        place.chmod(0o777)

    for count, damage in enumerate((damage_weights, damage_note, cut, others_may_write), start=2):
        damage()
        said.clear()
        again = Classifier.load(folder, engine="onnx", say=said.append)
        assert "is damaged" in said[0]
        assert maker.made == count
        np.testing.assert_array_equal(again.predict_proba(TEXTS), expected)
    assert kept.is_sound(place)


def test_a_kept_graph_needs_no_folder_that_can_be_written_to(
    folder: Path, maker: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load_transformer(folder, "cpu")
    path = kept.graph_of(model, folder, lambda text: None)

    def no(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("filelock.FileLock", no)
    monkeypatch.setattr(os, "utime", no)
    assert kept.graph_of(model, folder, lambda text: None) == path
    path.unlink()
    with pytest.raises(kept.MakeError, match=r"cannot be written to \(Permission denied\)"):
        kept.graph_of(model, folder, lambda text: None)


def test_another_model_has_another_graph(folder: Path, tmp_path: Path) -> None:
    one = load_transformer(folder, "cpu")
    assert kept.key_of(one) == kept.key_of(load_transformer(folder, "cpu"))
    keys = {kept.key_of(one)}
    usage = one.reader.usage
    keys.add(kept.key_of(replace(one, reader=replace(one.reader, usage=replace(usage, normalize=True)))))
    keys.add(kept.key_of(load_transformer(store(tmp_path / "b", "bert", METHODS["second"], "own"), "cpu")))
    next(one.network.root.parameters()).data.view(-1)[0] += 1
    keys.add(kept.key_of(one))
    assert len(keys) == 4


def test_of_several_at_once_one_makes_the_graph(folder: Path, maker: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    inside, most = threading.Semaphore(0), []

    def slow(job: dict[str, Any]) -> str | None:
        most.append(len(list(Path(job["graph"]).parent.parent.glob(".*.tmp"))))
        inside.acquire(timeout=0.3)
        return maker(job)

    monkeypatch.setattr(kept, "_in_a_process", slow)
    model = load_transformer(folder, "cpu")
    with ThreadPoolExecutor(3) as pool:
        places = list(pool.map(lambda _: kept.graph_of(model, folder, lambda text: None), range(3)))
    assert len(set(places)) == 1
    assert most == [1]
    assert kept.is_sound(places[0].parent)


def test_graphs_that_nobody_uses_go(
    folder: Path, maker: Maker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(kept, "MOST", 2)
    home = tmp_path / "cache" / "onnx"
    for index in range(3):
        (home / f"old{index}").mkdir(parents=True)
        (home / f"old{index}" / kept.NOTE).write_text("{}")
        os.utime(home / f"old{index}" / kept.NOTE, (index, index))
    left = home / ".abc.tmp"
    left.mkdir()
    os.utime(left, (0, 0))
    path = kept.graph_of(load_transformer(folder, "cpu"), folder, lambda text: None)
    assert {each.name for each in home.iterdir() if each.is_dir()} == {path.parent.name, "old2"}


def refused(folder: Path) -> tuple[str, str]:
    """Why `auto` does without onnxruntime, and what `onnx` says."""
    said: list[str] = []
    found = Classifier.load(folder, engine="auto", say=said.append)
    assert found.model.route is None  # type: ignore[attr-defined]
    assert len(found.predict(["a", "b"])) == 2
    with pytest.raises(InputError) as error:
        Classifier.load(folder, engine="onnx")
    assert "\n" not in said[-1]
    return said[-1], str(error.value)


def test_a_model_without_a_graph(folder: Path, maker: Maker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fails(*_: Any) -> None:
        raise RuntimeError("no such operator")

    monkeypatch.setattr(graph, "_traced", fails)
    monkeypatch.setattr(graph, "_scripted", fails)
    for text in refused(folder):
        assert "torch cannot convert its architecture (bert): no such operator" in text
    assert not [path for path in (tmp_path / "cache" / "onnx").iterdir() if path.is_dir()], "nothing half is left"


def test_a_graph_that_says_something_else(folder: Path, maker: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    own = Session.logits
    monkeypatch.setattr(Session, "logits", lambda *given: own(*given) * np.float32(1.01))
    for text in refused(folder):
        assert "its probabilities differ by" in text

    def fails(*_: Any) -> None:
        raise RuntimeError("bad shape")

    monkeypatch.setattr(Session, "logits", fails)
    for text in refused(folder):
        assert "onnxruntime cannot run its graph (bad shape)" in text


def test_what_is_not_installed(folder: Path, maker: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "onnxruntime" else find(name))
    for text in refused(folder):
        assert "onnxruntime would be needed (pip install 'thriftune[onnx]')" in text
    assert maker.made == 0


def test_bfloat16_and_a_cache_that_cannot_be_written(
    folder: Path, maker: Maker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("THRIFTUNE_CACHE", str(tmp_path / "file"))
    for text in refused(folder):
        assert "cannot be written to" in text
    path = store(tmp_path / "model", "bert", METHODS["head"], "own")
    usage = json.loads((path / "thriftune.json").read_text())
    (path / "thriftune.json").write_text(json.dumps(usage | {"precision": "bf16"}))
    for text in refused(path):
        assert "it predicts in bf16" in text


def test_an_engine_that_is_none(folder: Path) -> None:
    with pytest.raises(InputError, match=r'The engine "onx" is not known: did you mean|The engine "onx" is not known'):
        Classifier.load(folder, engine="onx")  # type: ignore[arg-type]


@pytest.mark.slow
def test_a_process_of_its_own_makes_it(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("THRIFTUNE_CACHE", str(tmp_path / "cache"))
    expected = Classifier.load(folder).predict_proba(TEXTS)
    found = Classifier.load(folder, engine="onnx").predict_proba(TEXTS)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    said = kept._in_a_process({"path": [], "folder": str(tmp_path), "graph": str(tmp_path / "graph")})
    assert said is not None
    assert said.startswith("making its graph failed")
