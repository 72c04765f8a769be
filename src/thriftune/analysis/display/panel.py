"""What a panel is: sentences, tables and charts as data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from thriftune.metrics import METRICS, Kind

T = TypeVar("T")


@dataclass(frozen=True)
class Column:
    """One column of a table; `label` is what people read, and may be user text."""

    name: str
    label: str
    kind: Kind = "text"
    higher_is_better: bool | None = None
    """Where it is not None, the best value of the column is marked."""


def metric(name: str, label: str | None = None, *, of: str | None = None, ranked: bool = True) -> Column:
    """A column of a metric, which is that of its name unless `of` says which; its best value is marked if `ranked`."""
    metric = METRICS[of or name]
    return Column(name, label or metric.label, metric.kind, metric.higher_is_better if ranked else None)


def of_kind(kind: Kind, /, **labels: str) -> list[Column]:
    """Columns of one kind by name."""
    return [Column(name, label, kind) for name, label in labels.items()]


def numbered(names: Iterable[str], kind: Kind, prefix: str = "r", **more: Any) -> list[Column]:
    """A column for each of some runs, labels or methods: `r0`, `r1` and so on, headed by their names."""
    return [Column(f"{prefix}{i}", name, kind, **more) for i, name in enumerate(names)]


@dataclass(frozen=True)
class Table:
    """Rows of plain values by column name; `None` is an unknown number.

    Two further keys may stand in a row: `NAME_reason`, why NAME is None, and `unranked`, which keeps
    the row, or a list of its columns, out of the marking of best values.
    """

    name: str
    caption: str
    columns: list[Column]
    rows: list[dict[str, Any]]
    small: bool = False
    """Whether several such tables fit side by side."""


@dataclass(frozen=True)
class Chart:
    """A Vega-Lite specification with its data inside; colours and fonts come from the report's theme."""

    name: str
    """Unique in the report; letters, digits and hyphens (it names a file)."""
    title: str
    description: str
    """The text alternative: what the chart shows."""
    spec: dict[str, Any]
    small: bool = False
    """Whether several such charts fit side by side."""


@dataclass(frozen=True)
class Panel:
    """The answer to one question; every sentence is computed from the numbers."""

    sentences: list[str]
    tables: list[Table] = field(default_factory=list)
    charts: list[Chart] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """How the numbers came about and what they do not say."""
    statistics: dict[str, Any] = field(default_factory=dict)
    """What `results.json` keeps under the panel's name: plain values, fractions rather than points or percent."""
    open_charts: int = 0
    """So many of the first charts stand open on the page, instead of the first table: small multiples are several."""


@dataclass(frozen=True)
class NotApplicable:
    """The question does not arise for these results."""

    reason: str
    quiet: bool = False
    """Whether the page is not to say so either: the question is of a kind of study that this is none of."""


def there(items: Iterable[T | None]) -> list[T]:
    """Those that are not None: charts for which there was something to draw."""
    return [each for each in items if each is not None]
