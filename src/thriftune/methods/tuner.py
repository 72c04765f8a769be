"""Attaches a PEFT tuner to a classifier: the one place that knows PEFT's wrapping."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from thriftune.errors import InputError, unknown_name

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

    linear = classifier.head.bare
    classifier.input_tuner = isinstance(config, PromptLearningConfig)
    config.task_type = TaskType.FEATURE_EXTRACTION if linear else TaskType.SEQ_CLS
    target = classifier.encoder if linear else classifier.network
    if hasattr(config, "modules_to_save"):
        chosen = _module_paths(classifier, target, config.modules_to_save or [])
        config.modules_to_save = sorted({*chosen, *(() if linear else classifier.head_names)}) or None
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # PEFT asks transformers by a name that is going away
        torch.manual_seed(int(torch.randint(2**62, (1,), generator=rng)))
        try:
            wrapped = get_peft_model(target, config)  # type: ignore[arg-type]
        except (MemoryError, torch.OutOfMemoryError):
            raise
        except Exception as error:  # whatever PEFT does not like about the settings
            raise InputError(f"PEFT cannot adapt {classifier.name}: {_line(error)}") from error
    if not isinstance(wrapped, PeftModel):
        raise TypeError(f"get_peft_model returned {type(wrapped).__name__}")
    classifier.peft = wrapped
    if linear:
        for module in classifier.head_modules:
            module.requires_grad_(True)


def _module_paths(classifier: Classifier, target: torch.nn.Module, names: list[str]) -> list[str]:
    """Whole paths of the modules that `names` end; PEFT would also take "word_embeddings" for "embeddings".

    Parts of a module that is taken are left out. Raises `InputError` for a name that no module has.
    """
    found: list[str] = []
    for name in names:
        paths = [path for path, _ in target.named_modules() if path == name or path.endswith(f".{name}")]
        if not paths:
            known = sorted({path.rpartition(".")[2] for path, _ in target.named_modules()} - {""})
            raise unknown_name(f"modules_to_save of {classifier.name}: module", name, known)
        found += paths
    return [path for path in found if not any(path.startswith(f"{other}.") for other in found)]


def _line(error: Exception) -> str:
    text = (str(error).strip().splitlines() or [""])[0][:300]
    return text if isinstance(error, ValueError | TypeError) and text else f"{type(error).__name__}: {text}"
