"""The loop's own behaviour: determinism, schedules, which weights are kept, accumulation, precision."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.engine.reference import without_dropout
from tests.tiny_data import LABELS, examples
from tests.tiny_models import model_folder
from torch import nn
from torch.optim.lr_scheduler import ReduceLROnPlateau
from transformers import get_cosine_schedule_with_warmup, get_linear_schedule_with_warmup

from thriftune.engine import batches as batches_module
from thriftune.engine.batches import training_batches, widest_batch
from thriftune.engine.examples import Examples
from thriftune.engine.forward import logits_of
from thriftune.engine.hooks import DivergedError, Hook
from thriftune.engine.predict import predict, quick_scores
from thriftune.engine.protocol import EarlyStopping, OptimizerSettings, Protocol, ScheduleSettings
from thriftune.engine.schedule import Schedule
from thriftune.engine.step import build_optimizer, parameter_groups
from thriftune.engine.train import Fit, Task, fit
from thriftune.methods import find
from thriftune.models.classifier import Classifier
from thriftune.models.pretrained.load import load_classifier

PROTOCOL = Protocol(epochs=2, batch_size=8, max_tokens=32)


def classifier(method: str = "top_layers", **settings: Any) -> Classifier:
    made = load_classifier(model_folder("bert"), LABELS)
    find(method)(**settings).apply(made, torch.Generator().manual_seed(0))
    return made


def train(
    folder: Path, model: Classifier, protocol: Protocol = PROTOCOL, rate: float = 1e-2, seed: int = 0, texts: int = 64
) -> Fit:
    validation = examples(model, 40, seed=9)
    return fit(Task(model, examples(model, texts), validation, protocol, rate, seed, folder / "best.safetensors"))


def weights(model: Classifier) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for _, p in model.trained()])


@pytest.mark.parametrize("method", ["full", "lora"])
def test_the_same_seed_gives_the_same_bits_and_another_seed_does_not(tmp_path: Path, method: str) -> None:
    models = [classifier(method) for _ in range(3)]
    fits = [train(tmp_path, model, seed=seed) for model, seed in zip(models, (0, 0, 1), strict=True)]
    assert fits[0].steps == fits[1].steps
    assert torch.equal(weights(models[0]), weights(models[1]))
    assert not torch.equal(weights(models[0]), weights(models[2]))


def test_training_learns_and_counts(tmp_path: Path) -> None:
    model = classifier("full")
    result = train(tmp_path, model, replace(PROTOCOL, epochs=6), rate=2e-3, texts=300)
    assert result.texts == 6 * 300
    assert result.epochs[-1].train_loss < 0.85 * result.epochs[0].train_loss
    assert result.validation is not None
    assert result.validation.accuracy > 0.6
    assert [point.epoch for point in result.epochs] == [1, 2, 3, 4, 5, 6]
    assert result.steps[-1].epoch == 6


@pytest.mark.slow
@pytest.mark.parametrize("method", ["full", "lora"])
def test_with_dropout_five_seeds_end_where_the_reference_path_ends(method: str, tmp_path: Path) -> None:
    """Its masks are other random numbers, so only means can agree: accuracy, and the loss that dropout raises."""
    found: dict[str, list[tuple[float, float]]] = {"none": [], "longest": []}
    for padding, results in found.items():
        for seed in range(5):
            protocol = replace(PROTOCOL, epochs=6, padding=padding, keep="last", frozen_dropout="on")
            fitted = train(tmp_path, dropping(classifier(method), 0.2), protocol, rate=2e-3, seed=seed, texts=300)
            assert fitted.validation is not None
            results.append((fitted.validation.accuracy, fitted.epochs[-1].train_loss))
    differences = np.array(found["none"]) - np.array(found["longest"])
    error = differences.std(axis=0, ddof=1) / math.sqrt(5)
    assert (np.abs(differences.mean(axis=0)) <= 4.6 * error).all(), (
        "beyond the 99% of Student's t, 4 degrees of freedom"
    )
    assert error[1] > 0, "dropout acts"


def dropping(model: Classifier, rate: float) -> Classifier:
    """The model with another dropout rate everywhere."""
    for module in model.network.modules():
        if isinstance(module, nn.Dropout):
            module.p = rate
    return model


@pytest.mark.parametrize("keep", ["best", "last"])
def test_kept_weights_are_those_of_the_epoch_that_is_named(tmp_path: Path, keep: str) -> None:
    model = classifier()
    protocol = replace(PROTOCOL, epochs=5, keep=keep, schedule=ScheduleSettings(type="constant"))
    result = train(tmp_path, model, protocol, rate=0.05)
    scores = [point.validation_accuracy for point in result.epochs]
    assert result.best_epoch == (5 if keep == "last" else 1 + scores.index(max(scores)))
    again = quick_scores(model, examples(model, 40, seed=9), protocol)
    assert result.validation is not None
    assert np.array_equal(again.logits, result.validation.logits), "they stand in for predictions on validation"
    assert again == result.validation
    assert again.accuracy == scores[result.best_epoch - 1]
    assert not list(tmp_path.iterdir())


def test_early_stopping_counts_epochs_without_improvement(tmp_path: Path) -> None:
    protocol = replace(PROTOCOL, epochs=9, early_stopping=EarlyStopping(patience=2, min_delta=10.0))
    assert len(train(tmp_path, classifier(), protocol).epochs) == 3


def test_accumulated_batches_make_the_step_of_one_large_batch(tmp_path: Path) -> None:
    results = []
    for size, accumulate in ((8, 1), (2, 4)):
        model = classifier()
        without_dropout(model.network)
        # An epsilon far above the gradients makes AdamW linear in them, so that rounding is not blown up.
        optimizer = OptimizerSettings(epsilon=1.0)
        protocol = replace(PROTOCOL, batch_size=size, accumulate=accumulate, keep="last", optimizer=optimizer)
        train(tmp_path, model, protocol, rate=1.0, texts=60)  # the last step has 4 texts
        results.append(weights(model))
    torch.testing.assert_close(results[0], results[1], rtol=1e-3, atol=1e-5)


def test_divergence_is_an_error(tmp_path: Path) -> None:
    model = classifier("full")
    with torch.no_grad():
        next(iter(model.head_modules[0].parameters())).fill_(math.nan)
    with pytest.raises(DivergedError, match="smaller learning rate"):
        train(tmp_path, model)


def test_an_epoch_that_diverges_is_charged(tmp_path: Path) -> None:
    charged: list[float] = []

    class Clock(Hook):
        def steps_done(self, seconds: float) -> None:
            charged.append(seconds)

    model = classifier("full")
    with torch.no_grad():
        next(iter(model.head_modules[0].parameters())).fill_(math.nan)
    with pytest.raises(DivergedError):
        fit(Task(model, examples(model, 8), None, PROTOCOL, 1e-3, 0, tmp_path / "best"), [Clock()])
    assert len(charged) == 1
    assert charged[0] > 0


def test_bf16_runs_and_keeps_float32_weights(tmp_path: Path) -> None:
    model = classifier()
    result = train(tmp_path, model, replace(PROTOCOL, precision="bf16"))
    assert np.isfinite(result.epochs[-1].train_loss)
    assert all(p.dtype == torch.float32 for _, p in model.trained())


def test_frozen_dropout_changes_training_only_where_it_is_on(tmp_path: Path) -> None:
    def losses(frozen_dropout: str) -> list[float]:
        model = classifier("head_only")
        for module in [*model.head_modules, model.network.dropout]:  # type: ignore[attr-defined]
            for part in module.modules():
                if isinstance(part, nn.Dropout):
                    part.p = 0.0
        steps = train(tmp_path, model, replace(PROTOCOL, frozen_dropout=frozen_dropout)).steps
        return [point.loss for point in steps]

    def noiseless() -> list[float]:
        model = classifier("head_only")
        without_dropout(model.network)
        return [point.loss for point in train(tmp_path, model).steps]

    assert losses("off") == noiseless()
    assert losses("on") != noiseless()


@pytest.mark.parametrize("padding", ["none", "longest"])
def test_prediction_is_in_input_order_whatever_the_batches(padding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = classifier()
    data, protocol = examples(model, 50), replace(PROTOCOL, padding=padding)
    sizes: list[int] = []

    def seen(model: Classifier, data: Examples, indices: np.ndarray, protocol: Protocol) -> torch.Tensor:
        sizes.append(len(indices))
        return logits_of(model, data, indices, protocol)

    monkeypatch.setattr("thriftune.engine.predict.logits_of", seen)
    whole = predict(model, data, protocol)
    assert max(sizes) > 1
    assert sum(sizes) == len(data)
    sizes.clear()
    monkeypatch.setattr(batches_module, "ROWS_PER_BATCH", 1)
    single = predict(model, data, replace(protocol, batch_size=1))
    assert sizes == [1] * len(data)
    np.testing.assert_allclose(whole, single, atol=1e-5)


@pytest.mark.parametrize("padding", ["none", "longest"])
def test_no_texts_have_no_logits(padding: str) -> None:
    model = classifier()
    some = examples(model, 2)
    tokens = some.tokens
    none = Examples(replace(tokens, ids=tokens.ids[:0], offsets=tokens.offsets[:1]), some.labels[:0])
    assert predict(model, none, replace(PROTOCOL, padding=padding)).shape == (0, len(LABELS))


def test_packed_prediction_has_batches_of_so_many_tokens() -> None:
    lengths = np.random.default_rng(0).integers(1, 200, 500)
    batches = batches_module.token_batches(lengths)
    assert sorted(np.concatenate(batches).tolist()) == list(range(500))
    tokens = [int(lengths[batch].sum()) for batch in batches]
    assert max(tokens) < batches_module.ROWS_PER_BATCH + 200
    assert min(tokens[:-1]) > batches_module.ROWS_PER_BATCH - 200


def test_quick_scores_agree_with_scikit_learn() -> None:
    from sklearn.metrics import accuracy_score, f1_score, log_loss

    model = classifier()
    data = examples(model, 60)
    probabilities = torch.from_numpy(predict(model, data, PROTOCOL)).double().softmax(dim=1).numpy()
    scores = quick_scores(model, data, PROTOCOL)
    predicted = probabilities.argmax(axis=1)
    assert scores.accuracy == pytest.approx(accuracy_score(data.labels, predicted))
    assert scores.macro_f1 == pytest.approx(f1_score(data.labels, predicted, average="macro"))
    assert scores.loss == pytest.approx(log_loss(data.labels, probabilities, labels=[0, 1, 2]))


def test_batches_are_the_same_for_every_method_and_cover_each_text_once() -> None:
    batches = training_batches(50, 8, seed=3, epoch=1)
    assert sorted(np.concatenate(batches)) == list(range(50))
    assert [len(batch) for batch in batches] == [8] * 6 + [2]
    assert (np.concatenate(training_batches(50, 8, 3, 2)) != np.concatenate(batches)).any()


def test_widest_batch_has_the_most_padded_tokens() -> None:
    lengths = np.random.default_rng(0).integers(3, 40, 100)
    widest = widest_batch(lengths, PROTOCOL, 0)
    areas = [len(batch) * lengths[batch].max() for epoch in range(2) for batch in training_batches(100, 8, 0, epoch)]
    assert len(widest) * lengths[widest].max() == max(areas)
    batches = [batch for epoch in range(2) for batch in training_batches(100, 8, 0, epoch)]
    first = max(batches, key=lambda batch: (len(batch) * lengths[batch].max(), lengths[batch].sum()))
    np.testing.assert_array_equal(widest, first)


def test_decay_spares_vectors_unless_told_otherwise() -> None:
    model = classifier("full")
    decayed, spared = parameter_groups(model, OptimizerSettings(weight_decay=0.1))
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.1, 0.0)
    names = {id(p): name for name, p in model.trained()}
    assert all(
        names[id(p)].endswith("bias") or "norm" in names[id(p)].lower()
        for p in spared["params"]  # type: ignore[attr-defined]
    )
    assert len(parameter_groups(model, OptimizerSettings(decay="all"))) == 1


def test_a_heads_own_rate_is_that_of_its_groups_alone() -> None:
    model = classifier("full")
    optimizer = build_optimizer(model, OptimizerSettings(), 1e-3, head_scale=5.0)
    head = {id(p) for module in model.head_modules for p in module.parameters()}
    for group in optimizer.param_groups:
        assert {id(p) in head for p in group["params"]} == {group["scale"] == 5.0}
    assert len(optimizer.param_groups) == 4
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(model.trained())


def test_a_heads_own_rate_trains_as_torch_does(tmp_path: Path) -> None:
    """Two groups with rates of their own, against torch's optimiser fed the same gradients."""
    ours, theirs = (classifier("top_layers") for _ in range(2))
    for model in (ours, theirs):
        without_dropout(model.network)
    data = examples(ours, 16)
    protocol = Protocol(epochs=3, batch_size=8, keep="last", schedule=ScheduleSettings(type="constant"))
    fit(Task(ours, data, None, protocol, 1e-3, 0, tmp_path / "best", head_learning_rate=1e-2))
    head = {id(p) for module in theirs.head_modules for p in module.parameters()}
    groups = [
        {"params": [p for _, p in theirs.trained() if (id(p) in head) == own and (p.ndim > 1) == decays], **settings}
        for own, rate in ((False, 1e-3), (True, 1e-2))
        for decays, settings in ((True, {"lr": rate}), (False, {"lr": rate, "weight_decay": 0.0}))
    ]
    optimizer = torch.optim.AdamW(groups, lr=1e-3, weight_decay=0.01)
    theirs.train_mode(False)
    for epoch in range(3):
        for batch in training_batches(16, 8, 0, epoch):
            loss = nn.functional.cross_entropy(
                logits_of(theirs, data, batch, protocol), torch.from_numpy(data.labels[batch])
            )
            loss.backward()
            nn.utils.clip_grad_norm_([p for _, p in theirs.trained()], 1.0)
            optimizer.step()
            optimizer.zero_grad()
    for (name, mine), (_, other) in zip(ours.trained(), theirs.trained(), strict=True):
        if not name.endswith("key.bias"):  # its gradient is zero but for rounding, which AdamW makes a step of
            torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-5, msg=name)


