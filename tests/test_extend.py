"""The code of docs/extend.md does what the page says."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.report.synthetic import VARIANTS, write
from tests.tiny_models import model_folder

from thriftune.data.readers.plug_ins import splits
from thriftune.study.file.config import study_from_dict
from thriftune.study.file.yaml_text import parse_yaml
from thriftune.testing import check_panel

PAGE = (Path(__file__).parents[1] / "docs" / "extend.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"```python\n# (\w+)\.py\n(.*?)```", PAGE, flags=re.DOTALL))


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The page's files as modules that can be imported."""
    made = tmp_path_factory.mktemp("extend")
    for name, code in FILES.items():
        (made / f"{name}.py").write_text(code, encoding="utf-8")
    before = list(sys.path)
    sys.path.append(str(made))
    yield made
    sys.path[:] = before
    for name in FILES:
        sys.modules.pop(name, None)


def module(name: str) -> Any:
    return importlib.import_module(name)


def test_the_method_is_short_and_keeps_the_contract() -> None:
    code = FILES["norms"].split("from thriftune.settings import setting\n")[1]
    assert len([line for line in code.splitlines() if line.strip()]) <= 30
    (parametrize,) = module("test_norms").test_norms.pytestmark
    checks = list(parametrize.args[1])
    names = [str(check) for check in checks]
    for check in checks:
        module("test_norms").test_norms(check)
    assert {"norms:Norms learns: bert", "norms:Norms is stored: roberta"} <= set(names)
    assert len(names) == 8


def test_the_study_file_names_it(folder: Path) -> None:
    (block,) = re.findall(r"```yml\n(.*?)```", PAGE, flags=re.DOTALL)
    data = {"name": "x", "data": {"source": "a.csv", "text": "t"}, "models": ["demo:minilm"]}
    study = study_from_dict(data | parse_yaml(block, "extend.md"), folder)
    assert [method.NAME for method in study.methods] == ["full", "norms:Norms", "norms:Norms"]


def test_the_family_keeps_the_contract(tmp_path: Path) -> None:
    module("test_mymodel").test_mymodel(tmp_path)
    assert module("mymodel").FAMILY.model_types == ("ernie",)


def test_the_panel_keeps_the_contract(tmp_path: Path) -> None:
    assert check_panel(module("longest"), write(tmp_path, VARIANTS["two-labels"]).load())


def test_the_source_gives_splits(tmp_path: Path) -> None:
    found = splits(module("lines").read("reviews", tmp_path), "lines:reviews")
    assert list(found) == ["train"]
    assert len(found["train"]["text"]) == len(found["train"]["mood"]) == 40


def test_the_engine_alone_learns(tmp_path: Path) -> None:
    texts, labels = ["the cat sat on the mat", "the dog ran"] * 8, [1, 0] * 8
    logits = module("engine_alone").train(str(model_folder("bert")), texts, labels, ("bad", "good"), tmp_path)
    assert logits.argmax(axis=1).tolist() == labels
    assert (tmp_path / "adapter_config.json").exists()
