"""Result: tables, summary, plots; how it shows itself."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from sim.analysis.comparison import BASELINE, _ratio, _row, group_runs
from sim.analysis.critical_path import CriticalPath, Spent, critical_path
from sim.analysis.experts import gating_pattern
from sim.analysis.summary import summarise
from sim.errors import InputError
from sim.execution import folder as run_folder
from sim.execution.checkpoint import CHECKPOINT
from sim.execution.folder import COMPLETE, MANIFEST, read_manifest, read_tables
from sim.formatting import data_size
from sim.trace.schema import COLUMNS
from sim.trace.tables import pieces_of

if TYPE_CHECKING:
    import pandas as pd

    from scenarios import Scenario
    from sim.plots import Pictures


def read_run(folder: Path) -> dict[str, Any]:
    """Return summary, resolved scenario and gating pattern of a run folder."""
    manifest = read_manifest(folder)
    tables = read_tables(folder)
    return {
        "summary": summarise(tables, manifest),
        "scenario": manifest["scenario"],
        "folder": str(folder),
        "gating_pattern": _pattern(tables),
    }


def _pattern(tables: Mapping[str, Any]) -> dict[str, Any] | None:
    found = gating_pattern(tables["assignments"])
    return None if found is None else {"clients": found[0], "shares": found[1].tolist()}


def compare(folders: Sequence[str | Path]) -> dict[str, Any]:
    """Return accuracy, cycles and hours to targets, bytes, and ratios of groups of runs.

    The ratio of a group is how many times fewer cycles it needs than the first synchronous group
    (than the first group, if none is synchronous).
    """
    places = list(dict.fromkeys(Path(folder).resolve() for folder in folders))
    groups = group_runs([read_run(place) for place in places])
    rows = [_row(group) for group in groups]
    methods = [group.summaries[0]["method"] for group in groups]
    reference = methods.index(BASELINE) if BASELINE in methods else 0
    for row in rows:
        row["ratio"] = {
            name: _ratio(rows[reference]["cycles_to"][name], row["cycles_to"][name])
            for name in row["cycles_to"]
        }
    return {"reference": groups[reference].label, "groups": rows}


@dataclass(frozen=True)
class Run:
    """A run folder: its manifest, and its tables when they are asked for."""

    folder: Path
    manifest: dict[str, Any]

    @cached_property
    def tables(self) -> Mapping[str, pa.Table]:
        """All tables of the run."""
        return read_tables(self.folder)

    @cached_property
    def scenario(self) -> Scenario:
        """The scenario that was run, with its elements."""
        import scenarios

        return scenarios.from_dict(self.manifest["scenario"])

    @property
    def title(self) -> str:
        """Scenario, method and seed."""
        return "{name} {method} seed {seed}".format_map(self.manifest)

    @property
    def notes(self) -> list[str]:
        """What there is of a run that is not complete."""
        status, hours = self.manifest["status"], self.manifest["simulated_s"] / 3600
        if status == COMPLETE:
            return []
        return [f"{self.folder}: the run is {status}: this is what it had done by {hours:.2f} h"]


def load(folder: str | Path) -> Result:
    """Return the :class:`Result` of a run folder; raise InputError if it is none, or broken."""
    place = Path(folder)
    manifest = run_folder.read_manifest(place)
    return Result(run_folder.read_tables(place), manifest, place)


@dataclass(frozen=True, repr=False)
class Result:
    """What a run has produced; the tables as pandas DataFrames.

    ``tables`` are those of Arrow. Of a run that was written to a folder, those of more than a
    million rows stay in their files, and are read each time that they are asked for.
    """

    tables: Mapping[str, pa.Table]
    manifest: dict[str, Any]
    folder: Path | None = None
    _frames: dict[str, Any] = field(default_factory=dict, repr=False)

    def _frame(self, name: str) -> pd.DataFrame:
        if name not in self._frames:
            none = pa.schema(list(COLUMNS[name].items())).empty_table()
            self._frames[name] = self.tables.get(name, none).to_pandas()
        return self._frames[name]

    @property
    def contacts(self) -> pd.DataFrame:
        """One row a contact of the plan, served or not."""
        return self._frame("contacts")

    @property
    def transfers(self) -> pd.DataFrame:
        """One row a device, payload and contact."""
        return self._frame("transfers")

    @property
    def events(self) -> pd.DataFrame:
        """What happened, in order of time."""
        return self._frame("events")

    @property
    def metrics(self) -> pd.DataFrame:
        """Accuracy and loss of the server's model at every complete cycle."""
        return self._frame("metrics")

    @property
    def assignments(self) -> pd.DataFrame:
        """Which cluster trains which expert."""
        return self._frame("assignments")

    @property
    def inferences(self) -> pd.DataFrame:
        """Answers of networked experts, one row a group of samples; empty for other methods."""
        return self._frame("inferences")

    def pieces(self, name: str, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Yield the table ``name``, or some columns of it, in pieces that fit into memory.

        At least one, which may be empty. Raises KeyError for a table or column that the run does
        not have.
        """
        return pieces_of(self.tables, name, columns)

    @property
    def plot(self) -> Pictures:
        """Pictures of the run, as matplotlib axes."""
        from sim.plots import Pictures

        return Pictures(self.tables, self.manifest)

    @cached_property
    def summary(self) -> dict[str, Any]:
        """The run in a few figures."""
        return summarise(self.tables, self.manifest)

    @cached_property
    def critical_path(self) -> CriticalPath:
        """Where the simulated time went, by cluster and by cycle."""
        return critical_path(self.tables, self.manifest["simulated_s"])

    def __repr__(self) -> str:
        return one_line(self.summary, self.folder)

    def _repr_html_(self) -> str:
        return html(self)


# How a result shows itself: a line of text, or a table and a picture in notebooks.


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


# What a report knows of a run: its folder, tables, manifest and summary.


TIMES = ("start_utc", "simulated_s")
"""What a report needs of a manifest beside what every reader does."""


@dataclass(frozen=True)
class RunData:
    """One run as it lies in its folder."""

    folder: Path
    manifest: dict[str, Any]
    tables: Mapping[str, pa.Table]

    @cached_property
    def summary(self) -> dict[str, Any]:
        """The figures of ``leomix show``."""
        return summarise(self.tables, self.manifest)

    @cached_property
    def pictures(self) -> Pictures:
        """The run's pictures."""
        from sim.plots import Pictures

        return Pictures(self.tables, self.manifest)

    @cached_property
    def path(self) -> CriticalPath:
        """Where the run's time went."""
        return critical_path(self.tables, self.manifest["simulated_s"])

    @property
    def trains(self) -> bool:
        """Whether the run is about learning, and not about timing only."""
        return bool(self.manifest["scenario"]["learning"].get("train", True))

    @property
    def notices(self) -> list[str]:
        """What a reader has to know first: that the run did not end as it should."""
        status = self.manifest["status"]
        if status == "complete":
            return []
        error = self.manifest.get("error")
        said = f": {error}" if error else ""
        hours = self.manifest["simulated_s"] / 3600
        more = (
            f"; leomix run SCENARIO --resume -o {self.folder} goes on with it"
            if status == "interrupted"
            else ""
        )
        return [
            f"This run is {status}{said}. What follows is what it had by {hours:.2f} h of "
            f"simulation{more}."
        ]


def read(folder: Path) -> RunData:
    """Read a run folder; raise InputError for one that is none, or has no tables yet."""
    if not (folder / MANIFEST).exists() and (folder / CHECKPOINT).exists():
        raise InputError(
            f"{folder}: the run in it was killed or still goes on, and has no tables yet; "
            f"finish it: leomix run SCENARIO --resume -o {folder}"
        )
    manifest = read_manifest(folder)
    missing = [key for key in TIMES if key not in manifest]
    if missing:
        raise InputError(f"{folder / MANIFEST}: no manifest of a run (it has no {missing[0]!r})")
    tables = read_tables(folder)
    for name in COLUMNS.keys() - tables.keys():
        tables[name] = pa.schema(list(COLUMNS[name].items())).empty_table()
    return RunData(folder, manifest, tables)
