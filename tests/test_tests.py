"""A test can fail: it asserts something, by itself or through a helper that does."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parent
ROOTS = (TESTS, TESTS.parent / "src" / "thriftune" / "testing")
JUDGES = ("raises", "warns", "fail", "expect", "check")
"""Calls that judge: pytest's and thriftune.testing's; `assert...` too, as numpy's and torch's are called."""
Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions() -> Iterator[tuple[Path, Function]]:
    for root in ROOTS:
        for path in sorted(root.rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, Function):
                    yield path, node


def called(node: ast.AST) -> set[str]:
    found = set()
    for each in ast.walk(node):
        if isinstance(each, ast.Call):
            call = each.func
            found.add(call.attr if isinstance(call, ast.Attribute) else call.id if isinstance(call, ast.Name) else "")
    return found


def judges(node: ast.AST) -> bool:
    """Whether something in it fails where the code is wrong."""
    names = called(node)
    return (
        any(isinstance(each, ast.Assert) for each in ast.walk(node))
        or bool(names & set(JUDGES))
        or any(name.startswith("assert") for name in names)
    )


def judging() -> set[str]:
    """Names of the helpers that judge, directly or through one another."""
    helpers = [(node.name, judges(node), called(node)) for _, node in functions() if not node.name.startswith("test")]
    found = {name for name, judges_itself, _ in helpers if judges_itself}
    while more := {name for name, _, names in helpers if names & found} - found:
        found |= more
    return found


def test_every_test_asserts_something() -> None:
    helpers = judging()
    tests = [(path, node) for path, node in functions() if node.name.startswith("test") and path.is_relative_to(TESTS)]
    assert len(tests) > 900
    silent = [
        f"{path.relative_to(TESTS)}:{node.lineno} {node.name}"
        for path, node in tests
        if path.name.startswith("test_") and not judges(node) and not called(node) & helpers
    ]
    assert silent == []


def test_no_test_goes_past_its_contract() -> None:
    """Where a test goes on or ends early, it asserts something about that case before."""
    early = [
        f"{path.relative_to(TESTS)}:{block[-1].lineno} {node.name}"
        for path, node in functions()
        if node.name.startswith("test_") and path.name.startswith("test_")
        for each in own(node)
        for block in (getattr(each, "body", []), getattr(each, "orelse", []))
        if isinstance(block, list)
        and block
        and isinstance(block[-1], ast.Continue | ast.Return)
        and not any(map(judges, block))
    ]
    assert early == []


def own(node: ast.AST) -> Iterator[ast.AST]:
    """What a function holds, without the functions and classes inside it."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            yield child
            yield from own(child)
