"""Pages in notebooks: each in a frame of its own, so that its style and script touch nothing else.

Comparisons and sweeps show themselves as pages, which a package above them makes: the package
``sim`` itself, which knows all, sets ``Pages.make``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sim.errors import InputError

HEIGHT = "62rem"
"""Of a frame: as much as a replay needs; a longer page scrolls."""


class Pages:
    """Who makes the page of a thing that shows itself; nobody until ``sim`` is imported."""

    make: Callable[[Any], str] | None = None


def frame(title: str, page: str) -> str:
    """Return a frame that holds a whole page, for a notebook's cell; the page may run scripts."""
    from markupsafe import escape

    return (
        f'<iframe title="{escape(title)}" sandbox="allow-scripts" srcdoc="{escape(page)}" '
        f'style="width: 100%; height: {HEIGHT}; border: 0"></iframe>'
    )


def framed(title: str, shown: Any) -> str | None:
    """Return a frame with the page of ``shown``; None where there is none, as notebooks want it."""
    if Pages.make is None:
        return None
    try:
        return frame(title, Pages.make(shown))
    except InputError:  # a folder that is not there any more
        return None
