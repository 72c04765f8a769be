"""Classifiers served together against each by itself, and what they share."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.tiny_data import pairs
from tests.use.many.stored import METHODS, Head, store
from tests.use.trained import study

from thriftune.errors import InputError
from thriftune.methods.lora import Lora
from thriftune.use.classifier import Classifier
from thriftune.use.many.classifiers import Classifiers

CASES: list[tuple[str, Head, int]] = [
    ("bert", "own", 1),
    ("distilbert", "own", 2),
    ("mpnet", "own", 1),
    ("deberta-v3", "own", 2),
]
FURTHER: list[tuple[str, Head, int]] = [
    ("bert", "mean", 2),
    ("roberta", "linear", 1),
    ("deberta-v2", "mean", 1),
    ("electra", "own", 1),
    ("modernbert", "own", 1),
    ("albert", "own", 1),
    ("gpt2", "own", 1),
]
LACKING = {"modernbert": {"biases"}, "albert": {"top", "layers", "more layers"}, "gpt2": {"other tuner"}}
"""Methods that an architecture does not have."""


def texts(count: int, columns: int) -> list[Any]:
    first, second, _ = pairs(count)
    return list(first) if columns == 1 else list(zip(first, second, strict=True))


def tensors(together: Classifiers) -> dict[int, int]:
    """Bytes of every storage that the classifiers hold."""
    found = {}
    for loaded in together.loaded.values():
        for tensor in (*loaded.model.network.root.parameters(), *loaded.model.network.root.buffers()):
            found[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
    return found


@pytest.mark.parametrize(
    ("kind", "head", "columns"), [*CASES, *(pytest.param(*case, marks=pytest.mark.slow) for case in FURTHER)]
)
def test_as_each_by_itself(tmp_path: Path, kind: str, head: Head, columns: int) -> None:
    sources = {}
    for index, (name, method) in enumerate(METHODS.items()):
        if name not in LACKING.get(kind, ()):
            folder = tmp_path / name
            sources[name] = store(folder, kind, method, head, classes=2 + index % 3, columns=columns, seed=index)
    rows = texts(12, columns)
    together = Classifier.load_many(sources)
    assert together.names == tuple(sources)
    items = [(name, row) for row in rows for name in sources]
    np.random.default_rng(0).shuffle(items)  # type: ignore[arg-type]
    items = [(str(name), row if isinstance(row, str) else tuple(row)) for name, row in items]
    found, labels = together.predict_proba(items), together.predict(items)
    for name, path in sources.items():
        alone = Classifier.load(path)
        places = [place for place, item in enumerate(items) if item[0] == name]
        own = [items[place][1] for place in places]
        expected = alone.predict_proba(own)
        assert expected.std(axis=0).max() > 1e-3, "texts must differ for the test to say anything"
        np.testing.assert_allclose(np.stack([found[place] for place in places]), expected, atol=1e-5)
        assert [labels[place] for place in places] == alone.predict(own)
        for some in (own[:1], own):  # without neighbours of other classifiers
            again = together.predict_proba([(name, text) for text in some])
            np.testing.assert_allclose(np.stack(again), expected[: len(some)], atol=1e-5)


def test_what_is_equal_is_in_memory_once(tmp_path: Path) -> None:
    base = Classifier.load(store(tmp_path / "alone", "bert", METHODS["head"], "own"))
    alone = sum(parameter.nbytes for parameter in base.model.network.root.parameters())  # type: ignore[attr-defined]
    names = [f"adapter {index}" for index in range(10)]
    paths = {name: store(tmp_path / name, "bert", Lora(rank=2), "own", seed=index) for index, name in enumerate(names)}
    together = Classifier.load_many(paths)
    assert sum(tensors(together).values()) < 2 * alone  # the tiny base is small beside heads and adapters
    assert len({loaded.model.network.encoder.embeddings.word_embeddings.weight.data_ptr()
                for loaded in together.loaded.values()}) == 1  # fmt: skip
    held = sum(tensors(together).values())
    for name in names[1:]:
        together.remove(name)
    assert together.names == ("adapter 0",)
    assert sum(tensors(together).values()) < held
    row = texts(3, 1)
    expected = Classifier.load(paths["adapter 0"]).predict_proba(row)
    np.testing.assert_allclose(
        np.stack(together.predict_proba([("adapter 0", text) for text in row])), expected, atol=1e-5
    )


def test_layers_run_once_for_all_that_share_them(tmp_path: Path) -> None:
    sources = {name: store(tmp_path / name, "bert", METHODS[name], "own", seed=index)
               for index, name in enumerate(("first", "second", "head", "layers"))}  # fmt: skip
    together = Classifier.load_many(sources)
    family = type(together.loaded["first"].model.network.family)  # type: ignore[attr-defined]
    seen: list[tuple[int, int]] = []
    layer = family.layer

    def counted(self: Any, encoder: Any, index: int, hidden: torch.Tensor, *rest: Any) -> torch.Tensor:
        seen.append((index, len(hidden)))
        out: torch.Tensor = layer(self, encoder, index, hidden, *rest)
        return out

    items = [(name, text) for text in texts(2, 1) for name in sources]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(family, "layer", counted)
        together.predict(items)
    indices = [index for index, _ in seen]
    assert indices == [0, 1, 2, 2]  # the last one by the three that have the base's, and by the one that trained it
    assert seen[0][1] == sum(rows for index, rows in seen if index == 2)


def test_every_kind_of_run_of_a_study() -> None:
    results = study()
    sources = {run.name: results.store.run(run.run_id).path for run in results.done}
    together = Classifier.load_many(sources)
    columns = {name: loaded.model.columns for name, loaded in together.loaded.items()}
    frame = results.test
    items = [
        (name, row[0] if len(row) == 1 else row)
        for name, own in columns.items()
        for row in frame.select(own or ["premise", "hypothesis"]).rows()[:20]
    ]
    found = together.predict_proba(items)
    for run in results.done:
        stored = results.predictions(run).select(f"p_{label}" for label in results.labels).to_numpy()[:20]
        own = np.stack([row for (name, _), row in zip(items, found, strict=True) if name == run.name])
        np.testing.assert_allclose(own, stored, atol=1e-5)
    assert together.labels["full"] == tuple(results.labels)


def test_calibrated_by_each_ones_temperature() -> None:
    results = study()
    path = f"{results.store.path}:full"
    together = Classifier.load_many({"a": path}, calibrated=True)
    rows = results.test.select("premise", "hypothesis").rows()[:8]
    expected = Classifier.load(path, calibrated=True).predict_proba(rows)
    np.testing.assert_allclose(np.stack(together.predict_proba([("a", row) for row in rows])), expected, atol=1e-5)


def test_what_cannot_be_used_is_said(tmp_path: Path) -> None:
    path = store(tmp_path / "one", "bert", METHODS["first"], "own")
    together = Classifier.load_many({"one": path})
    assert together.predict([]) == []
    assert together.predict_proba([]) == []
    for given, said in (
        ([("once", "text")], '"once" is not known; did you mean "one"'),
        (["text"], "Item 0 is no pair"),
        ([("one", "text"), ("one", 3)], "Item 1 is of type int"),
        ([("one", ("a", "b"))], "Item 0 is tuple of 2"),
        ([("one", "\ud800")], "half a character"),
    ):
        with pytest.raises(InputError, match=said):
            together.predict(given)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="loaded already"):
        together.add("one", path)
    with pytest.raises(InputError, match="no classifier"):
        together.add("two", tmp_path)
    with pytest.raises(InputError, match="name is a text"):
        together.add("", path)
    with pytest.raises(InputError, match="is not known"):
        together.remove("two")
    with pytest.raises(InputError, match="cannot be calibrated"):
        Classifier.load_many({"one": path}, calibrated=True)
    assert together.names == ("one",)


def test_equal_tokenizers_are_one_and_limits_stay_apart(tmp_path: Path) -> None:
    method = Lora(rank=4)
    sources = {name: store(tmp_path / name, "bert", method, "mean", seed=seed) for seed, name in enumerate("abc")}
    usage = sources["c"] / "thriftune.json"
    usage.write_text(re.sub(r'"max_tokens": \d+', '"max_tokens": 5', usage.read_text()))
    together = Classifier.load_many(sources)
    readers = [loaded.model.reader for loaded in together.loaded.values()]
    assert readers[0].tokenizer is readers[1].tokenizer is together.loaded["b"].model.network.tokenizer
    text = "one two three four five six seven eight nine"
    found = together.predict_proba([(name, text) for name in sources])
    for name, own in zip(sources, found, strict=True):
        np.testing.assert_allclose(own, Classifier.load(sources[name]).predict_proba([text])[0], atol=1e-5)
    assert readers[0]._plain is readers[1]._plain
    assert readers[2]._plain is not readers[0]._plain
    together.remove("a")
    np.testing.assert_allclose(together.predict_proba([("b", text)])[0], found[1], atol=1e-5)
