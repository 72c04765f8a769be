"""Which fine-tuning method earns its cost on your classifier: measured, explained, ready to use.

Everything here loads on first use, so that importing the package costs nothing.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from thriftune.comparison import compare
    from thriftune.errors import InputError
    from thriftune.report.render import write_report
    from thriftune.results.store import Results
    from thriftune.study.file.config import Study, load_study
    from thriftune.study.forecast.estimate import Question, estimate
    from thriftune.use.classifier import Classifier

    __version__: str

__all__ = [
    "Classifier",
    "InputError",
    "Question",
    "Study",
    "compare",
    "estimate",
    "load_results",
    "load_study",
    "write_report",
]

_HOMES = {
    "Classifier": "thriftune.use.classifier",
    "InputError": "thriftune.errors",
    "Question": "thriftune.study.forecast.estimate",
    "Study": "thriftune.study.file.config",
    "compare": "thriftune.comparison",
    "estimate": "thriftune.study.forecast.estimate",
    "load_study": "thriftune.study.file.config",
    "write_report": "thriftune.report.render",
}


def load_results(out: Path | str) -> Results:
    """The results that `compare` wrote into the folder; raises `InputError` where there are none."""
    from thriftune.results.store import Store

    return Store(Path(out)).load()


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("thriftune")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
