"""YAML as scenario files use it: the core scalars of YAML 1.2, mappings and lists, nothing else.

Against YAML 1.1 as PyYAML reads it: `1e6` is a number, `no` and `on` are text, dates and `12:30:45`
stay text. A number with a leading zero (`010`) is refused, because 1.1 reads 8 and 1.2 reads 10; a
catalogue number, which is written so, is text.
Also refused: anchors, aliases, tags, keys given twice, numbers that are not finite, and documents
that are very deep or very large.
"""

import re
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any

import yaml

from scenarios.errors import SET, ScenarioError
from statements import Code, KeyPath, Refused, Statement, dotted, shown

MAX_DEPTH = 32
MAX_NODES = 60_000
_MAX_INT = 2**63 - 1  # what fits the manifest's JSON readers and an int64 column
_SURROGATE = re.compile(r"[\ud800-\udfff]")


@dataclass
class Document:
    """Parsed YAML: plain Python values, and the line of each key or list item by its path."""

    value: Any = None
    lines: dict[KeyPath, int] = field(default_factory=dict)


def shipped_table(text: str | bytes) -> Any:
    """Read a table in YAML that comes with leomix, in C where that is there: much quicker.

    What a user has written is read by :func:`parse_yaml`, which knows the line of each key.
    """
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return yaml.load(text, loader)


class _Loader(yaml.SafeLoader):
    """Composes nodes, and stops at the first event that a scenario file may not contain."""

    depth = 0
    nodes = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        self.depth += 1
        self.nodes += 1
        if refused := self._refused(event):
            raise _found(event.start_mark.line + 1, refused)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def _refused(self, event: Any) -> str | None:
        if isinstance(event, yaml.AliasEvent):
            return f"the alias {shown(event.anchor)} is not allowed; write the value out"
        if event.anchor is not None:
            return f"the anchor {shown(event.anchor)} is not allowed; leave it out"
        if event.tag is not None:
            return f"the tag {shown(event.tag)} is not allowed; leave it out"
        if self.depth > MAX_DEPTH:
            return f"is nested too deeply; at most {MAX_DEPTH} levels are allowed"
        if self.nodes > MAX_NODES:
            return f"has too many values; at most {MAX_NODES} are allowed"
        return None


def _ambiguous(text: str) -> None:
    raise ValueError(f"{shown(text)} is ambiguous; drop the leading zero, or quote it for text")


def _whole(text: str) -> int:
    value = int(text, 0) if len(text) <= 30 else _MAX_INT + 1
    if abs(value) > _MAX_INT:
        raise ValueError(f"{shown(text)} is too large; whole numbers go up to {_MAX_INT}")
    return value


def _not_finite(text: str) -> None:
    raise ValueError(f"{text} is not allowed; numbers must be finite")


def _float(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"{shown(text)} is too large; numbers must be finite")
    return value


