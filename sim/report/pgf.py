"""Figures as PGF pictures, whose text LaTeX sets in the paper's own font; written without LaTeX."""

from __future__ import annotations

import io
from typing import Any

from matplotlib.backend_bases import GraphicsContextBase
from matplotlib.backends.backend_pgf import RendererPgf
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from sim.report.latex import escaped

POINTS_AN_INCH = 72.0
HEAD = r"""% Needs \usepackage{pgf}; LaTeX sets its text in the font of the paper.
\begingroup
\makeatletter
\begin{pgfpicture}
"""
FOOT = r"""\end{pgfpicture}
\makeatother
\endgroup
"""


class _Renderer(RendererPgf):
    """Draws as matplotlib's does, which asks LaTeX how large texts are: here a font says so."""

    def get_text_width_height_descent(
        self,
        s: str,
        prop: FontProperties,
        ismath: Any,
    ) -> tuple[float, float, float]:
        """Return width, height and depth of a text in pixels, as the drawing's own font has it."""
        size = text_to_path.get_text_width_height_descent(s, prop, ismath=False)
        scale = self.dpi / POINTS_AN_INCH
        width, height, descent = (scale * part for part in size)
        return width, height, descent

    def draw_text(
        self,
        gc: GraphicsContextBase,
        x: float,
        y: float,
        s: str,
        prop: FontProperties,
        angle: float,
        ismath: Any = None,
        mtext: Any = None,
    ) -> None:
        """Write a text for LaTeX to set; all texts of our figures are plain."""
        size = prop.get_size_in_points()
        words = escaped(s.replace(r"\$", "$"))
        dpi = self.figure.dpi
        places = f"x={x / dpi:f}in,y={y / dpi:f}in,left,base"
        rotation = f",rotate={angle:f}" if angle else ""
        if mtext is not None and (angle == 0 or mtext.get_rotation_mode() == "anchor"):
            # How wide LaTeX's font is nobody knows here: a text stands where it is aligned.
            across, up = mtext.get_transform().transform(mtext.get_unitless_position())
            sides = {"left": ",left", "right": ",right"}.get(mtext.get_horizontalalignment(), "")
            lines = {"top": ",top", "bottom": ",bottom", "baseline": ",base"}
            sides += lines.get(mtext.get_verticalalignment(), "")
            places = f"x={across / dpi:f}in,y={up / dpi:f}in{sides}"
        red, green, blue = gc.get_rgb()[:3]
        self.fh.write(
            f"\\begin{{pgfscope}}\n"
            f"\\definecolor{{textcolor}}{{rgb}}{{{red:f},{green:f},{blue:f}}}\n"
            f"\\pgftext[{places}{rotation}]{{\\color{{textcolor}}"
            f"\\fontsize{{{size:f}}}{{{1.2 * size:f}}}\\selectfont {words}}}\n"
            f"\\end{{pgfscope}}\n"
        )


def pgf(figure: Figure) -> str:
    """Return a figure as a picture that a paper takes by ``\\input``.

    The same figure gives the same text.
    """
    out = io.StringIO()
    width, height = figure.get_size_inches()
    out.write(HEAD)
    out.write(
        f"\\pgfpathrectangle{{\\pgfpointorigin}}{{\\pgfqpoint{{{width:f}in}}{{{height:f}in}}}}\n"
    )
    out.write("\\pgfusepath{use as bounding box, clip}\n")
    renderer: Any = _Renderer
    figure.draw(renderer(figure, out))
    out.write(FOOT)
    return out.getvalue()
