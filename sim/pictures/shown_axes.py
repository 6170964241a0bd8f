"""Axes that notebooks show as the picture that they belong to."""

from __future__ import annotations

import io

from matplotlib.axes import Axes


class ShownAxes(Axes):
    """Axes of a figure that pyplot does not know: what a cell returns is the picture itself."""

    def _repr_png_(self) -> bytes:
        out = io.BytesIO()
        figure = self.get_figure(root=True)
        assert figure is not None  # made with their figure
        figure.savefig(out, format="png")
        return out.getvalue()
