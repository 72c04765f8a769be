"""YAML in and out, by the rules that people expect: YAML 1.2's core schema.

PyYAML follows YAML 1.1, where `off` is a boolean and `1e-4` is text; both stand in study files.
Keys are always text, and a key given twice is an error. Nothing that people write comes near the bounds on size; a
text of a few lines can stand for gigabytes (aliases of aliases), or nest deeper than Python recurses.
"""

from __future__ import annotations

import math
import re
from typing import Any

import yaml
from yaml.reader import ReaderError

from thriftune.errors import InputError, printable, shortened

MOST_CHARACTERS = 2**20
MOST_VALUES = 20_000
"""Values of a text, those that aliases repeat counted each time."""
MOST_LEVELS = 40
MOST_DIGITS = 300
"""Of one number: more than any that a float holds."""

INT = re.compile(r"[-+]?[0-9]+")
FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
NULL = re.compile(r"~|null|Null|NULL|")
PLAIN_TAGS = {f"tag:yaml.org,2002:{kind}" for kind in ("str", "seq", "map")}

TAB_HELP = "indent with spaces, YAML does not take tabs"


def parse_yaml(text: str, name: str) -> Any:
    """The value of a YAML text: dicts with text keys, lists, str, int, float, bool and None.

    `name` is what messages call the text. Raises `InputError`, with the line, on anything that is not
    one YAML document, on a repeated key, on a tag such as `!!python/object`, on a merge key, on a list or mapping
    that contains itself, on numbers that no float holds, and on texts beyond the bounds above.
    """
    if len(text) > MOST_CHARACTERS:
        raise InputError(f"{name} has {len(text):,} characters; at most {MOST_CHARACTERS:,} are read.")
    root = _composed(text, name)
    return None if root is None else _Values(name).of(root, ())


def _composed(text: str, name: str) -> yaml.Node | None:
    try:
        loader = _Loader(text)
    except ReaderError as error:
        number = text.count("\n", 0, error.position) + 1
        raise InputError(
            f"{name}, line {number}: the character U+{error.character:04X} is not taken in YAML; "
            "is this a text file, saved as UTF-8?"
        ) from None
    loader.title = name
    try:
        found: yaml.Node | None = loader.get_single_node()
        return found
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}" if mark else ""
        raise InputError(f"{name}{line}: {_problem(error)}.") from None
    except (ValueError, OverflowError):  # an escape beyond Unicode: PyYAML asks chr() for it
        raise InputError(f"{name}, line {loader.line + 1}: an escape names no character.") from None
    finally:
        loader.dispose()


def _problem(error: yaml.MarkedYAMLError) -> str:
    problem = error.problem or error.context or "not valid YAML"
    if "'\\t'" in problem:
        return TAB_HELP
    if "another document" in problem:
        return "a second document starts here (---); a study file is one document"
    return printable(problem)


def dump_yaml(value: Any) -> str:
    """The value as YAML that `parse_yaml`, and any reader of YAML 1.1 or 1.2, takes as the same value."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


def inline_yaml(value: Any) -> str:
    """The value as YAML on a single line, which `parse_yaml` takes as the same value."""
    text = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10**9, default_flow_style=True)
    return text.removesuffix("...\n").strip("\n")


class _Loader(yaml.SafeLoader):
    """Composes nodes only, up to the bounds; scalars are resolved in `_Values`."""

    title = ""
    levels = 0
    values = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """The next node; counts before it goes deeper."""
        self.levels += 1
        self.values += 1
        line = self.line + 1
        if self.levels > MOST_LEVELS:
            raise InputError(f"{self.title}, line {line}: nested more than {MOST_LEVELS} levels deep.")
        if self.values > 2 * MOST_VALUES:  # keys are nodes as well
            raise _too_many(self.title, line)
        found: yaml.Node | None = super().compose_node(parent, index)
        self.levels -= 1
        return found


_Loader.yaml_implicit_resolvers = {}


class _Dumper(yaml.SafeDumper):
    """Quotes every text that either version of YAML would take for something else."""

    def ignore_aliases(self, data: Any) -> bool:
        """Writes repeated values out: anchors are noise in a file that people read."""
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    """Double quotes, where line breaks are escaped, for text of several lines by anyone's rules."""
    style = '"' if text.splitlines() not in ([], [text]) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)
for _pattern, _kind in ((INT, "int"), (FLOAT, "float")):
    _Dumper.add_implicit_resolver(
        f"tag:yaml.org,2002:{_kind}", re.compile(f"^(?:{_pattern.pattern})$"), list("-+.0123456789")
    )


def _too_many(name: str, line: int) -> InputError:
    return InputError(f"{name}, line {line}: more than {MOST_VALUES:,} values, aliases written out; give fewer.")


class _Values:
    """Turns the nodes of one text into values."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.count = 0

    def of(self, node: yaml.Node, inside: tuple[int, ...]) -> Any:
        """The value of a node; `inside` are the ids of the nodes around it."""
        line = node.start_mark.line + 1
        self.count += 1
        if self.count > MOST_VALUES:
            raise _too_many(self.name, line)
        if id(node) in inside:
            raise self._error(line, "this value contains itself")
        if len(inside) >= MOST_LEVELS:  # through aliases
            raise self._error(line, f"nested more than {MOST_LEVELS} levels deep")
        if node.tag not in PLAIN_TAGS:
            tag = shortened(node.tag.replace("tag:yaml.org,2002:", "!!"))
            raise self._error(line, f'the tag "{tag}" is not taken here; remove it')
        inside = (*inside, id(node))
        if isinstance(node, yaml.SequenceNode):
            return [self.of(item, inside) for item in node.value]
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, inside)
        assert isinstance(node, yaml.ScalarNode)
        return self._scalar(node)

    def _mapping(self, node: yaml.MappingNode, inside: tuple[int, ...]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        lines: dict[str, int] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise self._error(line, "a key must be text")
            key = key_node.value
            if key == "<<" and key_node.style is None:
                raise self._error(line, "merge keys (<<) are not taken here; write the keys out")
            if key in found:
                raise self._error(line, f'the key "{shortened(key)}" stands in line {lines[key]} already')
            found[key] = self.of(value_node, inside)
            lines[key] = line
        return found

    def _scalar(self, node: yaml.ScalarNode) -> str | int | float | bool | None:
        text: str = node.value
        if node.style is not None:  # quoted, or a block
            return text
        if NULL.fullmatch(text):
            return None
        if BOOL.fullmatch(text):
            return text.lower() == "true"
        if not FLOAT.fullmatch(text):
            return text
        if len(text) > MOST_DIGITS:
            help_ = f"at most {MOST_DIGITS} are read; quote it if it is text"
            raise self._error(node.start_mark.line + 1, f"a number of {len(text):,} digits ({text[:20]}...); {help_}")
        if INT.fullmatch(text):
            return int(text)
        number = float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
        if math.isinf(number) and "inf" not in text.lower():
            raise self._error(node.start_mark.line + 1, f"{text} is larger than any number that can be computed with")
        return number

    def _error(self, line: int, problem: str) -> InputError:
        return InputError(f"{self.name}, line {line}: {problem}.")