@pytest.mark.parametrize(
    ("kind", "peer"), [("linear", get_linear_schedule_with_warmup), ("cosine", get_cosine_schedule_with_warmup)]
)
@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.33])
def test_schedules_are_transformers_own(kind: str, peer: Any, warmup: float) -> None:
    ours = Schedule(Protocol(schedule=ScheduleSettings(type=kind, warmup=warmup)), 37)
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = peer(optimizer, math.ceil(warmup * 37), 37)
    for step in range(37):
        assert ours.factor(step) == pytest.approx(optimizer.param_groups[0]["lr"])
        optimizer.step()
        theirs.step()


@pytest.mark.parametrize(
    ("settings", "steps", "idle", "words"),
    [
        ({}, 1, True, "Warm-up takes all 1 optimiser step: the learning rate stays at 0"),
        ({"type": "cosine", "warmup": 0.5}, 1, True, "stays at 0"),
        ({"type": "constant", "warmup": 0.5}, 1, True, "stays at 0"),
        ({"warmup": 0.99}, 4, False, "reaches 75% of its peak"),
        ({"warmup": 0.0}, 1, False, None),
        ({}, 2, False, None),
        ({"type": "constant"}, 1, False, None),
    ],
)
def test_a_schedule_that_is_all_warm_up_says_so(
    settings: dict[str, Any], steps: int, idle: bool, words: str | None
) -> None:
    schedule = Schedule(Protocol(schedule=ScheduleSettings(**settings)), steps)
    assert schedule.idle == idle
    assert (words in schedule.notes()[0]) if words else schedule.notes() == []


def test_plateau_is_torchs_own() -> None:
    ours = Schedule(Protocol(schedule=ScheduleSettings(type="plateau", factor=0.5, patience=1)), 10)
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = ReduceLROnPlateau(optimizer, factor=0.5, patience=1)
    for loss in np.random.default_rng(0).normal(1, 0.1, 60):
        ours.epoch_ended(float(loss))
        theirs.step(float(loss))
        assert ours.factor(5) == pytest.approx(optimizer.param_groups[0]["lr"])
    assert ours.scale < 0.1


def test_optimizer_is_adamw_with_the_settings() -> None:
    optimizer = build_optimizer(classifier(), OptimizerSettings(beta1=0.8, epsilon=1e-6), 0.5)
    assert optimizer.defaults["betas"] == (0.8, 0.999)
    assert (optimizer.defaults["eps"], optimizer.defaults["lr"]) == (1e-6, 0.5)


def test_examples_have_a_length() -> None:
    data = examples(classifier(), 7)
    assert isinstance(data, Examples)
    assert len(data) == 7
