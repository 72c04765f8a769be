from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from thriftune.data.dataset import Dataset
from thriftune.data.load import load_dataset
from thriftune.data.profile import profile_dataset
from thriftune.data.settings import DataSettings, SplitSettings
from thriftune.errors import InputError
from thriftune.results.profile import Dropped

Write = Callable[..., Path]
THIRDS = SplitSettings(test=0.25, validation=0.25)


def load(source: Any, text: tuple[str, ...] = ("text",), **settings: Any) -> Dataset:
    return load_dataset(DataSettings(source=str(source) if isinstance(source, Path) else source, text=text, **settings))


def rows(count: int = 20, **columns: Any) -> list[dict[str, Any]]:
    """UsableRows text 0, text 1, ... with labels a, b, a, ...; columns are functions of the row number."""
    made = {"text": lambda i: f"text {i}", "label": lambda i: "ab"[i % 2], **columns}
    return [{name: make(i) for name, make in made.items()} for i in range(count)]


def test_one_file_per_split(reviews: dict[str, str]) -> None:
    data = load(reviews, keep=("who",))
    assert data.labels == ("bad", "good")
    assert {split: frame.height for split, frame in data.splits.items()} == {"train": 40, "validation": 10, "test": 10}
    assert data.splits["test"].schema == {
        "example": pl.Int64,
        "text": pl.String,
        "label": pl.Int32,
        "who": pl.String,
    }
    assert data.splits["test"].row(1) == (1, "test 1", 1, "w1")
    assert (data.name, data.dropped, data.notes, data.label_column) == ("train", (), (), "label")


def test_one_file_is_split(write: Write) -> None:
    data = load(write("mine.jsonl", rows(40)), split=THIRDS)
    assert data.name == "mine"
    assert {split: frame.height for split, frame in data.splits.items()} == {"train": 20, "validation": 10, "test": 10}
    examples = sorted(i for frame in data.splits.values() for i in frame["example"].to_list())
    assert examples == list(range(40))
    assert data.splits["train"]["text"][3] == f"text {data.splits['train']['example'][3]}"
    assert "validation (10 rows); stratified by label, seed 42" in data.notes[0]


def test_a_missing_validation_split_is_made_from_train(reviews: dict[str, str]) -> None:
    del reviews["validation"]
    data = load(reviews, split=SplitSettings(validation=0.1))
    assert {split: frame.height for split, frame in data.splits.items()} == {"train": 36, "validation": 4, "test": 10}


