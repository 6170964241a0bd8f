"""What a page answers first: its title, and the figures that stand beside each other below it."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sim.analysis.caveats import Caveat, StoppedEarly, TimingOnly, caveats_of
from sim.analysis.figures import TO_TARGETS, Figure, figures_of
from sim.analysis.judged import Judged
from sim.analysis.over_seeds import on_logarithms
from sim.analysis.verdict_text import caveat_text
from sim.execution.result import Result
from sim.formatting import counted, data_size, seconds

FIRST = ("round_mean_s", "cycles", "contacts_served")
"""Behind what was learnt: the first of them that is known leads the table of answers.

Folded tables have all.
"""
BESIDE = 2
"""So many others of them stand beside it, where all groups have them and differ in them."""
SPENT = ("uplink_bytes", "downlink_bytes", "isl_bytes", "energy_j", "device_memory_bytes")
"""What it took, which stands behind them where it is known of any group, equal or not."""
DIRECTIONS = {"uplink": "up", "downlink": "down", "sidelink": "between devices", "isl": "by ISL"}


def headline_of_run(run: Result) -> str:
    """Return what a run has shown, in one sentence or two: first that it ended early, if it did."""
    summary = run.summary
    if nothing := summary["came_to_nothing"]:
        return f"No result: {nothing['what']}"
    caveats = list(caveats_of("", [run]))
    early = [caveat_text(one) for one in caveats if isinstance(one, StoppedEarly)]
    others = [one for one in caveats if not isinstance(one, StoppedEarly)]
    said = [*early, _came_out(summary, others)] if summary["hours"] else early
    return ". ".join(f"{text[:1].upper()}{text[1:]}" for text in said)


def _came_out(summary: Mapping[str, Any], caveats: Sequence[Caveat]) -> str:
    days = f"{summary['hours'] / 24:.2f} days"
    for caveat in caveats:
        return _timed(summary, days) if isinstance(caveat, TimingOnly) else caveat_text(caveat)
    if summary["accuracy_final"] is None:
        return f"{days} without an evaluation"
    if summary["judged_by"] == Judged.LOSS and summary["loss_final"] is not None:
        loss = _went("the loss of the next token", summary, "loss", " nats", days)
        return f"{loss}. {_went('The share of tokens right', summary, 'accuracy')}"
    return _went("the accuracy", summary, "accuracy", days=days)


def _went(what: str, summary: Mapping[str, Any], key: str, unit: str = "", days: str = "") -> str:
    """Say how a figure went from the start to the end, in so many days where these are told."""
    before, after = summary[f"{key}_start"], summary[f"{key}_final"]
    start, final = f"{before:.3f}", f"{after:.3f}"
    if start == final:
        return f"{what} stays at {final}{unit}" + (days and f" for {days}")
    went = "rises" if after > before else "falls"
    return f"{what} {went} from {start} to {final}{unit}" + (days and f" in {days}")


def _timed(summary: Mapping[str, Any], days: str) -> str:
    """Say what a run without training has shown: how long a round takes, or cycles of contacts."""
    if rounds := summary["rounds"]:
        length = seconds(rounds["mean_s"])
        return f"a round takes {length} in the mean: {counted(rounds['count'], 'round')} in {days}"
    return f"{counted(summary['cycles'], 'complete cycle')} in {days}"


def limits_of_run(run: Result) -> str:
    """Return what limits the meaning of a run's headline, in a sentence; empty for nothing."""
    caveats = caveats_of("", [run])
    timed = [caveat_text(one) for one in caveats if isinstance(one, TimingOnly)]
    return f"{timed[0][:1].upper()}{timed[0][1:]}." if timed else ""


class Cell(NamedTuple):
    """A figure of a group: its mean, the ends of its 95 % interval, and all of that as text."""

    text: str
    small: str = ""
    mean: float | None = None
    low: float | None = None
    high: float | None = None


class Answers(NamedTuple):
    """The table of answers: groups in order of the figure that leads it, and their cells.

    ``best`` says which of them lead it by more than noise; ``low`` and ``high`` are the ends of
    its scale, None where nothing is known.
    """

    heads: Sequence[str]
    rows: Sequence[tuple[int, str, int, Sequence[Cell]]]
    best: Sequence[str]
    low: float | None
    high: float | None
    ends: Sequence[str]


