"""Comparisons as text: the sentence, what qualifies it, and the figures behind it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sim.analysis.comparison import Comparison, check_lines, limit_text
from sim.analysis.figures import Figure, in_column
from sim.analysis.ranking import Verdict
from sim.analysis.run_text import stand_in_text
from sim.analysis.screen import DOTS, Column, block, cut, dots, marks, wrapped
from sim.formatting import WIDTH, counted, table

MOST_ROWS = 10
"""Groups of a table on a screen."""
MOST_DOTTED = 2
"""Figures whose seeds stand as dots on an axis; the others share a table."""
MOST_BLOCKS = 2
"""Tables of others on a screen."""


@dataclass(frozen=True)
class Shown:
    """A figure of a comparison in the one unit that fits all of its means, and what groups have.

    ``cells`` are ``means`` by group as text, or why there is none; ``ends`` those of intervals,
    empty where there is none; ``words`` are verdicts, and of how many seeds have reached it;
    ``best`` are the groups that are best by it, or print the same.
    """

    column: str
    figure: Figure
    cells: Mapping[str, str]
    ends: Mapping[str, str]
    means: Mapping[str, float]
    words: Mapping[str, str]
    best: Sequence[str]

    def star(self, group: str) -> str:
        """Return a cell with the mark of the best, or with room for it."""
        if not self.best:
            return self.cells[group]
        return self.cells[group] + ("*" if group in self.best else " ")


def shown_figures(comparison: Comparison) -> list[Shown]:
    """Return the figures of a comparison as they are shown; times to targets share one unit."""
    figures = comparison.figures
    times = [mean for key in figures if figures[key].target for mean in comparison.by(key)["mean"]]
    found = []
    for column in figures:
        own = comparison.by(column)
        figure = in_column(figures[column], times if figures[column].target else own["mean"])
        means: dict[str, float] = {}
        cells, ends, words = {}, {}, {}
        for _, group, seeds, *numbers, _, verdict in own.itertuples(index=False):
            mean, *both = (number / figure.unit for number in numbers)
            means[group] = mean
            none = math.isnan(mean)
            why_none = comparison.why_none(column, group) if none else ""
            cells[group] = "-" if why_none == "none" else why_none or figure.form(mean)
            texts = [figure.form(end) for end in both if not math.isnan(end)]
            ends[group] = " to ".join(texts) if len({*texts}) > 1 else ""
            words[group] = verdict if isinstance(verdict, str) else ""
            if verdict == Verdict.NOT_REACHED:
                some = f"0 of {seeds}" if cells[group] in ("never", "-") else cells[group]
                some = some.removeprefix("in ").partition(" seed")[0]
                words[group] = comparison.lacking.get(group, f"{verdict} ({some})")
        leading = {cells[group] for group in comparison.leaders(column)}
        best = [group for group, text in cells.items() if text in leading]
        if cells:
            found.append(Shown(column, figure, cells, ends, means, words, best))
    return found


def stand_in_lines(groups: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return each stand-in of the groups once, in their order; where there is none, nothing."""
    found = (group["stand_in"] for group in groups)
    return list(dict.fromkeys(stand_in_text(one) for one in found if one is not None))


def qualified(comparison: Comparison) -> list[str]:
    """Return the sentences that qualify the headline."""
    return [*comparison.notes, *map(limit_text, comparison.limits)]


def comparison_text(comparison: Comparison, *, in_full: bool = False) -> str:
    """Show what was found, what qualifies it, and the figures behind it.

    ``in_full`` has all groups and figures, with intervals and p values.
    """
    lines = [*wrapped([comparison.headline]), *wrapped(qualified(comparison))]
    below = [*check_lines(comparison), *stand_in_lines(comparison.about.get("groups", ()))]
    lines += [line for said in below for line in wrapped([said])]
    shown = shown_figures(comparison)
    lines += _in_full(comparison, shown) if in_full else _screen(comparison, shown)
    return "\n".join(lines)


