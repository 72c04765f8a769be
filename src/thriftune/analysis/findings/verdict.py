"""What can be said of two methods on one model, and what that rests on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from thriftune.analysis.findings.runs import Cell, is_baseline
from thriftune.analysis.statistics import one_seed
from thriftune.analysis.statistics.detectable import largest
from thriftune.analysis.statistics.inference import Difference, Measured
from thriftune.analysis.statistics.metric_intervals import Metric
from thriftune.analysis.statistics.one_seed import Said

Outcome = Literal["better", "worse", "equivalent", "undecided"]
Claim = Literal["methods", "trained models"]


@dataclass(frozen=True)
class Interval:
    """The 95% interval over test texts by the paired bootstrap, for each measure."""

    accuracy: tuple[float, float]
    macro_f1: tuple[float, float]


@dataclass(frozen=True)
class Discordant:
    """McNemar, exact, or of groups where texts belong together: texts that only one of two models got right."""

    only_first: int
    only_second: int
    p: float


@dataclass(frozen=True)
class Verdict:
    """What can be said of two methods on one model, the first against the second."""

    model: str
    first: Cell
    second: Cell
    claim: Claim
    """Methods: other texts and other seeds. Trained models: other texts, these models."""
    outcome: Outcome
    """By the interval alone; what may be said of the methods is `said`."""
    score: Difference
    """By the measure that decides."""
    accuracy: Difference
    macro_f1: Difference
    adjusted_p: float
    """Holm's, over the pairs of the model."""
    adjusted_level: float
    """The confidence level of the interval that decides better or worse."""
    discordant: Discordant | None
    """None where a method has several seeds."""
    bootstrap: Interval | None
    """None where a method has several seeds."""
    at_this_budget: bool = False
    """Whether a run of either method was still improving when its training ended."""
    lost: tuple[int, int] = (0, 0)
    """Seeds of either method that gave no usable result."""
    unequal: str | None = None
    """How many settings were tried for either, where one was searched more: "rates tried: 5 and 1"."""

    @property
    def said(self) -> Said:
        """What may be said of the first against the second: nothing of methods where one has a single seed."""
        return one_seed.said(self.outcome, self.score.repeated)

    @property
    def at_most(self) -> float:
        """The two differ by at most this much, at the adjusted level."""
        return largest(self.score, self.adjusted_level)

    @property
    def baseline(self) -> bool:
        """Whether the second is a baseline."""
        return is_baseline(self.second.runs[0])

    @property
    def higher(self) -> tuple[Cell, Cell]:
        """Both methods, that with the higher score first."""
        return (self.first, self.second) if self.score.estimate >= 0 else (self.second, self.first)

    @property
    def higher_lost(self) -> int:
        """Seeds lost of the method with the higher score."""
        return self.lost[0 if self.score.estimate >= 0 else 1]

    def said_of(self, name: str) -> Said:
        """What may be said of the method of that name against the other."""
        return one_seed.said(self.against(name), self.score.repeated)

    def against(self, name: str) -> Outcome:
        """The outcome as seen from the method of that name."""
        mirrored: dict[Outcome, Outcome] = {"better": "worse", "worse": "better"}
        return self.outcome if name == self.first.name else mirrored.get(self.outcome, self.outcome)


@dataclass(frozen=True)
class Unsupported:
    """Runs or pairs of methods that no verdict can rest on."""

    names: list[str]
    reason: str


@dataclass(frozen=True)
class Spread:
    """How far the scores of one method lie apart with its seeds."""

    model: str
    cell: Cell
    accuracy: Measured
    macro_f1: Measured
    score: Measured
    """By the measure that decides."""

    def of(self, metric: Metric) -> Measured:
        """By one of the three."""
        return {"accuracy": self.accuracy, "macro_f1": self.macro_f1}.get(metric, self.score)


@dataclass(frozen=True)
class Apart:
    """Which differences the comparisons of one model tell apart."""

    model: str
    baselines: bool
    """Whether it is about methods against baselines."""
    size: float
    """The smallest true difference that is found with a chance of 80%, of the pair with the median error."""
    level: float
    """The confidence level of the interval that has to exclude 0: adjusted for the number of pairs."""
    pairs: int