def test_groups_stay_together_and_are_carried(write: Write) -> None:
    file = write("a.jsonl", rows(60, who=lambda i: None if i == 5 else f"w{i // 3}"))
    data = load(file, split=SplitSettings(test=0.2, validation=0.2, group_by="who"))
    seen = [{i // 3 for i in frame["example"].to_list() if i != 5} for frame in data.splits.values()]
    assert sum(map(len, seen)) == 20
    assert data.splits["test"].columns == ["example", "text", "label", "who"]
    assert 'grouped by "who"' in data.notes[0]


def test_limits_draw_rows_in_order_and_say_so(reviews: dict[str, str]) -> None:
    data = load(reviews, limit={"train": 20, "test": 500})
    drawn = data.splits["train"]["example"].to_list()
    assert len(drawn) == 20
    assert drawn == sorted(drawn) != list(range(20))
    assert data.notes == ("train: 20 of 40 rows, drawn at random (seed 42).",)
    assert load(reviews, limit={"train": 20}).splits["train"]["example"].to_list() == drawn


def test_a_limit_leaves_every_class_of_train_a_row(write: Write) -> None:
    common = rows(300, label=lambda i: str(i % 2))
    rare = rows(8, label=lambda i: f"rare {i}")
    source = {name: str(write(f"{name}.jsonl", [*common, *rare])) for name in ("train", "validation", "test")}
    data = load(source, limit={"train": 20})
    drawn = data.splits["train"]
    assert drawn.height == 20
    assert drawn["label"].n_unique() == 10
    assert drawn["example"].to_list() == sorted(set(drawn["example"].to_list()))
    with pytest.raises(InputError, match=r"at least to 10 \(train has"):
        load(source, limit={"train": 9})


def test_many_classes_are_not_all_named(write: Write) -> None:
    source = {"train": rows(40, label=str), "validation": rows(40, label=str), "test": rows(80, label=str)}
    with pytest.raises(InputError, match=r"and 34 more, which train lacks.*and 34 more"):
        load({name: str(write(f"{name}.jsonl", content)) for name, content in source.items()})


def test_the_fingerprint_is_of_the_used_rows(reviews: dict[str, str]) -> None:
    first = load(reviews).fingerprint
    assert len(first) == 64
    assert load(reviews, keep=("who",)).fingerprint == first
    assert load(reviews, limit={"train": 30}).fingerprint != first
    path = Path(reviews["test"])
    path.write_text(path.read_text().replace("test 3", "test three"))
    assert load(reviews).fingerprint != first


def test_bad_rows_are_dropped_and_counted(write: Write) -> None:
    content = rows(20)
    content[0]["text"] = "  "
    content[1]["text"] = None
    content[2]["label"] = None
    content[3] = {"text": "", "label": ""}
    data = load(write("a.jsonl", content), split=THIRDS)
    assert data.dropped == (Dropped("train", "no label", 2), Dropped("train", 'blank "text"', 2))
    used = sorted(i for frame in data.splits.values() for i in frame["example"].to_list())
    assert used == list(range(4, 20))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0, 1, 10, 2], ("0", "1", "2", "10")),
        ([True, False], ("false", "true")),
        ([1.0, 0.0], ("0", "1")),
        (["neutral", "contradiction", "entailment"], ("entailment", "neutral", "contradiction")),
    ],
)
def test_labels_of_every_type(write: Write, values: list[Any], expected: tuple[str, ...]) -> None:
    made = rows(40, label=lambda i: values[i % len(values)])
    data = load(write("a.jsonl", made), split=THIRDS)
    assert data.labels == expected
    first = data.splits["train"].row(0, named=True)
    written = str(values[first["example"] % len(values)]).lower()
    assert data.labels[first["label"]] == written.removesuffix(".0")


def test_labels_of_different_types_meet(write: Write) -> None:
    source = {
        "train": str(write("train.jsonl", rows(8, label=lambda i: i % 2))),
        "validation": str(write("validation.csv", "text,label\nx,1\ny,0\n")),
        "test": str(write("test.csv", "text,label\nx,1.0\ny,0.0\n")),
    }
    data = load(source)
    assert data.labels == ("0", "1")
    assert data.splits["test"]["label"].to_list() == [1, 0]


def test_minus_one_is_a_class_of_plain_files_and_noted(write: Write) -> None:
    data = load(write("a.jsonl", rows(20, label=lambda i: i % 2 * 2 - 1)), split=THIRDS)
    assert data.labels == ("-1", "1")
    assert any('"-1" is kept as a class' in note for note in data.notes)


def test_numbers_become_texts(write: Write) -> None:
    data = load(write("a.jsonl", rows(20, text=lambda i: i * 1000)), split=THIRDS)
    assert data.splits["train"]["text"][0] == str(data.splits["train"]["example"][0] * 1000)


def test_columns_called_example_and_label_are_renamed(write: Write) -> None:
    made = rows(20, example=lambda i: f"e{i}", gold=lambda i: i % 2)
    data = load(write("a.jsonl", made), text=("example", "label"), label="gold", split=THIRDS)
    assert data.text_columns == ("example_text", "label_text")
    assert data.splits["train"].columns == ["example", "example_text", "label_text", "label"]
    assert any('"example" is called "example_text"' in note for note in data.notes)


