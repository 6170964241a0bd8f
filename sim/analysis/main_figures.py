"""The figures that a comparison shows first: what came out, how long it took, and what it cost."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sim.analysis.figures import TO_TARGETS, Figure, figures_of_all, in_one_unit
from sim.analysis.judged import Judged
from sim.analysis.measure import RISING
from sim.analysis.over_seeds import on_logarithms
from sim.facts.status import COMPLETE

FIRST = ("round_mean_s", "cycles", "contacts_served")
"""Behind what was learnt, in the order in which they are compared, if they are: the first of them
that is known leads the table.

Folded tables have all.
"""
BESIDE = 2
"""So many others of them stand beside it, where all groups have them and differ in them."""
TRAFFIC = {
    "uplink_bytes": "up",
    "downlink_bytes": "down",
    "sidelink_bytes": "sidelinks",
    "isl_bytes": "ISL",
}
"""What was sent, each with its name where they all stand in one line."""
SPENT = (*TRAFFIC, "energy_j", "device_memory_bytes")
"""What it took, which stands behind them, equal or not."""
ONLY_WHERE_ANY = ("sidelink_bytes", "isl_bytes")
"""Of these only where one of the groups has any."""


class Cell(NamedTuple):
    """A figure of a group: its mean, the ends of its 95 % interval, and all of that as text."""

    text: str
    small: str = ""
    mean: float | None = None
    low: float | None = None
    high: float | None = None


class MainFigures(NamedTuple):
    """Keys and heads of figures, groups in order of the figure that leads, and their cells.

    ``best`` says which of them lead it by more than noise; ``low`` and ``high`` are the ends of
    its scale, None where nothing is known.
    """

    keys: Sequence[str]
    heads: Sequence[str]
    rows: Sequence[tuple[int, str, int, Sequence[Cell]]]
    best: Sequence[str]
    low: float | None
    high: float | None
    ends: Sequence[str]


def main_figures(comparison: Mapping[str, Any]) -> MainFigures:
    """Return what a comparison shows first; each row begins with the number of its group."""
    groups = comparison["groups"]
    figures, learnt = figures_of_all(comparison), f"{comparison['judged_by']}_final"
    columns: dict[str, tuple[str, Figure, list[Mapping[str, Any]]]] = {}
    order = [one["figure"] for one in comparison["verdicts"]]
    timed = sorted(FIRST, key=lambda key: order.index(key) if key in order else len(order))
    for key in (learnt, *timed):
        own = [group[key] for group in groups]
        differ = len({(one["mean"], one["max"]) for one in own}) > 1
        everywhere = all(one["max"] is not None for one in own)
        if any(one["max"] for one in own) and (not columns or (differ and everywhere)):
            figure = in_one_unit(figures[key], (one["mean"] for one in own))
            columns[key] = figure.head, figure, own
    columns = dict(list(columns.items())[: 1 + BESIDE])
    if shared := comparison["shared_target"]:
        days = TO_TARGETS["hours_to"]
        own = [group["hours_to"][shared] for group in groups]
        first, *others = columns.items()
        reached = "hours_to", (f"{days.head} to {shared}", days, own)
        columns = dict([first, reached, *others])
    for key in spent_by(groups):
        columns[key] = figures[key].head, figures[key], [group[key] for group in groups]
    cells = [
        [_cell(figure, own[number], group) for _, figure, own in columns.values()]
        for number, group in enumerate(groups)
    ]
    leading = [row[0] for row in cells if row and row[0].mean is not None]
    known = [x for cell in leading for x in (cell.low, cell.mean, cell.high) if x is not None]
    form = next((figure for _, figure, _ in columns.values()), None)
    lowest_first = form is not None and form.best not in RISING
    order = sorted(
        range(len(groups)),
        key=lambda n: (_place(cells[n], lowest_first=lowest_first), groups[n]["label"]),
    )
    winners = [v["winners"] for v in comparison["verdicts"] if v["text"]]
    low, high = (min(known), max(known)) if known else (None, None)
    return MainFigures(
        list(columns),
        [head for head, *_ in columns.values()],
        [(n, groups[n]["label"], groups[n]["runs"], cells[n]) for n in order],
        winners[0] if winners else [],
        low,
        high,
        [form.form(end) for end in (low, high) if form and end is not None],
    )


def spent_by(groups: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the keys of what it took that are shown of groups."""
    return [k for k in SPENT if k not in ONLY_WHERE_ANY or any(g[k]["max"] for g in groups)]


def _place(cells: Sequence[Cell], *, lowest_first: bool) -> float:
    mean = cells[0].mean if cells else None
    if mean is None:
        return float("inf")
    return mean if lowest_first else -mean


def unreached(group: Mapping[str, Any]) -> str:
    """Return what stands of a group of which no seed has reached a target."""
    if all(group[f"{judged}_final"]["min"] is None for judged in Judged):
        return "not trained"
    return "never" if group["status"] == COMPLETE else "not yet"


def _cell(figure: Figure, own: Mapping[str, Any], group: Mapping[str, Any]) -> Cell:
    """Return the mean over seeds, and its interval; how many have it where not all do.

    What is compared by ratios has its geometric mean.
    """
    own = on_logarithms(own)
    runs = group["runs"]
    reached = own.get("reached", runs)
    if own["mean"] is None:
        few = f"{reached} of {runs} seeds" if reached and own["min"] is not None else ""
        return Cell(f"in {few}" if few else unreached(group) if "reached" in own else "-")
    mean = own["mean"] / figure.unit
    if own["low"] is None:
        ends = [figure.form(own[key] / figure.unit) for key in ("min", "max")]
        both = f"{ends[0]} and {ends[1]}" if runs == 2 and ends[0] != ends[1] else ""
        return Cell(figure.form(mean), both, mean)
    low, high = own["low"] / figure.unit, own["high"] / figure.unit
    texts = figure.form(low), figure.form(high)
    if texts[0] == texts[1]:  # the same with each seed
        return Cell(figure.form(mean), "", mean, mean, mean)
    return Cell(figure.form(mean), f"{texts[0]} to {texts[1]}", mean, low, high)
