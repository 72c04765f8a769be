"""Any PEFT tuner by name, with its own settings."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from thriftune.errors import InputError, unknown_name
from thriftune.methods.adalora import AdaLoraWatcher, check_steps
from thriftune.methods.base import TransformerMethod, rate_help
from thriftune.methods.peft_types import defaults, reads_weights, why_refused
from thriftune.methods.tuner import attach
from thriftune.settings import setting

if TYPE_CHECKING:
    import torch

    from thriftune.models.classifier import Classifier

SIZES = ("r", "rank", "init_r", "target_r", "num_virtual_tokens", "encoder_hidden_size")
"""Keys of PEFT's configurations that say how large the tuner's own weights are."""
RANDOM_PROMPT = {"prompt_tuning_init": "RANDOM", "prompt_tuning_init_text": None, "tokenizer_name_or_path": None}


@dataclass(frozen=True, kw_only=True)
class Peft(TransformerMethod):
    """Passes every key but its own to the PEFT config of `type`."""

    SUMMARY: ClassVar[str] = "any PEFT tuner: its type and the keys of its config class"
    SOURCE: ClassVar[str] = "PEFT library; each tuner's config class names its paper"

    RATE_GRID: ClassVar[tuple[float, ...]] = (1e-4, 3e-4, 1e-3)

    learning_rate: float | tuple[float, ...] | Literal["auto"] = setting(1e-3, help=rate_help(RATE_GRID), above=0)
    type: str = setting(help="PEFT type, for example IA3, LOHA, OFT, ADALORA, VERA, PROMPT_TUNING")
    config: dict[str, Any] = setting(
        factory=dict, help="keys of that type's config class; written beside type in the study file"
    )

    @classmethod
    def prepare(cls, settings: dict[str, Any]) -> dict[str, Any]:
        """Moves unknown keys into `config`."""
        own = {f.name for f in fields(cls)}
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
        refusal = why_refused(classifier, name, settings)
        if refusal is not None:
            raise InputError(f"peft type {name} cannot be used with {classifier.name}: {refusal}")
        settings |= defaults(classifier, name, settings, fields)
        try:
            config: Any = known[name](**settings)
        except Exception as error:  # every tuner has its own ways to refuse settings
            raise InputError(f"{known[name].__name__}: {error or type(error).__name__}") from error
        attach(classifier, config, rng)
        if name == "ADALORA":
            for path, parameter in classifier.root.named_parameters():
                if ".ranknum." in path:  # a count that PEFT keeps as a parameter
                    parameter.requires_grad_(False)
        if settings.get("prompt_tuning_init") == "TEXT":
            # The prompt is stored; another machine must not look for the text's tokenizer.
            config.prompt_tuning_init, config.prompt_tuning_init_text, config.tokenizer_name_or_path = (
                "RANDOM",
                None,
                None,
            )

    @property
    def reads_weights(self) -> bool:
        """Whether the tuner looks at the values of the weights when it is added."""
        return reads_weights(self.type.upper(), self.config)

    def watch(self, classifier: Classifier) -> AdaLoraWatcher | None:
        """What AdaLoRA does in training; None for every other type."""
        if self.type.upper() != "ADALORA":
            return None
        return AdaLoraWatcher(classifier, self.config.get("total_step"))

    def check_steps(self, steps: int | None) -> None:
        """Raises `InputError` where a training of so many steps is too short for the type, or not known beforehand."""
        if self.type.upper() == "ADALORA":
            total = self.config.get("total_step") or steps
            if total is None:
                raise InputError(
                    "AdaLoRA allocates its ranks over a number of steps, which epochs: auto does not know. Give it "
                    "total_step, or protocol.epochs a number."
                )
            check_steps(total, self.config.get("tinit", 0), self.config.get("tfinal", 0))


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
