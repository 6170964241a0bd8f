"""Names beside places on a map, where they cover each other as little as they can."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from sim.pictures.canvas import name

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LETTER_DEG, LINE_DEG, GAP_DEG = 7.5, 14.0, 5.0
"""About the size of text on a map of the world 4.6 inches wide, in degrees."""
MOST_NAMES = 30
"""Places up to which each has its name written."""


class Box(NamedTuple):
    """Where a name would stand, in degrees, and how it is aligned."""

    west: float
    east: float
    south: float
    north: float
    aligned: str

    def meets(self, other: Box) -> bool:
        """Whether both cover a common place."""
        beside = self.west < other.east and other.west < self.east
        return beside and self.south < other.north and other.south < self.north


def write_names(axes: Axes, places: Sequence[tuple[float, float, str]]) -> None:
    """Write the names of places (longitude, latitude, name); of too many none."""
    taken: list[Box] = []
    for longitude_deg, latitude_deg, text in places if len(places) <= MOST_NAMES else []:
        label = name(text, 14)
        boxes = _boxes(longitude_deg, latitude_deg, LETTER_DEG * len(label))
        inside = [box for box in boxes if box.west > -180 and box.east < 180] or boxes
        box = min(inside, key=lambda box: sum(box.meets(other) for other in taken))
        taken.append(box)
        x = box.west if box.aligned == "left" else box.east
        axes.text(x, (box.south + box.north) / 2, label, ha=box.aligned, va="center")


def _boxes(longitude_deg: float, latitude_deg: float, width_deg: float) -> list[Box]:
    """To the right, to the left, then both a line further up or down."""
    right = longitude_deg + GAP_DEG, longitude_deg + GAP_DEG + width_deg, "left"
    left = longitude_deg - GAP_DEG - width_deg, longitude_deg - GAP_DEG, "right"
    return [
        Box(west, east, middle - LINE_DEG / 2, middle + LINE_DEG / 2, aligned)
        for middle in (latitude_deg, latitude_deg + LINE_DEG, latitude_deg - LINE_DEG)
        for west, east, aligned in (right, left)
    ]
