"""Colours and dashes of lines: of clusters by order, of methods by name."""

from collections.abc import Sequence
from typing import Any

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

Colour-blind eyes tell them apart; on white and on dark paper the contrast is at least 3.4 to 1.
"""
DASHES = ("-", "--", ":", "-.")
"""For lines of one colour, or that may lie on each other."""


def colour(number: int) -> str:
    """Return the colour of the cluster or run with a number."""
    return COLOURS[number % len(COLOURS)]


def of_method(name: str) -> str:
    """Return the colour of a method: the one that its class says, else one by its name."""
    method = known_method(name)
    own = "" if method is None else str(vars(method).get("colour", ""))
    return own or colour(sum(name.encode()))


def of_methods(methods: Sequence[str | None]) -> list[dict[str, Any]]:
    """Return colour and style of lines, those of no method by order; few lines have the same."""
    looks: list[dict[str, Any]] = []
    for number, method in enumerate(methods):
        own = colour(number) if method is None else of_method(method)
        dashes = DASHES[number % len(DASHES) :] + DASHES[: number % len(DASHES)]
        free = [{"color": own, "linestyle": line} for line in dashes]
        looks.append(next((look for look in free if look not in looks), free[0]))
    return looks


def ink() -> Any:
    """Return the colour of text, as whoever draws has set it."""
    from matplotlib import rcParams

    return rcParams["text.color"]


def ink_on(paper: Any) -> str:
    """Return black or white: what can be read on a colour, with a contrast of 4.5 to 1 at least."""
    shares = np.array(to_rgb(paper))
    linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    return "black" if linear @ (0.2126, 0.7152, 0.0722) > 0.179 else "white"
