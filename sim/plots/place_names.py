"""Names beside places on a map, where they cover each other as little as they can."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.transforms import Bbox

from sim.plots.names import name

LETTER_DEG = 7.5
"""About the width of a letter on a map of the world 4.6 inches wide, in degrees."""
LINE_DEG = 14.0
"""About the height of a line there, in degrees."""
GAP_DEG = 5.0
"""What lies between a place and its name, in degrees."""
MOST_NAMES = 30
"""Places up to which each has its name written."""


def write_names(axes: Axes, places: Sequence[tuple[float, float, str]]) -> None:
    """Write the names of places (longitude, latitude, name); of too many none."""
    taken: list[Bbox] = []
    for longitude_deg, latitude_deg, text in places if len(places) <= MOST_NAMES else []:
        label = name(text, 14)
        width_deg = LETTER_DEG * len(label)
        # To the right, to the left, then both a line further up or down.
        boxes = [
            Bbox.from_bounds(west, latitude_deg + line - LINE_DEG / 2, width_deg, LINE_DEG)
            for line in (0.0, LINE_DEG, -LINE_DEG)
            for west in (longitude_deg + GAP_DEG, longitude_deg - GAP_DEG - width_deg)
        ]
        inside = [box for box in boxes if box.x0 > -180 and box.x1 < 180] or boxes
        taken.append(min(inside, key=lambda box: box.count_overlaps(taken)))
        right = taken[-1].x0 > longitude_deg
        x, aligned = (taken[-1].x0, "left") if right else (taken[-1].x1, "right")
        axes.text(x, taken[-1].y0 + LINE_DEG / 2, label, ha=aligned, va="center")
