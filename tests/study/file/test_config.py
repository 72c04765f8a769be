"""The study file: strict reading, all problems at once, overrides, and the resolved file."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thriftune.errors import InputError
from thriftune.methods import discover
from thriftune.settings import SettingsError
from thriftune.study.file.config import (
    Study,
    load_study,
    shipped_folder,
    study_from_dict,
    study_to_dict,
    study_to_yaml,
)
from thriftune.study.file.yaml_text import dump_yaml, inline_yaml, parse_yaml

MINIMAL = """\
name: small
data: {source: a.csv, text: review}
models: [demo:minilm]
methods: [full, lora: {rank: 4}]
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "study.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def problems(folder: Path, text: str, *overrides: str) -> str:
    with pytest.raises(InputError) as caught:
        load_study(write(folder, text), overrides)
    return str(caught.value)


def base(**changes: Any) -> dict[str, Any]:
    return {
        "name": "x",
        "data": {"source": "a.csv", "text": ["t"]},
        "models": ["demo:minilm"],
        "methods": ["full"],
    } | changes


def rejected(data: dict[str, Any]) -> str:
    with pytest.raises(InputError) as caught:
        study_from_dict({key: value for key, value in data.items() if value is not None}, Path())
    return str(caught.value)


class TestReading:
    def test_a_small_study(self, tmp_path: Path) -> None:
        study = load_study(write(tmp_path, MINIMAL))
        assert study.name == "small"
        assert study.data.text == ("review",)
        assert study.seeds == (0,)
        assert [method.label for method in study.methods] == ["full", "lora r4 all"]
        assert study.folder == tmp_path.resolve()

    def test_no_path_is_the_demo(self) -> None:
        assert load_study(None) == load_study(shipped_folder() / "demo.yaml")

    def test_methods_in_every_spelling(self, tmp_path: Path) -> None:
        text = MINIMAL.replace(
            "[full, lora: {rank: 4}]", "\n  - full\n  - lora:\n  - lora: {rank: 4}\n  - top_layers:\n      layers: 1"
        )
        assert len(load_study(write(tmp_path, text)).methods) == 4

    def test_yaml_1_2_scalars(self, tmp_path: Path) -> None:
        text = MINIMAL + "protocol: {frozen_dropout: on, optimizer: {epsilon: 1e-7}}\n"
        protocol = load_study(write(tmp_path, text)).protocol
        assert protocol.frozen_dropout == "on"
        assert protocol.optimizer.epsilon == 1e-7

    def test_an_int_is_a_float_and_a_list_is_a_tuple(self) -> None:
        study = study_from_dict(base(methods=[{"full": {"learning_rate": [1, 2e-5]}}]), Path())
        assert study.methods[0].learning_rates == (1.0, 2e-5)  # type: ignore[attr-defined]
        optimizer = {"max_grad_norm": 1}
        assert study_from_dict(base(protocol={"optimizer": optimizer}), Path()).protocol.optimizer.max_grad_norm == 1.0

    def test_peft_takes_keys_of_its_config(self) -> None:
        study = study_from_dict(base(methods=[{"peft": {"type": "IA3", "feedforward_modules": ["a"]}}]), Path())
        assert study.methods[0].flat()["feedforward_modules"] == ["a"]
        assert study_from_dict(study_to_dict(study), Path()) == study

    def test_a_run_overrides_the_protocol(self) -> None:
        run = {"name": "a", "model": "m", "method": "full", "protocol": {"epochs": 1, "schedule": {"type": "constant"}}}
        protocol = {"epochs": 5, "batch_size": 4, "schedule": {"type": "plateau", "factor": 0.1}}
        study = study_from_dict(
            base(models=None, methods=None, runs=[run], protocol=protocol) | {"models": [], "methods": []}, Path()
        )
        made = study.runs[0].protocol
        assert (made.epochs, made.batch_size, made.schedule.type, made.schedule.factor) == (1, 4, "constant", None)


