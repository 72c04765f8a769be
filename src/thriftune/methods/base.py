"""What a method is: a frozen dataclass of its YAML keys that changes which parameters a classifier trains.

The engine never asks which method runs: it looks at which parameters require gradients.
"""

from __future__ import annotations

import pkgutil
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, runtime_checkable

from thriftune import plugins
from thriftune.settings import Settings, setting

if TYPE_CHECKING:
    import numpy as np
    import torch

    from thriftune.models.classifier import Classifier


RATES = (1e-30, 1e38)
"""AdamW moves every weight by about its rate in a step: float32 holds neither less nor more."""
GROUP = "thriftune.methods"
"""The entry points by which other packages add methods."""
RESERVED = tuple(info.name for info in pkgutil.iter_modules([str(Path(__file__).parent)]))
"""Names that they cannot have."""


@dataclass(frozen=True, kw_only=True)
class Method(Settings):
    """Base of every method."""

    NAME: ClassVar[str]
    """As in the study file: the name of the class's file here, of its entry point, or `package.module:Class`."""
    SUMMARY: ClassVar[str]
    """One line for `thriftune methods`."""
    SOURCE: ClassVar[str]
    """Where the method comes from (paper), or what it stands for."""
    NEEDS_MODEL: ClassVar[bool] = True
    """Whether it runs on a pretrained model, once for each of the study's."""
    BASELINE: ClassVar[bool] = False
    """Whether it is what a user would have without fine-tuning: deterministic, so that one seed is enough."""

    text: tuple[str, ...] | None = setting(None, help="text columns that this method sees; null: all of the study's")

    def __init_subclass__(cls) -> None:
        package, _, module = cls.__module__.rpartition(".")
        path = plugins.path_of(cls)
        if package == __package__:
            cls.NAME = module
            return
        entries = plugins.entries(GROUP, RESERVED).items()
        cls.NAME = next((name for name, entry in entries if entry.value.replace(" ", "") == path), path)

    @property
    def label(self) -> str:
        """A short name with the settings that tell two uses apart, for example "lora r8 top 2"."""
        return self.short_name()

    @classmethod
    def short_name(cls) -> str:
        """The name without a module before it."""
        return cls.NAME.rpartition(":")[2]

    @classmethod
    def prepare(cls, settings: dict[str, Any]) -> dict[str, Any]:
        """Rewrites the YAML keys before they are checked; the base changes nothing."""
        return settings

    def flat(self) -> dict[str, Any]:
        """The settings as `run.json` holds them: name and keys side by side."""
        return {"name": self.NAME, **{f.name: _plain(getattr(self, f.name)) for f in fields(self)}}


class Watcher(Protocol):
    """What some methods do in training beside choosing parameters: they weigh, prune or regularise their own.

    It may have the two methods of `Resumable` too; where it has not, a training that is interrupted starts anew.
    """

    def started(self, steps: int) -> None:
        """Before the first of so many steps."""

    def penalty(self) -> torch.Tensor | None:
        """What is added to each batch's mean loss; a scalar."""

    def updated(self, step: int) -> None:
        """After the optimiser's 1-based step, while the gradients are still there."""

    def finished(self) -> None:
        """When the kept weights are in the classifier."""


@runtime_checkable
class Resumable(Protocol):
    """A watcher whose training goes on where it was interrupted."""

    def state(self) -> dict[str, Any]:
        """Its own state between two steps: numbers, texts, lists, dicts and tensors; trained parameters are no part."""
        ...

    def restore(self, state: dict[str, Any]) -> None:
        """Takes such a state, after `started`; each tensor in it is read by its `load()`."""
        ...


def rate_help(grid: tuple[float, ...]) -> str:
    """The line of help of a method's learning rate."""
    return (
        "AdamW's peak learning rate; of a list the best on validation; auto: the highest of "
        f"{', '.join(f'{rate:g}' for rate in grid)} that short trainings find good"
    )


