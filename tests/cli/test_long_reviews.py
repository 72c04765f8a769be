"""Long texts of two classes, made up here, go from the file to predictions in three commands, with nothing edited."""

from __future__ import annotations

import csv
import random
from pathlib import Path

import pytest
from tests.cli.commands import run

GOOD = ["splendid", "moving", "gripping", "warm", "clever", "tender", "funny", "bold", "honest", "radiant"]
BAD = ["dull", "clumsy", "noisy", "shallow", "tired", "false", "bleak", "hollow", "lazy", "endless"]
PLAIN = [
    *("the", "film", "begins", "in", "a", "small", "town", "where", "nothing", "happens", "until", "a"),
    *("stranger", "arrives", "by", "the", "last", "train", "and", "asks", "for", "a", "room"),
]


def review(rng: random.Random, good: bool) -> str:
    """150 to 500 words; about one in 25 takes sides, and one in five of those the other one."""
    words = []
    for _ in range(rng.randrange(150, 500)):
        side = (GOOD if good else BAD) if rng.random() < 0.8 else (BAD if good else GOOD)
        words.append(rng.choice(side) if rng.random() < 0.04 else rng.choice(PLAIN))
    words[rng.randrange(len(words))] += ',\n"as they say";'
    return " ".join(words)


@pytest.mark.slow
def test_from_the_file_to_predictions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rng = random.Random(0)
    rows = [(review(rng, good), "pos" if good else "neg") for good in (rng.random() < 0.5 for _ in range(120))]
    for name, part in (("reviews.csv", rows[:100]), ("new.csv", [(text,) for text, _ in rows[100:]])):
        with (tmp_path / name).open("w", newline="") as file:
            csv.writer(file).writerows([("review", "sentiment")[: len(part[0])], *part])
    said = run("init", "reviews.csv")
    assert said.exit_code == 0, said.output
    said = run("compare", "reviews.yaml")
    assert said.exit_code == 0, said.output
    assert "take " in said.stdout.lower()
    folder = next(path for path in tmp_path.glob("results*") if path.is_dir())
    said = run("predict", str(folder), "new.csv", "--out", "labelled.csv")
    assert said.exit_code == 0, said.output
    with (tmp_path / "labelled.csv").open(newline="") as file:
        labelled = list(csv.DictReader(file))
    assert [row["review"] for row in labelled] == [text for text, _ in rows[100:]]
    right = sum(row["predicted"] == label for row, (_, label) in zip(labelled, rows[100:], strict=True))
    assert right >= 15
