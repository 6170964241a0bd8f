"""Runs that are drawn; axes without pyplot, colours, names, legends, units of time."""

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol
from weakref import WeakKeyDictionary

import numpy as np
import pyarrow as pa
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.container import Container

from sim.analysis.critical_path import CriticalPath
from sim.terminal import escaped

METHODS = {
    "#0072b2": ("synchronous", "fedprox", "fedprox-sat"),
    "#d55e00": ("emsfl", "fedopt", "fedsat"),
    "#009e73": ("emsfl-enhanced", "scaffold", "fedspace"),
    "#c46f9f": ("fedavg", "fedavg-sat"),
    "#b57d00": ("fedbuff", "fedisl"),
    "#3493c8": ("fedasync", "fedleo", "aligned"),
    "#8c6bb1": ("local", "autoflsat", "nmoe"),
    "#808080": ("centralised",),
}
"""The methods that each colour stands for on every page: those that are compared with each other
have different ones. Colour-blind eyes tell them apart; on white and on dark paper the contrast is
at least 3.4 to 1. Clusters and other things have them by order."""
COLOURS = tuple(METHODS)
DASHES = ("-", "--", ":", "-.")
"""For lines of one colour, or that may lie on each other."""
LONGEST_NAME, LONGEST_LABEL = 18, 34
"""Letters of a name beside an axis, and in a legend."""
LINE_LETTERS, HANDLE_LETTERS = 56, 5
"""Letters that a line has room for in a picture 4.6 inches wide, and a legend's mark takes."""
MOST_TICKS = 12
"""Names beside an axis; of more only some are written."""


class Run(Protocol):
    """What pictures need of a run, like :class:`sim.Result`."""

    @property
    def tables(self) -> Mapping[str, pa.Table]:
        """The tables by name."""

    @property
    def manifest(self) -> Mapping[str, Any]:
        """The manifest."""

    @property
    def critical_path(self) -> CriticalPath:
        """Where the simulated time went."""


@dataclass(frozen=True)
class Drawn:
    """A run of which pictures are drawn."""

    run: Run


def new_axes() -> Axes:
    """Return axes in a figure of their own that show themselves in notebooks."""
    from matplotlib.figure import Figure

    return Figure(layout="constrained").subplots(subplot_kw={"axes_class": ShownAxes})


def colour(number: int) -> str:
    """Return the colour of the cluster or run with a number."""
    return COLOURS[number % len(COLOURS)]


def of_method(method: str) -> str:
    """Return the colour of a method; a custom one has it by its name."""
    own = (shown_in for shown_in, methods in METHODS.items() if method in methods)
    return next(own, colour(sum(method.encode())))


def of_methods(methods: Sequence[str | None]) -> list[dict[str, Any]]:
    """Return colour and style of lines, those of no method by order; few lines have the same."""
    looks: list[dict[str, Any]] = []
    for number, method in enumerate(methods):
        own = colour(number) if method is None else of_method(method)
        dashes = DASHES[number % len(DASHES) :] + DASHES[: number % len(DASHES)]
        free = [{"color": own, "linestyle": line} for line in dashes]
        looks.append(next((look for look in free if look not in looks), free[0]))
    return looks


_DATA: WeakKeyDictionary[Axes, list[pa.Table]] = WeakKeyDictionary()


def behind(axes: Axes, **columns: Any) -> None:
    """Keep some of the data that axes show, by name with unit; one value stands for all rows."""
    rows = np.broadcast_arrays(*(np.asarray(values) for values in columns.values()))
    table = pa.table(
        dict(zip(columns, (pa.array(own.ravel(), from_pandas=True) for own in rows), strict=True))
    )
    _DATA.setdefault(axes, []).append(table)


def data_behind(axes: Axes) -> pa.Table:
    """Return the data that axes show, a row for each mark or point."""
    return pa.concat_tables(_DATA.get(axes, []), promote_options="permissive")


def ink() -> Any:
    """Return the colour of text, as whoever draws has set it."""
    from matplotlib import rcParams

    return rcParams["text.color"]


def ink_on(paper: Any) -> str:
    """Return black or white: what can be read on a colour, with a contrast of 4.5 to 1 at least."""
    shares = np.array(to_rgb(paper))
    linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    return "black" if linear @ (0.2126, 0.7152, 0.0722) > 0.179 else "white"


SECTION = re.compile(r"\b(?:\w+\.)+(?=\w+=)")
"""What stands before the last part of a key in a label, and has no room in a legend."""


def name(text: object, longest: int = LONGEST_NAME) -> str:
    """Return a name as matplotlib writes it letter by letter, control characters escaped.

    A long one goes without the sections of its keys, then without its
    middle. Dollar signs would begin a formula.
    """
    whole = " ".join(escaped(str(text)).split())
    if len(whole) > longest:
        whole = SECTION.sub("", whole)
    if len(whole) > longest:
        tail = (longest - 1) // 2
        whole = f"{whole[: longest - 1 - tail]}…{whole[-tail:]}"
    return whole.replace("$", r"\$")


def legend(axes: Axes, handles: Sequence[Artist | Container], names: Sequence[object]) -> None:
    """Put a legend above the axes, where it covers nothing; long names are shortened."""
    if not handles:
        return
    texts = [name(text, LONGEST_LABEL) for text in names]
    drawn = axes.legend(
        handles,
        ["-"] * len(texts),  # matplotlib hides names that begin with an underscore
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0),
        borderaxespad=0.2,
        ncols=_columns([len(text) + HANDLE_LETTERS for text in texts]),
        frameon=False,
        handlelength=1.4,
        handletextpad=0.4,
        columnspacing=1.0,
    )
    for place, text in zip(drawn.get_texts(), texts, strict=True):
        place.set_text(text)


def _columns(letters: Sequence[int]) -> int:
    """Most columns of a legend, filled one after the other, whose widths fit a line."""
    for columns in range(len(letters), 1, -1):
        if sum(max(part) for part in np.array_split(letters, columns)) <= LINE_LETTERS:
            return columns
    return 1


def name_ticks(
    axes: Axes,
    which: str,
    places: Sequence[float],
    names: Sequence[object],
    upright: bool = False,
) -> None:
    """Write names beside the x or y axis, every second or third one if there are too many.

    Names of the x axis need less room ``upright``.
    """
    texts = [name(text) for text in names]
    side_by_side = which == "x" and not upright
    letters = sum(len(text) + 3 for text in texts) if side_by_side else 0
    every = max(1, -(-len(texts) // MOST_TICKS), -(-letters // LINE_LETTERS))
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_ticks(list(places[::every]), texts[::every], rotation=90 if upright else 0)


# Axes that notebooks show as the picture that they belong to.


class ShownAxes(Axes):
    """Axes of a figure that pyplot does not know: what a cell returns is the picture itself."""

    def _repr_png_(self) -> bytes:
        out = io.BytesIO()
        figure = self.get_figure(root=True)
        assert figure is not None  # made with their figure
        figure.savefig(out, format="png")
        return out.getvalue()


# Simulated time on an axis: minutes, hours or days, by how long it is.


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