def test_user_text_is_never_a_path_or_pattern(write: Write) -> None:
    hostile = ["../../etc", "=1+1", "{0}", "$^(", "<b>", "\\1"]
    made = rows(24, text=lambda i: hostile[i % 6] + str(i), label=lambda i: ["$1", "(a|b)"][i % 2])
    data = load(write("a.jsonl", made), split=THIRDS)
    assert data.labels == ("$1", "(a|b)")
    for row in data.splits["train"].iter_rows(named=True):
        assert row["text"] == hostile[row["example"] % 6] + str(row["example"])
        assert row["label"] == row["example"] % 2


SNLI = "gold_label\tsentence1_parse\tsentence1\tsentence2\tpairID\n"


def snli(name: str, gold: list[str]) -> str:
    lines = [f'{label}\t(ROOT "\t{name} "{i}\tit\'s {i}\tp{i}\n' for i, label in enumerate(gold)]
    return SNLI + "".join(lines)


GOLD = ["neutral", "-", "entailment", "contradiction"]


@pytest.mark.parametrize(
    ("text", "label"),
    [(("premise", "hypothesis"), "label"), (("sentence1", "sentence2"), "gold_label")],
)
def test_distributed_snli_by_both_spellings(write: Write, text: tuple[str, ...], label: str) -> None:
    for split in ("train", "dev", "test"):
        path = write(f"snli/snli_1.0_{split}.txt", snli(split, GOLD))
    data = load(path.parent, text=text, label=label)
    assert data.name == "snli"
    assert data.labels == ("entailment", "neutral", "contradiction")
    assert data.text_columns == text
    assert data.splits["validation"].row(0) == (0, 'dev "0', "it's 0", 1)
    assert data.splits["test"]["example"].to_list() == [0, 2, 3]
    assert len(data.notes) == (3 if label == "label" else 0)
    assert data.dropped == tuple(Dropped(s, "no gold label (-)", 1) for s in ("train", "validation", "test"))


def test_distributed_multinli_takes_the_matched_development_set(write: Write) -> None:
    for name in ("train", "dev_matched", "dev_mismatched"):
        made = [{"sentence1": f"{name} {i}", "sentence2": "b", "gold_label": g} for i, g in enumerate(GOLD * 5)]
        path = write(f"multinli/multinli_1.0_{name}.jsonl", made)
    data = load(path.parent, text=("premise", "hypothesis"), split=SplitSettings(test=0.3))
    assert data.splits["validation"]["premise"][0] == "dev_matched 0"
    assert "Not used in multinli: multinli_1.0_dev_mismatched.jsonl." in data.notes


def test_a_folder_with_shards_and_two_formats(write: Write) -> None:
    write("d/train-00000-of-00002.jsonl", rows(6))
    write("d/train-00001-of-00002.jsonl", rows(4))
    write("d/valid.jsonl", rows(4))
    write("d/test.csv", "text,label\nx,a\n")
    write("d/test.jsonl", rows(2))
    path = write("d/README.md", "hello").parent
    data = load(path)
    assert data.splits["train"]["example"].to_list() == list(range(10))
    assert data.splits["test"].height == 2
    assert any("test.jsonl is read; the same in another format: test.csv" in note for note in data.notes)


