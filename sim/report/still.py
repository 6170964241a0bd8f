"""The chart of a page without its script: the first view as a drawing of fixed size."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from learning.requests.cluster import Floats
from sim.report.chart import MEASURES, Chart

WIDTH, HEIGHT = 720, 320
LEFT, RIGHT, TOP, BOTTOM = 56, 12, 24, 40
"""The drawing and its margins, in pixels."""
TICKS = 5
DASHES = ("", "7 3", "2 3", "9 3 2 3")
"""As in ``templates/chart.js``."""


def still(chart: Chart) -> dict[str, Any]:
    """Return paths, ticks and texts of the first view, for ``templates/chart.html``."""
    view = chart.views[0]
    last = max(curve.band.end for curve in view.curves)
    low, high = _range([curve.band.mean for curve in view.curves])
    scale = high if MEASURES[view.what][1] == "bytes" else 0.0
    unit, size = next(((name, one) for name, one in BYTES if scale >= one), ("", 1.0))

    def across(x: Floats) -> Floats:
        return LEFT + x / (last or 1.0) * (WIDTH - LEFT - RIGHT)

    def up(values: Floats) -> Floats:
        return TOP + (high - values) / (high - low) * (HEIGHT - TOP - BOTTOM)

    lines = [
        {
            "hue": chart.lines[curve.line].hue,
            "dash": DASHES[chart.lines[curve.line].dash % len(DASHES)],
            "mean": _path(across(np.append(curve.band.x, curve.band.end)), up(curve.band.mean)),
        }
        for curve in view.curves
    ]
    shown_last = float(chart.scaled(last, view.over))
    return {
        "width": WIDTH,
        "height": HEIGHT,
        "left": LEFT,
        "right": WIDTH - RIGHT,
        "base": HEIGHT - BOTTOM,
        "lines": lines,
        "title": MEASURES[view.what][0] + (f" ({unit})" if unit else ""),
        "axis": chart.axis(view.over),
        "up": [
            (f"{up(np.array([value * size]))[0]:.1f}", text)
            for value, text in _ticks(low / size, high / size)
        ],
        "across": [
            (f"{across(np.array([value / (shown_last or 1.0) * last]))[0]:.1f}", text)
            for value, text in _ticks(0.0, shown_last)
        ],
    }


BYTES = (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3))


def _range(each: Sequence[Floats]) -> tuple[float, float]:
    """Return ends that hold all values, with some room."""
    low = min(float(np.nanmin(values)) for values in each)
    high = max(float(np.nanmax(values)) for values in each)
    room = 0.06 * ((high - low) or abs(high) or 1.0)
    return max(low - room, 0.0) if low >= 0.0 else low - room, high + room


def _path(x: Floats, y: Floats) -> str:
    """Return steps as the path of an SVG: ``x`` has the end as well."""
    steps = [f"H{right:.1f}V{value:.1f}" for right, value in zip(x[1:-1], y[1:], strict=True)]
    return f"M{x[0]:.1f} {y[0]:.1f}{''.join(steps)}H{x[-1]:.1f}"


def _ticks(low: float, high: float) -> list[tuple[float, str]]:
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