def _screen(comparison: Comparison, shown: Sequence[Shown]) -> Iterator[str]:
    groups = comparison.groups[:MOST_ROWS]
    several = len(groups) > 1
    dotted: list[Shown] = []
    leading_first = sorted(shown, key=lambda one: one.column != comparison.leading)
    for one in leading_first if several else ():
        again = one.figure.target and any(other.figure.target for other in dotted)
        differ = len({*one.cells.values()}) > 1 and not all(map(math.isnan, one.means.values()))
        if differ and not again and len(dotted) < MOST_DOTTED:
            dotted.append(one)
    for one in dotted:
        yield from ("", *_dotted(comparison, one))
    left = [one for one in shown if one not in dotted]
    names = Column("", [cut(group) for group in groups], left=True)
    columns = [Column(one.figure.head, [one.star(group) for group in groups]) for one in left]
    for _ in range(MOST_BLOCKS):
        if columns:
            part, held = block([names, *columns], fixed=2)
            columns = columns[held - 1 :]
            yield from ("", *part)
    legend = [f"{marks()[0]} a seed"] if dotted and comparison.drawn else []
    legend += ["* best"] if any(one.best for one in shown) else []
    if (more := len(comparison.groups) - len(groups)) > 0:
        legend.append(counted(more, "more group"))
    if columns:
        legend.append(counted(len(columns), "more figure"))
    beside = ("p values and " if several else "intervals and ") if comparison.drawn else ""
    what = f"{beside}all figures"
    yield "   ".join([*legend, f"{what}: --all"])


def _dotted(comparison: Comparison, one: Shown) -> list[str]:
    """Show a figure: a row a group, its mean, its seeds on an axis, and its word."""
    groups = [*one.cells][:MOST_ROWS]
    seeds = comparison.seeds_of(one.column)
    each = [[v / one.figure.unit for v in seeds[group] if not math.isnan(v)] for group in groups]
    first, *_ = groups
    words = [
        "" if group == first and one.words[group] != Verdict.BEST else one.words[group]
        for group in groups
    ]
    means = ["-" if math.isnan(one.means[group]) else one.star(group) for group in groups]
    room = WIDTH - DOTS - max(map(len, [*means, "mean"])) - max(map(len, words)) - 6
    names = [cut(group, max(room, 8)) for group in groups]
    columns = [
        Column(f"\n{one.figure.head}", names, left=True),
        Column("mean", means),
        dots(each),
        *([Column("", words, left=True)] if any(words) else []),
    ]
    if len(one.figure.head) > max(room, max(map(len, names))):
        columns[0] = Column("", names, left=True)
        return [one.figure.head, *block(columns, fixed=len(columns))[0]]
    return block(columns, fixed=len(columns))[0]


def _in_full(comparison: Comparison, shown: Sequence[Shown]) -> Iterator[str]:
    for one in shown:
        yield ""
        yield table(*rows_of(comparison, one))
    if comparison.beside:
        yield from ("", "Other figures, means over the seeds:")
        yield table(*others_of(comparison))


def rows_of(comparison: Comparison, one: Shown) -> tuple[list[str], list[list[str]]]:
    """Return heads and cells of a figure: a row a group."""
    own = comparison.by(one.column)
    heads = [one.figure.head, "seeds", "mean", "95 %", "p", ""]
    cells = [
        [
            group,
            str(seeds),
            one.star(group),
            one.ends[group] or "-",
            p_text(p),
            one.words[group],
        ]
        for group, seeds, p in own[["group", "seeds", "p"]].itertuples(index=False)
    ]
    return heads, cells


def others_of(comparison: Comparison) -> tuple[list[str], list[list[str]]]:
    """Return heads and cells of the figures by which nobody is best: a row a figure."""
    groups = comparison.groups
    cells = []
    for known, means in comparison.beside.values():
        figure = in_column(known, means.values())
        row = [figure.head]
        for group in groups:
            mean = means.get(group, math.nan)
            row.append("-" if math.isnan(mean) else figure.form(mean / figure.unit))
        cells.append(row)
    return ["", *groups], cells


def p_text(value: float) -> str:
    """Show a p value in two digits."""
    if math.isnan(value):
        return "-"
    if value < 0.0001:
        return "< 0.0001"
    return f"{value:.2f}" if value >= 0.01 else f"{value:.1g}"
