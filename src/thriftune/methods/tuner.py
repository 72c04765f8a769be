"""Attaches a PEFT tuner to a classifier: the one place that knows PEFT's wrapping."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from thriftune.errors import InputError

if TYPE_CHECKING:
    import torch

    from thriftune.models.classifier import Classifier


def attach(classifier: Classifier, config: Any, rng: torch.Generator) -> None:
    """Wraps the network (or the encoder under a linear head) with the tuner that `config` describes.

    The tuner's weights are drawn from `rng`. Under the own head the adapter trains and saves the whole head.
    Raises `InputError` with PEFT's message where the settings do not fit the model.
    """
    import warnings

    import torch
    from peft import PeftModel, PromptLearningConfig, TaskType, get_peft_model

    linear = classifier.head.type == "linear"
    classifier.input_tuner = isinstance(config, PromptLearningConfig)
    if classifier.input_tuner and linear:
        raise InputError("Tuners that change the input (prompt learning) need head type own, not linear.")
    config.task_type = TaskType.FEATURE_EXTRACTION if linear else TaskType.SEQ_CLS
    if not linear and hasattr(config, "modules_to_save"):
        config.modules_to_save = sorted({*(config.modules_to_save or []), *classifier.head_names})
    target = classifier.encoder if linear else classifier.network
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # PEFT asks transformers by a name that is going away
        torch.manual_seed(int(torch.randint(2**62, (1,), generator=rng)))
        try:
            wrapped = get_peft_model(target, config)  # type: ignore[arg-type]
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # every tuner has its own ways to refuse settings
            raise InputError(f"PEFT cannot adapt {classifier.name}: {error or type(error).__name__}") from error
    if not isinstance(wrapped, PeftModel):
        raise TypeError(f"get_peft_model returned {type(wrapped).__name__}")
    classifier.peft = wrapped
    if linear:
        for module in classifier.head_modules:
            module.requires_grad_(True)
