"""Names beside axes and in legends, as short as a picture asks for."""

import math
import re
from collections.abc import Sequence

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.container import Container

from sim.analysis.labels import LONGEST_LABEL
from sim.draw.canvas import BESIDE, LETTER, LINE, room_of
from sim.process.terminal import escaped

LONGEST_TICK = 18
"""Letters of a name beside an axis."""
HANDLE_LETTERS = 5
"""Letters whose room the mark of a legend takes."""


SECTION = re.compile(r"\b(?:\w+\.)+(?=\w+=)")
"""What stands before the last part of a key in a label, and has no room in a legend."""


def name(text: object, longest: int = LONGEST_TICK) -> str:
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


def legend(
    axes: Axes, handles: Sequence[Artist | Container], names: Sequence[object], title: str = ""
) -> None:
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
        ncols=_columns([len(text) + HANDLE_LETTERS for text in texts], room_of(axes)[0]),
        frameon=False,
        handlelength=1.4,
        handletextpad=0.4,
        columnspacing=1.0,
        title=title or None,
        title_fontproperties={"weight": "bold"},
        alignment="left",
    )
    for place, text in zip(drawn.get_texts(), texts, strict=True):
        place.set_text(text)


def _columns(letters: Sequence[int], room: float) -> int:
    """Most columns of a legend, filled one after the other, whose widths fit a line."""
    for columns in range(len(letters), 1, -1):
        if sum(max(part) for part in np.array_split(letters, columns)) <= 0.9 * room:
            return columns
    return 1


def name_ticks(
    axes: Axes,
    which: str,
    places: Sequence[float],
    names: Sequence[object],
    *,
    upright: bool = False,
) -> None:
    """Write names beside the x or y axis, every second or third one if there are too many.

    Names of the x axis need less room ``upright``.
    """
    texts = [name(text) for text in names]
    letters, lines = room_of(axes)
    if which == "y":
        needed, room = len(texts), lines
    elif upright:
        needed, room = len(texts), letters * LETTER / LINE
    else:
        needed, room = sum(len(text) + 2 for text in texts), letters
    every = max(1, math.ceil(needed / (BESIDE * room)))
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_ticks(list(places[::every]), texts[::every], rotation=90 if upright else 0)
