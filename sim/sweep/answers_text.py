"""The answers of a sweep as text and as JSON."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from sim.analysis.comparison import Comparison
from sim.analysis.labels import labels_of
from sim.analysis.rows import Answer, Row
from sim.analysis.rows_json import caveat_json, limits_json, rows_json, verdict_json
from sim.analysis.verdict import Verdict
from sim.analysis.verdict_text import (
    Words,
    answer_text,
    caveats_beside,
    comparison_headline,
    comparison_limits,
    distance_text,
    limit_lines,
)
from sim.formatting import as_yaml, counted, last_parts, listed, some, table
from sim.sweep.answers import FigureAnswer, SweepAnswers
from sim.sweep.axis_table import screen, wrapped
from sim.sweep.axis_text import headline, notes
from sim.sweep.by_key import KeyAnswer
from statements import Other, Remedy, Statement

MORE_SEEDS: Remedy = Other(said="add --replications 5")
"""What helps where points of one seed were compared."""
MOST_SHOWN = 5
"""Combinations of which the best are shown; one more is shown too."""
MOST_NAMED = 1
"""Combinations that a verdict names; one more is named too."""
MOST_COUNTED = 5
"""Values whose figures are counted where too few can be compared."""


OF_VALUES = Words(listed, MORE_SEEDS)


def _words(found: SweepAnswers) -> Words:
    """Return how combinations are named: as groups side by side are, and the first few of many."""
    rows = [row for figure in found.figures[:1] for row in figure.combinations.rows if row.values]
    short = dict(zip([row.label for row in rows], labels_of([r.values for r in rows]), strict=True))

    def names(labels: Sequence[str]) -> str:
        return some(
            [short.get(label, label) for label in labels], MOST_NAMED, " and ", "other points"
        )

    return Words(names, MORE_SEEDS)


def sweep_headline(found: SweepAnswers) -> str:
    """Return what a sweep has found in one sentence."""
    titled = _titled(found)
    return comparison_headline(titled, len(titled[0].rows) if titled else 0, _words(found))


def sweep_limits(found: SweepAnswers) -> list[Statement]:
    """Return what limits the meaning of the headline."""
    titled = _titled(found)
    groups = len(titled[0].rows) if titled else 0
    caveats = found.caveats * groups  # each is true of every point
    return comparison_limits(titled, caveats, groups, _words(found), drawn=found.drawn)


def first_lines(found: SweepAnswers, beside: Comparison | None) -> list[str]:
    """Return the headline and what limits it, a line each; no headline where nothing is compared.

    ``beside`` is the comparison of the sweep's combinations, if there is one: its headline is that
    of the sweep, so that there is one.
    """
    if beside is not None:
        return [beside.headline, *limit_lines(beside.limits)]
    if numbers := found.over_numbers:
        return [headline(numbers), *notes(numbers), *limit_lines(sweep_limits(found))]
    return [sweep_headline(found), *limit_lines(sweep_limits(found))]


def _titled(found: SweepAnswers) -> list[Answer]:
    each = [figure.combinations for figure in found.figures]
    return sorted(each, key=lambda one: not one.measure.target)


class RowTable(NamedTuple):
    """The best rows of a figure as text: heads, cells of each row, and what the others are."""

    figure: str
    heads: Sequence[str]
    cells: Sequence[Sequence[str]]
    others: str

    @property
    def text(self) -> str:
        """The table as lines of text."""
        return "\n".join(part for part in (table(self.heads, self.cells), self.others) if part)


def sweep_screen(found: SweepAnswers, *, in_full: bool = False) -> list[str]:
    """Return what a sweep over numbers says as lines of a terminal, none of them wider than that.

    ``in_full`` has all rows and figures.
    """
    if found.over_numbers is None:
        return []
    first, *limits = first_lines(found, None)
    lines = [*wrapped([first]), *wrapped([*limits, *sweep_lines(found)]), ""]
    return [*lines, *screen(found.over_numbers, in_full=in_full)]


def sweep_lines(found: SweepAnswers) -> list[str]:
    """Return what a sweep says as lines of text; of one over numbers what stands beside it."""
    if found.over_numbers is not None:
        return [*_how_complete(found), *_of_names(found)]
    parts = sweep_parts(found)
    return "\n".join(p if isinstance(p, str) else p.text for p in parts).splitlines()


def _how_complete(found: SweepAnswers) -> Iterator[str]:
    if found.complete < found.points:
        yield f"{found.complete} of {found.points} points are complete."


def _of_names(found: SweepAnswers) -> Iterator[str]:
    """Say what names do where the numbers are equal, by the figure that the sweep is judged by."""
    first = found.figures[0]
    numbers = found.over_numbers
    if numbers and numbers.first.measure.column == first.combinations.measure.column:
        for key in first.keys:
            yield from _of_key(key)


def sweep_parts(found: SweepAnswers) -> list[str | RowTable]:
    """Return what a sweep says: sentences, and a table of the best rows of what matters most."""
    counts = [f"{key} ({counted(number, 'value')})" for key, number in found.values.items()]
    over = f", over {' and '.join(counts)}" if counts else ""
    parts: list[str | RowTable] = [f"{found.complete} of {found.points} points are complete{over}."]
    beside = caveats_beside(sweep_limits(found), found.caveats, len(found.caveats))
    parts += [f"{line}." for line in beside]
    words = _words(found)
    for number, figure in enumerate(found.figures):
        in_full = number == 0 or bool(figure.combinations.measure.target)
        parts += _in_full(figure, words) if in_full else _in_short(figure.combinations, words)
    return parts


def _in_short(answer: Answer, words: Words) -> Iterator[str]:
    """Say between what a figure lies, and who is best by it if anyone is."""
    name = _upper(answer.measure.name)
    if _all_the_same(answer):
        yield f"{name}: {_value(answer.rows[0], answer)} at every point."
        return
    known = [row for row in answer.rows if row.mean is not None]
    between = " to ".join(dict.fromkeys(_value(row, answer) for row in (*known[:1], *known[-1:])))
    said = answer_text(answer, words)
    yield f"{name}: {'; '.join(part for part in (between, said) if part)}."


def _in_full(figure: FigureAnswer, words: Words) -> Iterator[str | RowTable]:
    answer = figure.combinations
    if _all_the_same(answer):
        yield from _in_short(answer, words)
    else:
        yield row_table(answer)
        if said := answer_text(answer, words):
            yield f"{_upper(answer.measure.name)}: {said}."
        if len(answer.rows) > 2 and answer.ranking.tests:
            yield (
                f"The best of {len(answer.rows)} is picked by noise too: p values are corrected "
                f"for {answer.ranking.tests} tests, of every two by every figure."
            )
    for key in figure.keys:
        if not key.no_effect:
            yield from _of_key(key)
    if without := [key for key in figure.keys if key.no_effect]:
        keys = listed([key.key for key in without])
        verb = "has" if len(without) == 1 else "have"
        points = " and ".join(dict.fromkeys(str(key.compared) for key in without))
        yield f"{keys} {verb} no effect on {answer.measure.name}: equal at each of {points} points."
    if figure.reasons:
        why = "; ".join(reason.text for reason in figure.reasons)
        first, last = (words.names([row.label]) for row in (answer.rows[0], _last(answer)))
        yield f"{first} beside the last, {last}: {why}."


def _last(answer: Answer) -> Row:
    """Return the row that is furthest behind."""
    return answer.row(list(answer.ranking.leads)[-1])


def _all_the_same(answer: Answer) -> bool:
    """Return whether every point has the same figure."""
    values = {value for row in answer.rows for value in row.by_seed.values()}
    return len(values) == 1 and None not in values


def _value(row: Row, answer: Answer) -> str:
    return "-" if row.mean is None else answer.measure.text(row.mean)


def row_table(answer: Answer, most: int = MOST_SHOWN) -> RowTable:
    """Show the best rows of an answer, and how many others there are."""
    shown = answer.rows if len(answer.rows) <= most + 1 else answer.rows[:most]
    keys = list(dict.fromkeys(key for row in answer.rows for key in row.values))
    interval = any(row.low != row.high for row in shown)
    name = answer.measure.name
    taken = [name, "95 %", "seeds", "against the first"]
    heads = [*last_parts(keys, taken), name, *(["95 %"] if interval else []), *taken[2:]]
    lines = [
        [
            *(as_yaml(row.values[key]) for key in keys),
            _value(row, answer),
            *([_interval(row, answer)] if interval else []),
            str(row.n) if row.reached in (0, row.n) else f"{row.reached} of {row.n}",
            distance_text(row, answer),
        ]
        for row in shown
    ]
    more = answer.rows[len(shown) :]
    known = [row for row in more if row.mean is not None]
    to = f", to {_value(known[-1], answer)}" if known else ""
    return RowTable(name, heads, lines, f"and {len(more)} others{to}" if more else "")


def _interval(row: Row, answer: Answer) -> str:
    if row.low is None or row.high is None:
        return "-"
    if row.low == row.high:
        return "the same"
    return f"{answer.measure.text(row.low)} to {answer.measure.text(row.high)}"


def _of_key(one: KeyAnswer) -> Iterator[str]:
    ranking = one.answer.ranking
    sets = {value: count for value, count in one.counts.items() if count}
    if not one.points:
        yield f"By {one.key}: no two points differ in it alone; sweep a grid to tell."
        return
    if len(sets) < 2:
        yield from (f"By {one.key}: only {value} has a figure." for value in sets)
        return
    if ranking.verdict is Verdict.NO_ORDER:
        yield f"By {one.key}: no value is ahead of all others."
        return
    if ranking.first is None or not ranking.leads:
        has = ", ".join(f"{value} at {count}" for value, count in list(sets.items())[:MOST_COUNTED])
        few = f"only {one.compared} of {one.points} points can be compared, too few"
        yield f"By {one.key}: {few} (with a figure: {has})."
        return
    left = f" ({one.compared} of {one.points} points)" if one.compared < one.points else ""
    left += f", but for {listed(one.without)}, without a figure" if one.without else ""
    why = "; ".join(reason.text for reason in one.reasons)
    means = ", in the mean" if one.compared > 1 else ""
    explained = f" With {ranking.first}{means}: {why}." if why else ""
    yield f"By {one.key}, all else equal{left}: {answer_text(one.answer, OF_VALUES)}.{explained}"
    for turn in one.interactions:
        said = (
            f"at {turn.key}={value}, {answer_text(answer, OF_VALUES)}"
            for value, answer in turn.answers.items()
        )
        yield f"It depends on {turn.key}: {'; '.join(said)}."


def sweep_json(found: SweepAnswers, beside: Comparison | None) -> dict[str, Any]:
    """Return what a sweep says as ``compare --json`` has it.

    ``beside`` is the comparison of its combinations, if there is one.
    """
    limits = sweep_limits(found) if beside is None else list(beside.limits)
    numbers = found.over_numbers
    return {
        "headline": first_lines(found, beside)[0],
        "limits": limits_json(limits),
        "caveats": [caveat_json(caveat) for caveat in found.caveats],
        "said": list(found.said),
        "answers": [*(notes(numbers) if numbers else ()), *sweep_lines(found)],
        "verdicts": [
            verdict_json(one.combinations, one.combinations.measure.column, _words(found))
            for one in found.figures
        ],
        "rows": rows_json(found.answers),
        "comparison": dict(beside) if beside else None,
    }


def _upper(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"
