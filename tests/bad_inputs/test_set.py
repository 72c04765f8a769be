"""`--set` that is no setting."""

from __future__ import annotations

import pytest
from tests.bad_inputs.refusal import refused, transformer_study, write_study

LAUGHS = ", ".join(f"&{b} [{', '.join([f'*{a}'] * 20)}]" for a, b in zip("abcd", "bcde", strict=True))


@pytest.mark.parametrize(
    ("override", "fragment"),
    [
        ("", '--set takes KEY.PATH=VALUE, for example protocol.epochs=1; "" is given'),
        ("=", "--set takes KEY.PATH=VALUE"),
        (" =1", "--set takes KEY.PATH=VALUE"),
        ("a..b=1", "--set takes KEY.PATH=VALUE"),
        ("protocol.epochs", "--set takes KEY.PATH=VALUE"),
        ("\x1b[31m", '"\\u001b[31m" is given'),
        ("protocol.epochs=", "protocol.epochs: null is given"),
        ("protocol.epochs=yes", 'protocol.epochs: "yes" is given'),
        ("protocol.epochs=10:30", 'protocol.epochs: "10:30" is given'),
        ("protocol.epochs=1=2", 'protocol.epochs: "1=2" is given'),
        ("protocol.epochs=1e999", "--set protocol.epochs, line 1: 1e999 is larger than any number"),
        ("protocol.epochs=.inf", "protocol.epochs: inf is given"),
        (f"protocol.epochs={'9' * 10_000}", "a number of 10,000 digits"),
        (f"protocol.epochs={'[' * 5_000}", "nested more than 40 levels deep"),
        (f"protocol.epochs=[&a [x, x], {LAUGHS}, [*e, *e]]", "more than 20,000 values"),
        ("protocol.epochs=[1", "--set protocol.epochs, line 1: expected"),
        ("protocol.epochs=!!python/object:os.system x", 'the tag "!!python/object:os.system"'),
        ("protocol.epochs=*x", "found undefined alias"),
        ("protocol.epochs=&x [*x]", "this value contains itself"),
        ("protocol.epochs=\0", "the character U+0000"),
        ("protocol.epochs=\ud83d", "the character U+D83D"),
        ("protocol={epochs: 1, epochs: 2}", 'the key "epochs" stands in line 1 already'),
        ("methods.9=full", '"9" is no place in a list of 1'),
        ("methods.-1=full", '"-1" is no place in a list of 1'),
        ("methods.²=full", '"²" is no place in a list of 1'),
        (f"methods.{'9' * 5_000}=full", "is no place in a list of 1"),
        ("name.x=1", 'name is the single value "small"'),
        ("methods.0.full.learning_rate=[]", "learning_rate: is an empty list"),
        ("models=", "models: null is given"),
        (f"{'x' * 5_000}=1", "unknown key; known: name"),
        ("\x1b[31m=1", "\\x1b[31m: unknown key"),
        (f"{'.'.join('a' * 50)}=1", "names 50 levels; a study file has at most 40"),
        (f"{'.'.join('a' * 39)}=1", "a: unknown key"),
    ],
    ids=lambda text: text[:50].encode("unicode_escape").decode(),
)
def test_overrides(override: str, fragment: str) -> None:
    write_study(transformer_study())
    refused(["compare", "study.yaml", "--out", "out", "--set", override], fragment)


def test_an_empty_list_has_no_places() -> None:
    write_study(transformer_study(seeds=[]))
    refused(["compare", "study.yaml", "--set", "seeds.0=1"], '"0" is no place in a list of 0; set the list as a whole')
