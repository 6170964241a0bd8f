"""What a source of contacts has to have: its class, its maker, its row in the docs, an example."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scenarios.orbit import SOURCES, OrbitSource, SlotOrbit, WithGeometry, WithWindows
from sim.world.fleet import Made, ReadWindows, satellites_of, windows_of

__all__ = ["SOURCES", "Made", "ReadWindows", "WithGeometry", "WithWindows", "satellites_of",
           "windows_of"]  # fmt: skip
DOCS = Path(__file__).parents[2] / "docs" / "scenarios.md"
IN_FLEET = "in sim/world/fleet.py"


def lacks(name: str, kind: type[OrbitSource], examples: Mapping[str, Any]) -> list[str]:
    """A sentence for each thing that a source does not have; none for one that has all."""
    found = []
    register = f"register a function of {kind.__name__} with"
    if issubclass(kind, WithGeometry):
        if satellites_of.dispatch(kind) is satellites_of.dispatch(WithGeometry):
            text = f"nothing makes its satellites; {register} satellites_of {IN_FLEET}"
            found.append(f"source {name!r}: {text}")
    elif issubclass(kind, WithWindows):
        if windows_of.dispatch(kind) is windows_of.dispatch(WithWindows):
            text = f"nothing reads its windows; {register} windows_of {IN_FLEET}"
            found.append(f"source {name!r}: {text}")
    elif not issubclass(kind, SlotOrbit):
        bases = "neither WithGeometry nor WithWindows"
        found.append(f"source {name!r}: {kind.__name__} derives from {bases}")
    if f"\n| `{name}` |" not in DOCS.read_text(encoding="utf-8"):
        found.append(f"source {name!r}: docs/scenarios.md has no row of it")
    if name not in examples:
        found.append(f"source {name!r}: ORBITS in tests/kit/every_source.py has no example of it")
    return found
