"""Reads a dataset from the hub, without running code from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from thriftune.data.table import SourceTable, Wanted
from thriftune.errors import InputError

if TYPE_CHECKING:
    import datasets


def read_hub(name: str, config: str | None = None, wanted: Wanted = None) -> dict[str, SourceTable]:
    """The splits of a hub dataset (`OWNER/NAME`, or a local folder) under their own names.

    Raises `InputError` where the hub cannot be reached, or has no such dataset or configuration.
    """
    where = f"hub:{name}" + (f"#{config}" if config else "")
    if set(name) & set("*?[]{}"):  # the library would expand them, and read other files than are named
        raise InputError(f"{where} is no name on the hub: it holds one of *?[]{{}}. Local files stand without hub:.")
    splits = _load(name, config, where)
    return {split: _table(data, f"{where} ({split})", wanted) for split, data in splits.items()}


def _load(name: str, config: str | None, where: str) -> dict[str, datasets.Dataset]:
    import datasets

    try:
        loaded: Any = datasets.load_dataset(name, config)
    except ConnectionError as error:
        raise InputError(
            f"The hub cannot be reached for {where}. Check the network and that HF_HUB_OFFLINE is not set, or "
            "download the dataset elsewhere and give its files (csv, jsonl, parquet) as data.source."
        ) from error
    except FileNotFoundError as error:
        raise InputError(
            f"{where} is not found: there is no such dataset, or it is private. Write hub:OWNER/NAME or "
            "hub:OWNER/NAME#CONFIG as on its page; for a private one log in with `hf auth login`."
        ) from error
    except (ValueError, RuntimeError, OSError, datasets.exceptions.DatasetsError) as error:
        raise InputError(
            f"{where} cannot be read: {error} A configuration is named as hub:OWNER/NAME#CONFIG; "
            "datasets that need code of their own are not run."
        ) from error
    return {str(split): data for split, data in loaded.items()}


def _table(data: datasets.Dataset, where: str, wanted: Wanted) -> SourceTable:
    import datasets
    import polars as pl

    kept = [name for name in data.column_names if wanted is None or name in wanted]
    names = {
        name: tuple(feature.names)
        for name, feature in data.features.items()
        if isinstance(feature, datasets.ClassLabel) and feature.names
    }
    arrow = data.select_columns(kept).with_format("arrow")[:] if kept else None
    frame = pl.DataFrame() if arrow is None else pl.DataFrame(pl.from_arrow(arrow, rechunk=False))
    return SourceTable(frame=frame, columns=tuple(data.column_names), where=where, label_names=names)
