"""Pictures of a page as SVG in its own colours: lines, dots, bars and fields between two axes.

They are drawn here and not by a script, so that they stand on paper and without scripts too.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from statements.arrays import Floats

WIDTH = 400
"""Of a folded picture in pixels: its text can be read on a narrow screen too."""
HEIGHT = 230
RIGHT, TOP, BOTTOM = 12, 24, 40
"""Margins in pixels; the left one has room for the texts at the axis."""
LETTER = 6.8
"""About the width of a letter in pixels."""
LINE = 17
"""Height in pixels of a field in which a text stands."""
LONGEST = 18
"""Letters of a name at an axis."""
TICKS = 5
"""Round numbers at an axis, about."""
DASHES = ("", "7 3", "2 3", "9 3 2 3")
"""As in ``templates/chart.js``."""
SHADES = 7
"""Shades of a field, from faint to full: ``shade-0`` and so on in ``templates/report.css``."""


@dataclass(frozen=True)
class Axis:
    """An axis from ``low`` to ``high``; ``marks`` are named places in the place of numbers."""

    name: str
    low: float
    high: float
    marks: Sequence[tuple[float, str]] | None = None

    @classmethod
    def of(cls, name: str, *each: Floats, least: float | None = None) -> "Axis":
        """Return an axis that holds all values, with some room, and ``least`` if it is given."""
        low = min(float(np.nanmin(values)) for values in each)
        high = max(float(np.nanmax(values)) for values in each)
        low, high = (low, high) if least is None else (min(low, least), max(high, least))
        room = 0.06 * ((high - low) or abs(high) or 1.0)
        return cls(name, low - (room if low < 0.0 else min(room, low)), high + room)

    @classmethod
    def named(cls, name: str, names: Sequence[str]) -> "Axis":
        """Return an axis on which each name has the place of its number."""
        marks = [(float(number), cut(text)) for number, text in enumerate(names)]
        return cls(name, -0.5, len(names) - 0.5, marks)

    @property
    def ticks(self) -> Sequence[tuple[float, str]]:
        """Return what is written at the axis, and where."""
        return ticks(self.low, self.high) if self.marks is None else self.marks


class Key(NamedTuple):
    """What a look stands for."""

    name: str
    look: str


class Shape(NamedTuple):
    """A path in pixels, and how it looks: classes of ``templates/report.css``."""

    path: str
    look: str
    dash: str = ""


class Text(NamedTuple):
    """A text about a place in pixels."""

    x: float
    y: float
    words: str
    look: str = ""


class Picture(NamedTuple):
    """What ``templates/drawing.html`` draws; all places are in pixels."""

    width: int
    height: int
    left: float
    right: float
    base: float
    up: Sequence[tuple[float, str]]
    across: Sequence[tuple[float, str]]
    titles: tuple[str, str]
    shapes: Sequence[Shape]
    texts: Sequence[Text]
    keys: Sequence[Key]
    grid: bool


@dataclass(frozen=True)
class Frame:
    """Two axes and the pixels between which they lie; it turns values into shapes and texts."""

    across: Axis
    up: Axis
    width: int = WIDTH
    height: int = HEIGHT

    @property
    def left(self) -> float:
        """Where the axis to the left stands."""
        longest = max((len(text) for _, text in self.up.ticks), default=0)
        return max(34.0, 12.0 + LETTER * longest)

    def x(self, values: Floats | float) -> Floats:
        """Return places across, in pixels."""
        share = (np.asarray(values, float) - self.across.low) / (_span(self.across))
        return np.asarray(self.left + share * (self.width - RIGHT - self.left))

    def y(self, values: Floats | float) -> Floats:
        """Return places from the top, in pixels."""
        share = (self.up.high - np.asarray(values, float)) / _span(self.up)
        return np.asarray(TOP + share * (self.height - BOTTOM - TOP))

    def steps(self, x: Floats, values: Floats, look: str, dash: int = 0) -> Shape:
        """Return values (N,) as steps: each from its x until the next one; ``x`` is (N + 1,)."""
        across, up = self.x(x), self.y(values)
        each = [f"H{right:.1f}V{to:.1f}" for right, to in zip(across[1:-1], up[1:], strict=True)]
        path = f"M{across[0]:.1f} {up[0]:.1f}{''.join(each)}H{across[-1]:.1f}"
        return Shape(path, look, DASHES[dash % len(DASHES)])

    def line(self, x: Floats, values: Floats, look: str, dash: int = 0) -> Shape:
        """Return values (N,) at some x (N,) as a line, which breaks where one is nan."""
        path = ""
        drawing = False
        for across, up in zip(self.x(x), self.y(values), strict=True):
            known = bool(np.isfinite(up))
            if known:
                path += f"{'L' if drawing else 'M'}{across:.1f} {up:.1f}"
            drawing = known
        return Shape(path, look, DASHES[dash % len(DASHES)])

    def dots(self, x: Floats, values: Floats, look: str = "hue-0") -> Shape:
        """Return values (N,) at some x (N,) as dots."""
        places = zip(self.x(x), self.y(values), strict=True)
        return Shape("".join(f"M{a:.1f} {b:.1f}h0" for a, b in places), f"dots {look}")

    def fields(
        self, column: Floats, row: Floats, look: str, wide: Floats | float = 1.0, tall: float = 1.0
    ) -> Shape:
        """Return rectangles of one look, by their left edges and middles."""
        corners = np.broadcast_arrays(
            self.x(column), self.y(np.add(row, tall / 2)), self.x(np.add(column, wide))
        )
        high = abs(float(self.y(tall) - self.y(0.0)))
        path = "".join(
            f"M{a:.1f} {b:.1f}H{c:.1f}v{high:.1f}H{a:.1f}z"
            for a, b, c in zip(*corners, strict=True)
        )
        return Shape(path, f"filled {look}")

    def bars(self, x: Floats, values: Floats, wide: float, look: str = "hue-0") -> Shape:
        """Return bars from 0 to values (N,) about some x (N,)."""
        places = zip(self.x(x - wide / 2), self.y(values), self.x(x + wide / 2), strict=True)
        base = f"{float(self.y(0.0)):.1f}"
        path = "".join(f"M{a:.1f} {base}V{b:.1f}H{c:.1f}V{base}z" for a, b, c in places)
        return Shape(path, f"filled {look}")

    def text(self, x: float, value: float, words: str, look: str = "") -> Text:
        """Return a text in the middle of a place."""
        return Text(float(self.x(x)), float(self.y(value)) + 4.0, words, look)

    def picture(
        self,
        shapes: Iterable[Shape],
        keys: Sequence[Key] = (),
        texts: Sequence[Text] = (),
        *,
        grid: bool = True,
    ) -> Picture:
        """Return the picture of some shapes."""
        return Picture(
            self.width,
            self.height,
            self.left,
            self.width - RIGHT,
            self.height - BOTTOM,
            [(float(self.y(at)), words) for at, words in self.up.ticks],
            _apart([(float(self.x(at)), words) for at, words in self.across.ticks]),
            (self.up.name, self.across.name),
            [shape for shape in shapes if shape.path],
            texts,
            keys,
            grid,
        )


def _span(axis: Axis) -> float:
    return (axis.high - axis.low) or 1.0


def _apart(marks: Sequence[tuple[float, str]]) -> list[tuple[float, str]]:
    """Return the texts below an axis that do not cover the one before."""
    found: list[tuple[float, str]] = []
    free = -math.inf
    for at, words in marks:
        half = LETTER * len(words) / 2
        if at - half >= free:
            found.append((at, words))
            free = at + half + LETTER
    return found


def cut(text: str, most: int = LONGEST) -> str:
    """Return a text, without its middle if it is long: names differ at their ends."""
    half = most // 2
    return text if len(text) <= most else f"{text[: most - half - 1]}…{text[-half:]}"


def ticks(low: float, high: float) -> list[tuple[float, str]]:
    """Return round numbers between two ends, about :data:`TICKS` of them, with their texts."""
    if not high > low:
        return []
    raw = (high - low) / TICKS
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(n * power for n in (1, 2, 5, 10) if n * power >= raw * 0.999)
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    first = math.ceil(low / step - 1e-9)
    return [
        (number * step, f"{number * step:.{digits}f}")
        for number in range(first, math.floor(high / step + 1e-9) + 1)
    ]
