"""Any PEFT type trained by plain PEFT, written without the engine: what the method `peft` must agree with."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft import PeftModel, TaskType, get_peft_model
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING
from tests.engine.reference import collate, without_dropout
from tests.tiny_data import LABELS, examples
from tests.tiny_models import FURTHER, KINDS, READS_PADDING, SHARED, model_folder
from torch import nn
from transformers import AutoModelForSequenceClassification

from thriftune.engine.batches import training_batches
from thriftune.engine.examples import Examples
from thriftune.engine.predict import predict
from thriftune.engine.protocol import OptimizerSettings, Protocol, ScheduleSettings
from thriftune.engine.sides import settle_side
from thriftune.engine.train import Task, fit
from thriftune.errors import InputError
from thriftune.methods import find
from thriftune.models.classifier import Classifier
from thriftune.models.pretrained.load import load_classifier
from thriftune.models.pretrained.quiet import quiet
from thriftune.models.trained.save import save_classifier

SETTINGS: dict[str, dict[str, Any]] = {
    "PROMPT_TUNING": {"num_virtual_tokens": 4},
    "P_TUNING": {"num_virtual_tokens": 4, "encoder_hidden_size": 16},
    "PREFIX_TUNING": {"num_virtual_tokens": 4},
    "CARTRIDGE": {"num_virtual_tokens": 4},
    "ADALORA": {"init_r": 6, "target_r": 3, "deltaT": 1},
    "ADAMSS": {"r": 8, "num_subspaces": 2, "subspace_rank": 1},
    "BOFT": {"boft_block_size": 4},
    "C3A": {"block_size": 8},
    "FOURIERFT": {"n_frequency": 20},
    "HIRA": {"r": 4},
    "HRA": {"r": 4},
    "LILY": {"r": 4},
    "MISS": {"r": 4},
    "OFT": {"oft_block_size": 4, "r": 0},
    "PSOFT": {"r": 4},
    "ROAD": {"group_size": 8},
    "SHIRA": {"r": 4},
    "TINYLORA": {"r": 2, "u": 4},
    "TRAINABLE_TOKENS": {"token_indices": [5, 6]},
    "UNILORA": {"r": 2, "theta_d_length": 64},
    "VBLORA": {"num_vectors": 16, "vector_length": 8},
    "WAVEFT": {"n_frequency": 20},
}
"""Sizes that fit tiny models; types without an entry fit by default."""
KEYS_AND_VALUES = {
    "distilbert": ["k_lin", "v_lin"],
    "xlm": ["k_lin", "v_lin"],
    "flaubert": ["k_lin", "v_lin"],
    "electra": ["key", "value"],
    "modernbert": ["Wqkv"],
    "mpnet": ["k", "v"],
    "albert": ["key", "value"],
    "longformer": ["key", "value"],
    "funnel": ["k_head", "v_head"],
    "ernie": ["key", "value"],
}
"""What IA3 scales where PEFT has no default."""
NOISY = ("PVERA",)
"""Types that draw noise in training: padded and packed texts draw other numbers."""
ILL_CONDITIONED = ("LILY",)
"""Types whose products amplify rounding."""

ARCHITECTURES = (*KINDS, *SHARED[:1], *FURTHER, "llama", "opt", "bart", "t5")
"""Those of the documentation's table."""
NO_CONV1D = "PEFT has it for Linear modules alone, and this architecture's are Conv1D."

RATE, BATCH, STEPS, SEED = 5e-3, 8, 2, 5
PROTOCOL = Protocol(
    epochs=1,
    batch_size=BATCH,
    max_tokens=32,
    schedule=ScheduleSettings(type="constant"),
    optimizer=OptimizerSettings(weight_decay=0.0),
    keep="last",
)


def settings_of(kind: str, name: str) -> dict[str, Any]:
    """Settings with which a type fits a tiny model."""
    if name == "IA3" and kind in KEYS_AND_VALUES:
        return {"target_modules": KEYS_AND_VALUES[kind], "feedforward_modules": []}
    return dict(SETTINGS.get(name, {}))


def reason_of(error: InputError) -> str:
    """Why a type is refused, without the model's name."""
    text = str(error)
    if "Conv1D" in text:
        return NO_CONV1D
    reason = text.partition(" cannot be used with ")[2].partition(": ")[2] or text.partition(": ")[2]
    return re.sub(r'"[\w-]+" models', "such models", re.sub(r' \("[\w-]+"\)', "", reason))


def without_any_dropout(network: nn.Module) -> None:
    """Also the rates that some networks hand to functions."""
    without_dropout(network)
    for module in network.modules():
        for name, value in vars(module).items():
            if isinstance(value, float) and ("dropout" in name or "layerdrop" in name):
                setattr(module, name, 0.0)


def applied(kind: str, name: str, settings: dict[str, Any]) -> tuple[Classifier, Examples]:
    """A tiny classifier with the tuner, without dropout, and texts for two steps."""
    classifier = load_classifier(model_folder(kind), LABELS, seed=1)
    method = find("peft")
    tuner: Any = method(**method.prepare({"type": name, **settings}))
    tuner.apply(classifier, torch.Generator().manual_seed(2))
    without_any_dropout(classifier.root)
    data = examples(classifier, BATCH * STEPS)
    settle_side(classifier, data.tokens, PROTOCOL)
    return classifier, data


