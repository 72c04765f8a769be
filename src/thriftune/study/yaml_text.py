"""YAML in and out, by the rules that people expect: YAML 1.2's core schema.

PyYAML follows YAML 1.1, where `off` is a boolean and `1e-4` is text; both stand in study files.
Keys are always text, and a key given twice is an error.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from thriftune.errors import InputError

INT = re.compile(r"[-+]?[0-9]+")
FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
NULL = re.compile(r"~|null|Null|NULL|")
PLAIN_TAGS = {f"tag:yaml.org,2002:{kind}" for kind in ("str", "seq", "map")}

TAB_HELP = "indent with spaces, YAML does not take tabs"


def parse_yaml(text: str, name: str) -> Any:
    """The value of a YAML text: dicts with text keys, lists, str, int, float, bool and None.

    `name` is what messages call the text. Raises `InputError`, with the line, on anything that is not
    one YAML document, on a repeated key, on a tag such as `!!python/object`, and on a list or mapping
    that contains itself.
    """
    try:
        root = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}" if mark else ""
        problem = error.problem or error.context or "not valid YAML"
        if "'\\t'" in problem:
            problem = TAB_HELP
        raise InputError(f"{name}{line}: {problem}.") from None
    except yaml.YAMLError as error:
        raise InputError(f"{name}: {error}.") from None
    return None if root is None else _value(root, name, ())


def dump_yaml(value: Any) -> str:
    """The value as YAML that `parse_yaml`, and any reader of YAML 1.1 or 1.2, takes as the same value."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


def inline_yaml(value: Any) -> str:
    """The value as YAML on a single line, which `parse_yaml` takes as the same value."""
    text = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10**9, default_flow_style=True)
    return text.removesuffix("...\n").strip("\n")


class _Loader(yaml.SafeLoader):
    """Composes nodes only; scalars are resolved in `_scalar`."""


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


def _value(node: yaml.Node, name: str, inside: tuple[int, ...]) -> Any:
    line = node.start_mark.line + 1
    if id(node) in inside:
        raise InputError(f"{name}, line {line}: this value contains itself.")
    if node.tag not in PLAIN_TAGS:
        raise InputError(f'{name}, line {line}: the tag "{node.tag}" is not taken here; remove it.')
    inside = (*inside, id(node))
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, name, inside) for item in node.value]
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, name, inside)
    assert isinstance(node, yaml.ScalarNode)
    return _scalar(node)


def _mapping(node: yaml.MappingNode, name: str, inside: tuple[int, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    lines: dict[str, int] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            raise InputError(f"{name}, line {line}: a key must be text.")
        key = key_node.value
        if key in found:
            raise InputError(f'{name}, line {line}: the key "{key}" stands in line {lines[key]} already.')
        found[key] = _value(value_node, name, inside)
        lines[key] = line
    return found


def _scalar(node: yaml.ScalarNode) -> str | int | float | bool | None:
    text: str = node.value
    if node.style is not None:  # quoted, or a block
        return text
    if NULL.fullmatch(text):
        return None
    if BOOL.fullmatch(text):
        return text.lower() == "true"
    if INT.fullmatch(text) and len(text) < 20:
        return int(text)
    if FLOAT.fullmatch(text):
        return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    return text
