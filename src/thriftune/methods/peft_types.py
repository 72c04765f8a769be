"""Which PEFT types can be used on which architectures, and why the others cannot: the one list of refusals."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from thriftune.models.padding import is_causal

if TYPE_CHECKING:
    from thriftune.models.classifier import Classifier

PROMPTS = ("PROMPT_TUNING", "P_TUNING", "PREFIX_TUNING", "CARTRIDGE")
EMBEDDED = ("PROMPT_TUNING", "P_TUNING")
"""Prompts that stand before the texts' embeddings; the others are keys and values in every layer."""
READS_IDS = ("longformer",)
"""Encoders whose classification network reads token ids beside embeddings."""
TASKS = "it needs a task number for every text, which a study does not have"
REFUSED = {
    "POLY": TASKS,
    "MULTITASK_PROMPT_TUNING": TASKS,
    "CPT": "PEFT has it for generating text alone",
    "ADAPTION_PROMPT": "PEFT has it for generating text alone",
    "XLORA": "it mixes adapters that were trained before, and a study has none",
    "SHADOW": "it trains a second network by a loss of its own, beside decoders that generate text",
}
"""PEFT types that no study can use."""
CHANGES_WEIGHTS = "it changes the pretrained weights, so the stored adapter would not fit the model it came from"
NEEDS_TEXTS = "it starts from what the layers do on sample texts, which PEFT does not collect by itself"
LORA_STARTS = {
    "pissa": CHANGES_WEIGHTS,
    "olora": CHANGES_WEIGHTS,
    "loftq": CHANGES_WEIGHTS,
    "corda": NEEDS_TEXTS,
    "eva": NEEDS_TEXTS,
    "lora_ga": NEEDS_TEXTS,
}
"""Values (or how they begin) of LoRA's `init_lora_weights` that cannot be used."""
SETTINGS: dict[tuple[str, str], str] = {
    ("LORA", "layer_replication"): "it makes another network of the model's layers",
    ("LORA", "alora_invocation_tokens"): "the adapter would begin in the middle of generated text",
    ("LORA", "arrow_config"): "it routes between adapters that were trained before",
    ("LORA", "megatron_config"): "it is for models in Megatron's format",
    ("ADAMSS", "use_asa"): "it stops training parameters half-way, which the cost of a run does not follow",
}
"""Keys of single types that cannot be used."""
READS_WEIGHTS = ("SHIRA", "ADAMSS", "FROD", "TINYLORA")
"""Types that look at the values of the weights when they are added, so that shapes alone will not do."""
OWN_KEYS = ("peft_type", "task_type", "inference_mode", "base_model_name_or_path", "revision", "auto_mapping")
"""Keys of every type that follow from the study."""


def why_refused(classifier: Classifier, name: str, settings: dict[str, Any]) -> str | None:
    """Why a PEFT type with these settings cannot be used on a classifier; None where it can."""
    objections = (*_about_type(name, settings), *_about_model(classifier, name))
    return objections[0] if objections else None


def _about_type(name: str, settings: dict[str, Any]) -> Iterator[str]:
    """What is wrong whatever the model."""
    if name in REFUSED:
        yield f"{REFUSED[name]}."
    for key in OWN_KEYS:
        if settings.get(key):
            yield f"{key} follows from the study; leave it out."
    for (kind, key), why in SETTINGS.items():
        if kind == name and settings.get(key):
            yield f"with {key}, {why}. Leave it out."
    start = str(settings.get("init_lora_weights", "")).lower()
    for value, why in LORA_STARTS.items():
        if name == "LORA" and start.startswith(value):
            yield f"with init_lora_weights {start}, {why}. Use another start, such as true, gaussian or orthogonal."
    if name == "ADALORA" and settings.get("target_r", 8) >= settings.get("init_r", 12):
        yield "target_r must be below init_r: it lowers ranks from the one to the other. Their defaults are 8 and 12."
    if name in PROMPTS and not settings.get("num_virtual_tokens"):
        yield "num_virtual_tokens is missing. Give the length of the prompt, for example 20."


