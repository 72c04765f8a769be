"""What the data looks like: lengths, label counts, a preview, and texts that splits share."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from thriftune.data.columns import rows_in_both
from thriftune.data.dataset import Dataset, label_counts
from thriftune.data.splits.make import draw
from thriftune.data.tokens import Tokens
from thriftune.data.warnings import find_warnings
from thriftune.results.profile import Box, DataProfile, Histogram, Lengths, SharedText, TokenLengths

if TYPE_CHECKING:
    pass

_BINS = 40
_OUTLIERS = 200
_SAMPLE_ROWS = 5
_SEED = 0


def profile_dataset(
    dataset: Dataset, tokens: Mapping[str, tuple[int, Mapping[str, Tokens]]] | None = None
) -> DataProfile:
    """The profile that the report shows; the same data gives the same profile.

    `tokens` has, by model name, its max_tokens and the tokens of each split. Lengths are over all splits.
    """
    splits = dataset.splits
    return DataProfile(
        name=dataset.name,
        fingerprint=dataset.fingerprint,
        text_columns=list(dataset.text_columns),
        label_column=dataset.label_column,
        labels=list(dataset.labels),
        rows={split: frame.height for split, frame in splits.items()},
        label_counts={split: label_counts(frame, dataset.labels) for split, frame in splits.items()},
        sample=_sample(dataset),
        characters=_characters(dataset),
        tokens=[_token_lengths(model, max_tokens, parts) for model, (max_tokens, parts) in (tokens or {}).items()],
        dropped=list(dataset.dropped),
        shared=[_shared(dataset, first, second) for first, second in combinations(splits, 2)],
        notes=list(dataset.notes),
        warnings=find_warnings(dataset),
        groups=dataset.group,
    )


def lengths(values: npt.NDArray[np.int64]) -> Lengths:
    """Histogram and box plot of whole numbers, (texts,)."""
    return Lengths(histogram=_histogram(values), box=_box(values))


def _histogram(values: npt.NDArray[np.int64]) -> Histogram:
    """At most 40 bins, each as wide as the same number of whole values."""
    low, high = int(values.min()), int(values.max())
    width = -(-(high - low + 1) // _BINS)
    edges = np.arange(low, high + width + 1, width)
    counts, _ = np.histogram(values, bins=edges)
    return Histogram(edges=edges.astype(float).tolist(), counts=counts.tolist())


def _box(values: npt.NDArray[np.int64]) -> Box:
    q1, median, q3 = np.percentile(values, [25, 50, 75])
    reach = 1.5 * (q3 - q1)
    inside = (values >= q1 - reach) & (values <= q3 + reach)
    outliers = np.sort(values[~inside])
    shown = outliers[draw(len(outliers), _OUTLIERS, _SEED)]
    return Box(
        low=float(values[inside].min()),
        q1=float(q1),
        median=float(median),
        q3=float(q3),
        high=float(values[inside].max()),
        minimum=float(values.min()),
        maximum=float(values.max()),
        mean=float(values.mean()),
        outliers=shown.astype(float).tolist(),
        outlier_count=len(outliers),
    )


def _sample(dataset: Dataset) -> list[dict[str, str]]:
    train = dataset.splits["train"]
    rows = train[draw(train.height, _SAMPLE_ROWS, _SEED)].to_dicts()
    return [
        {name: row[name] for name in dataset.text_columns} | {"label": dataset.labels[row["label"]]} for row in rows
    ]


def _characters(dataset: Dataset) -> dict[str, Lengths]:
    columns = {
        name: np.concatenate(
            [frame[name].str.len_chars().to_numpy().astype(np.int64) for frame in dataset.splits.values()]
        )
        for name in dataset.text_columns
    }
    found = {name: lengths(values) for name, values in columns.items()}
    if len(columns) > 1:
        found["all"] = lengths(np.sum(list(columns.values()), axis=0))
    return found


def _token_lengths(model: str, max_tokens: int, parts: Mapping[str, Tokens]) -> TokenLengths:
    return TokenLengths(
        model=model,
        max_tokens=max_tokens,
        lengths=lengths(np.concatenate([tokens.lengths for tokens in parts.values()])),
        truncated_share={split: tokens.truncated / len(tokens) for split, tokens in parts.items()},
    )


def _shared(dataset: Dataset, first: str, second: str) -> SharedText:
    columns, known, asked = dataset.text_columns, dataset.splits[first], dataset.splits[second]
    return SharedText(
        first=first,
        second=second,
        exact=rows_in_both(asked, known, columns),
        first_column=rows_in_both(asked, known, columns[:1]) if len(columns) > 1 else None,
        rows=asked.height,
    )
