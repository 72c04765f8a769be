"""What comes from outside this package: code that a study file names, and the entry points of installed packages."""

from __future__ import annotations

import json
import logging
import pickle
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest
from tests.report.synthetic import VARIANTS, write
from tests.study.small_study import small_study
from typer.testing import CliRunner

from thriftune import cli, compare, load_results, methods, plugins
from thriftune.analysis import panels
from thriftune.analysis.analyse import analyse
from thriftune.data.sources import read_source, source_name
from thriftune.errors import InputError
from thriftune.methods.base import TransformerMethod
from thriftune.models import families
from thriftune.study.file.config import load_study, study_from_dict, study_to_dict, study_to_yaml

CODE = """
from __future__ import annotations
from dataclasses import dataclass
from typing import ClassVar
from thriftune.methods.base import TransformerMethod
from thriftune.settings import setting


@dataclass(frozen=True, kw_only=True)
class Norms(TransformerMethod):
    SUMMARY: ClassVar[str] = "the layer norms are trained"
    SOURCE: ClassVar[str] = "a test"
    learning_rate: float = setting(1e-3, help="peak learning rate", above=0)
    top: int = setting(1, help="in so many layers, from the last", minimum=1)

    def apply(self, classifier, rng):
        for layer in classifier.layers[-self.top :]:
            for name, parameter in layer.named_parameters():
                parameter.requires_grad_("LayerNorm" in name)


class Bare(TransformerMethod):
    SUMMARY = SOURCE = "no work"


class Undecorated(Norms):
    depth: int = 3


class Unsaid(TransformerMethod):
    def apply(self, classifier, rng):
        pass


Unsaid = dataclass(frozen=True, kw_only=True)(Unsaid)
"""
POINTS = """
[thriftune.methods]
norms = {module}:Norms
lora = {module}:Norms
broken = {module}_missing:Norms
wrong = {module}:CODE

[thriftune.sources]
letters = {module}:letters
failing = {module}:failing

[thriftune.panels]
first_text = {module}_panel
failing_panel = {module}_failing
summary = {module}_panel

[thriftune.families]
mine = {module}:FAMILY
bert = {module}:FAMILY
"""
FURTHER = """
from thriftune.models.families.base import Family

CODE = 1
FAMILY = Family(model_types=("mine",), layers="encoder.layer", head=("classifier",), lora_targets=("query", "value"))


def letters(rest, folder):
    rows = {"text": [f"{rest} {i}" for i in range(6)], "label": ["a", "b"] * 3}
    return {"train": rows, "test": rows} if rest != "odd" else {"training": rows}


def failing(rest, folder):
    raise OSError("the server is away")
"""
PANEL = """
from thriftune.analysis.display.panel import NotApplicable, Panel

TITLE = "First text"
QUESTION = "What is the first text?"
GROUP = "data"


def build(results):
    return Panel([f"It is {results.test['example'][0]}."], statistics={"first": 0})
"""


@pytest.fixture
def module(request: pytest.FixtureRequest) -> Iterator[str]:
    """A module name of the test's own, forgotten afterwards; the path is as it was."""
    name, before = f"outside_{abs(hash(request.node.nodeid))}", list(sys.path)
    yield name
    sys.path[:] = before
    for each in [each for each in sys.modules if each.startswith(name)]:
        del sys.modules[each]


@pytest.fixture
def beside(module: str, tmp_path: Path) -> str:
    """The module lies in the folder of a study file."""
    (tmp_path / f"{module}.py").write_text(CODE, encoding="utf-8")
    return module