def test_relative_paths_start_at_the_base(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write("studies/a.jsonl", rows(20))
    write("elsewhere/b.jsonl", rows(20))
    monkeypatch.chdir(tmp_path / "elsewhere")
    for name in ("a.jsonl", "b.jsonl"):
        settings = DataSettings(source=name, text=("text",), split=THIRDS)
        assert load_dataset(settings, tmp_path / "studies").name == name[0]
    with pytest.raises(InputError) as caught:
        load_dataset(DataSettings(source="a.jsonll", text=("text",)), tmp_path / "studies")
    assert str(tmp_path / "studies" / "a.jsonll") in str(caught.value)
    assert str(tmp_path / "elsewhere" / "a.jsonll") in str(caught.value)
    assert 'did you mean "a.jsonl"?' in str(caught.value)


def per_split(write: Write, **changes: Any) -> dict[str, str]:
    made = {"train": rows(12), "validation": rows(4), "test": rows(4)} | changes
    return {split: str(write(f"{split}.jsonl", content)) for split, content in made.items() if content}


def test_an_unlabelled_test_split_counts_as_missing(write: Write) -> None:
    source = per_split(write, test=rows(4, label=lambda i: None))
    with pytest.raises(InputError, match="no test split"):
        load(source)
    data = load(source, split=SplitSettings(test=0.25))
    assert data.splits["test"].height == 3
    assert any("test split of the source has no labels" in note for note in data.notes)


ONE_CLASS = rows(4, label=lambda i: "a")
HALVES = rows(4, label=lambda i: i / 2)
BAD: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "no test": ({"test": None}, {}, r"no test split.*\{test: 0\.2\}"),
    "no validation": ({"validation": None}, {}, r"no validation split.*\{validation: 0\.1\}"),
    "neither": ({"test": None, "validation": None}, {}, r"no validation and no test.*\{test: 0\.2, validation: 0\.1\}"),
    "no train": ({"train": None}, {}, r"no train split \(it has validation, test\)"),
    "split exists": ({}, {"split": SplitSettings(test=0.2)}, r"data\.split\.test asks for a test split, but"),
    "split of nothing": ({}, {"split": SplitSettings(seed=3)}, r"data\.split makes nothing"),
    "missing column": ({}, {"text": ("txet",)}, r'no column "txet"; did you mean "text"\? Its columns: "text"'),
    "missing label column": ({}, {"label": "class"}, 'no column "class"'),
    "missing kept column": ({}, {"keep": ("who",)}, r'test\.jsonl has no column "who"'),
    "missing group": (
        {"test": None},
        {"split": SplitSettings(test=0.2, group_by="who")},
        r'train\.jsonl has no column "who"',
    ),
    "one class": (dict.fromkeys(("train", "validation", "test"), ONE_CLASS), {}, "one label only"),
    "one class in train": ({"train": ONE_CLASS}, {}, 'validation has the label "b", which train lacks'),
    "unseen label": ({"test": rows(4, label=lambda i: "ac"[i % 2])}, {}, 'test has the label "c", which train lacks'),
    "unseen after limit": ({}, {"limit": {"train": 1}}, "raise data.limit.train"),
    "regression": (dict.fromkeys(("train", "validation", "test"), HALVES), {}, r"fractions such as 0\.5"),
    "no usable row": ({"test": rows(4, text=lambda i: " ")}, {}, r'No usable row is left in test .*blank "text": 4'),
    "no labelled train row": ({"train": rows(4, label=lambda i: None)}, {}, "No usable row is left in train"),
    "nested text": ({"test": rows(4, text=lambda i: ["a"])}, {}, "List.*plain values"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_clear_error(write: Write, case: str) -> None:
    changes, settings, message = BAD[case]
    with pytest.raises(InputError, match=message):
        load(per_split(write, **changes), **settings)


def test_column_problems_of_all_splits_come_at_once(write: Write) -> None:
    with pytest.raises(InputError) as caught:
        load(per_split(write), text=("one", "two"))
    assert str(caught.value).count("has no column") == 6


def test_a_doubled_column_is_an_error_only_where_used(write: Write) -> None:
    content = "text,text,label,,\n" + "".join(f"a{i},b,{i % 2},,\n" for i in range(20))
    with pytest.raises(InputError, match='has 2 columns called "text"'):
        load(write("a.csv", content), split=THIRDS)
    content = content.replace("text,text", "text,other")
    assert load(write("b.csv", content), split=THIRDS).labels == ("0", "1")


def test_a_wrong_delimiter_shows_the_columns_found(write: Write) -> None:
    with pytest.raises(InputError, match=r'no column "label"; did you mean "text:label"\? Its columns: "text:label"'):
        load(write("a.csv", "text:label\na:x\n"))


SOURCES = {
    "missing file": ("nowhere/a.csv", "nowhere/a.csv is not found"),
    "unknown demo": ("demo:snil", 'demo dataset "snil" is not known; did you mean "snli"'),
    "empty hub name": ("hub:", "names no dataset"),
    "unknown split": ({"train": "a.csv", "tset": "b.csv"}, '"tset" is not known; did you mean "test"'),
    "no source": ({}, "data.source is empty"),
}


@pytest.mark.parametrize("case", SOURCES)
def test_bad_sources(case: str) -> None:
    source, message = SOURCES[case]
    with pytest.raises(InputError, match=message):
        load(source)


def test_folders_that_do_not_fit(write: Write, tmp_path: Path) -> None:
    write("none/data.csv", "text,label\n")
    with pytest.raises(InputError, match=r"no file named after a split .*data files there: data\.csv"):
        load(tmp_path / "none")
    write("two/train_a.csv", "text,label\n")
    write("two/train_b.csv", "text,label\n")
    with pytest.raises(InputError, match=r"several files for train: train_a\.csv, train_b\.csv"):
        load(tmp_path / "two")


def test_annotators_lists_are_carried(write: Write) -> None:
    content = rows(12, text=lambda i: f"t {i}")
    for number, row in enumerate(content):
        row["votes"] = ["a", "b"][: 1 + number % 2]
    data = load(write("a.jsonl", content), split=THIRDS, keep=("votes",))
    for row in data.splits["test"].iter_rows(named=True):
        assert row["votes"] == ["a", "b"][: 1 + row["example"] % 2]
    with pytest.raises(InputError, match='grouping column "votes" holds List'):
        load(write("b.jsonl", content), split=SplitSettings(test=0.3, validation=0.3, group_by="votes"))


def test_validation_may_be_missing_where_nothing_needs_it(reviews: dict[str, str]) -> None:
    whole = load(reviews)
    del reviews["validation"]
    settings = DataSettings(source=reviews, text=("text",))
    with pytest.raises(InputError, match=r"no validation split.*With protocol\.keep: last no validation is needed"):
        load_dataset(settings)
    data = load_dataset(settings, needs_validation=False)
    assert list(data.splits) == ["train", "test"]
    assert data.splits["test"].equals(whole.splits["test"])
    assert "no validation split, and no run of the study needs one" in data.notes[-1]
    limited = DataSettings(source=reviews, text=("text",), limit={"validation": 3})
    with pytest.raises(InputError, match=r"data\.limit\.validation has no effect"):
        load_dataset(limited, needs_validation=False)


NAMES = {
    "regular expression": ("^.*$", "*"),
    "ours": ("example", "predicted"),
    "counted": ("count", "label_text"),
    "with the suffix": ("label", "label_text"),
    "example and its suffix": ("example", "example_text"),
}


@pytest.mark.parametrize("case", NAMES)
def test_columns_may_have_any_name(write: Write, case: str) -> None:
    text, keep = NAMES[case]
    path = write("a.jsonl", [{text: f"text {i}", keep: f"k{i}", "y": "ab"[i % 2]} for i in range(20)])
    data = load(path, (text,), label="y", keep=(keep,), split=THIRDS)
    train = data.splits["train"]
    assert len(set(train.columns)) == 4
    assert all(value.startswith("text ") for value in train[data.text_columns[0]])
    assert train[train.columns[-1]][0].startswith("k")
    pair = load(path, (text, keep), label="y", split=THIRDS)
    assert profile_dataset(pair).shared[0].exact == 0


def test_missing_numbers_among_texts_are_missing(tmp_path: Path) -> None:
    frame = pl.DataFrame({"text": [1.0, float("nan"), 2.0, 3.0] * 5, "label": ["a", "a", "b", "b"] * 5})
    frame.write_parquet(tmp_path / "a.parquet")
    data = load(tmp_path / "a.parquet", split=THIRDS)
    assert [(drop.reason, drop.count) for drop in data.dropped] == [('blank "text"', 5)]
