from pathlib import Path

import pytest

from thriftune.data.guess.inspect import guess
from thriftune.data.load import load_dataset
from thriftune.data.settings import DataSettings, SplitSettings
from thriftune.errors import InputError


def table(header: str, lines: list[str]) -> str:
    return "\n".join([header, *lines]) + "\n"


def test_a_single_text_and_a_named_label(write) -> None:
    lines = [f"{i},2024-01-{i % 28 + 1:02},This is review number {i},{['pos', 'neg'][i % 2]}" for i in range(40)]
    found = guess(write("reviews.csv", table("id,date,review,sentiment", lines)))
    assert (found.text, found.label) == (("review",), "sentiment")
    assert found.labels == {"neg": 20, "pos": 20}
    assert found.splits == ("train",)
    assert found.split == SplitSettings(test=0.2, validation=0.2)
    assert found.texts == ([f"This is review number {i}" for i in range(40)],)
    assert len(found.reasons) == 3
    assert (found.warnings, found.problem) == ([], None)
    assert found.source.endswith("reviews.csv")


def test_pairs_by_name_are_grouped_by_the_repeated_first_text(write) -> None:
    lines = [f"p{i},same premise {i // 3},a longer hypothesis {i},{i % 3}" for i in range(60)]
    found = guess(write("a.csv", table("pairID,premise,hypothesis,label", lines)))
    assert found.text == ("premise", "hypothesis")
    assert found.labels == {"0": 20, "1": 20, "2": 20}
    assert found.split == SplitSettings(test=0.2, validation=0.2, group_by="premise")


def test_a_label_without_a_known_name(write) -> None:
    lines = [f"{i},words and words {i},{['x', 'y', 'z'][i % 3]},u{i % 5}" for i in range(60)]
    found = guess(write("a.csv", table("row_id,body,verdict,user_id", lines)))
    assert (found.text, found.label) == (("body",), "verdict")
    assert "fewest different values, 3" in found.reasons[0]


def test_distributed_files_leave_out_pairs_without_gold_label(write) -> None:
    gold = ["neutral", "-", "entailment", "contradiction"] * 5
    lines = [f"{g}\tpremise {i}\thypothesis {i}\tc{i}" for i, g in enumerate(gold)]
    found = guess(write("snli_1.0_train.txt", table("gold_label\tsentence1\tsentence2\tcaptionID", lines)))
    assert found.text == ("sentence1", "sentence2")
    assert list(found.labels) == ["entailment", "neutral", "contradiction"]


def test_a_folder_with_all_splits(reviews: dict[str, str]) -> None:
    found = guess(Path(reviews["train"]).parent)
    assert found.splits == ("train", "validation", "test")
    assert found.split is None