# YAML 1.2.2, section 10.3.2 (core schema): plain scalars by their pattern, the first that fits.
_PLAIN: dict[str, tuple[str, Callable[[str], Any]]] = {
    "null": (r"null|Null|NULL|~|", lambda _: None),
    "true": (r"true|True|TRUE", lambda _: True),
    "false": (r"false|False|FALSE", lambda _: False),
    "ambiguous": (r"[-+]?0[0-9]+", _ambiguous),
    "whole": (r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", _whole),
    "not finite": (r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", _not_finite),
    "float": (r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", _float),
}
_Loader.yaml_implicit_resolvers = {}
for _tag, (_pattern, _) in _PLAIN.items():
    _Loader.add_implicit_resolver(_tag, re.compile(rf"(?:{_pattern})\Z"), None)


_CATALOGUE_NUMBERS = {("orbit", "satellite")}


def parse_yaml(text: str, path: KeyPath = ()) -> Document:
    """Parse one YAML document of dict, list, str, int, float, bool and None; None of an empty text.

    `path` is that of the key whose value it is, if it is not a whole scenario. Raises Refused
    for everything that is not plain YAML, with the line.
    """
    document = Document()
    node = _compose(text)
    if node is not None:
        document.lines[()] = node.start_mark.line + 1
        document.value = _value(node, path, document.lines)
    return document


def _compose(text: str) -> yaml.Node | None:
    try:
        return _Loader(text).get_single_node()
    except yaml.MarkedYAMLError as error:
        line = None if error.problem_mark is None else error.problem_mark.line + 1
        reason = ", ".join(part for part in (error.context, error.problem) if part)
        raise _found(line, f"is not valid YAML: {reason}") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, int(error.position)) + 1
        text = "has a character that YAML does not allow; save it as plain text"
        raise _found(line, text) from None
    except Refused:
        raise
    except (OverflowError, ValueError):  # PyYAML hands the number of a \U escape to chr() unchecked
        raise _found(None, "has a \\U escape that stands for no character; fix it") from None


def _value(node: Any, path: KeyPath, lines: dict[KeyPath, int]) -> Any:
    """Return what a node stands for; the lines of keys and items are added to `lines`."""
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, path, lines)
    if isinstance(node, yaml.SequenceNode):
        lines |= {(*path, i): item.start_mark.line + 1 for i, item in enumerate(node.value)}
        return [_value(item, (*path, index), lines) for index, item in enumerate(node.value)]
    text = _text(node, path)
    if node.tag not in _PLAIN:  # quoted, a block, or none of the patterns
        return text
    if node.tag == "ambiguous" and path in _CATALOGUE_NUMBERS:
        return text
    try:
        return _PLAIN[node.tag][1](text)
    except ValueError as error:
        raise _found(node.start_mark.line + 1, str(error), path) from None


def _mapping(node: yaml.MappingNode, path: KeyPath, lines: dict[KeyPath, int]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            raise _found(line, "a key must be a word, not a list or a mapping", path)
        key = _text(key_node, path)
        here = (*path, key)
        if key in result:
            raise _found(line, f"is given twice (first on line {lines[here]}); keep one", here)
        lines[here] = line
        result[key] = _value(value_node, here, lines)
    return result


def _text(node: yaml.Node, path: KeyPath) -> str:
    text = str(node.value)
    if _SURROGATE.search(text):
        line = node.start_mark.line + 1
        raise _found(line, "half of a surrogate pair is not a character; write the character", path)
    return text


def _found(line: int | None, text: str, path: KeyPath = ()) -> Refused:
    return Refused(Statement(Code.BROKEN_FILE, (path,) if path else (), text, line=line))


def too_deep(mapping: dict[str, Any]) -> Statement | None:
    """Return the refusal of nested values that are deeper than a file may be, if there are any."""
    level: list[tuple[KeyPath, Any]] = [((), mapping)]
    for _ in range(MAX_DEPTH):
        level = [
            ((*path, key), inner)
            for path, value in level
            for key, inner in (value.items() if isinstance(value, dict) else enumerate(value))
            if isinstance(inner, dict | list | tuple)
        ]
        if not level:
            return None
    text = f"is nested too deeply; at most {MAX_DEPTH} levels are allowed"
    return Statement.of(Code.WRONG_VALUE, level[0][0][:3], text)


# Dotted keys, `orbit.altitude_km=550`: how the command line and sweeps change a scenario.


def apply_overrides(mapping: dict[str, Any], overrides: Mapping[str, Any]) -> None:
    """Set each override in the mapping, in place.

    Values that are text are read as YAML (`3`, `[a, b]`, `null`); others are copied as they are.
    Raises ScenarioError for a key that cannot be set or a text that is not YAML.
    """
    for key, value in overrides.items():
        set_key(mapping, key, _parsed(key, value) if isinstance(value, str) else deepcopy(value))


def python_values(value: Any) -> Any:
    """Return a value in which numbers and arrays of NumPy or torch are numbers and lists."""
    if isinstance(value, Mapping):
        return {key: python_values(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(python_values, value))
    to_list = getattr(value, "tolist", None)
    return value if to_list is None else to_list()


def set_key(mapping: dict[str, Any], key: str, value: Any) -> None:
    """Set a dotted key of a nested mapping in place; a number addresses an item of a list.

    Sections that are not there yet are made. List items are not: `ground.clusters.0.devices`
    needs a first cluster. Raises ScenarioError, `--set key: ...`, for an empty part, a missing list
    item, or a parent that is a plain value.
    """
    *above, last = parts = _parts(key)
    parent: Any = mapping
    for depth, part in enumerate(above, 1):
        place = _key_or_index(parent, part, parts)
        child = parent.get(part) if isinstance(parent, dict) else parent[place]
        if child is None and isinstance(parent, dict):
            child = parent[place] = {}
        if not isinstance(child, dict | list):
            path = dotted(parts[:depth])
            text = f"{path} is {shown(child)}, not a mapping; set {path} as a whole"
            raise ScenarioError(Statement.of(Code.WRONG_VALUE, parts, text), SET)
        parent = child
    parent[_key_or_index(parent, last, parts)] = value


def _parts(key: object) -> tuple[str, ...]:
    parts = tuple(key.split(".")) if isinstance(key, str) else ()
    if not parts or not all(part.strip() for part in parts) or len(parts) > MAX_DEPTH:
        text = f"{shown(key)}: is not a key; write it like orbit.beams=2"
        raise ScenarioError(f"--set {text}")
    return parts


def _key_or_index(parent: Any, part: str, parts: tuple[str, ...]) -> Any:
    """Return the key of a mapping or the index of a list that a part of a dotted key names."""
    if not isinstance(parent, list):
        return part
    number = int(part) if part.isascii() and part.isdigit() and len(part) < 8 else len(parent)
    if number >= len(parent):
        allowed = f"must be 0 to {len(parent) - 1}" if parent else "it is empty"
        text = f"{shown(part)} is not an item of this list; {allowed}"
        raise ScenarioError(Statement.of(Code.WRONG_VALUE, parts, text), SET)
    return number


def _parsed(key: str, text: str) -> Any:
    try:
        return parse_yaml(text, _parts(key)).value
    except Refused as found:
        refused = replace(found.statement, keys=(_parts(key),), line=None)
        raise ScenarioError(refused, SET) from None
