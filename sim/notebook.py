"""How a result shows itself: a line of text, or a table and a picture in notebooks."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim.critical_path import Spent
from sim.units_text import data_size

if TYPE_CHECKING:
    from sim.result import Result

PICTURE_IN = (4.6, 2.8)
PAGE = """<div>
<table>{% for head, text in rows %}
<tr><th style="text-align:left">{{ head }}</th><td style="text-align:left">{{ text }}</td></tr>
{%- endfor %}
</table>
{%- if picture %}
<img alt="accuracy over simulated time" src="data:image/svg+xml;base64,{{ picture }}"/>
{%- endif %}
</div>"""


def one_line(summary: Mapping[str, Any], folder: Path | None) -> str:
    """Return method, days, cycles, accuracy and folder of a run in a line."""
    parts = [str(summary["method"]), f"{summary['hours'] / 24:.2f} days"]
    parts.append(f"{summary['cycles']} cycles")
    if summary["accuracy_final"] is not None:
        parts.append(f"accuracy {summary['accuracy_final']:.3f}")
    if summary["status"] != "complete":
        parts.append(str(summary["status"]))
    if folder is not None:
        parts.append(str(folder))
    return " ".join(f"Result({', '.join(parts)})".split())


def html(result: Result) -> str:
    """Return a table of the main figures, and the accuracy as a picture where it was measured."""
    from jinja2 import Environment

    picture = result.summary["accuracy_final"] is not None and _accuracy(result)
    page = Environment(autoescape=True).from_string(PAGE)
    return page.render(rows=list(_rows(result)), picture=picture)


def spent_text(spent: Spent) -> str:
    """Say in which shares time went by, the largest first."""
    parts = {"transmitting": spent.transmitting_s, "queueing": spent.queueing_s}
    parts |= {"training": spent.training_s, "waiting": spent.waiting_s}
    largest = sorted(parts.items(), key=lambda part: -part[1])
    return ", ".join(f"{seconds / spent.total_s:.1%} {name}" for name, seconds in largest)


def _rows(result: Result) -> Iterator[tuple[str, str]]:
    summary = result.summary
    yield "method", f"{summary['method']} (seed {summary['seed']}, {summary['status']})"
    yield "simulated", f"{summary['hours'] / 24:.2f} days, {summary['cycles']} complete cycles"
    yield "contacts", f"{summary['contacts_served']} of {summary['contacts']} served"
    if summary["accuracy_final"] is not None:
        yield "accuracy", f"{summary['accuracy_start']:.3f} to {summary['accuracy_final']:.3f}"
    for target, when in summary["targets"].items():
        if when is not None:
            yield f"reached {target}", f"{when['cycles']} cycles, {when['hours'] / 24:.2f} days"
    yield "uplink", data_size(summary["uplink_bytes"])
    yield "downlink", data_size(summary["downlink_bytes"])
    if result.critical_path.spent.total_s > 0:
        yield "critical path", spent_text(result.critical_path.spent)
    if result.folder is not None:
        yield "folder", str(result.folder)


def _accuracy(result: Result) -> str:
    """Return the picture as SVG in base64, which needs no identifiers of its own in the page."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=PICTURE_IN, layout="constrained")
    result.plot.accuracy(figure.subplots())
    out = io.BytesIO()
    figure.savefig(out, format="svg", metadata={"Date": None})
    return base64.b64encode(out.getvalue()).decode("ascii")
