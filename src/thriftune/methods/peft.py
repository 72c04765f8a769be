"""Any PEFT tuner by name, with its own settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from thriftune.errors import InputError, unknown_name
from thriftune.methods.base import TransformerMethod
from thriftune.methods.tuner import attach
from thriftune.settings import setting

if TYPE_CHECKING:
    import torch

    from thriftune.models.classifier import Classifier

SIZES = ("r", "rank", "init_r", "target_r", "num_virtual_tokens", "encoder_hidden_size")
"""Keys of PEFT's configurations that say how large the tuner's own weights are."""


@dataclass(frozen=True, kw_only=True)
class Peft(TransformerMethod):
    """Passes every key but its own to the PEFT config of `type`."""

    SUMMARY: ClassVar[str] = "any PEFT tuner: its type and the keys of its config class"
    SOURCE: ClassVar[str] = "PEFT library; each tuner's config class names its paper"

    learning_rate: float | tuple[float, ...] = setting(
        1e-3, help="AdamW's peak learning rate, or a list to search on validation", above=0
    )
    type: str = setting(help="PEFT type, for example IA3, LOHA, OFT, ADALORA, VERA, PROMPT_TUNING")
    config: dict[str, Any] = setting(
        factory=dict, help="keys of that type's config class; written beside type in the study file"
    )

    @classmethod
    def prepare(cls, settings: dict[str, Any]) -> dict[str, Any]:
        """Moves unknown keys into `config`."""
        own = {"learning_rate", "type", "config", "text"}
        extra = {key: value for key, value in settings.items() if key not in own}
        kept = {key: value for key, value in settings.items() if key in own}
        if extra:
            kept["config"] = {**kept.get("config", {}), **extra}
        return kept

    @property
    def label(self) -> str:
        """The tuner's name."""
        return f"peft {self.type.lower()}"

    def flat(self) -> dict[str, Any]:
        """Settings with the tuner's keys beside the method's own."""
        out = super().flat()
        return {**out, **out.pop("config")}

    def apply(self, classifier: Classifier, rng: torch.Generator) -> None:
        """Adds the tuner; raises `InputError` for an unknown type or keys that its config does not take."""
        from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING

        known = {str(key.value): value for key, value in PEFT_TYPE_TO_CONFIG_MAPPING.items()}
        name = self.type.upper()
        if name not in known:
            raise unknown_name("PEFT type", self.type, known)
        settings = dict(self.config)
        fields = getattr(known[name], "__dataclass_fields__", {})
        unknown = [key for key in settings if key not in fields]
        if unknown:
            raise InputError(
                f"{known[name].__name__} has no key {', '.join(unknown)}. Known: {', '.join(sorted(fields))}."
            )
        check_sizes(classifier, settings, known[name].__name__)
        if "target_modules" in fields and "target_modules" not in settings:
            settings["target_modules"] = self._default_targets(classifier, name)
        try:
            config = known[name](**settings)
        except Exception as error:  # every tuner has its own ways to refuse settings
            raise InputError(f"{known[name].__name__}: {error or type(error).__name__}") from error
        attach(classifier, config, rng)

    def _default_targets(self, classifier: Classifier, name: str) -> list[str] | None:
        from peft.utils import constants

        mapping = getattr(constants, f"TRANSFORMERS_MODELS_TO_{name}_TARGET_MODULES_MAPPING", {})
        if classifier.config.model_type in mapping:
            return None
        return list(classifier.family.lora_targets) or None

    def after_step(self, classifier: Classifier, step: int) -> None:
        """Lets tuners that change their ranks while training (AdaLoRA) do so."""
        tuner = getattr(classifier.peft, "base_model", None)
        if tuner is not None and hasattr(tuner, "update_and_allocate"):
            tuner.update_and_allocate(step)


def check_sizes(classifier: Classifier, settings: dict[str, Any], config: str) -> None:
    """Raises `InputError` for ranks and the like beyond the rows and columns of every matrix of the model.

    Tuners make weights of these sizes before anything else is judged.
    """
    largest = max((size for p in classifier.encoder.parameters() for size in p.shape), default=0)
    for key in SIZES:
        value = settings.get(key)
        if isinstance(value, int) and value > largest:
            raise InputError(
                f"{config}: {key} is {value}, but no matrix of {classifier.name} has more than {largest:,} rows. "
                "Give a smaller number."
            )


METHOD = Peft
