"""Drawings of a report: matplotlib axes as figures of a page."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from scenarios import ScenarioError
from sim.errors import InputError
from sim.reports.page import Block, Figure, Text
from sim.reports.svg import drawn

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZE_IN = (4.6, 3.2)
"""Of a drawing that is still readable on a phone."""


def figure(
    name: str,
    draw: Callable[[Axes], object],
    caption: str,
    size_in: tuple[float, float] = SIZE_IN,
) -> Block:
    """Return a drawing, or the line that says why there is none.

    ``name`` must be the only one of its kind on a page.
    """
    try:
        return Figure(drawn(draw, name, size_in), caption)
    except (InputError, ScenarioError) as error:
        return Text(sentence(str(error)), "note")


def sentence(text: str) -> str:
    """Return ``text`` with a capital and a full stop."""
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."
