from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pytest

from thriftune.data import sources as origins
from thriftune.data.load import load_dataset
from thriftune.data.readers import hub
from thriftune.data.readers.hub import read_hub
from thriftune.data.settings import DataSettings
from thriftune.errors import InputError
from thriftune.results.profile import Dropped

FEATURES = datasets.Features(
    {
        "premise": datasets.Value("string"),
        "hypothesis": datasets.Value("string"),
        "label": datasets.ClassLabel(names=["yes", "maybe", "no"]),
    }
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A dataset as the hub lays it out, read with the hub's own loader."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    root = tmp_path / "owner" / "name"
    (root / "data").mkdir(parents=True)
    for split in ("train", "validation", "test"):
        made = {"premise": [split] * 7, "hypothesis": [str(i) for i in range(7)], "label": [2, 0, 1, -1, 2, 0, 1]}
        path = root / "data" / f"{split}-00000-of-00001.parquet"
        datasets.Dataset.from_dict(made, features=FEATURES).to_parquet(path)
    return root


def test_class_names_keep_their_order_and_minus_one_is_dropped(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parents[1])
    data = load_dataset(DataSettings(source="hub:owner/name", text=("premise", "hypothesis")))
    assert data.name == "owner/name"
    assert data.labels == ("yes", "maybe", "no")
    assert data.splits["test"]["label"].to_list() == [2, 0, 1, 2, 0, 1]
    assert data.splits["test"]["example"].to_list() == [0, 1, 2, 4, 5, 6]
    assert data.dropped[0] == Dropped("train", "no gold label (-)", 1)


def test_only_wanted_columns_are_read(folder: Path) -> None:
    table = read_hub(str(folder), wanted={"label"})["train"]
    assert table.frame.columns == ["label"]
    assert table.columns == ("premise", "hypothesis", "label")
    assert table.label_names == {"label": ("yes", "maybe", "no")}


def test_a_configuration_is_passed_on(folder: Path) -> None:
    with pytest.raises(InputError, match=r"#nope cannot be read.*OWNER/NAME#CONFIG"):
        read_hub(str(folder), "nope")


def test_a_missing_dataset_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not found: there is no such dataset, or it is private"):
        read_hub(str(tmp_path / "nowhere"))


def test_no_network_is_one_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: Any, **__: Any) -> None:
        raise ConnectionError("Couldn't reach 'owner/other' on the Hub")

    monkeypatch.setattr(datasets, "load_dataset", unreachable)
    with pytest.raises(InputError, match=r"The hub cannot be reached for hub:owner/other#x.*HF_HUB_OFFLINE"):
        load_dataset(DataSettings(source="hub:owner/other#x", text=("text",)))


def test_split_names_of_the_hub(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    table = hub.read_hub(str(folder))["train"]
    names = ["train", "validation_matched", "validation_mismatched", "test_matched", "test_mismatched", "unsupervised"]
    fake: Callable[..., Any] = lambda *_: dict.fromkeys(names, table)
    monkeypatch.setattr(origins, "read_hub", fake)
    tables, notes = origins.read_source("hub:owner/mnli")
    assert list(tables) == ["train", "validation", "test"]
    assert len(notes) == 3
