"""How much training a run is expected to take, with the learning rates that it tries first."""

from __future__ import annotations

from dataclasses import dataclass

from thriftune.engine.protocol import Protocol
from thriftune.engine.schedule import epoch_steps, expected_steps
from thriftune.methods.base import TransformerMethod
from thriftune.study.run.rate_search import probe_steps


@dataclass(frozen=True)
class Effort:
    """Expected training of one run."""

    steps: int
    """Of one whole training."""
    trainings: int
    """Whole trainings: one for each learning rate of a list."""
    probe_steps: int
    """Of one short training that only tells learning rates apart."""
    probes: int
    epochs: float
    """Of one whole training."""
    texts: int
    """Training texts of an epoch."""
    epoch_steps: int
    guessed: bool
    """Whether validation decides when a training ends, so that its steps are a guess."""

    @property
    def samples(self) -> float:
        """Training texts seen in all trainings together."""
        return self.main_samples + self.probe_samples

    @property
    def main_samples(self) -> float:
        """Those of whole trainings."""
        return self.steps * self.trainings * self.texts / self.epoch_steps

    @property
    def probe_samples(self) -> float:
        """Those of short trainings."""
        return self.probe_steps * self.probes * self.texts / self.epoch_steps


def effort(method: TransformerMethod, protocol: Protocol, texts: int) -> Effort:
    """What training on so many texts takes, as far as it can be known before."""
    steps, epoch = expected_steps(protocol, texts), epoch_steps(texts, protocol)
    rates = len(method.learning_rates)
    return Effort(
        steps=steps,
        trainings=1 if method.probes else rates,
        probe_steps=probe_steps(protocol, texts) if method.probes else 0,
        probes=rates if method.probes else 0,
        epochs=steps / epoch,
        texts=texts,
        epoch_steps=epoch,
        guessed=protocol.epochs == "auto",
    )
