"""Loads what a run stored, in the way that its README documents: transformers and PEFT alone."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification

from thriftune.errors import InputError
from thriftune.models.head import mean_of
from thriftune.models.padding import sorted_batches
from thriftune.models.pretrained.quiet import quiet
from thriftune.models.pretrained.sources import DEMO_MODELS, resolve_model
from thriftune.models.pretrained.tokenizer import load_tokenizer
from thriftune.models.trained.usage import Usage, is_path

BATCH_SIZE = 16


@dataclass(frozen=True)
class Saved:
    """A stored classifier, ready to predict."""

    model: nn.Module
    head: dict[str, torch.Tensor] | None
    """weight and bias of a linear or mean head, or of a regression; None for the architecture's own."""
    tokenizer: Any
    usage: Usage
    labels: tuple[str, ...]

    def inputs(self, texts: list[list[str]]) -> dict[str, Any]:
        """Token ids (and types) of each text, unpadded; `texts` holds one list per text column."""
        join = self.usage.join
        if join is None:
            return dict(self.tokenizer(*texts, truncation=True, max_length=self.usage.max_tokens))
        first, second = (self.tokenizer(column, add_special_tokens=False)["input_ids"] for column in texts)
        return {"input_ids": [join(a, b) for a, b in zip(first, second, strict=True)]}

    def probabilities(self, texts: list[list[str]]) -> np.ndarray:
        """Probabilities of shape (texts, labels), float32, in the order of the texts."""
        inputs = self.inputs(texts)
        lengths = np.array([len(ids) for ids in inputs["input_ids"]])
        out = np.empty((len(lengths), len(self.labels)), dtype=np.float32)
        device = next(self.model.parameters()).device
        for rows in sorted_batches(lengths, BATCH_SIZE, equal=self.usage.alone):
            with quiet():  # a fast tokenizer advises against padding ids
                batch = self.tokenizer.pad(
                    {name: [values[row] for row in rows] for name, values in inputs.items()}, return_tensors="pt"
                ).to(device)
            mixed = self.usage.precision == "bf16" and device.type == "cuda"
            autocast = torch.autocast(device.type, dtype=torch.bfloat16, enabled=mixed)
            with torch.inference_mode(), autocast:
                logits = self._logits(batch)
            out[rows] = logits.float().softmax(dim=-1).cpu().numpy()
        return out

    def _logits(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        outputs: Any = self.model(**batch)
        logits: torch.Tensor
        if self.head is None:
            logits = outputs.logits
        else:
            hidden = outputs.last_hidden_state
            read = mean_of(hidden, batch["attention_mask"]) if self.usage.head == "mean" else hidden[:, 0]
            read = nn.functional.normalize(read, dim=-1) if self.usage.normalize else read
            logits = nn.functional.linear(read, self.head["weight"], self.head["bias"])
        return logits


def load_saved(folder: Path, base: Path | None = None, device: str = "cpu") -> Saved:
    """Loads a run's `model/` as its README does, on a device; `base` is that of an adapter or regression, where known.

    Raises `InputError` where thriftune.json, the tokenizer or the base is missing, and what transformers and PEFT
    raise.
    """
    usage = Usage.read(folder)
    bare = usage.head != "own"
    auto: Any = AutoModel if bare else AutoModelForSequenceClassification
    with quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # PEFT asks transformers by a name that is going away
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        options: dict[str, Any] = {"dtype": torch.float32, "trust_remote_code": False}
        if usage.base is None:
            model = auto.from_pretrained(folder, **options)
        else:
            place = base or _base(usage.base, folder)
            model = auto.from_pretrained(place, config=config, ignore_mismatched_sizes=True, **options)
            if not usage.frozen:
                from peft import PeftModel

                model = PeftModel.from_pretrained(model, str(folder))
    head = load_file(folder / "head.safetensors", device=device) if bare else None
    labels = tuple(str(config.id2label[index]) for index in range(config.num_labels))
    return Saved(model.eval().to(device), head, load_tokenizer(folder), usage, labels)


def _base(reference: str, folder: Path) -> Path | str:
    """Where the base is: in an installed package, beside the folder, or on the hub."""
    if is_path(reference):
        place = folder / reference
        if not place.is_dir():
            raise InputError(f"The model in {folder} needs its base model, which is not in {place}. Put it there.")
        return place
    for name, package in DEMO_MODELS.items():
        if package.hub == reference:
            return resolve_model(f"demo:{name}")
    return reference
