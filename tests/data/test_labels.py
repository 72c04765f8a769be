import polars as pl
import pytest

from thriftune.data.labels import canonical_names, label_names, order_labels
from thriftune.errors import InputError


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["b", "a"], ("a", "b")),
        (["10", "2", "1"], ("1", "2", "10")),
        (["contradiction", "neutral", "entailment"], ("entailment", "neutral", "contradiction")),
        (["contradiction", "entailment"], ("contradiction", "entailment")),
        (["2", "b"], ("2", "b")),
    ],
)
def test_order(names: list[str], expected: tuple[str, ...]) -> None:
    assert order_labels(names, None) == expected


def test_declared_order_is_kept() -> None:
    assert order_labels(["a", "z"], ("z", "m", "a")) == ("z", "a")


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pl.Series([0, 1, None]), ["0", "1", None]),
        (pl.Series([1.0, 0.0]), ["1", "0"]),
        (pl.Series([True, False]), ["true", "false"]),
        (pl.Series([" a ", "", "  "]), ["a", None, None]),
        (pl.Series([1.5, float("nan")]), ["1.5", None]),
    ],
)
def test_names(column: pl.Series, expected: list[str | None]) -> None:
    assert label_names(column, None).to_list() == expected


def test_declared_names_replace_integers() -> None:
    assert label_names(pl.Series([1, 0, -1]), ("no", "yes")).to_list() == ["yes", "no", "-"]
    with pytest.raises(InputError, match="holds 2; its source declares 2 names"):
        label_names(pl.Series("label", [2]), ("no", "yes"))


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["1.0", "0.0"], {"1.0": "1", "0.0": "0"}),
        (["True", "False"], {"True": "true", "False": "false"}),
        (["01", "1"], {}),
        (["1.0", "b"], {}),
    ],
)
def test_canonical_names(names: list[str], expected: dict[str, str]) -> None:
    assert canonical_names(names) == expected


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a"], 'one label only, "a"'),
        (["0.5", "1"], r"fractions such as 0\.5: that is regression"),
        ([f"row {i}" for i in range(1001)], "1,001 different values"),
    ],
)
def test_labels_that_are_no_classes(names: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        order_labels(names, None)


def test_nested_labels_are_an_error() -> None:
    with pytest.raises(InputError, match="List"):
        label_names(pl.Series("label", [["a"], ["b"]]), None)