class TestProblems:
    def test_all_at_once_with_paths_and_suggestions(self, tmp_path: Path) -> None:
        text = """\
name: x
data: {sorce: a.csv, text: premise, limit: {tain: 3}}
protocol: {epoch: 3, batch_size: "8", epochs: true, precision: fp23, optimizer: {weight_decay: -1}}
heads: {}
models: [a]
methods: [ful, lora: {rank: 0, layers: tp, r: 3}]
margin: 101
"""
        message = problems(tmp_path, text)
        for part in [
            'data.sorce: unknown key; did you mean "source"?',
            "data.source: is missing",
            "data.limit.tain: unknown split",
            'protocol.epoch: unknown key; did you mean "epochs"?',
            'protocol.batch_size: "8" is given; allowed: a whole number',
            "protocol.epochs: true is given; allowed: a whole number",
            'protocol.precision: "fp23" is given; allowed: fp32, tf32, bf16 or auto',
            "protocol.optimizer.weight_decay: -1.0 is given, it must be at least 0",
            'heads: unknown key; did you mean "head"?',
            'methods.0: method "ful" is not known; did you mean "full"?',
            "methods.1.lora.rank: 0 is given, it must be at least 1",
            'methods.1.lora.layers: "tp" is given',
            "methods.1.lora.r: unknown key",
            "margin: 101.0 is given, it must be at most 100",
            "has 14 problems",
        ]:
            assert part in message
        assert str(tmp_path / "study.yaml") in message

    def test_a_key_in_the_wrong_place_is_told_where_it_belongs(self) -> None:
        assert "batch_size: unknown key; it belongs at protocol.batch_size" in rejected(base(batch_size=8))
        assert "protocol.learning_rate: unknown key; it belongs at methods" in rejected(
            base(protocol={"learning_rate": 1e-3})
        )

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "is empty"),
            ("- a\n- b\n", 'holds ["a", "b"]'),
            ("just words", "a study file is a mapping"),
            ("name: a\nname: b\n", 'line 2: the key "name" stands in line 1 already'),
            ("data: {label: a, label: b}\n", 'line 1: the key "label"'),
            ("name: a\n\tdata: 3\n", "line 2: indent with spaces"),
            ("name: [a\n", "line 2"),
            ("name: !!python/object:os.system {}\n", "the tag"),
            ("name: a\n---\nname: b\n", "document"),
            ("? [a, b]\n: c\n", "a key must be text"),
            ("a: &x [*x]\n", "contains itself"),
            ("name: \x01\n", "study.yaml"),
        ],
    )
    def test_yaml_problems_name_the_line(self, tmp_path: Path, text: str, message: str) -> None:
        assert message in problems(tmp_path, text)

    def test_files_that_cannot_be_read(self, tmp_path: Path) -> None:
        write(tmp_path, MINIMAL)
        with pytest.raises(InputError, match=r'did you mean "study\.yaml"'):
            load_study(tmp_path / "stdy.yaml")
        with pytest.raises(InputError, match="is a folder"):
            load_study(tmp_path)
        (tmp_path / "latin.yaml").write_bytes("name: é".encode("latin-1"))
        with pytest.raises(InputError, match="not UTF-8"):
            load_study(tmp_path / "latin.yaml")

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"methods": None}, "methods: is missing"),
            ({"models": None}, "models: is missing; full needs one"),
            ({"methods": ["tfidf", "majority"]}, "models: has no effect; tfidf, majority use no model"),
            ({"methods": ["tfidf"], "models": [], "head": {"type": "linear"}}, "head: has no effect"),
            ({"methods": ["tfidf"], "models": [], "seeds": [1, 2]}, "seeds: has no effect"),
            ({"methods": ["tfidf"], "models": [], "protocol": {"epochs": 9}}, "protocol: has no effect"),
            ({"protocol": {"keep": "last", "select": "loss"}}, "protocol.select: has no effect"),
            ({"protocol": {"schedule": {"factor": 0.5}}}, "protocol.schedule.factor: has no effect"),
            ({"methods": ["full", "full"]}, "methods.1: stands twice, first as methods.0"),
            ({"models": ["a", "a"]}, "models.1: stands twice"),
            ({"seeds": [3, 3]}, "seeds.1: stands twice"),
            ({"seeds": []}, "seeds: is empty"),
            ({"seeds": [-1]}, "seeds: -1 is given, it must be at least 0"),
            ({"seeds": [1.5]}, "seeds: [1.5] is given; allowed: a list of whole numbers"),
            ({"name": " "}, "name:"),
            ({"name": "a\x1b[31m"}, "control characters"),
            ({"data": {"source": "a", "text": ["a", "b", "c"]}}, "data.text: 3 columns are given"),
            ({"data": {"source": "a", "text": ["label"]}}, "data.text.0:"),
            ({"data": {"source": "a", "text": ["a"], "keep": ["a"]}}, "data.keep.0:"),
            ({"data": {"source": "a", "text": ["a"], "pair": "one_segment"}}, "data.pair: has no effect"),
            ({"data": {"source": {"tran": "a"}, "text": ["a"]}}, "data.source.tran: unknown split"),
            ({"data": {"source": "a", "text": ["a"], "split": {"test": 0.6, "validation": 0.5}}}, "leaves no rows"),
            ({"data": {"source": "a", "text": ["a"], "split": "random"}}, 'data.split: "random" is given'),
            ({"methods": [{"full": {"text": ["z"]}}]}, "methods.0.full.text.0:"),
            ({"methods": [{"full": {"learning_rate": "fast"}}]}, "methods.0.full.learning_rate:"),
            ({"methods": [{"full": {"learning_rate": math.nan}}]}, "must be a finite number"),
            ({"methods": [{"lora": None, "rank": 8}]}, "indent a method's settings"),
            ({"methods": [7]}, "methods.0: 7 is given"),
            ({"methods": ["peft"]}, "methods.0.peft.type: is missing"),
            ({"published": {"ful": {"accuracy": 0.5}}}, 'published.ful: matches no run; did you mean "full"?'),
            ({"published": {"full": {"acuracy": 0.5}}}, 'did you mean "accuracy"?'),
            ({"published": {"full": {"accuracy": 84.9}}}, "must be a fraction"),
            ({"published": {"full": {"loss": "low"}}}, 'published.full.loss: "low" is given'),
            ({"runs": [{"name": "a", "method": "majority"}]}, "models: has no effect beside runs"),
        ],
    )
    def test_what_does_not_go_together(self, changes: dict[str, Any], message: str) -> None:
        assert message in rejected(base() | changes)

    @pytest.mark.parametrize(
        ("run", "message"),
        [
            ({"method": "full"}, "runs.0.model: is missing"),
            ({"method": "tfidf", "model": "m"}, "runs.0.model: has no effect"),
            ({"method": "tfidf", "head": {"type": "linear"}}, "runs.0.head: has no effect"),
            ({"method": "tfidf", "protocol": {"epochs": 9}}, "runs.0.protocol: has no effect"),
            ({"method": "full", "model": "m", "protocol": {"epoch": 1}}, "runs.0.protocol.epoch: unknown key; did you"),
            ({"method": "full", "model": "m", "protocol": {"epochs": 0}}, "runs.0.protocol.epochs: 0 is given"),
            ({"method": "full", "model": "m", "sed": 3}, 'runs.0.sed: unknown key; did you mean "seed"?'),
            ({"method": {"lora": {"rank": "x"}}, "model": "m"}, "runs.0.method.lora.rank:"),
        ],
    )
    def test_run_entries(self, run: dict[str, Any], message: str) -> None:
        assert message in rejected(base(models=None, methods=None, runs=[{"name": "a", **run}]))

    def test_equal_runs_are_named(self) -> None:
        runs = [{"name": name, "model": "m", "method": "full"} for name in "ab"]
        assert "runs.1: is the same run as runs.0 (a)" in rejected(base(models=None, methods=None, runs=runs))

    def test_a_problem_of_the_study_protocol_is_told_once(self) -> None:
        runs = [{"name": name, "model": name, "method": "full"} for name in "ab"]
        message = rejected(base(models=None, methods=None, runs=runs, protocol={"epochs": 0}))
        assert message.count("epochs") == 1

    def test_made_in_python_it_is_checked_too(self) -> None:
        data = load_study(None).data
        with pytest.raises(SettingsError, match="methods: is missing"):
            Study(name="x", data=data)


