"""Result: tables, summary, plots; how it shows itself."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

import scenarios
from sim.analysis.cases import case_of, compare_groups, group_runs
from sim.analysis.checks import Check, checks_in, held_back
from sim.analysis.comparison import Comparison
from sim.analysis.evaluations import Judged, evaluation_at, is_measured
from sim.analysis.experts import gating_pattern
from sim.analysis.figures import figures_of_network
from sim.analysis.run import Run
from sim.analysis.run_text import figures
from sim.errors import InputError
from sim.execution.folder import check_weights, read_manifest, read_tables
from sim.execution.model import whole_model
from sim.facts.status import COMPLETE
from sim.trace.parquet import plain
from sim.trace.schema import COLUMNS
from sim.trace.tables import Tables, pieces_of
from statements import Code, Other, Statement

if TYPE_CHECKING:
    import pandas as pd

    from sim.draw import NetworkPictures, Pictures
    from sim.replay.replay import Replay


def compare_runs(folders: Sequence[str | Path]) -> Comparison:
    """Compare the runs in folders; those that differ in their seed only are one group.

    Raises InputError for a folder without a run.
    """
    places = list(dict.fromkeys(Path(folder).resolve() for folder in folders))
    runs = [case_of(load(place), place) for place in places]
    check_of_one_kind(run.manifest for run in runs)
    return replace(compare_groups(group_runs(runs)), folders=tuple(places))


def check_of_one_kind(manifests: Iterable[Mapping[str, Any]]) -> None:
    """Raise InputError where some runs are network studies, and others not."""
    kinds = {manifest["method"] is None for manifest in manifests}
    if len(kinds) > 1:
        text = "some runs learn and others are network studies"
        raise InputError(
            Statement.of(Code.CONFLICT, "", text, Other(said="compare those of one kind"))
        )


def load(folder: str | Path) -> Result:
    """Return the :class:`Result` of a run folder; raise InputError if it is none, or broken."""
    place = Path(folder)
    return stored(place, read_manifest(place))


def stored(place: Path, manifest: dict[str, Any]) -> Result:
    """Return the result of a run folder whose manifest was read."""
    known = manifest.get("checksums", {}) if manifest["status"] == COMPLETE else {}
    tables = read_tables(place, known, of_network=manifest["method"] is None)
    check_weights(place, known)
    return Result(tables, manifest, place, warnings_in(manifest))


def warnings_in(manifest: Mapping[str, Any]) -> list[Statement]:
    """Return what a run has warned of and noted, out of its manifest."""
    return [Statement.told(said) for said in manifest.get("said", ())]


def _frame(name: str, doc: str) -> property:
    """Return a property: a table of a run, made a pandas DataFrame when it is first asked for."""

    def frame(result: Result) -> pd.DataFrame:
        frames = result._frames  # noqa: SLF001 (this is a property of the class)
        if name not in frames:
            none = pa.schema(list(COLUMNS[name].items())).empty_table()
            frames[name] = result.tables.get(name, none).to_pandas()
        return frames[name]

    return property(frame, doc=doc)


@dataclass(frozen=True, repr=False)
class Result(Run):
    """What a run has produced; the tables as pandas DataFrames.

    ``tables`` are those of Arrow. Of a run in a folder they are read when they are asked for; those
    of more than a million rows stay in their files, and are read each time. ``warnings`` are what a
    user should know of the run; a run that is read from its folder has them in words alone.
    """

    manifest: dict[str, Any]
    folder: Path | None = None
    warnings: list[Statement] = field(default_factory=list, repr=False)
    _frames: dict[str, Any] = field(default_factory=dict, repr=False)

    contacts = _frame("contacts", "One row a contact of the plan, served or not.")
    transfers = _frame("transfers", "One row a device, payload and contact.")
    events = _frame("events", "What happened, in order of time.")
    metrics = _frame("metrics", "Accuracy and loss of the server's model at each complete cycle.")
    assignments = _frame("assignments", "Which cluster trains which expert.")
    clients = _frame(
        "clients", "Samples of each class that a device holds; empty without training."
    )
    updates = _frame("updates", "One row per update of a device that the server used.")
    inferences = _frame(
        "inferences", "Answers to groups of samples; empty where a method infers nothing."
    )
    answers = _frame(
        "answers", "How long experts of other clients took to answer; empty where none was asked."
    )
    capacity = _frame(
        "capacity", "What a network study carries, by station, cluster, gateway and satellite."
    )
    payloads = _frame("payloads", "When the payloads of a network study were through.")

    def pieces(self, name: str, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Yield the table ``name``, or some columns of it, in pieces that fit into memory.

        At least one, which may be empty. Raises KeyError for a table or column that the run does
        not have.
        """
        return map(plain, pieces_of(self.tables, name, columns))

    def moved(self, folder: Path) -> Result:
        """Return the result of a run whose files were moved to another folder."""
        if isinstance(self.tables, Tables):
            for name, path in self.tables.files.items():
                self.tables.files[name] = folder / path.name
        return replace(self, folder=folder)

    def model(self) -> dict[str, Any]:
        """Return the model that the run keeps: all its tensors (of torch), by stored name.

        That is the model at the end, or of the best evaluation with ``learning.keep: best``.
        Weights of `learning.model.checkpoints` that nothing trained are read from there. Raises
        InputError for a run without a folder or weights, and for a checkpoint that is missing or
        has changed.
        """
        if self.folder is None:
            raise InputError(
                Statement.of(
                    Code.NOT_RECORDED,
                    "",
                    "the run has no folder, and so no file of its model",
                    Other(said="give sim.run a folder, by out"),
                )
            )
        return whole_model(self.folder, self.manifest)

    @property
    def plot(self) -> Pictures | NetworkPictures:
        """Pictures of the run, as matplotlib axes."""
        from sim.draw import NetworkPictures, Pictures

        return NetworkPictures(self) if self.of_network else Pictures(self)

    def replay(self) -> Replay:
        """Return the run as a moving picture, which shows itself in notebooks.

        ``replay().html()`` is a page of its own. A map of one minute is ``plot.map(minute=M)``.
        """
        from sim.replay.replay import Replay

        return Replay({self.title: self})

    @property
    def title(self) -> str:
        """Scenario, method and seed."""
        if self.of_network:
            return "{name} seed {seed}".format_map(self.manifest)
        return "{name} {method} seed {seed}".format_map(self.manifest)

    @cached_property
    def scenario(self) -> scenarios.Scenario:
        """The scenario that was run, with its elements."""
        return scenarios.from_dict(self.manifest["scenario"])

    def validation_at(self, hours: float = math.inf) -> float | None:
        """Return the validation accuracy of the last evaluation by then, or of the whole run.

        None where nothing was validated by so many simulated hours.
        """
        found = evaluation_at(self.evaluations, hours)
        return None if found is None else found.validation

    @cached_property
    def compared(self) -> Comparison:
        """The run alone as a comparison has it: its rows, its headline, and what to know first."""
        folders = () if self.folder is None else (self.folder,)
        return replace(compare_groups(group_runs([case_of(self)])), folders=folders)

    @cached_property
    def checks(self) -> list[Check]:
        """What a user should know of the run, each with a remedy that was tried, if one helped."""
        return checks_in(self.manifest)

    @cached_property
    def held_back(self) -> Check | None:
        """The largest part of the critical path, and a remedy that was tried, if one helped.

        None where nothing was sent, or neither a round nor a cycle was complete.
        """
        return None if self.of_network else held_back(self)

    @cached_property
    def gating_pattern(self) -> dict[str, Any] | None:
        """``clients``, and which ``shares`` of their samples go to which expert (NMoE)."""
        found = None if self.of_network else gating_pattern(self.tables["assignments"])
        return None if found is None else {"clients": found[0], "shares": found[1].tolist()}

    def __repr__(self) -> str:
        """Return method, days, cycles, accuracy or loss, and folder of the run in a line."""
        summary = self.summary
        parts = ["network study" if self.of_network else str(summary["method"])]
        parts.append(f"{summary['hours'] / 24:.2f} days")
        parts += [] if self.of_network else self._learnt_so_far()
        parts += [str(summary["status"])] if summary["status"] != COMPLETE else []
        parts += [] if self.folder is None else [str(self.folder)]
        return " ".join(f"Result({', '.join(parts)})".split())

    def _learnt_so_far(self) -> list[str]:
        summary = self.summary
        cycles = f"{summary['cycles']} cycles"
        if not is_measured(summary):
            return [cycles]
        if summary["accuracy_final"] is None:
            return [cycles, f"loss {summary['loss_final']:.4g}"]
        if summary["judged_by"] == Judged.LOSS and summary["loss_final"] is not None:
            return [cycles, f"loss {summary['loss_final']:.3f} nats a token"]
        return [cycles, f"accuracy {summary['accuracy_final']:.3f}"]

    def _repr_html_(self) -> str:
        """Return the figures of its screen, and a picture of what was learnt if known."""
        from jinja2 import Environment

        picture = not self.of_network and is_measured(self.summary) and _learnt(self)
        rows = [*(figures_of_network(self.summary) if self.of_network else figures(self))]
        rows += [] if self.folder is None else [("folder", str(self.folder))]
        return (
            Environment(autoescape=True)
            .from_string(PAGE)
            .render(rows=rows, picture=picture, judged=self.summary.get("judged_by"))
        )


PICTURE_IN = (4.6, 2.8)
PAGE = """<div>
<table>{% for head, text in rows %}
<tr><th style="text-align:left">{{ head }}</th><td style="text-align:left">{{ text }}</td></tr>
{%- endfor %}
</table>
{%- if picture %}
<img alt="{{ judged }} over simulated time" src="data:image/svg+xml;base64,{{ picture }}"/>
{%- endif %}
</div>"""


def _learnt(result: Result) -> str:
    """Return the picture as SVG in base64, which needs no identifiers of its own in the page."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=PICTURE_IN, layout="constrained")
    draw = result.plot.loss if result.summary["judged_by"] == Judged.LOSS else result.plot.accuracy
    draw(figure.subplots())
    out = io.BytesIO()
    figure.savefig(out, format="svg", metadata={"Date": None})
    return base64.b64encode(out.getvalue()).decode("ascii")
