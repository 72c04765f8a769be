"""Messages as they are printed."""

from __future__ import annotations

import pytest

from thriftune.errors import LONGEST_LINE, MOST_LINES, did_you_mean, printable, readable, shortened


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, ünïcödé, 中文 and 🎉\nin two lines", "plain, ünïcödé, 中文 and 🎉\nin two lines"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\tb\r\0\x7f\x9b", "a\\tb\\r\\x00\\x7f\\x9b"),
        ("\u202e\u200b\u2028\ufeff", "\\u202e\\u200b\\u2028\\ufeff"),
        ("half \ud83d", "half \\ud83d"),
    ],
)
def test_nothing_steers_the_terminal(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert readable(text) == shown


def test_messages_end() -> None:
    assert readable("a " + "x" * 5_000 + " b") == f"a {shortened('x' * 5_000)} b"
    assert len(readable("x y " * 5_000)) < LONGEST_LINE + 10
    lines = readable("\n".join(map(str, range(100)))).splitlines()
    assert lines[MOST_LINES - 1 :] == ["39", "  ... and 60 more lines"]


def test_a_name_is_no_suggestion_for_itself() -> None:
    assert did_you_mean("data.csv", ["data.csv", "date.csv"]) == '; did you mean "date.csv"?'
    assert did_you_mean("x" * 10_000, ["x" * 10_001]) == ""
