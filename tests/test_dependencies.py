"""What the package declares is what it imports, and is what `constraints.txt` pins."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from tests.test_imports import MODULES, third_party

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
PROJECT = tomllib.loads(TEXT)["project"]
IMPORTED_AS = {
    "mlflow-skinny": "mlflow",
    "nvidia-ml-py": "pynvml",
    "protobuf": "google",
    "pyyaml": "yaml",
    "scikit-learn": "sklearn",
    "vl-convert-python": "vl_convert",
}
"""Import names that are not the package's."""


def name(requirement: str) -> str:
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found is not None
    return found[0].lower().replace("_", "-")


def imported_as(package: str) -> str:
    return IMPORTED_AS.get(package, package.replace("-", "_"))


def test_every_dependency_is_imported_or_says_why() -> None:
    used = {top for module in MODULES for top in third_party(module)}
    assert len(used) > 20
    unused = [each for each in map(name, PROJECT["dependencies"]) if imported_as(each) not in used]
    without_reason = [each for each in unused if not re.search(rf'^ *"{each}[^"]*", +# \w', TEXT, re.MULTILINE)]
    assert unused == ["sentencepiece", "protobuf"]
    assert without_reason == []


def test_everything_imported_is_a_dependency() -> None:
    declared = {imported_as(name(each)) for each in PROJECT["dependencies"]}
    for module in MODULES:
        assert third_party(module) <= declared | DEMO, module


DEMO = {
    imported_as(name(each))
    for extra in ("demo", "onnx", "ray", "sentence-transformers", "serve", "mlflow", "wandb", "trackio")
    for each in PROJECT["optional-dependencies"][extra]
}


def test_constraints_pin_every_dependency() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {name(line) for line in lines if line and not line.startswith("#")}
    assert all("==" in line for line in lines if line and not line.startswith("#"))
    extras = PROJECT["optional-dependencies"].values()
    wanted = {name(each) for group in (PROJECT["dependencies"], *extras) for each in group} - {"thriftune"}
    assert wanted <= pinned, wanted - pinned