class TestOverrides:
    def test_values_are_yaml(self, tmp_path: Path) -> None:
        overrides = [
            "protocol.epochs=1",
            "protocol.optimizer.weight_decay=1e-3",
            "methods.1.lora.rank=2",
            "seeds=[1, 2]",
            "data.label='no'",
            "data.limit.train=50",
            "protocol.early_stopping={patience: 2}",
        ]
        study = load_study(write(tmp_path, MINIMAL), overrides)
        assert (study.protocol.epochs, study.protocol.optimizer.weight_decay) == (1, 1e-3)
        assert (study.seeds, study.data.label, study.data.limit) == ((1, 2), "no", {"train": 50})
        assert study.methods[1].flat()["rank"] == 2
        assert study.protocol.early_stopping is not None

    def test_a_number_of_epochs_replaces_the_budget(self, tmp_path: Path) -> None:
        text = MINIMAL + "protocol: {epochs: auto, budget: {patience: 2}}\n"
        study = load_study(write(tmp_path, text), ["protocol.epochs=2"])
        assert (study.protocol.epochs, study.protocol.budget.patience) == (2, 5)
        with pytest.raises(InputError, match="budget: has no effect with epochs 2"):
            load_study(write(tmp_path, text), ["protocol.epochs=2", "protocol.budget.patience=3"])

    def test_a_method_given_by_name_takes_a_setting(self, tmp_path: Path) -> None:
        study = load_study(write(tmp_path, MINIMAL), ["methods.0.full.learning_rate=1e-5"])
        assert study.methods[0].flat()["learning_rate"] == 1e-5

    def test_later_ones_win(self, tmp_path: Path) -> None:
        assert load_study(write(tmp_path, MINIMAL), ["margin=1", "margin=2"]).margin == 2

    @pytest.mark.parametrize(
        ("override", "message"),
        [
            ("protocol.epoch=1", 'protocol.epoch: unknown key; did you mean "epochs"?'),
            ("margins=1", 'margins: unknown key; did you mean "margin"?'),
            ("epochs=1", "it belongs at protocol.epochs"),
            ("protocol.epochs", "--set takes KEY.PATH=VALUE"),
            ("=1", "--set takes KEY.PATH=VALUE"),
            ("protocol..epochs=1", "--set takes KEY.PATH=VALUE"),
            ("methods.7=full", "no place in a list of 2"),
            ("methods.x.rank=1", "no place in a list of 2"),
            ("name.first=1", 'name is the single value "small"'),
            ("seeds=[1", "--set seeds"),
        ],
    )
    def test_problems(self, tmp_path: Path, override: str, message: str) -> None:
        assert message in problems(tmp_path, MINIMAL, override)


