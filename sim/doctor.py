"""Is this installation what it should be? Import names, versions, CUDA."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from sim.folder import versions

ROOMS = ("orbit", "channel", "learning", "scenarios", "sim")


def foreign_rooms() -> list[str]:
    """Describe import names of ours that belong to something else on this machine."""
    home = Path(__file__).resolve().parent.parent
    complaints = []
    for room in ROOMS:
        spec = find_spec(room)
        place = None if spec is None or spec.origin is None else Path(spec.origin).resolve()
        if place is None:
            complaints.append(f"import {room}: not found; install leomix anew")
        elif place.parent.parent != home:
            complaints.append(
                f"import {room}: comes from {place.parent}, not from leomix ({home / room}); "
                "use an environment of its own"
            )
    return complaints


def cuda() -> str:
    """Describe what torch can compute on."""
    from learning.hardware import describe

    return describe()


def report() -> tuple[list[str], bool]:
    """Return the lines of the report, and whether all is well."""
    complaints = foreign_rooms()
    lines = [f"{name} {number}" for name, number in versions().items()]
    lines += [f"missing: {line}" for line in lines if line.endswith("not installed")]
    lines += complaints or [f"import names are leomix's own: {', '.join(ROOMS)}"]
    lines.append(cuda())
    missing = any(line.startswith("missing") for line in lines)
    return lines, not complaints and not missing
