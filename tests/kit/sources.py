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
    makers = {WithGeometry: (satellites_of, "satellites"), WithWindows: (windows_of, "windows")}
    base = next((base for base in makers if issubclass(kind, base)), None)
    if base is None and not issubclass(kind, SlotOrbit):
        bases = " nor ".join(base.__name__ for base in makers)
        found.append(f"source {name!r}: {kind.__name__} derives from neither {bases}")
    if base is not None:
        maker, what = makers[base]
        if maker.dispatch(kind) is maker.dispatch(base):
            register = f"register a function of {kind.__name__} with {maker.__name__}"
            found.append(f"source {name!r}: nothing makes its {what}; {register} {IN_FLEET}")
    if f"\n| `{name}` |" not in DOCS.read_text(encoding="utf-8"):
        found.append(f"source {name!r}: docs/scenarios.md has no row of it")
    if name not in examples:
        found.append(f"source {name!r}: ORBITS in tests/kit/every_source.py has no example of it")
    return found
