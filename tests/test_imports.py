"""Imports go one way (CONTRIBUTING, "The tree"), and what must stay light imports nothing heavy."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "thriftune"
MODULES = sorted(path.relative_to(SOURCE).as_posix() for path in SOURCE.rglob("*.py"))

ORDER = [
    "errors",
    "plugins",
    "paths",
    "settings",
    "folders",
    "endings",
    "processors",
    "metrics",
    "wording",
    "amounts",
    "results",
    "data",
    "models",
    "methods",
    "engine",
    "cost",
    "study",
    "analysis",
    "report",
    "testing",
    "terminal",
    "progress",
    "use",
    "export",
    "comparison",
    "serve",
    "python",
    "sklearn",
    "doctor",
    "cli",
    "__main__",
]
INNER = {
    "analysis": ["statistics", "display", "findings", "panels", "analyse"],
    "models": [
        *("device", "weights", "labels", "ops", "head", "families", "classifier", "padding"),
        *("packed", "inputs", "pretrained", "residence", "trained"),
    ],
}
"""The order inside a package: each imports from those before it, what is not named here from any."""
MOST_LINES = 350
MOST_FILES = 15
ONE_KIND = {"cli", "models/families", "methods", "data/readers", "analysis/findings", "analysis/statistics"}
"""Folders of files of one kind, of which there may be any number."""
NEVER = {
    # The report is rebuilt on a laptop, from files alone.
    "analysis": {"data", "models", "methods", "engine", "cost", "study"},
    "report": {"data", "models", "methods", "engine", "cost", "study"},
}
BARE = {"torch", "transformers", "peft", "safetensors", "numpy"}
"""All that a bare GPU machine needs for these packages:"""
BARE_PACKAGES = {"models", "methods", "engine", "cost"}
EXEMPT = {
    "cost/measured/meter.py": {"pynvml"},
    "engine/frozen/partial.py": {"filelock"},  # torch itself needs it
    "methods/linear/regression.py": {"sklearn"},
    "methods/linear/classifier.py": {"sklearn", "scipy"},
    "methods/linear/ngrams.py": {"sklearn"},
    "methods/linear/features.py": {"scipy"},
    "models/pretrained/sources.py": {"huggingface_hub"},
}
"""Third-party imports beyond those, file by file; each inside the function that needs it."""
WITHOUT_MODEL = {"errors", "settings", "results", "analysis", "report"}


def package(module: str) -> str:
    return module.split("/", maxsplit=1)[0].removesuffix(".py")


def imports(module: str, runtime: bool = False) -> Iterator[tuple[str, bool]]:
    """The dotted names that a module imports, and whether the import runs when the module loads.

    With `runtime` those under TYPE_CHECKING, which never runs, are left out.
    """
    tree = ast.parse((SOURCE / module).read_text(encoding="utf-8"))
    never = {id(node) for outer in ast.walk(tree) if _is_type_checking(outer) for node in ast.walk(outer)}
    inner = {
        id(node)
        for outer in ast.walk(tree)
        if isinstance(outer, ast.FunctionDef | ast.AsyncFunctionDef) or _is_type_checking(outer)
        for node in ast.walk(outer)
    }
    for node in ast.walk(tree):
        if runtime and id(node) in never:
            continue
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, id(node) not in inner
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: import by the full name"
            for alias in node.names:
                yield f"{node.module}.{alias.name}", id(node) not in inner


def part(module: str) -> str:
    """The file or folder just below the package."""
    return module.split("/")[1].removesuffix(".py") if "/" in module else ""


def imported_modules(module: str, always: bool = False) -> Iterator[str]:
    """The files of this package that a module imports; what is under TYPE_CHECKING on request."""
    for name, _ in imports(module, runtime=not always):
        parts = name.split(".")[1:]
        for path in ("/".join(parts), "/".join(parts[:-1])):
            found = [each for each in (f"{path}.py", f"{path}/__init__.py".removeprefix("/")) if each in MODULES]
            if name.startswith("thriftune.") and found:
                yield found[0]
                break


def _is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def third_party(module: str) -> set[str]:
    tops = {name.split(".")[0] for name, _ in imports(module)}
    return tops - set(sys.stdlib_module_names) - {"thriftune", "__future__"}


def test_every_package_has_its_place() -> None:
    assert {package(module) for module in MODULES} - {"__init__"} <= set(ORDER)


@pytest.mark.parametrize("module", [m for m in MODULES if m != "__init__.py"])
def test_direction(module: str) -> None:
    own = package(module)
    for name in (name for name, _ in imports(module) if name.startswith("thriftune.")):
        other = name.split(".")[1]
        assert other in ORDER, f"{module} imports {name}"
        assert ORDER.index(other) <= ORDER.index(own), f"{module} imports {name}, which comes after {own}"
        assert other not in NEVER.get(own, set()), f"{module} imports {name}; {own} works from results alone"


@pytest.mark.parametrize("module", [m for m in MODULES if package(m) in INNER])
def test_inner_direction(module: str) -> None:
    order = INNER[package(module)]
    own = part(module)
    for other in imported_modules(module):
        if own in order and package(other) == package(module) and part(other) in order:
            assert order.index(part(other)) <= order.index(own), f"{module} imports {other}"


@pytest.mark.parametrize("module", [m for m in MODULES if m.startswith("analysis/panels/")])
def test_no_panel_imports_another(module: str) -> None:
    own = module.removesuffix("__init__.py")
    assert not [other for other in imported_modules(module) if other.startswith("analysis/panels/") and other != own]


@pytest.mark.parametrize("module", [m for m in MODULES if m.startswith("analysis/statistics/")])
def test_statistics_take_arrays(module: str) -> None:
    assert all(other.startswith("analysis/statistics/") for other in imported_modules(module, always=True))
    assert "polars" not in third_party(module)


def test_no_circle_of_imports() -> None:
    graph = {module: set(imported_modules(module)) - {module} for module in MODULES}
    while ends := [module for module, others in graph.items() if not others & graph.keys()]:
        for module in ends:
            del graph[module]
    circles = {module for module in graph if module in reached(graph, module)}
    assert not circles, sorted(circles)


def reached(graph: dict[str, set[str]], start: str) -> set[str]:
    """The modules that one imports, or that those import, and so on."""
    found: set[str] = set()
    waiting = [start]
    while waiting:
        new = graph.get(waiting.pop(), set()) - found
        found |= new
        waiting += new
    return found


def test_no_file_is_long() -> None:
    lines = {module: len((SOURCE / module).read_text(encoding="utf-8").splitlines()) for module in MODULES}
    assert {module for module, count in lines.items() if count > MOST_LINES} == set()


def test_no_folder_is_full() -> None:
    folders = Counter(module.rpartition("/")[0] for module in MODULES)
    full = {folder for folder, count in folders.items() if count > MOST_FILES} - ONE_KIND
    assert not full, sorted(full)


@pytest.mark.parametrize("module", [m for m in MODULES if package(m) in BARE_PACKAGES])
def test_bare_packages_need_little(module: str) -> None:
    allowed = BARE | EXEMPT.get(module, set())
    assert third_party(module) <= allowed
    for name, at_load in imports(module):
        assert not (at_load and name.split(".")[0] in EXEMPT.get(module, set())), f"{module}: import {name} lazily"


@pytest.mark.parametrize("module", [m for m in MODULES if package(m) in WITHOUT_MODEL])
def test_analysis_needs_no_model_library(module: str) -> None:
    assert not third_party(module) & {"torch", "transformers", "peft", "accelerate", "datasets"}


def test_exemptions_are_used() -> None:
    for module, names in EXEMPT.items():
        assert names <= third_party(module)


@pytest.mark.parametrize(
    "statement",
    [
        "import thriftune",
        "import thriftune.cli",
        "import thriftune.progress",
        "import thriftune.comparison",
        "import thriftune.data.settings",
        "import thriftune.engine.protocol",
        "import thriftune.models.head",
        "import thriftune.study.file.config; thriftune.study.file.config.load_study(None)",
    ],
)
def test_light_imports(statement: str) -> None:
    heavy = ["torch", "transformers", "peft", "polars", "altair", "datasets", "sklearn", "scipy"]
    code = f"import sys; {statement}; sys.exit(' '.join(m for m in {heavy!r} if m in sys.modules) or 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_public_names_resolve() -> None:
    import thriftune

    for name in thriftune.__all__:
        assert getattr(thriftune, name) is not None
    with pytest.raises(AttributeError):
        _ = thriftune.nothing
