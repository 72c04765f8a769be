"""Puts the trained weights of a saved model back into a classifier, as its method left it before training."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file

from thriftune.models.classifier import Classifier
from thriftune.models.load import load_classifier, quiet


def restore(classifier: Classifier, folder: Path) -> None:
    """Copies what `save_classifier` wrote into the trained parameters.

    The classifier must be of the same base model and method, and still whole (no weights below the cut released).
    """
    if classifier.peft is not None:
        _restore_adapter(classifier, folder)
    else:
        saved = dict(load_classifier(folder, classifier.labels, classifier.head).network.named_parameters())
        with torch.no_grad():
            for name, parameter in classifier.trained():
                parameter.copy_(saved[name])
    if classifier.head.type == "linear":
        classifier.network.get_submodule("classifier").load_state_dict(load_file(folder / "head.safetensors"))


def _restore_adapter(classifier: Classifier, folder: Path) -> None:
    from peft import PeftConfig, load_peft_weights, set_peft_model_state_dict

    config = classifier.peft.peft_config["default"] if classifier.peft is not None else None
    with quiet():
        if hasattr(config, "rank_pattern"):  # AdaLoRA stores the ranks that it left, and their number with them
            config.rank_pattern = PeftConfig.from_pretrained(str(folder)).rank_pattern
        set_peft_model_state_dict(classifier.peft, load_peft_weights(str(folder), device="cpu"))
