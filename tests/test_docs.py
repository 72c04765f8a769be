"""Generated documentation is fresh, links lead somewhere, and the study files in it load."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from thriftune.methods import discover
from thriftune.study.file.config import study_from_dict
from thriftune.study.file.yaml_text import parse_yaml

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_docs", ROOT / "tools" / "generate_docs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_generated_pages_are_fresh(generator: ModuleType) -> None:
    for path, text in generator.pages().items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name} is stale: make docs"


def test_check_finds_a_stale_page(generator: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "study-files.md").write_text("By hand.\n" + generator.START + generator.END, encoding="utf-8")
    monkeypatch.setattr(generator, "DOCS", tmp_path)
    assert generator.main(["--check"]) == 1
    assert generator.main([]) == 0
    assert generator.main(["--check"]) == 0
    assert (tmp_path / "study-files.md").read_text(encoding="utf-8").startswith("By hand.")


def test_every_method_has_its_section() -> None:
    text = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")
    assert all(f"\n## {name}\n" in text for name in discover())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
        assert target.startswith("http") or (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_study_files_in_the_text_load(page: Path) -> None:
    for block in re.findall(r"```yaml\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL):
        data = parse_yaml(block, page.name)
        whole = {"name": "x", "data": {"source": "a.csv", "text": "t"}} | data
        assert study_from_dict(whole, Path(), page.name).name == whole["name"]


def test_the_tree_names_what_there_is() -> None:
    """Every file and folder of CONTRIBUTING's tree exists where it stands, and every package stands there."""
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    tree = page.partition("## The tree")[2].split("```")[1]
    folders: dict[int, Path] = {-2: ROOT}
    named = set()
    for line in tree.strip("\n").split("\n"):
        depth = len(line) - len(line.lstrip())
        if depth <= 4:
            head, _, phrase = line.strip().partition("  ")
            here = folders[depth - 2]
            for name in head.split():
                assert (here / name).exists(), f"{here.relative_to(ROOT)} has no {name}"
                folders = {key: path for key, path in folders.items() if key < depth} | {depth: here / name}
                named.add(here / name)
        else:
            phrase = line
        inside = folders[max(key for key in folders if key <= depth)]
        for name in re.findall(r"(?<![\w*/])\w+\.(?:py|md|sh)\b", phrase):
            places = (inside, inside.parent)
            assert any((place / name).exists() for place in places), f"{inside.relative_to(ROOT)} has no {name}"
    package = ROOT / "src" / "thriftune"
    below = {path.parent for path in [*package.glob("*/__init__.py"), *package.glob("*/*/__init__.py")]}
    missing = {str(path.relative_to(package)) for path in below - named if path.parent.name != "panels"}
    assert missing <= {"methods/linear"}, "folders that CONTRIBUTING's tree leaves out"


PACKAGES = "analysis|cli|cost|data|engine|methods|models|report|results|study"


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_the_modules_that_a_page_names_exist(page: Path) -> None:
    named = re.findall(rf"`((?:{PACKAGES})/[\w/]+(?:\.py|/))`", page.read_text(encoding="utf-8"))
    assert not [path for path in named if not (ROOT / "src" / "thriftune" / path).exists()]
