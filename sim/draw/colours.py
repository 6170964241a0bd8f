"""Colours and dashes of lines: of clusters by order, of methods by name."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from sim.analysis.methods import known_method

LIGHT = {
    "paper": "#ffffff",
    "ink": "#171b22",
    "quiet": "#59606b",
    "faint": "#dfe3e8",
    "panel": "#f5f6f8",
    "link": "#0b57b0",
    "notice-edge": "#b7791f",
    "now": "#b3261e",
    "hue-0": "#0a5fd0",
    "hue-1": "#b8500a",
    "hue-2": "#00734a",
    "hue-3": "#b0368f",
    "hue-4": "#6b4400",
    "hue-5": "#0b4a6b",
    "hue-6": "#4c2aa0",
    "hue-7": "#746c6c",
    "heat-0": "#eaf1fb",
    "heat-1": "#cfe0f6",
    "heat-2": "#aecbf0",
    "heat-3": "#8ab3e8",
    "heat-4": "#2f6fc0",
    "heat-5": "#1c5199",
    "heat-6": "#0d346b",
    "on-0": "#10233f",
    "on-1": "#10233e",
    "on-2": "#10233d",
    "on-3": "#0a1830",
    "on-4": "#fffffe",
    "on-5": "#fffffd",
    "on-6": "#fffffc",
}
"""The palette on white paper, by the properties that a page has of it.

Lines (``hue``) are 5 to 1 on the paper, text (``on``) is so on each step of a map (``heat``), of
which the last is the best and farthest from the paper. Each colour is there once: drawings are made
in these, and a page has its own in their place.
"""
DARK = {
    "paper": "#14171c",
    "ink": "#e8ebf0",
    "quiet": "#a3abb8",
    "faint": "#30363f",
    "panel": "#1c2027",
    "link": "#82b7ff",
    "notice-edge": "#d9a441",
    "now": "#ff8a80",
    "hue-0": "#5aa7f0",
    "hue-1": "#e8893a",
    "hue-2": "#2fd490",
    "hue-3": "#f7b0cc",
    "hue-4": "#f2c53d",
    "hue-5": "#b9d8ff",
    "hue-6": "#cda6ff",
    "hue-7": "#8f8a8a",
    "heat-0": "#17243a",
    "heat-1": "#183253",
    "heat-2": "#1b4272",
    "heat-3": "#215b9f",
    "heat-4": "#4a90d9",
    "heat-5": "#8fc0f2",
    "heat-6": "#d3e6fc",
    "on-0": "#dbe6f5",
    "on-1": "#dbe6f5",
    "on-2": "#ffffff",
    "on-3": "#ffffff",
    "on-4": "#0a1830",
    "on-5": "#0a1830",
    "on-6": "#0a1830",
}
"""The same on dark paper; its ramp turns round."""
COLOURS = tuple(colour for name, colour in LIGHT.items() if name.startswith("hue-"))
"""Colours of clusters and other things by order, and of methods that name none of them."""
HEAT = tuple(colour for name, colour in LIGHT.items() if name.startswith("heat-"))
"""Steps of a map, the last one the best."""
ON_HEAT = tuple(colour for name, colour in LIGHT.items() if name.startswith("on-"))
"""Colour of text on each step."""
PAPER, QUIET, FAINT = (LIGHT[name] for name in ("paper", "quiet", "faint"))
"""Of the ground, of what is read beside a picture, and of grid lines."""
NEAR = frozenset(map(frozenset, ((0, 6), (1, 4), (2, 7), (3, 5), (3, 7), (5, 6))))
"""Pairs of colours, by number, that are less than 20 apart in CIELAB to some eyes.

Those are ordinary ones, and ones without red or green cones, on white or dark paper.
"""
DASHES = ("-", "--", ":", "-.")
"""For lines of one colour, or that may lie on each other."""
DASH_OF_HUE = (0, 0, 0, 0, 1, 1, 2, 1)
"""The dashes of each colour at first: no two colours that are near have the same."""
MARKERS = "os^Dvx+*"
"""One a line, of different shapes, as lines may coincide."""
OPEN: dict[str, Any] = {"fillstyle": "none", "markersize": 4}
"""How markers are drawn: what lies below them shows."""


def colour(number: int) -> str:
    """Return the colour of the cluster or run with a number."""
    return COLOURS[number % len(COLOURS)]


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
    """Return the colour of a method: the one that its class says, else one by its name."""
    known = known_method(method)
    own = "" if known is None else vars(known).get("colour", "")
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


def properties() -> str:
    """Return the palette as properties of CSS; on paper a page is light."""
    light, dark = (
        f":root {{ {' '.join(f'--{name}: {own};' for name, own in palette.items())} }}\n"
        for palette in (LIGHT, DARK)
    )
    return f"{light}@media screen and (prefers-color-scheme: dark) {{ {dark} }}\n"