def train_ours(
    classifier: Classifier, data: Examples, name: str, settings: dict[str, Any], folder: Path
) -> list[float]:
    """The engine's losses, step by step."""
    method = find("peft")
    tuner: Any = method(**method.prepare({"type": name, **settings}))
    watcher = tuner.watch(classifier)
    task = Task(classifier, data, None, PROTOCOL, RATE, SEED, folder / "best", watcher)
    return [point.loss for point in fit(task).steps]


def plain_twin(classifier: Classifier, kind: str, name: str) -> Any:
    """The same model and tuner made by transformers and PEFT alone, with the classifier's present tensors."""
    with quiet():
        network = AutoModelForSequenceClassification.from_pretrained(model_folder(kind), num_labels=len(LABELS))
    network.config.pad_token_id = classifier.config.pad_token_id
    assert classifier.peft is not None
    found = classifier.peft.peft_config["default"].to_dict()
    fields = PEFT_TYPE_TO_CONFIG_MAPPING[name].__dataclass_fields__  # type: ignore[index]
    config = PEFT_TYPE_TO_CONFIG_MAPPING[name](**{key: value for key, value in found.items() if key in fields})  # type: ignore[index]
    config.task_type = TaskType.SEQ_CLS
    twin = get_peft_model(network, config)
    missing = twin.load_state_dict(classifier.peft.state_dict(), strict=False)
    assert not [*missing.missing_keys, *missing.unexpected_keys]
    without_any_dropout(twin)
    return twin


def train_plain(network: Any, data: Examples, pad: int, side: str, steps_in_all: int) -> list[float]:
    """Losses of plain AdamW steps on `network(**inputs, labels=...)`; AdaLoRA as its documentation says."""
    network.train()
    parameters = [p for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=RATE, weight_decay=0.0, foreach=False)
    losses = []
    adalora = hasattr(network.base_model, "rankallocator")
    if adalora:
        network.base_model.rankallocator.set_total_step(steps_in_all)
    for step, batch in enumerate(training_batches(len(data), BATCH, SEED, 0), start=1):
        inputs = collate(data, batch, pad)
        if side == "left":
            inputs = {key: _to_the_left(value, inputs["attention_mask"]) for key, value in inputs.items()}
        out = network(**inputs, labels=torch.tensor(data.labels[batch]))
        losses.append(nn.functional.cross_entropy(out.logits, torch.tensor(data.labels[batch])).item())
        out.loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        if adalora:
            network.base_model.update_and_allocate(step)
        optimizer.zero_grad()
    return losses


def _to_the_left(value: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return torch.stack([row.roll(int((keep == 0).sum())) for row, keep in zip(value, mask, strict=True)])


def reload(kind: str, folder: Path, classifier: Classifier) -> Any:
    """What was saved, loaded as PEFT's documentation says."""
    with quiet():
        network = AutoModelForSequenceClassification.from_pretrained(model_folder(kind), num_labels=len(LABELS))
        network.config.pad_token_id = classifier.config.pad_token_id
        return PeftModel.from_pretrained(network, str(folder)).eval()


def distance(kind: str, loaded: Any, classifier: Classifier, data: Examples, texts: int = 6) -> float:
    """The largest difference between a loaded network's logits, text by text, and the classifier's."""
    classifier.eval_mode()
    with torch.no_grad():
        if kind in READS_PADDING:
            batch = np.arange(texts)
            inputs = collate(data, batch, int(classifier.config.pad_token_id or 0))
            return float((loaded(**inputs).logits - classifier.logits(inputs)).abs().max())
        own = predict(classifier, data, PROTOCOL)[:texts]
        alone = [loaded(**collate(data, np.array([index]), 0)).logits.numpy() for index in range(texts)]
    return float(np.abs(np.concatenate(alone) - own).max())


def compare(kind: str, name: str, settings: dict[str, Any], folder: Path) -> tuple[list[float], list[float], float]:
    """Our losses, plain PEFT's, and how far the saved adapter's logits are from the trained classifier's."""
    classifier, data = applied(kind, name, settings)
    twin = plain_twin(classifier, kind, name)
    found = train_ours(classifier, data, name, settings, folder)
    expected = train_plain(twin, data, int(classifier.config.pad_token_id or 0), classifier.padding_side, STEPS)
    save_classifier(classifier, folder / "model")
    return found, expected, distance(kind, reload(kind, folder / "model", classifier), classifier, data)


def check(kind: str, name: str, settings: dict[str, Any], folder: Path) -> None:
    """Asserts that ours is plain PEFT's: losses to 1e-5, reloaded logits to 1e-5 of their size and rounding."""
    found, expected, apart = compare(kind, name, settings, folder)
    assert len(found) == STEPS
    if name not in NOISY:
        np.testing.assert_allclose(found, expected, rtol=2e-3 if name in ILL_CONDITIONED else 1e-5)
    assert apart < (5e-3 if name in ILL_CONDITIONED else 1e-4)