class TestShipped:
    @pytest.mark.parametrize("path", sorted(shipped_folder().glob("*.yaml")), ids=lambda path: path.stem)
    def test_every_shipped_study_loads_and_round_trips(self, path: Path, tmp_path: Path) -> None:
        study = load_study(path)
        assert load_study(write(tmp_path, study_to_yaml(study))) == study

    def test_the_published_study_is_stated_exactly(self) -> None:
        study = load_study(shipped_folder() / "published-snli.yaml")
        sizes = [(run.protocol.batch_size, run.protocol.epochs) for run in study.runs]
        assert sizes == [(8, 3), (8, 3), (13, 3), (8, 3), (4, 1), (4, 1)]
        rates = [run.method.flat()["learning_rate"] for run in study.runs]
        assert rates == [3e-5, 1e-4, 5e-5, 1e-4, 3e-5, 1e-4]
        assert [run.method.flat().get("layers") for run in study.runs] == [2, "all", 1, "all", 8, "all"]
        assert (study.head.type, study.head.dropout) == ("linear", 0.5)
        assert (study.protocol.optimizer.decay, study.protocol.optimizer.weight_decay) == ("all", 0.1)
        assert set(study.published) == {run.name for run in study.runs}


class TestResolved:
    def test_paths_move_with_the_file(self, tmp_path: Path) -> None:
        (tmp_path / "in").mkdir()
        (tmp_path / "in" / "model").mkdir()
        text = MINIMAL.replace("[demo:minilm]", "[model, demo:minilm, owner/name]")
        study = load_study(write(tmp_path / "in", text))
        moved = load_study(write(tmp_path, study_to_yaml(study, tmp_path / "out")))
        assert moved.data.source == "../in/a.csv"
        assert moved.models == ("../in/model", "demo:minilm", "owner/name")

    @settings(max_examples=50, deadline=None)
    @given(data=st.data())
    def test_round_trip(self, data: st.DataObject) -> None:
        study = study_from_dict(data.draw(studies()), Path())
        assert study_from_dict(parse_yaml(study_to_yaml(study), "resolved"), Path()) == study

    @settings(max_examples=150, deadline=None)
    @given(
        value=st.recursive(
            st.none()
            | st.booleans()
            | st.integers(-(10**15), 10**15)
            | st.floats(allow_nan=False)
            | st.text()
            | st.from_regex(r"[-+0-9.eExo_:~ynYN]{1,8}", fullmatch=True)
            | st.sampled_from(
                ["off", "yes", "1e-4", "0o7", "1:30", "012", "~", "<<", "=", "2024-01-01", " a", "a\n", "#"]
            ),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
            max_leaves=6,
        )
    )
    def test_yaml_text_round_trip(self, value: Any) -> None:
        assert parse_yaml(dump_yaml(value), "x") == value
        line = inline_yaml(value)
        assert "\n" not in line
        assert parse_yaml(f"key: {line}", "x") == {"key": value}


