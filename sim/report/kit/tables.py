"""The tables of a paper: means over seeds with their 95 % intervals, as LaTeX and as CSV."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from sim.analysis import comparison_text as text
from sim.analysis.comparison import Comparison
from sim.analysis.curves import Steps
from sim.analysis.figures import (
    FIGURES,
    TO_TARGETS,
    Figure,
    bounds_of,
    figures_of_all,
    of_tokens,
)
from sim.analysis.judged import Judged
from sim.analysis.main_figures import TRAFFIC, spent_by, unreached
from sim.analysis.over_seeds import on_logarithms, over_seeds
from sim.analysis.pair_tests import pair_tests
from sim.analysis.rows import Standing
from sim.analysis.verdict import ranking_of
from sim.formatting import BYTES, JOULES, three_digits, unit_for
from sim.plots.canvas import Unit
from sim.report.latex import Cell, Laid

NONE = "\u2013"
"""What stands for a figure that is not known."""
LEARNT = {
    Judged.ACCURACY: ("accuracy_final",),
    Judged.LOSS: ("loss_final", "accuracy_final"),
}
"""What was learnt, by what runs are judged by."""
TIMED = ("cycles", "contacts_served", "round_mean_s")
"""What is shown of runs that trained nothing."""
WHERE_KNOWN = ("energy_j",)
"""What has no column where it is not modelled."""
IN_SHORT = ("accuracy_final", "loss_final", "cycles", "uplink_bytes")
"""What the short form has, beside the time to the shared target: it fits one column."""
MOST = 3
"""Targets that a table has, the highest ones, beside the one that is shared."""
BY_ROUNDS = (*TRAFFIC, "energy_j")
"""What grows with the rounds: who has done fewer of them is not better by it."""
HEADS = {
    "accuracy_final": ("final", "accuracy"),
    "uplink_bytes": ("uplink", ""),
    "downlink_bytes": ("downlink", ""),
    "sidelink_bytes": ("sidelink", ""),
    "isl_bytes": ("ISL", ""),
    "energy_j": ("energy", ""),
    "device_memory_bytes": ("memory of", "a device"),
    "cycles": ("complete", "cycles"),
    "contacts_served": ("contacts", "served"),
    "round_mean_s": ("mean", "round"),
}
"""Heads of two lines, of figures whose own one is longer."""
OF_TOKENS = {"loss_final": ("final loss", "(nats)"), "accuracy_final": ("share of", "tokens right")}
"""Those of runs that learn each next token."""


@dataclass(frozen=True)
class Column:
    """One figure of all groups: its name in CSV, its head, and its values by group.

    ``values`` has for each group its ``mean`` over seeds and the ends ``low`` and ``high`` of the
    interval of that, None where there is none. ``unit`` divides them first; ``notes`` stand where
    there is no mean, and ``best`` says who may be called best by it.
    """

    key: str
    head: tuple[str, str]
    values: Sequence[Mapping[str, float | None]]
    form: Callable[[float], str]
    unit: float = 1.0
    notes: Sequence[str] = ()
    best: frozenset[str] = frozenset()

    def cells(self, labels: Sequence[str]) -> list[Cell]:
        """Return its fields, an interval below the mean where it has a width."""
        notes = self.notes or [NONE] * len(labels)
        cells = [
            self._cell(value, note, best=label in self.best)
            for label, value, note in zip(labels, self.values, notes, strict=True)
        ]
        # Who is equal to another one, to the last digit that is shown, is not set apart.
        shown = Counter(cell.text for cell in cells)
        return [cell._replace(best=cell.best and shown[cell.text] == 1) for cell in cells]

    def _cell(self, value: Mapping[str, float | None], note: str, *, best: bool) -> Cell:
        mean, low, high = (value[key] for key in ENDS)
        if mean is None:
            return Cell(note)
        below = ""
        if low is not None and high is not None:
            ends = [self.form(end / self.unit) for end in (low, high)]
            below = "" if ends[0] == ends[1] else f"[{', '.join(ends)}]"
        return Cell(self.form(mean / self.unit), below, best)


ENDS = ("mean", "low", "high")


@dataclass(frozen=True)
class Table:
    """A table of a paper: how it is called, its rows for LaTeX, and the data of its CSV."""

    name: str
    laid: Laid
    data: pa.Table
    short: Laid | None = None
    """Less of it, which fits one column."""


def results(comparison: Comparison, clock: Unit) -> Table:
    """Return what was learnt and what it took: a row a group, as ``compare --json`` has it.

    Times are in the unit ``clock``.
    """
    groups = comparison["groups"]
    judged = Judged(comparison["judged_by"])
    known = figures_of_all(comparison)
    trained = any(group[f"{judged}_final"]["mean"] is not None for group in groups)
    first = _known(groups, LEARNT[judged] if trained else TIMED)
    took = [k for k in spent_by(groups) if k not in WHERE_KNOWN or _known(groups, [k])]
    columns = [_figure(comparison, key, known[key], clock) for key in first]
    if trained and (shared := comparison["shared_target"]):
        columns.append(_times(comparison, shared, clock))
    spent = [_figure(comparison, key, FIGURES[key], clock) for key in took]
    if _rounds_differ(groups):
        spent = [replace(one, best=frozenset()) if one.key in BY_ROUNDS else one for one in spent]
    columns += spent
    few = [one for one in columns if one.key in IN_SHORT or one.key.startswith("hours_to_")]
    # How many seeds there are stands in the caption, too.
    short = _table("", groups, few).laid.without(1)
    return replace(_table("results", groups, columns), short=short)


def _rounds_differ(groups: Sequence[Mapping[str, Any]]) -> bool:
    """Tell whether groups have done different numbers of rounds."""
    each = [tuple(group[key]["mean"] for key in ("cycles", "round_count")) for group in groups]
    return len({*each}) > 1


def targets(
    comparison: Comparison, curves: Sequence[Sequence[Steps | None]], clock: Unit
) -> Table | None:
    """Return what it took to reach each target: time, and bytes on the air of all directions.

    Times are in the unit ``clock``. ``curves`` has for each group the accuracy of each run over
    bytes. None where no run has reached any target.
    """
    groups = comparison["groups"]
    reached = [n for n in comparison["targets"] if any(g["hours_to"][n]["reached"] for g in groups)]
    kept = [name for name in reached if name in (comparison["shared_target"], *reached[-MOST:])]
    columns = [_times(comparison, name, clock) for name in kept]
    columns += _sent(comparison, kept, curves)
    return _table("targets", groups, columns) if columns else None


def tests(comparison: Comparison, clock: Unit) -> Table | None:
    """Return the paired differences, as of :func:`paired`; None where none could be tested."""
    each = paired(comparison)
    several = each if len({one["against"] for one in each}) > 1 else None
    rows = text.rows_of_tests(comparison, (clock.name, clock.seconds / 3600.0), several)
    if not rows:
        return None
    found = {ratios: any(is_ratio(one) is ratios for one in each) for ratios in KINDS}
    kinds = " or ".join(word for ratios, word in KINDS.items() if found[ratios])
    heads = [("", ""), ("", "figure"), ("", "seeds"), (kinds, "[95 %]")]
    heads += [("p", "(t)"), ("p", "(Holm)"), ("p", "(Wilcoxon)")]
    # An interval without a width is none.
    shown = [
        [NONE if cell == "-" else cell.removesuffix(text.SAME) for cell in row] for row in rows
    ]
    laid = Laid(heads, [[Cell(cell) for cell in row] for row in shown])
    return Table("tests", laid, pa.Table.from_pylist(each))


MOST_PAIRED = 4
"""Groups of which every two are in the table of tests; of more, each beside the reference."""


def paired(comparison: Comparison) -> list[dict[str, Any]]:
    """Return the tests of every two groups, or of each against the reference where many are."""
    labels = [group["label"] for group in comparison["groups"]]
    if len(labels) > MOST_PAIRED:
        return list(comparison["tests"])
    order = sorted(labels, key=lambda label: label != comparison["reference"])
    return [
        test
        for place, against in enumerate(order)
        for test in comparison.tests.against(against)
        if order.index(test["group"]) > place
    ]


KINDS = {False: "difference", True: "ratio"}
"""What is tested, by whether it is a ratio."""


def is_ratio(test: Mapping[str, Any]) -> bool | None:
    """Return whether a test is of a ratio, else of a difference; None where there was none."""
    return None if test["difference"] is None else test["ratio"] is not None


def _known(groups: Iterable[Mapping[str, Any]], keys: Iterable[str]) -> list[str]:
    return [key for key in keys if any(group[key]["median"] is not None for group in groups)]


def _table(name: str, groups: Sequence[Mapping[str, Any]], columns: Sequence[Column]) -> Table:
    labels = [group["label"] for group in groups]
    seeds = [Cell(str(group["runs"])) for group in groups]
    fields = zip(*(column.cells(labels) for column in columns), strict=True)
    rows = [
        [Cell(label), count, *cells]
        for label, count, cells in zip(labels, seeds, fields, strict=True)
    ]
    heads = [("", ""), ("", "seeds"), *(column.head for column in columns)]
    values = {
        f"{column.key}_{end}": [value[end] for value in column.values]
        for column in columns
        for end in ENDS
    }
    counts = [group["runs"] for group in groups]
    data = pa.table({"group": labels, "seeds": counts, **values})
    return Table(name, Laid(heads, rows), data)


def _figure(comparison: Comparison, key: str, figure: Figure, clock: Unit) -> Column:
    values = [group[key] for group in comparison["groups"]]
    best = _best(comparison, key)
    by_tokens = comparison["judged_by"] == Judged.LOSS and of_tokens(comparison)
    heads = HEADS | OF_TOKENS if by_tokens else HEADS
    top, bottom = heads.get(key, (figure.head, ""))
    units = {"bytes": (BYTES, "B"), "J": (JOULES, "J")}.get(figure.measured_in)
    if units is None:
        if key == "round_mean_s":
            bottom = f"{bottom} ({clock.name})"
            figure = figure._replace(unit=clock.seconds)
        return Column(key, (top, bottom), values, figure.form, figure.unit, best=best)
    most = max((value["mean"] or 0.0 for value in values), default=0.0)
    name, unit = unit_for(most, *units)
    bottom = f"{bottom} ({name})".strip()
    return Column(key, (top, bottom), values, three_digits, unit, best=best)


def _times(comparison: Comparison, name: str, clock: Unit) -> Column:
    """Return the times to a target: geometric means, as times are compared by ratios."""
    groups = comparison["groups"]
    form, hours = TO_TARGETS["hours_to"].form, clock.seconds / 3600.0
    own = [group["hours_to"][name] for group in groups]
    values = [on_logarithms(one) for one in own]
    notes = [_reached(one["reached"], group) for one, group in zip(own, groups, strict=True)]
    key = f"hours_to_{name}"
    head = (f"{clock.name} to", name)
    return Column(key, head, values, form, hours, notes, _best(comparison, key))


def _sent(
    comparison: Comparison, names: Sequence[str], curves: Sequence[Sequence[Steps | None]]
) -> Iterator[Column]:
    """Yield the bytes on the air by each target, in one unit."""
    bounds = bounds_of("uplink_bytes")
    at = {name: [[_first_at(one, float(name)) for one in own] for own in curves] for name in names}
    found = {name: [over_seeds(own, bounds) for own in each] for name, each in at.items()}
    most = max((one["mean"] or 0.0 for values in found.values() for one in values), default=0.0)
    unit, scale = unit_for(most, BYTES, "B")
    for name, values in found.items():
        notes = [
            _reached(sum(map(math.isfinite, own)), group)
            for own, group in zip(at[name], comparison["groups"], strict=True)
        ]
        head = (f"sent ({unit})", f"to {name}")
        yield Column(f"sent_bytes_to_{name}", head, values, three_digits, scale, notes)


def _first_at(curve: Steps | None, target: float) -> float:
    found = None if curve is None else curve.first_at(target)
    return math.inf if found is None else found


def _reached(reached: int, group: Mapping[str, Any]) -> str:
    """Say how many runs of a group have reached a target; nothing of what was not trained."""
    if group["accuracy_final"]["mean"] is None:
        return NONE
    return f"{reached} of {group['runs']}" if reached else unreached(group)


def _best(comparison: Comparison, column: str) -> frozenset[str]:
    """Return who may be called best by a figure.

    Of what the comparison tests that is its verdict. Any other figure is tested here in the same
    way, its p values corrected for the pairs of groups of its own column.
    """
    answer = next((one for one in comparison.answers if one.measure.column == column), None)
    if answer is None:
        return frozenset()
    if all(row.verdict is not Standing.UNTESTED for row in answer.rows):
        return frozenset(row.label for row in answer.rows if row.verdict is Standing.BEST)
    by_seed = {
        row.label: {("", seed): math.inf if x is None else x for seed, x in row.by_seed.items()}
        for row in answer.rows
    }
    asked = answer.measure.asked(by_seed)
    return frozenset(ranking_of(asked, column, pair_tests({column: asked})).winners)