@dataclass(frozen=True, kw_only=True)
class TransformerMethod(Method):
    """A way for pretrained weights to adapt."""

    RATE_GRID: ClassVar[tuple[float, ...]] = ()
    """What `learning_rate: auto` tries: the default and its neighbours, ascending; empty: auto is refused."""

    learning_rate: float | tuple[float, ...] | Literal["auto"] = setting(
        help="AdamW's peak learning rate; of a list the best on validation is taken, auto: the best of short trainings "
        "(thriftune methods); the search is charged",
        above=0,
    )
    head_learning_rate: float | None = setting(
        None,
        help="the head's own peak learning rate, under the same schedule; null: learning_rate",
        above=0,
    )
    head_start: Literal["random", "solved"] = setting(
        "random",
        help="how the head's last Linear begins: random, as usual; or solved, as the regularised logistic regression "
        "on what it reads of the training texts before anything is trained (C chosen on validation)",
    )

    def problems(self) -> list[tuple[str, str]]:
        """Weights can be moved by the rates, and a search names every rate once."""
        rates = self.learning_rates
        head = self.head_learning_rate
        if head is not None and not RATES[0] <= head <= RATES[1]:
            return [("head_learning_rate", f"{head} is given, it must be from {RATES[0]:g} to {RATES[1]:g}")]
        if self.learning_rate == "auto":
            why = f"auto is given, but {self.short_name()} names no rates to try (RATE_GRID); give a number, or several"
            return [] if self.RATE_GRID else [("learning_rate", why)]
        if not rates:
            return [("learning_rate", "is an empty list; give a number, or several to search")]
        bounds = f"it must be from {RATES[0]:g} to {RATES[1]:g}"
        found = [("learning_rate", f"{rate} is given, {bounds}") for rate in rates if not RATES[0] <= rate <= RATES[1]]
        twice = {rate: None for index, rate in enumerate(rates) if rate in rates[:index]}
        return found + [("learning_rate", f"names {rate:g} twice") for rate in twice]

    @property
    def learning_rates(self) -> tuple[float, ...]:
        """The candidates, at least one."""
        rate = self.learning_rate
        if rate == "auto":
            return self.RATE_GRID
        return rate if isinstance(rate, tuple) else (rate,)

    @property
    def probes(self) -> bool:
        """Whether the candidates are tried in short trainings, and the best then trained from the start."""
        return self.learning_rate == "auto"

    @property
    def reads_weights(self) -> bool:
        """Whether `apply` looks at the values of the weights, so that shapes alone will not do."""
        return False

    def watch(self, classifier: Classifier) -> Watcher | None:
        """What the method does while the classifier is trained; None where it only chose what is."""
        return None

    def check_steps(self, steps: int | None) -> None:
        """Raises `InputError` where a training of so many steps is too short for the method.

        None: how many there will be is not known (epochs: auto).
        """

    def apply(self, classifier: Classifier, rng: torch.Generator) -> None:
        """Marks what is trained (requires_grad) and adds what the method adds.

        New weights are drawn from `rng`. The classifier arrives with everything frozen but its head.
        Raises `InputError` where the settings do not fit the model.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class Labelled:
    """Texts with their labels, as baselines take them."""

    texts: list[list[str]]
    """One list per text column."""
    labels: np.ndarray
    """Label ids of shape (texts,)."""


@dataclass(frozen=True, kw_only=True)
class Baseline(Method):
    """A classifier without a transformer: what a user would have anyway."""

    NEEDS_MODEL: ClassVar[bool] = False
    BASELINE: ClassVar[bool] = True

    def fit(self, train: Labelled, classes: int, seed: int, validation: Labelled | None = None) -> FittedBaseline:
        """Trains on labelled texts; what the method chooses it chooses on the validation texts, where there are any."""
        raise NotImplementedError


class FittedBaseline(Protocol):
    """A trained baseline."""

    @property
    def trained_parameters(self) -> int:
        """Numbers that were fitted."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What was chosen in fitting, and from what."""
        ...

    def predict(self, texts: list[list[str]]) -> np.ndarray:
        """Probabilities of shape (texts, classes)."""
        ...

    def save(self, folder: Path) -> int:
        """Writes JSON and npz files (no pickle) into the folder and returns their bytes."""
        ...


def flaw(found: Any) -> str | None:
    """Why a study cannot name this as a method; None where it can."""
    if not (isinstance(found, type) and issubclass(found, TransformerMethod | Baseline)):
        return "is no class that derives from TransformerMethod or Baseline of thriftune.methods.base"
    work = "apply" if issubclass(found, TransformerMethod) else "fit"
    if getattr(found, work) in (TransformerMethod.apply, getattr(Baseline, work, None)):
        return f"does not define {work}"
    if "__dataclass_params__" not in vars(found):  # a frozen base lets none derive that is not
        return "needs @dataclass(frozen=True, kw_only=True)"
    if bare := [f.name for f in fields(found) if not f.metadata.get("help")]:
        return f"has keys without help ({', '.join(bare)}); define each by thriftune.settings.setting(..., help=...)"
    if missing := [key for key in ("SUMMARY", "SOURCE") if not getattr(found, key, "")]:
        return f"does not say its {' and its '.join(missing)}"
    return None


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