def test_what_is_guessed_loads() -> None:
    found = guess("demo:snli")
    data = load_dataset(DataSettings(source=found.source, text=found.text, label=found.label))
    assert data.text_columns == ("premise", "hypothesis")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", table("id,text", [f"{i},text {i}" for i in range(9)]), "looks like a label.*id, text"),
        ("a.csv", table("label,n", [f"{i % 2},{i}" for i in range(9)]), "looks like text.*label, n"),
        ("a.csv", "", "is empty"),
    ],
)
def test_where_nothing_fits(write, name: str, content: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        guess(write(name, content))


def test_a_missing_file() -> None:
    with pytest.raises(InputError, match="is not found"):
        guess("nowhere.csv")


def words(i: int) -> str:
    return f"some words of text number {i}"


def rows(count: int, *values: str) -> list[str]:
    """Lines of a text and, for each list of values parted by blanks, one of them in turn."""
    lists = [value.split(" ") for value in values]
    return [",".join([words(i), *(each[i % len(each)] for each in lists)]) for i in range(count)]


TWELVE = " ".join(map(str, range(12)))


@pytest.mark.parametrize(
    ("header", "values", "label", "others"),
    [
        ("text,lang,source,intent_id", ["de en", "app web", TWELVE], "intent_id", ['"lang" (2', '"source" (2']),
        ("text,lang,star_rating", ["de en fr", "1 2 3 4 5"], "star_rating", ['"lang" (3']),
        ("text,Country,labelText", ["de en", "good bad mixed"], "labelText", ['"Country" (2']),
        ("text,verified,stars", ["0 1", "1 2 3 4 5"], "stars", ['"verified" (2']),
        ("text,is_reply,has_link,verdict", ["0 1", "1 0 0", "x y z"], "verdict", ['"is_reply" (2', '"has_link" (2']),
        ("text,label_text,label", ["good bad", "0 1"], "label", ['"label_text" (2']),
        ("text,label_source,opinion", ["crowd expert", "a b c"], "opinion", ['"label_source" (2']),
        ("text,target_id,emotion_category", ["7 8", "joy fear anger"], "emotion_category", ['"target_id" (2']),
    ],
)
def test_a_label_is_known_by_its_name_and_the_others_are_listed(
    write, header: str, values: list[str], label: str, others: list[str]
) -> None:
    path = write("a.csv", table(header, rows(60, *values)))
    found = guess(path)
    assert found.label == label
    said = next(reason for reason in found.reasons if reason.startswith("Other columns that could be the label"))
    assert all(other in said for other in others)
    assert "--label" in said
    other = others[0].split('"')[1]
    assert guess(path, label=other).label == other


def test_many_classes_of_a_named_label(write) -> None:
    lines = [f"{words(i)},intent {i % 150}" for i in range(600)]
    assert len(guess(write("a.csv", table("text,intent", lines))).labels) == 150


def test_columns_that_are_called_like_polars_own(write) -> None:
    lines = [f"{words(i)},{i % 5},{i % 2},{i % 3}" for i in range(60)]
    found = guess(write("a.csv", table("text,count,label,len", lines)))
    assert (found.text, found.label) == (("text",), "label")
    assert guess(write("b.csv", table("text,count", [f"{words(i)},{i % 3}" for i in range(60)]))).label == "count"


@pytest.mark.parametrize(
    ("header", "values", "message"),
    [
        (
            "text,toxic,obscene,insult",
            ["0 1", "0 0 1", "1 0 0 0"],
            "toxic, obscene, insult.*multi-label.*--label tox",
        ),
        ("text,toxic,insult", ["False True", "False False True"], r"2 columns .*\(toxic, insult\).*multi-label"),
        ("text,label_a,label_b", ["0 1", "0 0 1"], "label_a, label_b.*multi-label.*--label label_a takes one"),
        ("text,lang,toxic,insult", ["de en", "0 1", "0 0 1"], 'multi-label.*other columns of classes: "lang"'),
        ("text,a_class,b_class", ["0 1", "1 0"], r"\(one-hot\), as in multi-label.*--label a_class takes one"),
        ("text,score", [" ".join(map(str, range(0, 90, 3)))], "regression.*--label score takes each number as a class"),
        ("text,tags", ["a b a|b b|c c"], '"tags" .*holds several labels per text .*"a|b".*multi-label'),
        ("text,genres,lang", ["x;y y;z x z y", "de en"], '"genres".*multi-label.*Columns of classes: "lang" '),
        ("text,labels", ["['a'] ['b'] ['a';'b']"], "labels.*several labels per text.*multi-label"),
        ("text,score", [" ".join(f"{i / 7:.3f}" for i in range(60))], '"score" .*fractions such as 0.143.*regression'),
        ("text,score,lang", [" ".join(f"{i / 7:.3f}" for i in range(60)), "de en"], '"score".*regression.*"lang" '),
        ("text,rating", ["1.0 1.5 2.0 2.5"], '"rating".*fractions such as 1.5: that is regression'),
        (
            "text,score,lang",
            [" ".join(map(str, range(0, 90, 3))), "de en"],
            '"score".*30 different numbers.*regress',
        ),
    ],
)
def test_what_is_no_single_class_is_refused_in_a_sentence(write, header: str, values: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        guess(write("a.csv", table(header, rows(60, *values))))


def test_one_of_several_labels_can_be_taken(write) -> None:
    path = write("a.csv", table("text,toxic,insult", rows(60, "0 1", "0 0 1")))
    found = guess(path, label="insult")
    assert (found.label, found.labels) == ("insult", {"0": 40, "1": 20})


def test_lists_in_json_are_multi_label(write) -> None:
    lines = [{"text": words(i), "labels": [["a"], ["a", "b"]][i % 2]} for i in range(40)]
    with pytest.raises(InputError, match="multi-label"):
        guess(write("a.jsonl", lines))
    with pytest.raises(InputError, match="multi-label"):
        guess(write("a.jsonl", lines), label="labels")


def test_names_with_commas_are_classes(write) -> None:
    lines = [f'{words(i)},"{["Home, garden", "Food, drink", "Sports"][i % 3]}"' for i in range(60)]
    assert len(guess(write("a.csv", table("text,category", lines))).labels) == 3


def test_two_texts_that_are_no_pair_are_named(write) -> None:
    lines = [f"Short title {i},A much longer body of text with number {i},{'ab'[i % 2]}" for i in range(40)]
    path = write("a.csv", table("title,body,label", lines))
    found = guess(path)
    assert found.text == ("body",)
    assert any("--text title --text body takes two as a pair" in reason for reason in found.reasons)
    assert guess(path, text=["title", "body"]).text == ("title", "body")
    assert guess(path, text=["title"]).text == ("title",)


@pytest.mark.parametrize(
    ("text", "label", "message"),
    [
        (["bodi"], None, 'no column "bodi"; did you mean "body"'),
        ([], "lable", 'no column "lable"; did you mean "label"'),
        (["body", "title", "label"], None, "--text is given 3 times"),
        (["body", "body"], None, "twice"),
        (["body"], "body", "The label cannot be the text"),
        ([], "title", "40 different values|one|classes"),
    ],
)
def test_given_columns_are_checked(write, text: list[str], label: str | None, message: str) -> None:
    lines = [f"title,Body {i} of some length,{'ab'[i % 2]}" for i in range(40)]
    with pytest.raises(InputError, match=message):
        guess(write("a.csv", table("title,body,label", lines)), text=text, label=label)


@pytest.mark.parametrize(
    ("train", "others", "found"),
    [
        ("train.csv", ["test.csv", "dev.csv"], {"test": "test.csv", "validation": "dev.csv"}),
        ("Train.csv", ["Test.csv", "Validation.csv"], {"test": "Test.csv", "validation": "Validation.csv"}),
        ("reviews_train.csv", ["reviews_test.csv", "test.csv"], {"test": "reviews_test.csv"}),
        ("train-en.csv", ["valid-en.csv", "valid-de.csv"], {"validation": "valid-en.csv"}),
        ("train.csv", ["notes.csv", "my_test.csv"], {}),
        ("data.csv", ["test.csv"], {}),
        ("test.csv", ["train.csv"], {}),
    ],
)
def test_splits_that_lie_beside_a_training_file(write, train: str, others: list[str], found: dict[str, str]) -> None:
    content = table("text,label", rows(60, "x y"))
    path = write(train, content)
    for name in others:
        write(name, content.replace("some", "other"))
    seen = guess(path)
    expected = {split: str(path.parent / name) for split, name in found.items()}
    assert seen.source == ({"train": str(path), **expected} if expected else str(path))
    assert seen.splits == ("train", *(split for split in ("validation", "test") if split in found))
    left = (
        SplitSettings(test=0.0 if "test" in found else 0.2, validation=0.0 if "validation" in found else 0.2)
        if len(found) < 2
        else None
    )
    assert seen.split == left
    assert seen.problem is None


def test_a_test_file_without_labels_is_not_used(write) -> None:
    path = write("train.csv", table("text,label", rows(60, "x y")))
    write("test.csv", table("id,text", [f"{i},{words(i)}" for i in range(9)]))
    found = guess(path)
    assert found.source == str(path)
    assert any('test.csv lies beside it and is not used: it has no column "label"' in r for r in found.reasons)


def test_a_column_that_says_the_split_is_used(write) -> None:
    lines = [f"{words(i)},{'xy'[i // 3 % 2]},{['Train', 'train', 'TEST'][i % 3]}" for i in range(60)]
    found = guess(write("a.csv", table("text,label,split", lines)))
    assert (found.label, found.split) == ("label", SplitSettings(column="split", validation=0.2))
    assert any(reason.startswith('"split" gives the splits: Train (20 rows)') for reason in found.reasons)
    assert found.problem is None


def test_a_fold_column_of_numbers_is_no_split(write) -> None:
    found = guess(write("a.csv", table("text,label,fold", rows(60, "x y", "0 1 2 3 4"))))
    assert found.split == SplitSettings(test=0.2, validation=0.2)


def test_what_compare_would_refuse_is_said(write) -> None:
    write("test.csv", table("text,label", [*rows(9, "x y"), "lonely text,z"]))
    found = guess(write("train.csv", table("text,label", rows(40, "x y"))))
    assert found.problem is not None
    assert 'test has the label "z", which train lacks' in found.problem


def test_a_class_with_one_row_is_no_reason_to_refuse(write) -> None:
    assert guess(write("a.csv", table("text,label", [*rows(40, "x y"), "lonely text,z"]))).problem is None


def test_a_given_column_may_have_its_other_spelling(write) -> None:
    lines = [f"{'xy'[i % 2]}\tpremise {i}\thypothesis {i}" for i in range(40)]
    found = guess(write("a.tsv", table("gold_label\tsentence1\tsentence2", lines)), ["premise", "hypothesis"], "label")
    assert (found.text, found.label) == (("sentence1", "sentence2"), "gold_label")


@pytest.mark.parametrize(
    ("about", "label"),
    [("Sprache", "Stimmung"), ("langue", "catégorie"), ("idioma", "intención"), ("Quelle", "anders")],
)
def test_names_in_other_languages(tmp_path: Path, about: str, label: str) -> None:
    lines = [f"Text,{about},{label}"] + [f"the words of text {i},{'ab'[i % 2]},{'xyz'[i % 3]}" for i in range(60)]
    (tmp_path / "a.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert guess(tmp_path / "a.csv").label == label
