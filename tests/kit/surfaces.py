"""Names that others build on, listed from the code: keys and their defaults, columns, names.

``docs/surfaces`` has these lists. ``python -m tests.kit.surfaces`` writes them.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import scenarios
from learning.methods.base import METHODS
from learning.requests.facts import Cause
from sim.analysis.checks import CHECKS
from sim.cli.output import ExitCode
from sim.facts.events import EventKind
from sim.facts.tables import TABLES, columns_of_table
from statements import Code, Severity

FOLDER = Path(__file__).parents[2] / "docs/surfaces"
FACES = ["leomix", "orbit", "channel", "scenarios", "statements", "sim", "sim.export", "sim.sweep"]
FACES += ["learning", *(f"learning.{face}" for face in ("clients", "data", "models", "policies"))]
FACES += ["learning.requests", "leomix.testing", "sim.gym"]


def scenario_keys() -> Iterator[str]:
    """List the keys of a scenario with their defaults; `[]` is an entry of a list."""
    schema = scenarios.schema()
    yield from sorted(set(_keys_below("", schema, schema["$defs"], ())))
    for name in sorted(METHODS.shipped):
        for field in dataclasses.fields(METHODS.find(name).Options):
            default = getattr(field.default, "default", field.default)
            shown = "" if default is dataclasses.MISSING else f" {default!r}"
            yield f"learning.options.{field.name} of {name}:{shown}"


def _keys_below(
    above: str, node: Mapping[str, Any], sections: Mapping[str, Any], inside: Sequence[str]
) -> Iterator[str]:
    for part in (node, *(other for union in ("anyOf", "oneOf") for other in node.get(union, ()))):
        if isinstance(part.get("items"), dict):
            yield from _keys_below(f"{above}[]", part["items"], sections, inside)
        section = part.get("$ref", "").rpartition("/")[2]
        if section in inside:
            continue
        shape = sections[section] if section else part
        for key, below in shape.get("properties", {}).items():
            path = f"{above}.{key}".lstrip(".")
            if key in shape.get("required", ()):
                yield f"{path}: required"
            else:
                yield f"{path}: {json.dumps(below.get('default'))}"
            yield from _keys_below(path, below, sections, (*inside, section))


def tables() -> Iterator[str]:
    """List the columns of the tables of a run folder with their types, and the kinds of events."""
    for table in TABLES:
        yield from (
            f"{table}.{column.name}: {column.kind.value}" for column in columns_of_table(table)
        )
    for enum in (EventKind, Cause):
        yield from (f"{enum.__name__} {value}" for value in sorted(enum))


def names() -> Iterator[str]:
    """List the documented names of packages, shipped methods, codes, and exit codes."""
    for face in FACES:
        yield from (f"{face}.{name}" for name in sorted(import_module(face).__all__))
    yield from (f"method {name}" for name in sorted(METHODS.shipped))
    yield from (f"check {code}" for code in CHECKS)
    yield from (f"code {code.value}" for code in Code)
    yield from (f"severity {severity}" for severity in Severity)
    yield from (f"exit code {code.value} {code.name}" for code in ExitCode)


SURFACES: dict[str, Callable[[], Iterator[str]]] = {
    "scenario-keys": scenario_keys,
    "tables": tables,
    "names": names,
}


def listed(name: str) -> str:
    """Return the text of a list as the code has it now."""
    return "".join(f"{line}\n" for line in SURFACES[name]())


if __name__ == "__main__":
    for surface in SURFACES:
        (FOLDER / f"{surface}.txt").write_text(listed(surface))
