"""Dotted keys, `orbit.altitude_km=550`: how the command line and sweeps change a scenario."""

from collections.abc import Mapping
from typing import Any

from scenarios.errors import ProblemsFound, ScenarioError, dotted, shown
from scenarios.safe_yaml import MAX_DEPTH, parse_yaml


def apply_overrides(mapping: dict[str, Any], overrides: Mapping[str, Any]) -> None:
    """Set each override in the mapping, in place.

    Values that are text are read as YAML (`3`, `[a, b]`, `null`); others are taken as they are.

    Raises
    ------
    ScenarioError
        for a key that cannot be set or a text that is not YAML.
    """
    for key, value in overrides.items():
        set_key(mapping, key, _parsed(key, value) if isinstance(value, str) else value)


def set_key(mapping: dict[str, Any], key: str, value: Any) -> None:
    """Set a dotted key of a nested mapping in place; a number addresses an item of a list.

    Sections that are not there yet are made. List items are not: `ground.clusters.0.devices`
    needs a first cluster.

    Raises
    ------
    ScenarioError
        `--set key: ...` for an empty part, a missing list item, or a parent that is a plain value.
    """
    parts = _parts(key)
    parent: Any = mapping
    for depth in range(1, len(parts)):
        parent = _child(parent, parts[:depth], dotted(parts))
    if isinstance(parent, list):
        parent[_index(parent, parts[-1], dotted(parts))] = value
    else:
        parent[parts[-1]] = value


def _parts(key: object) -> tuple[str, ...]:
    parts = tuple(key.split(".")) if isinstance(key, str) else ()
    if not parts or not all(part.strip() for part in parts) or len(parts) > MAX_DEPTH:
        raise ScenarioError(f"--set {shown(key)}: is not a key; write it like orbit.beams=2")
    return parts


def _child(parent: Any, path: tuple[str, ...], key: str) -> Any:
    part = path[-1]
    if isinstance(parent, list):
        child = parent[_index(parent, part, key)]
    else:
        child = parent.get(part)
        if child is None:
            child = parent[part] = {}
    if not isinstance(child, dict | list):
        text = f"{dotted(path)} is {shown(child)}, not a mapping; set {dotted(path)} as a whole"
        raise ScenarioError(f"--set {key}: {text}")
    return child


def _index(items: list[Any], part: str, key: str) -> int:
    number = int(part) if part.isascii() and part.isdigit() and len(part) < 8 else len(items)
    if number >= len(items):
        text = f"{shown(part)} is not an item of this list; allowed: 0 to {len(items) - 1}"
        raise ScenarioError(f"--set {key}: {text}")
    return number


def _parsed(key: str, text: str) -> Any:
    try:
        return parse_yaml(text).value
    except ProblemsFound as found:
        raise ScenarioError(f"--set {dotted(_parts(key))}: {found.problems[0].text}") from None
