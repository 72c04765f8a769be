"""A stored classifier in modules of transformers alone, its adapter merged: what other formats are made from."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thriftune.errors import first_line

if TYPE_CHECKING:
    import torch

PROMPTS = ("PROMPT", "PREFIX", "P_TUNING", "CPT", "ADAPTION", "CARTRIDGE")
"""Words in the types of PEFT's tuners that change the input."""


class MergeError(Exception):
    """What a method learned has no place in the weights."""


@dataclass(frozen=True)
class Plain:
    """A classifier in modules of transformers alone, on the CPU in float32."""

    model: Any
    """A `...ForSequenceClassification`, or the bare encoder where there is a head beside it."""
    head: dict[str, torch.Tensor] | None
    """weight (labels, hidden) and bias (labels,) of the head on the bare encoder."""
    tokenizer: Any

    @property
    def encoder(self) -> Any:
        """Without a head."""
        return self.model if self.head is not None else self.model.base_model


def has_prompts(folder: Path) -> bool:
    """Whether a folder's adapter changes the input, so that there are no weights to merge it into."""
    kind = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8")).get("peft_type", "")
    return any(word in kind for word in PROMPTS)


def plain_of(folder: Path, base: Path | None, *, adapter: bool) -> Plain:
    """The classifier in a run's `model/`, an adapter merged into its base in float64; raises `MergeError`."""
    import torch

    from thriftune.models.pretrained.quiet import quiet
    from thriftune.models.trained.reload import load_saved

    saved = load_saved(folder, base)
    model: Any = saved.model
    if adapter:
        failed: Exception | None = None
        with quiet():
            for merge in (_merge, _merge_each):
                try:
                    model = merge(load_saved(folder, base).model.double())
                    break
                except (AttributeError, NotImplementedError, ValueError, TypeError, RuntimeError) as error:
                    failed = failed or error
            else:
                why = first_line(failed) if failed else ""
                raise MergeError(f"what its method learned cannot be merged into the weights ({why}).")
    model = model.to(torch.float32).eval().requires_grad_(False)
    return Plain(model, saved.head, saved.tokenizer)


def _merge(model: Any) -> Any:
    return model.merge_and_unload(safe_merge=True)


def _merge_each(model: Any) -> Any:
    """Layer by layer: some of PEFT's tuners (IA3) stumble over a trained head."""
    from peft.tuners.tuners_utils import BaseTunerLayer
    from peft.utils.other import ModulesToSaveWrapper

    whole = model.get_base_model()
    for name, part in list(whole.named_modules()):
        if isinstance(part, BaseTunerLayer):
            part.merge(safe_merge=True)
            kept: Any = part.get_base_layer()
        elif isinstance(part, ModulesToSaveWrapper):
            kept = part.modules_to_save[part.active_adapters[0]]
        else:
            continue
        parent, _, leaf = name.rpartition(".")
        setattr(whole.get_submodule(parent), leaf, kept)
    return whole
