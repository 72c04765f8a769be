"""What is built for others is whole: the wheel, the source distribution, their metadata, and the wheel in use."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
import yaml

import thriftune

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
VERSION = PROJECT["version"]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with sdist, and the wheel that is made from it."""
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert {path.name for path in out.iterdir()} == {
        f"thriftune-{VERSION}-py3-none-any.whl",
        f"thriftune-{VERSION}.tar.gz",
    }
    return out


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    return next(built.glob("*.whl"))


def tracked(*folders: str) -> set[str]:
    """Files of these folders that belong to the repository."""
    ignored = {"__pycache__", ".pytest_cache"}
    found = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file()]
    return {path.relative_to(ROOT).as_posix() for path in found if not ignored & set(path.parts)}


def test_the_wheel_has_every_file_of_the_package(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    code = {name.removeprefix("src/") for name in tracked("src/thriftune")}
    studies = {name.replace("studies/", "thriftune/study/shipped/") for name in tracked("studies")}
    wanted = code | studies | {"thriftune/doctor/tested.txt"}
    for kind in (".c", ".h", ".js", ".css", ".jinja", ".parquet", ".yaml", "py.typed"):
        assert any(name.endswith(kind) for name in wanted), kind
    about = {name for name in names if name.startswith(f"thriftune-{VERSION}.dist-info/")}
    assert names - about == wanted
    assert f"thriftune-{VERSION}.dist-info/licenses/LICENSE" in about


def test_the_source_distribution_can_be_tested(built: Path) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    top = {"LICENSE", "README.md", "CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md", "Makefile"}
    top |= {"constraints.txt", "mkdocs.yml", "pyproject.toml"}
    assert top | tracked("src/thriftune", "tests", "studies", "docs", "examples", "tools") <= names
    assert not [name for name in names if name.split("/")[0] in (".venv", "out", "site", "dist", ".git")]


def test_metadata(wheel: Path) -> None:
    text = zipfile.ZipFile(wheel).read(f"thriftune-{VERSION}.dist-info/METADATA").decode()
    about = Parser().parsestr(text)
    assert (about["Name"], about["Version"], about["License-Expression"]) == ("thriftune", VERSION, "Apache-2.0")
    assert about["Requires-Python"] == ">=3.11"
    assert about["Author"] == "The Thriftune developers"
    assert "Typing :: Typed" in about.get_all("Classifier")
    assert {"demo", "docs", "dev"} <= set(about.get_all("Provides-Extra"))
    assert about.get_payload().startswith("# Thriftune")


def test_the_wheel_works_elsewhere(wheel: Path, tmp_path: Path) -> None:
    """Without the repository, beside this environment's dependencies; `make package-check` takes none of them."""
    venv.create(tmp_path / "environment", with_pip=False)
    python = tmp_path / "environment" / "bin" / "python"
    site = next((tmp_path / "environment").glob("lib/python3*/site-packages"))
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--no-deps", "--no-compile", str(wheel)], check=True, cwd=tmp_path)
    # Read as a plain folder, so that a checkout installed into this environment is not found through it.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    code = """
        import thriftune, sys
        from thriftune.doctor.software import tested
        from thriftune.study.file.config import load_study
        assert thriftune.__file__.startswith(sys.prefix), thriftune.__file__
        assert load_study(None).name == "snli-demo"
        assert "torch" in tested()
        print(thriftune.__version__)
    """
    script = tmp_path / "try.py"
    script.write_text("\n".join(line.strip() for line in code.splitlines()), encoding="utf-8")
    variables = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    for command in ([str(python), str(script)], [str(python.with_name("thriftune")), "--version"]):
        done = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout.split()[-1] == VERSION


@pytest.mark.slow
def test_the_demo_from_the_wheel_alone(wheel: Path) -> None:
    spec = importlib.util.spec_from_file_location("check_package", ROOT / "tools" / "check_package.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.main([str(wheel)]) == 0


def test_one_version() -> None:
    assert thriftune.__version__ == importlib.metadata.version("thriftune")
    assert re.fullmatch(r"\d+\.\d+\.\d+", VERSION)
    assert not list((ROOT / "src").rglob("_version.py"))


def test_changelog() -> None:
    """Keep a Changelog: newest first, each version dated, under the usual headings; the newest one is the project's."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert headings[0] == "[Unreleased]"
    found = [re.fullmatch(r"\[(\d+\.\d+\.\d+)\] - (\d{4}-\d{2}-\d{2})", each) for each in headings[1:]]
    assert all(found)
    versions = [tuple(map(int, each[1].split("."))) for each in found if each]
    assert versions == sorted(versions, reverse=True)
    assert versions[0] == tuple(map(int, VERSION.split(".")))
    kinds = set(re.findall(r"^### (.*)$", text, re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_citation() -> None:
    """The keys that the Citation File Format 1.2.0 requires, and the project's own version, licence and name."""
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= cited.keys()
    assert cited["cff-version"] == "1.2.0"
    assert cited["type"] == "software"
    assert [each["name"] for each in cited["authors"]] == [each["name"] for each in PROJECT["authors"]]
    assert (cited["version"], cited["license"]) == (VERSION, PROJECT["license"])
    released = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## [{VERSION}] - {cited['date-released']}" in released
