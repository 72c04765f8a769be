"""AdaLoRA in training: an orthogonality penalty in the loss, and ranks that are given and taken after each step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from thriftune.errors import InputError

if TYPE_CHECKING:
    import torch

    from thriftune.models.classifier import Classifier

FEWEST_STEPS = 2
SUMS = ("ipt", "exp_avg_ipt", "exp_avg_unc")
"""What PEFT keeps of each parameter's importance."""


class AdaLoraWatcher:
    """What PEFT asks a training loop for (Zhang et al. 2023, arXiv:2303.10512)."""

    def __init__(self, classifier: Classifier, total_step: int | None) -> None:
        self._model: Any = getattr(classifier.peft, "base_model")  # noqa: B009 - PEFT's type hides the tuner's own
        self._config = self._model.peft_config["default"]
        self._total_step = total_step

    def started(self, steps: int) -> None:
        """Sets the schedule's length, unless the study file gives it.

        Raises `InputError` where warm-up and end leave no step between them.
        """
        total = self._total_step or steps
        check_steps(total, self._config.tinit, self._config.tfinal)
        self._model.rankallocator.set_total_step(total)

    def penalty(self) -> torch.Tensor | None:
        """`orth_reg_weight` times the mean Frobenius distance of A A' and B' B from the identity."""
        import torch

        weight = float(self._config.orth_reg_weight)
        distances = []
        for name, parameter in self._model.model.named_parameters():
            if "lora_A" in name or "lora_B" in name:
                square = parameter @ parameter.T if "lora_A" in name else parameter.T @ parameter
                distances.append(torch.linalg.matrix_norm(square - torch.eye(len(square), device=square.device)))
        return weight * torch.stack(distances).mean() if weight and distances else None

    def updated(self, step: int) -> None:
        """Weighs the ranks by their gradients and masks the least of them."""
        self._model.update_and_allocate(step)

    def state(self) -> dict[str, Any]:
        """The ranks' weights, and which ranks are left."""
        allocator = self._model.rankallocator
        sums = {name: dict(getattr(allocator, name)) for name in SUMS}
        pattern = self._config.rank_pattern
        return {
            "sums": sums,
            "pattern": None if pattern is None else {name: list(kept) for name, kept in pattern.items()},
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Takes them."""
        values = dict(self._model.model.named_parameters())
        for name, sums in state["sums"].items():
            loaded = {key: each.load().to(values[key].device) for key, each in sums.items()}
            setattr(self._model.rankallocator, name, loaded)
        self._config.rank_pattern = state["pattern"]

    def finished(self) -> None:
        """Forgets an allocation that is not that of the kept weights: what is stored would be cut by it."""
        pattern = self._config.rank_pattern
        if not pattern:
            return
        values = {name.replace(".default", ""): p for name, p in self._model.model.named_parameters()}
        for name, kept in pattern.items():
            value = values[name.replace(".default", "")]
            if any(not keep and bool(row.any()) for keep, row in zip(kept, value, strict=True)):
                self._config.rank_pattern = None
                return


def check_steps(total: int, tinit: int, tfinal: int) -> None:
    """Raises `InputError` where AdaLoRA's schedule does not fit into a training of so many steps."""
    if total < max(FEWEST_STEPS, tinit + tfinal + 1):
        raise InputError(
            f"AdaLoRA's ranks cannot be allocated in {total} steps with tinit {tinit} and tfinal {tfinal}: it needs "
            f"at least {max(FEWEST_STEPS, tinit + tfinal + 1)}. Train longer, or lower tinit and tfinal."
        )
