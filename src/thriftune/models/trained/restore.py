"""Puts the trained weights of a saved model back into a classifier, as its method left it before training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from thriftune.models.classifier import Classifier
from thriftune.models.pretrained.load import load_classifier
from thriftune.models.pretrained.quiet import quiet


def restore(classifier: Classifier, folder: Path) -> None:
    """Copies what `save_classifier` wrote into the trained parameters.

    The classifier must be of the same base model and method, and still whole (no weights below the cut released).
    """
    if classifier.peft is not None:
        _restore_adapter(classifier, folder)
    else:
        whole = load_classifier(folder, classifier.labels, classifier.head, stored_head=True)
        saved = dict(whole.network.named_parameters())
        with torch.no_grad():
            for name, parameter in classifier.trained():
                parameter.copy_(saved[name])
    if classifier.head.bare:
        classifier.network.get_submodule("classifier").load_state_dict(load_file(folder / "head.safetensors"))


def _restore_adapter(classifier: Classifier, folder: Path) -> None:
    from peft import PeftConfig, load_peft_weights, set_peft_model_state_dict

    assert classifier.peft is not None
    config: Any = classifier.peft.peft_config["default"]
    with quiet():
        if config.peft_type == "ADALORA":  # it stores the ranks that it left alone, and which those are
            saved: Any = PeftConfig.from_pretrained(str(folder))
            config.rank_pattern = saved.rank_pattern
        set_peft_model_state_dict(classifier.peft, load_peft_weights(str(folder), device="cpu"))
