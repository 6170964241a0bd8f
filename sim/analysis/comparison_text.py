"""Comparisons as text: the sentence, what qualifies it, and the figures behind it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sim.analysis.comparison import Comparison, check_lines, limit_text
from sim.analysis.figure_column import FigureColumn
from sim.analysis.numeric import numeric_table
from sim.analysis.ranking import Verdict
from sim.analysis.run_text import stand_in_text
from sim.analysis.screen import DOTS, ScreenColumn, block, cut, dots, marks, wrapped
from sim.formatting import WIDTH, counted, table

MOST_SHOWN_GROUPS = 10
"""Groups of a table on a screen."""
MOST_DOTTED = 2
"""Figures whose seeds stand as dots on an axis; the others share a table."""
MOST_BLOCKS = 2
"""Tables of others on a screen."""


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
    below, numeric = check_lines(comparison), comparison.numeric
    if numeric is None:
        below += stand_in_lines(comparison.about.get("groups", ()))
    lines += [line for said in below for line in wrapped([said])]
    if numeric is not None:
        lines += ["", *numeric_table(numeric, in_full=in_full)]
    elif in_full:
        lines += _in_full(comparison)
    else:
        lines += _screen(comparison)
    return "\n".join(lines)


def _screen(comparison: Comparison) -> Iterator[str]:
    columns = comparison.columns
    groups = comparison.groups[:MOST_SHOWN_GROUPS]
    several = len(groups) > 1
    dotted: list[FigureColumn] = []
    leading_first = sorted(columns, key=lambda one: one.column != comparison.leading)
    for one in leading_first if several else ():
        again = one.figure.target and any(other.figure.target for other in dotted)
        differ = len({one.text(group) for group in one.means}) > 1 and one.known
        if differ and not again and len(dotted) < MOST_DOTTED:
            dotted.append(one)
    for one in dotted:
        yield from ("", *_dotted(comparison, one))
    names = ScreenColumn("", [cut(group) for group in groups], left=True)
    left = [
        ScreenColumn(one.shown.head, [one.star(group) for group in groups])
        for one in columns
        if one not in dotted
    ]
    for _ in range(MOST_BLOCKS):
        if left:
            part, held = block([names, *left], fixed=2)
            left = left[held - 1 :]
            yield from ("", *part)
    legend = [f"{marks()[0]} a seed"] if dotted and comparison.drawn else []
    legend += ["* best"] if any(one.starred for one in columns) else []
    if (more := len(comparison.groups) - len(groups)) > 0:
        legend.append(counted(more, "more group"))
    if left:
        legend.append(counted(len(left), "more figure"))
    beside = ("p values and " if several else "intervals and ") if comparison.drawn else ""
    what = f"{beside}all figures"
    yield "   ".join([*legend, f"{what}: --all"])


def _dotted(comparison: Comparison, one: FigureColumn) -> list[str]:
    """Show a figure: a row a group, its mean, its seeds on an axis, and its word."""
    groups = [*one.means][:MOST_SHOWN_GROUPS]
    seeds = comparison.seeds_of(one.column)
    each = [[v / one.shown.unit for v in seeds[group] if not math.isnan(v)] for group in groups]
    first, *_ = groups
    words = [
        "" if group == first and one.verdicts[group] != Verdict.BEST else one.word(group)
        for group in groups
    ]
    means = ["-" if one.missing[group] else one.star(group) for group in groups]
    room = WIDTH - DOTS - max(map(len, [*means, "mean"])) - max(map(len, words)) - 6
    names = [cut(group, max(room, 8)) for group in groups]
    columns = [
        ScreenColumn(f"\n{one.shown.head}", names, left=True),
        ScreenColumn("mean", means),
        dots(each),
        *([ScreenColumn("", words, left=True)] if any(words) else []),
    ]
    if len(one.shown.head) > max(room, max(map(len, names))):
        columns[0] = ScreenColumn("", names, left=True)
        return [one.shown.head, *block(columns, fixed=len(columns))[0]]
    return block(columns, fixed=len(columns))[0]


def _in_full(comparison: Comparison) -> Iterator[str]:
    for one in comparison.columns:
        yield ""
        yield table(*rows_of(comparison, one))
    if comparison.beside:
        yield from ("", "Other figures, means over the seeds:")
        yield table(*others_of(comparison))


def rows_of(comparison: Comparison, one: FigureColumn) -> tuple[list[str], list[list[str]]]:
    """Return heads and cells of a figure: a row a group."""
    own = comparison.by(one.column)
    heads = [one.shown.head, "seeds", "mean", "95 %", "p", ""]
    cells = [
        [
            group,
            str(seeds),
            one.star(group),
            one.interval(group) or "-",
            p_text(p),
            one.word(group),
        ]
        for group, seeds, p in own[["group", "seeds", "p"]].itertuples(index=False)
    ]
    return heads, cells


def others_of(comparison: Comparison) -> tuple[list[str], list[list[str]]]:
    """Return heads and cells of the figures by which nobody is best: a row a figure."""
    groups = comparison.groups
    columns = [comparison.column(name, groups) for name in comparison.beside]
    return ["", *groups], [[one.shown.head, *map(one.text, groups)] for one in columns]


def p_text(value: float) -> str:
    """Show a p value in two digits."""
    if math.isnan(value):
        return "-"
    if value < 0.0001:
        return "< 0.0001"
    return f"{value:.2f}" if value >= 0.01 else f"{value:.1g}"
