from importlib.resources import files

import polars as pl
import pytest

from thriftune.data.load import load_dataset
from thriftune.data.settings import DataSettings
from thriftune.data.sources import DEMOS

PAIR = ("premise", "hypothesis")


def test_demo_snli() -> None:
    data = load_dataset(DataSettings(source="demo:snli", text=PAIR))
    assert {split: frame.height for split, frame in data.splits.items()} == {
        "train": 8858,
        "validation": 984,
        "test": 9824,
    }
    assert data.labels == ("entailment", "neutral", "contradiction")
    assert data.dropped == ()
    premises = {split: set(frame["premise"]) for split, frame in data.splits.items()}
    assert not premises["train"] & premises["validation"]
    assert "development pairs" in data.notes[0]


@pytest.mark.parametrize(("name", "rows"), [("cad-original", 400), ("cad-revised", 1600)])
def test_counterfactual_test_sets(name: str, rows: int) -> None:
    source = {"train": "demo:snli", "validation": "demo:snli", "test": f"demo:{name}"}
    data = load_dataset(DataSettings(source=source, text=PAIR))
    assert data.splits["test"].height == rows
    assert data.splits["validation"].height == 984


def test_every_bundled_file_is_listed_and_all_is_small() -> None:
    folder = files("thriftune.data") / "demo"
    found = {(d.name, f.name) for d in folder.iterdir() if d.is_dir() for f in d.iterdir()}
    assert found == {(name, f"{split}.parquet") for name, splits in DEMOS.items() for split in splits}
    assert sum(len((folder / name / file).read_bytes()) for name, file in found) < 1_000_000
    readme = (folder / "README.md").read_text()
    assert "CC BY-SA 4.0" in readme
    assert "Apache License 2.0" in readme
    for name, file in found:
        assert pl.read_parquet((folder / name / file).read_bytes()).columns == ["premise", "hypothesis", "label"]