WORDS = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), min_size=1, max_size=12).filter(
    lambda text: bool(text.strip()) and text.isprintable()
)
FRACTIONS = st.floats(0, 0.4)


def studies() -> st.SearchStrategy[dict[str, Any]]:
    """Valid studies as plain values."""
    rates = st.floats(1e-6, 1e-1) | st.lists(st.floats(1e-6, 1e-1), min_size=1, max_size=3, unique=True)
    transformer = [name for name, method in discover().items() if not method.BASELINE and name not in ("peft", "lora")]
    method = st.one_of(
        st.sampled_from([*transformer, "tfidf", "majority"]),
        st.builds(lambda name, rate: {name: {"learning_rate": rate}}, st.sampled_from(transformer), rates),
        st.builds(
            lambda rank, layers, rate: {"lora": {"rank": rank, "layers": layers, "learning_rate": rate}},
            st.integers(1, 64),
            st.sampled_from(["all", "top 1", "top 12"]),
            rates,
        ),
        st.builds(lambda size: {"peft": {"type": "LOHA", "r": size}}, st.integers(1, 8)),
    )
    protocol = st.fixed_dictionaries(
        {},
        optional={
            "epochs": st.integers(1, 9),
            "padding": st.sampled_from(["longest", "max"]),
            "frozen_dropout": st.sampled_from(["on", "off"]),
            "schedule": st.sampled_from([{"type": "cosine"}, {"type": "plateau", "patience": 1}, {"warmup": 0}]),
            "early_stopping": st.none() | st.just({"metric": "macro_f1"}),
            "optimizer": st.fixed_dictionaries({}, optional={"max_grad_norm": st.none() | st.floats(0.1, 9)}),
        },
    )
    split = st.just("given") | st.fixed_dictionaries({"test": FRACTIONS, "validation": FRACTIONS})
    source = WORDS | st.dictionaries(st.sampled_from(["validation", "test"]), WORDS).map(lambda d: {"train": "t"} | d)
    columns = st.lists(WORDS.filter(lambda word: word != "label"), min_size=1, max_size=2, unique=True)
    return st.fixed_dictionaries(
        {
            "name": WORDS,
            "data": st.fixed_dictionaries({"source": source, "text": columns, "split": split}),
            "models": st.lists(WORDS, min_size=1, max_size=2, unique=True),
            "methods": st.lists(method, min_size=1, max_size=4, unique_by=str).map(
                lambda found: [*found, {"lora": {"alpha": 3}}]
            ),
        },
        optional={
            "protocol": protocol,
            "seeds": st.lists(st.integers(0, 99), min_size=1, max_size=3, unique=True),
            "margin": st.floats(0, 5),
            "head": st.just({"type": "linear", "dropout": 0.5}),
        },
    )
