"""Which fine-tuning method earns its cost on your classifier: measured, explained, ready to use.

Everything here loads on first use, so that importing the package costs nothing.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from thriftune.errors import InputError
    from thriftune.python.advice import Advice, recommend
    from thriftune.python.compare import Estimates, compare, estimate, propose
    from thriftune.python.proposal import Proposed
    from thriftune.python.results import Results
    from thriftune.report.render import write_report
    from thriftune.study.file.config import Study, load_study
    from thriftune.study.forecast.estimate import Question
    from thriftune.use.classifier import Classifier

    __version__: str

__all__ = [
    "Advice",
    "Classifier",
    "Estimates",
    "InputError",
    "Proposed",
    "Question",
    "Results",
    "Study",
    "compare",
    "estimate",
    "load_results",
    "load_study",
    "propose",
    "recommend",
    "write_report",
]

_HOMES = {
    "Advice": "thriftune.python.advice",
    "Classifier": "thriftune.use.classifier",
    "Estimates": "thriftune.python.compare",
    "InputError": "thriftune.errors",
    "Proposed": "thriftune.python.proposal",
    "Question": "thriftune.study.forecast.estimate",
    "Results": "thriftune.python.results",
    "Study": "thriftune.study.file.config",
    "compare": "thriftune.python.compare",
    "estimate": "thriftune.python.compare",
    "load_study": "thriftune.study.file.config",
    "propose": "thriftune.python.compare",
    "recommend": "thriftune.python.advice",
    "write_report": "thriftune.report.render",
}


def load_results(out: Path | str) -> Results:
    """The results that `compare` wrote into the folder; raises `InputError` where there are none."""
    from thriftune.python.results import Results

    return Results.load(out)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("thriftune")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