def _about_model(classifier: Classifier, name: str) -> Iterator[str]:
    """What a type asks of the architecture and the head."""
    kind, own_head = classifier.config.model_type, not classifier.head.bare
    if name == "TRAINABLE_TOKENS" and own_head:
        yield (
            "its adapter cannot store the head that is trained beside it. "
            "Use type LORA with trainable_token_indices, or head.type linear."
        )
    if name in PROMPTS and not own_head:
        yield "tuners that change the input (prompt learning) need head.type own."
    if name in EMBEDDED and classifier.config.is_encoder_decoder:
        yield f'"{kind}" models classify token ids alone, not the embeddings that a prompt is made of.'
    if name in EMBEDDED and kind in READS_IDS:
        yield f'the classifier of "{kind}" models looks for tokens by their ids, which a prompt of embeddings has not.'
    if name in EMBEDDED and is_causal(classifier.config):
        yield (
            f'the head of a decoder ("{kind}") finds the last token by its id, and behind a prompt of embeddings it '
            "would read padding. Use PREFIX_TUNING."
        )
    if name in PROMPTS and name not in EMBEDDED and not _takes_keys(classifier):
        yield f'PEFT cannot give "{kind}" models keys and values of its own. Use another type.'


def reads_weights(name: str, settings: dict[str, Any]) -> bool:
    """Whether adding a type to a model takes the values of its weights."""
    return name in READS_WEIGHTS or (name == "LORA" and str(settings.get("init_lora_weights", "")).lower() == "mica")


def _takes_keys(classifier: Classifier) -> bool:
    parts = (classifier.network, classifier.encoder)
    return not classifier.config.is_encoder_decoder and any(
        "past_key_values" in inspect.signature(part.forward).parameters for part in parts
    )


def defaults(classifier: Classifier, name: str, settings: dict[str, Any], fields: Any) -> dict[str, Any]:
    """Settings that a study file need not give: target modules that PEFT has no default for, shapes, and the like."""
    found: dict[str, Any] = {}
    if "target_modules" in fields and name not in PROMPTS and "target_modules" not in settings:
        found["target_modules"] = _default_targets(classifier, name)
    if name in PROMPTS:
        known = {"token_dim": _prompt_width(classifier, name), **_heads_and_layers(classifier)}
        found |= {key: value for key, value in known.items() if value and not settings.get(key)}
    if name in EMBEDDED and settings.get("prompt_tuning_init") == "TEXT" and not settings.get("tokenizer_name_or_path"):
        found["tokenizer_name_or_path"] = str(classifier.path)
    if "fan_in_fan_out" in fields and "fan_in_fan_out" not in settings and _has_conv1d(classifier):
        found["fan_in_fan_out"] = True
    if name == "FROD":
        found["progressbar"] = settings.get("progressbar", False)
    if name == "ADALORA" and not settings.get("total_step"):
        found["total_step"] = LONGEST
    return found


def _has_conv1d(classifier: Classifier) -> bool:
    """Whether projections are transformers' Conv1D, which keeps its weight transposed (GPT-2)."""
    from transformers.pytorch_utils import Conv1D

    return any(isinstance(part, Conv1D) for part in classifier.encoder.modules())


def _prompt_width(classifier: Classifier, name: str) -> int | None:
    """Numbers of a virtual token: as an embedding has them, or, for keys and values, as a layer has them."""
    table: Any = classifier.encoder.get_input_embeddings()
    narrow = getattr(table, "embedding_dim", None)
    return narrow if name in EMBEDDED else getattr(classifier.config, "hidden_size", narrow)


def _heads_and_layers(classifier: Classifier) -> dict[str, int | None]:
    config: Any = classifier.config
    return {
        "num_attention_heads": getattr(config, "num_attention_heads", 1),
        "num_layers": getattr(config, "num_hidden_layers", None),
    }


LONGEST = 10**9
"""AdaLoRA's `total_step` until training says how many steps there are."""


def _default_targets(classifier: Classifier, name: str) -> list[str] | None:
    """None where PEFT has its own, else the family's query and value; LN tuning takes all norms of the encoder."""
    from peft.utils import constants

    mapping = getattr(constants, f"TRANSFORMERS_MODELS_TO_{name.replace('LN_', 'LN')}_TARGET_MODULES_MAPPING", {})
    if classifier.config.model_type in mapping:
        return None
    if name == "LN_TUNING":
        head = {id(part) for module in classifier.head_modules for part in module.modules()}
        inside = {id(part) for part in classifier.encoder.modules()} - head
        wrapped = classifier.encoder if classifier.head.bare else classifier.network
        parts = wrapped.named_modules()
        return [path for path, part in parts if id(part) in inside and type(part).__name__.endswith("Norm")] or None
    return list(classifier.family.lora_targets) or None
