"""`thriftune methods`: every method with its settings."""

from __future__ import annotations

import json

from tests.cli.commands import run

from thriftune.methods import discover


class TestMethods:
    def test_lists_all(self) -> None:
        result = run("methods")
        assert result.exit_code == 0
        for name in discover():
            assert f"\n{name}: " in result.stdout

    def test_json(self) -> None:
        (entry,) = json.loads(run("methods", "lora", "--json").stdout)
        assert entry["name"] == "lora"
        assert {"key", "type", "default", "help"} == set(entry["settings"][0])

    def test_unknown(self) -> None:
        result = run("methods", "loora")
        assert result.exit_code == 2
        assert 'did you mean "lora"?' in result.stderr
