"""The chart of a page without its script: the first view as a picture of fixed size."""

import numpy as np

from sim.formatting import BYTES, unit_for
from sim.report.chart import Chart
from sim.report.drawing import Axis, Frame, Picture

WIDTH, HEIGHT = 720, 320
"""Of the picture in pixels."""


def still(chart: Chart) -> Picture:
    """Return the picture of a chart's first view, whose lines the page names below it."""
    view = chart.views[0]
    curves = view.curves
    name, form = chart.measures[view.what]
    highest = max(float(np.nanmax(curve.band.mean)) for curve in curves)
    unit, size = unit_for(highest, BYTES if form == "bytes" else (), "")
    ends = [float(chart.scaled(curve.band.end, view.over)) for curve in curves]
    means = [curve.band.mean / size for curve in curves]
    frame = Frame(
        Axis(chart.axis(view.over), 0.0, max(ends)),
        Axis.of(f"{name} ({unit})" if unit else name, *means),
        WIDTH,
        HEIGHT,
    )
    shapes = []
    for curve, end, mean in zip(curves, ends, means, strict=True):
        line = chart.lines[curve.line]
        x = np.append(chart.scaled(curve.band.x, view.over), end)
        shapes.append(frame.steps(x, mean, f"mean hue-{line.hue}", line.dash))
        # As the end of a step the last value has no width.
        shapes.append(frame.dots(x[-2:-1], mean[-1:], f"hue-{line.hue}"))
    return frame.picture(shapes)
