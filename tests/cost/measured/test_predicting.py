"""What predicting costs: how often it is measured, on what, and what is said where it is not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.results.examples import COST
from tests.use.trained import study

from thriftune.cost.measured import predicting
from thriftune.cost.measured.predicting import (
    BATCH,
    LEAST,
    MOST,
    PREDICTING,
    measure,
    measure_stored,
    sampled,
    with_predicting,
)

TEXTS = [[f"text {index}" for index in range(50)], [f"other {index}" for index in range(50)]]


def test_counts_and_columns() -> None:
    seen: list[list[list[str]]] = []
    found = measure(seen.append, TEXTS, peak=lambda work: 7 * bool(work()), seconds=1e-9)
    sizes = [len(each[0]) for each in seen]
    assert sizes == [1, BATCH, 1, *[1] * LEAST, BATCH, BATCH]
    assert all(a.replace("text", "other") == b for first, second in seen for a, b in zip(first, second, strict=True))
    assert found.latency_seconds is not None
    assert found.latency_p95_seconds is not None
    assert 0 < found.latency_seconds <= found.latency_p95_seconds
    assert found.predict_texts_per_second is not None
    assert found.predict_memory_bytes == 7
    assert not found.reasons


def test_never_more_than_most() -> None:
    calls: list[int] = []
    measure(lambda texts: calls.append(len(texts[0])), [["a"]], seconds=1000)
    assert calls.count(1) == len(calls) <= 2 + LEAST + MOST + predicting.MOST_BATCHES


def test_what_is_not_measured_has_a_reason() -> None:
    for found in (measure(len, TEXTS, seconds=0), measure(len, [], seconds=1)):
        assert found.reasons == dict.fromkeys(PREDICTING, predicting.NOT_MEASURED)
    found = measure(len, TEXTS, seconds=1e-9)
    assert found.reasons == {"predict_memory_bytes": predicting.NO_TENSORS}
    cost = with_predicting(replace(COST, latency_seconds=None), found)
    assert cost.latency_seconds == found.latency_seconds
    assert cost.reasons == {**COST.reasons, **found.reasons}


def test_stored_models(monkeypatch: pytest.MonkeyPatch) -> None:
    results = study()
    texts = sampled([results.test[name].to_list() for name in results.study.profile.text_columns], 20)
    assert len(texts[0]) == 20
    memory = {}
    for run in (each for each in results.done if each.model is not None and not each.method.get("text")):
        found = measure_stored(results.store.run(run.run_id).model_path, None, "cpu", texts, seconds=1e-9)
        assert found.latency_seconds is not None
        assert not found.reasons
        memory[run.name] = found.predict_memory_bytes
    assert memory["lora r8 all"] == memory["full"]  # the update is merged
    assert measure_stored(Path("nowhere"), None, "cpu", texts, seconds=0).latency_seconds is None
    monkeypatch.setattr(predicting, "SECONDS", 0)
    assert measure(len, texts).latency_seconds is None


def test_sampled_is_even() -> None:
    assert sampled([list(map(str, range(100)))], 4) == [["0", "33", "66", "99"]]
    assert sampled([["a"]], 4) == [["a"]]
    assert sampled([[]], 4) == [[]]
    assert sampled([], 4) == []