@pytest.fixture
def installed(module: str, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The module belongs to an installed package with entry points of every group."""
    site = tmp_path_factory.mktemp("site")
    (site / f"{module}.py").write_text(CODE + FURTHER, encoding="utf-8")
    (site / f"{module}_panel.py").write_text(PANEL, encoding="utf-8")
    (site / f"{module}_failing.py").write_text(PANEL.replace("return", "raise LookupError() #"), encoding="utf-8")
    info = site / "plug-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plug\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(POINTS.format(module=module), encoding="utf-8")
    caches: list[Callable[[], None]] = [
        plugins.entries.cache_clear,
        methods.discover.cache_clear,
        families.discover.cache_clear,
    ]
    monkeypatch.syspath_prepend(site)
    for clear in caches:
        clear()
    yield module
    for clear in caches:
        clear()


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def test_a_method_beside_the_study_file_runs_in_a_process_and_reads_without_it(beside: str, tmp_path: Path) -> None:
    name = f"{beside}:Norms"
    protocol = {"epochs": 1, "max_tokens": 32, "device": "cpu"}
    study = small_study(tmp_path, methods=[name], protocol=protocol)
    assert [method.label for method in study.methods] == ["Norms"]
    (tmp_path / "study.yaml").write_text(study_to_yaml(study), encoding="utf-8")
    loaded = load_study(tmp_path / "study.yaml", [f"methods.0.{name}.top=3"])
    runs = compare(loaded, tmp_path / "out").runs
    assert [(run.name, run.status, run.method["name"], run.method["top"]) for run in runs] == [
        ("Norms", "done", name, 3),
    ]
    assert compare(loaded, tmp_path / "out").runs == runs  # resumed
    (tmp_path / f"{beside}.py").write_text("raise SystemExit('imported')", encoding="utf-8")
    del sys.modules[beside]  # the folder is still on Python's path
    assert analyse(load_results(tmp_path / "out")).sections
    assert CliRunner().invoke(cli.app, ["recommend", str(tmp_path / "out")]).exit_code == 0
    assert beside not in sys.modules


def test_the_command_describes_it(beside: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    told = CliRunner().invoke(cli.app, ["methods", f"{beside}:Norms", "--json"])
    (entry,) = json.loads(told.stdout)
    assert entry["name"] == f"{beside}:Norms"
    assert "top" in [key["key"] for key in entry["settings"]]


def test_a_search_varies_its_keys(beside: str, tmp_path: Path) -> None:
    over = {f"{beside}:Norms.top": [1, 3], "learning_rate": [1e-4, 1e-2, "log"]}
    study = small_study(tmp_path, methods=[f"{beside}:Norms"], search={"trials": 2, "over": over})
    assert study.search is not None
    with pytest.raises(InputError, match=rf"{beside}:Norms has no key topp; did you mean .top"):
        small_study(tmp_path, methods=[f"{beside}:Norms"], search={"over": {f"{beside}:Norms.topp": [1, 3]}})


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("{module}:Nones", "{module} .* has no Nones"),
        ("{module}:Bare", "it does not define apply"),
        ("{module}:Undecorated", "it needs @dataclass"),
        ("{module}:Unsaid", "it does not say its SUMMARY and its SOURCE"),
        ("{module}:CODE", "has no CODE"),
        ("{module}x:Norms", "there is no module {module}x .where Python looks, and in .*PYTHONPATH"),
        ("{module}.inner:Norms", "there is no module {module}.inner"),
        ("pathlib:Path", "is no class that derives from TransformerMethod"),
        ("a b:C", "names no code; write package.module:Name"),
        ("{module}:", "names no code"),
        ("{module}_bad:Norms", "importing {module}_bad failed .ZeroDivisionError: division by zero, .*_bad.py line 1"),
        ("{module}_exit:Norms", "importing {module}_exit failed .SystemExit"),
        (
            "{module}_needs:Norms",
            "importing {module}_needs failed .ModuleNotFoundError: No module named 'nothing_here'",
        ),
    ],
)
def test_names_that_lead_nowhere(beside: str, tmp_path: Path, name: str, message: str) -> None:
    for ending, code in (("bad", "1 / 0"), ("exit", "raise SystemExit(3)"), ("needs", "import nothing_here")):
        (tmp_path / f"{beside}_{ending}.py").write_text(code, encoding="utf-8")
    with pytest.raises(InputError, match=message.format(module=beside)) as found:
        small_study(tmp_path, methods=[name.format(module=beside), "full"])
    assert "methods.0: " in str(found.value)


def test_a_module_that_is_found_twice_is_refused(beside: str, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / f"{beside}.py").write_text(CODE, encoding="utf-8")
    assert methods.find(f"{beside}:Norms", tmp_path).__name__ == "Norms"
    with pytest.raises(InputError, match=r"is found twice: .*rename one"):
        methods.find(f"{beside}:Norms", tmp_path / "other")


def test_auto_needs_rates_to_try(beside: str, tmp_path: Path) -> None:
    code = (
        "@dataclass(frozen=True, kw_only=True)\nclass Base(TransformerMethod):\n    SUMMARY = SOURCE = 'x'\n\n"
        "    def apply(self, classifier, rng):\n        pass\n"
    )
    (tmp_path / f"{beside}.py").write_text(CODE + code, encoding="utf-8")
    with pytest.raises(InputError, match="learning_rate: auto is given, but Base names no rates"):
        small_study(tmp_path, methods=[{f"{beside}:Base": {"learning_rate": "auto"}}])


def test_an_installed_method_has_its_entry_points_name(
    installed: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert set(methods.discover()) - set(methods.built_in()) == {"norms"}
    told = warnings(caplog)
    assert len(told) == 3
    for part in ("lora = .* has the name of one that is built", "broken = .* cannot be imported", "wrong = .* is no"):
        assert sum(re.search(part, text) is not None for text in told) == 1, part
    assert all("of the package plug" in text for text in told)
    methods.discover()
    assert len(warnings(caplog)) == 3
    study = small_study(tmp_path, methods=[{"norms": {"top": 2}}, f"{installed}:Norms", "lora"])
    assert [method.NAME for method in study.methods] == ["norms", "norms", "lora"]
    assert type(study.methods[2]) is methods.built_in()["lora"]
    again = study_from_dict(json.loads(json.dumps(study_to_dict(study))), tmp_path)
    assert again.methods == study.methods
    assert pickle.loads(pickle.dumps(study.methods[0])).flat()["name"] == "norms"
    assert isinstance(study.methods[0], TransformerMethod)


def test_an_installed_source(installed: str, tmp_path: Path) -> None:
    tables, _ = read_source("letters:abc", tmp_path)
    assert set(tables) == {"train", "test"}
    assert isinstance(tables["train"].frame, pl.DataFrame)
    assert tables["train"].frame["text"][0] == "abc 0"
    assert source_name("letters:abc") == "abc"
    study = small_study(tmp_path, data={"source": "letters:abc", "text": "text"})
    assert "source: letters:abc" in study_to_yaml(study, tmp_path / "elsewhere")
    with pytest.raises(InputError, match=r"letters:odd gives training; a source gives a mapping of train"):
        read_source("letters:odd")
    with pytest.raises(InputError, match=r"the plug-in failing failed .OSError: the server is away"):
        read_source("failing:x")
    with pytest.raises(InputError, match=r"hub:OWNER/NAME, .*failing:\.\.\., letters:\.\.\."):
        read_source("lettres:x")


def test_an_installed_panel_stands_in_its_part(
    installed: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    results = write(tmp_path, VARIANTS["two-labels"]).load()
    analysis = analyse(results)
    places = [(section.group, section.id) for section in analysis.sections]
    assert places.index(("data", "first_text")) == max(i for i, (group, _) in enumerate(places) if group == "data")
    assert analysis.statistics["first_text"] == {"first": 0}
    (failed,) = [each for each in analysis.skipped if each.id == "failing_panel"]
    assert failed.reason.startswith("The plug-in failed: LookupError")
    assert any("summary = " in text and "built in" in text for text in warnings(caplog))
    assert len(panels.places()) == len(panels.built_in()) + 2


def test_an_installed_family_serves_its_model_type_alone(installed: str, caplog: pytest.LogCaptureFixture) -> None:
    found = families.family_of("mine")
    assert found is not None
    assert found.lora_targets == ("query", "value")
    assert families.family_of("bert") is families.built_in()["bert"]
    assert any("bert = " in text and "built in" in text for text in warnings(caplog))
