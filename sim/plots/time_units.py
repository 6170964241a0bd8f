"""Simulated time on an axis: minutes, hours or days, by how long it is."""

from typing import NamedTuple


class Unit(NamedTuple):
    """A unit of time, its name and its seconds."""

    name: str
    seconds: float


UNITS = (Unit("days", 86400.0), Unit("hours", 3600.0), Unit("minutes", 60.0))
SEVERAL = 3.0
"""How many of a unit a span holds for it to be taken."""


def unit_of(span_s: float) -> Unit:
    """Return the largest unit of which a span holds several; minutes for short ones."""
    return next((unit for unit in UNITS if span_s >= SEVERAL * unit.seconds), UNITS[-1])
