"""What is printed of results: tables and paragraphs that fit a terminal, and whole ones where they are piped."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from thriftune.terminal import print_table, print_text

ROW = {
    "Run": "electra-small lora r8 top 2",
    "Acc. %": "77.2",
    "95%": "75.7–78.7",
    "F1 %": "77.1",
    "Memory": "123.4 MB",
    "Time": "12 min 32 s",
    "Samples/s": "1,240",
    "Trained": "22.7M",
    "Stored": "90.9 MB",
}


def table_text(width: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.delenv("COLUMNS", raising=False)
    text = io.StringIO()
    print_table([ROW, ROW], Console(file=text, width=width, force_terminal=True, color_system=None, markup=False))
    return [line.rstrip() for line in text.getvalue().splitlines()]


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_final_table_fits_the_terminal(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = table_text(width, monkeypatch)
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    assert "…" not in text
    said = text.split("without ")[-1] if "without" in text else ""
    for name, value in list(ROW.items())[1:]:
        assert (name in said) != (value in text)
    assert all(word in text for word in ROW["Run"].split()), "names are wrapped between words"
    assert "77.2" in text
    assert ("without" in text) == (width < 120)


def test_the_final_table_is_never_squeezed_when_piped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    text = io.StringIO()
    row = ROW | {"Run": "a" * 200}
    print_table([row, row], Console(file=text, markup=False))
    assert all(value in text.getvalue() for value in row.values())
    assert len(text.getvalue().strip().splitlines()) == 4
    print_table([], Console(file=text))


def test_paragraphs_wrap_between_words_on_a_terminal_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    sentence = "Every method ran with one seed. " * 8
    piped, shown = io.StringIO(), io.StringIO()
    print_text(sentence, Console(file=piped))
    print_text(sentence, Console(file=shown, width=80, force_terminal=True, color_system=None))
    assert piped.getvalue() == f"{sentence}\n"
    assert max(map(len, shown.getvalue().splitlines())) <= 80
    assert shown.getvalue().split() == sentence.split()
