"""Colours and dashes of lines: of clusters by order, of methods by name."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.colors import to_rgb

from sim.analysis.methods import known_method

COLOURS = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#c46f9f",
    "#b57d00",
    "#3493c8",
    "#8c6bb1",
    "#808080",
)
"""Colours of clusters and other things by order, and of methods that name none of them.

On white and on dark paper the contrast is at least 3.4 to 1, which leaves little room for light
and dark: see :data:`NEAR`.
"""
NEAR = frozenset(
    map(frozenset, ((0, 5), (0, 6), (1, 4), (2, 3), (2, 7), (3, 5), (3, 6), (3, 7), (5, 6)))
)
"""Pairs of colours, by number, that are less than 20 apart in CIELAB to some eyes.

Those are ordinary ones, and ones without red or green cones.
"""
DASHES = ("-", "--", ":", "-.")
"""For lines of one colour, or that may lie on each other."""
DASH_OF_HUE = (0, 0, 1, 0, 1, 1, 2, 2)
"""The dashes of each colour at first: no two colours that are near have the same."""
MARKERS = "os^Dvx+*"
"""One a line, of different shapes, as lines may coincide."""
QUIET = "#59606b"
"""Colour of what is read beside a picture: numbers at axes, names."""
FAINT = "#dfe3e8"
"""Colour of grid lines."""
GOOD = "#fff0c2"
"""Colour behind a range of good values."""
HEAT = ("#eaf1fb", "#cfe0f6", "#aecbf0", "#8ab3e8", "#2f6fc0", "#1c5199", "#0d346b")
"""Steps of a map, the last one the best."""
ON_HEAT = ("#10233f", "#10233e", "#10233d", "#0a1830", "#fffffe", "#fffffd", "#fffffc")
"""Colour of text on each step, 5 to 1 at least; each is another one, as a page has its own."""
OPEN: dict[str, Any] = {"fillstyle": "none", "markersize": 4}
"""How markers are drawn: what lies below them shows."""


def colour(number: int) -> str:
    """Return the colour of the cluster or run with a number."""
    return COLOURS[number % len(COLOURS)]


def of_method(name: str) -> str:
    """Return the colour of a method: the one that its class says, else one by its name."""
    method = known_method(name)
    own = "" if method is None else str(vars(method).get("colour", ""))
    return own or colour(sum(name.encode()))


class Look(NamedTuple):
    """How a line is told from others: the numbers of its colour, its dashes and its marker."""

    hue: int
    dash: int
    mark: int

    @property
    def line(self) -> dict[str, Any]:
        """Its colour and dashes, as matplotlib takes them."""
        return {"color": COLOURS[self.hue], "linestyle": DASHES[self.dash]}

    @property
    def marker(self) -> str:
        """Its marker, as matplotlib takes it."""
        return MARKERS[self.mark]


def looks_of(methods: Sequence[str | None]) -> list[Look]:
    """Return the looks of lines by the methods that they show, those of no method by order.

    Each has its method's colour, or a free one where that is taken: two variants of a method are as
    far apart as two methods. Of four lines no two have the same dashes, as colours are equally dark
    in print; of five to eight, no two with colours that are nearly alike. Of more, they have other
    markers.
    """
    looks: list[Look] = []
    few = len(methods) <= len(DASHES)
    for number, method in enumerate(methods):
        hue = _free_hue(number if method is None else _hue_of(method), looks)
        dashes = [(DASH_OF_HUE[hue] + turn) % len(DASHES) for turn in range(len(DASHES))]
        taken = {look.dash for look in looks if few or nearly_alike(look.hue, hue)}
        dash = next((dash for dash in dashes if dash not in taken), dashes[0])
        mark = (number + number // len(MARKERS)) % len(MARKERS)
        looks.append(Look(hue, dash, mark))
    return looks


def _hue_of(method: str) -> int:
    own = of_method(method)
    return COLOURS.index(own) if own in COLOURS else sum(method.encode()) % len(COLOURS)


def _free_hue(own: int, looks: Sequence[Look]) -> int:
    """Return the colour of one's own, or the first of those that the fewest lines have."""
    count = Counter(look.hue for look in looks)
    fewest = min(count[hue] for hue in range(len(COLOURS)))
    free = (hue for hue in (own % len(COLOURS), *range(len(COLOURS))) if count[hue] == fewest)
    return next(free)


def nearly_alike(one: int, other: int) -> bool:
    """Whether two colours, by number, are the same or hard to tell apart."""
    return one == other or frozenset((one, other)) in NEAR


def ink() -> Any:
    """Return the colour of text, as whoever draws has set it."""
    from matplotlib import rcParams

    return rcParams["text.color"]


def ink_on(paper: Any) -> str:
    """Return black or white: what can be read on a colour, with a contrast of 4.5 to 1 at least."""
    shares = np.array(to_rgb(paper))
    linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    return "black" if linear @ (0.2126, 0.7152, 0.0722) > 0.179 else "white"
