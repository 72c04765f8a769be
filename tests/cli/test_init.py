"""`thriftune init`: the study file that it writes."""

from __future__ import annotations

from pathlib import Path

from tests.cli.commands import run

from thriftune.data.settings import SplitSettings
from thriftune.study.file.config import load_study


class TestInit:
    def test_writes_a_study_that_loads(self, here: Path) -> None:
        result = run("init", "reviews.csv")
        assert result.exit_code == 0
        assert '"review" is the text' in result.stdout
        study = load_study(here / "reviews.yaml")
        assert (study.data.text, study.data.label, study.data.source) == (("review",), "mood", "reviews.csv")
        assert {method.NAME for method in study.methods} >= {"tfidf", "embeddings", "head_only", "lora", "full"}
        assert (study.protocol.epochs, study.protocol.batch_size) == ("auto", 8)
        assert "- Time: about " in result.stdout
        assert "Time: about " in (here / "reviews.yaml").read_text(encoding="utf-8")

    def test_without_a_probe_no_time_is_said(self, here: Path) -> None:
        result = run("init", "reviews.csv", "--no-probe")
        assert result.exit_code == 0
        assert "Time is not predicted: " in result.stdout
        load_study(here / "reviews.yaml")

    def test_paths_are_relative_to_the_study_file(self, here: Path) -> None:
        (here / "studies").mkdir()
        assert run("init", "reviews.csv", "--out", "studies/a.yaml").exit_code == 0
        assert load_study(here / "studies" / "a.yaml").data.source == "../reviews.csv"

    def test_columns_can_be_chosen(self, here: Path) -> None:
        rows = "".join(f"title {i},body number {i},{i % 3},{i % 2}\n" for i in range(40))
        (here / "a.csv").write_text(f"title,body,label,lang\n{rows}", encoding="utf-8")
        result = run("init", "a.csv", "--text", "title", "--text", "body", "--label", "lang")
        assert result.exit_code == 0, result.output
        data = load_study(here / "a.yaml").data
        assert (data.text, data.label) == (("title", "body"), "lang")
        assert '"lang" is the label: --label says so' in result.stdout
        wrong = run("init", "a.csv", "--out", "b.yaml", "--label", "lan")
        assert (wrong.exit_code, 'did you mean "lang"' in wrong.stderr) == (2, True)
        assert not (here / "b.yaml").exists()

    def test_splits_beside_the_file_and_warnings(self, here: Path) -> None:
        rows = "".join(f"text {i % 50},{'xX'[i % 2]}\n" for i in range(120))
        (here / "data").mkdir()
        for name in ("train", "test"):
            (here / "data" / f"{name}.csv").write_text(f"text,label\n{rows}", encoding="utf-8")
        result = run("init", "data/train.csv")
        assert result.exit_code == 0, result.output
        study = load_study(here / "train.yaml")
        assert study.data.source == {"train": "data/train.csv", "test": "data/test.csv"}
        assert study.data.split == SplitSettings(validation=0.2, group_by="text")
        warned = [line for line in result.stdout.splitlines() if line.startswith("! ")]
        assert any("of 120 test texts stand in train too" in line for line in warned)
        assert any("data.labels: {X: x} merges them" in line for line in warned)
        text = (here / "train.yaml").read_text(encoding="utf-8")
        assert "# To settle before comparing:" in text
        assert "  # deduplicate: true" in text

    def test_a_split_column(self, here: Path) -> None:
        rows = "".join(f"text {i},{'xy'[i % 2]},{'train' if i < 80 else 'test'}\n" for i in range(100))
        (here / "a.csv").write_text(f"text,label,split\n{rows}", encoding="utf-8")
        assert run("init", "a.csv").exit_code == 0
        assert load_study(here / "a.yaml").data.split == SplitSettings(column="split", validation=0.2)

    def test_names_that_yaml_would_misread(self, here: Path) -> None:
        columns = 'off,"label: #1"'
        rows = "".join(f"some words number {i},{'yes' if i % 2 else 'a: b'}\n" for i in range(20))
        (here / "a: #b.csv").write_text(f"{columns}\n{rows}", encoding="utf-8")
        assert run("init", "a: #b.csv", "--out", "odd.yaml").exit_code == 0
        data = load_study(here / "odd.yaml").data
        assert (data.source, data.text, data.label) == ("a: #b.csv", ("off",), "label: #1")

    def test_the_demo_source(self, here: Path) -> None:
        assert run("init", "demo:snli").exit_code == 0
        assert load_study(here / "demo-snli.yaml").data.source == "demo:snli"

    def test_never_overwrites(self, here: Path) -> None:
        (here / "reviews.yaml").write_text("mine", encoding="utf-8")
        result = run("init", "reviews.csv")
        assert result.exit_code == 2
        assert "exists already" in result.stderr
        assert (here / "reviews.yaml").read_text(encoding="utf-8") == "mine"

    def test_missing_file(self, here: Path) -> None:
        result = run("init", "review.csv")
        assert result.exit_code == 2
        assert "review.csv" in result.stderr
        assert not (here / "review.yaml").exists()