def answers_of(comparison: Mapping[str, Any]) -> Answers:
    """Return the table of answers of groups; each row begins with the number of its group."""
    groups = comparison["groups"]
    figures, learnt = figures_of(comparison["judged_by"]), f"{comparison['judged_by']}_final"
    columns: dict[str, tuple[Figure, list[Mapping[str, Any]]]] = {}
    for key in (learnt, *FIRST):
        own = [group[key] for group in groups]
        differ = len({(one["mean"], one["max"]) for one in own}) > 1
        everywhere = all(one["max"] is not None for one in own)
        if any(one["max"] for one in own) and (not columns or (differ and everywhere)):
            columns[figures[key].head] = figures[key], own
    columns = dict(list(columns.items())[: 1 + BESIDE])
    if shared := comparison["shared_target"]:
        days = TO_TARGETS["hours_to"]
        own = [group["hours_to"][shared] for group in groups]
        first, *others = columns.items()
        columns = dict([first, (f"{days.head} to {shared}", (days, own)), *others])
    for key in SPENT:
        own = [group[key] for group in groups]
        if any(one["max"] for one in own):
            columns[figures[key].head] = figures[key], own
    cells = [
        [_cell(figure, own[number], group["runs"]) for figure, own in columns.values()]
        for number, group in enumerate(groups)
    ]
    leading = [row[0] for row in cells if row and row[0].mean is not None]
    known = [x for cell in leading for x in (cell.low, cell.mean, cell.high) if x is not None]
    form = next((figure for figure, _ in columns.values()), None)
    lowest_first = form is not None and form.best == "lowest"
    order = sorted(
        range(len(groups)),
        key=lambda n: (_place(cells[n], lowest_first=lowest_first), groups[n]["label"]),
    )
    winners = [v["winners"] for v in comparison["verdicts"] if v["text"]]
    low, high = (min(known), max(known)) if known else (None, None)
    return Answers(
        list(columns),
        [(n, groups[n]["label"], groups[n]["runs"], cells[n]) for n in order],
        winners[0] if winners else [],
        low,
        high,
        [form.form(end) for end in (low, high) if form and end is not None],
    )


def _place(cells: Sequence[Cell], *, lowest_first: bool) -> float:
    mean = cells[0].mean if cells else None
    if mean is None:
        return float("inf")
    return mean if lowest_first else -mean


def _cell(figure: Figure, own: Mapping[str, Any], runs: int) -> Cell:
    """Return the mean over seeds, and its interval; how many have it where not all do.

    What is compared by ratios has its geometric mean.
    """
    own = on_logarithms(own)
    reached = own.get("reached", runs)
    if own["mean"] is None:
        few = f"{reached} of {runs} seeds" if reached and own["min"] is not None else ""
        return Cell(f"in {few}" if few else "never" if "reached" in own else "-")
    mean = own["mean"] / figure.unit
    if own["low"] is None:
        ends = [figure.form(own[key] / figure.unit) for key in ("min", "max")]
        both = f"{ends[0]} and {ends[1]}" if runs == 2 and ends[0] != ends[1] else ""
        return Cell(figure.form(mean), both, mean)
    low, high = own["low"] / figure.unit, own["high"] / figure.unit
    texts = figure.form(low), figure.form(high)
    small = f"{texts[0]} to {texts[1]}" if texts[0] != texts[1] else "the same with each seed"
    return Cell(figure.form(mean), small, mean, low, high)


def sent(summary: Mapping[str, Any]) -> list[str]:
    """Return how much a run has sent in each direction in which it sent anything.

    Of a broadcast that is what was on the air, beside what all receivers got of it together.
    """
    found = ((way, word, summary[f"{way}_bytes"]) for way, word in DIRECTIONS.items())
    received = summary.get("downlink_received_bytes", 0.0)
    return [
        f"{data_size(size)} {word}"
        + (f" (received: {data_size(received)})" if way == "downlink" and received > size else "")
        for way, word, size in found
        if size
    ]
