"""A key with numbers for values is an axis: what was measured along it, in order, and the best."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any, Self

from sim.analysis.comparison import Comparison
from sim.analysis.figures import (
    Figure,
    figure_listed,
    figure_of,
    in_column,
    in_words,
    name_and_unit,
)
from sim.analysis.judged import judged_together
from sim.analysis.labels import labels_of
from sim.analysis.ranking import Verdict, mean_of
from sim.facts.status import COMPLETE
from sim.formatting import listed
from sim.sweep.rows import missing_status

Row = Mapping[str, Any]

FEWEST = 3
"""Values from which on the numbers of a key are an axis; two of them are two names."""
WITHIN = 0.02
"""Share of the best within which a value hardly differs from it."""
BESIDE = (
    "cycles",
    "contacts_served",
    "service_hours",
    "idle_share",
    "uplink_bytes",
    "downlink_bytes",
    "isl_bytes",
)
"""Figures that stand beside those by which points are compared, where they differ."""


MAGNITUDES = 5.0
"""How many times as far apart as others some values are that are spread over magnitudes."""


def is_number(value: Any) -> bool:
    """Return whether a value is a number, which true and false are not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def numeric_keys(rows: Iterable[Row], keys: Iterable[str]) -> list[str]:
    """Return the keys but the seed that have several numbers for values, where one is an axis.

    One is an axis from :data:`FEWEST` values on; of two and more, two values have an order too.
    """
    values = {key: {row[key] for row in rows} for key in keys if key != "seed"}
    found = [key for key, own in values.items() if len(own) > 1 and all(map(is_number, own))]
    is_axis = len(found) > 1 or any(len(values[key]) >= FEWEST for key in found)
    return found if is_axis else []


@dataclass(frozen=True)
class Axis:
    """A key and its values, rising; ``alone`` says that no other one has its unit."""

    key: str
    values: tuple[float, ...]
    alone: bool = True

    @property
    def name(self) -> str:
        """What it is called: "altitude"."""
        return name_and_unit(self.key)[0]

    @property
    def unit(self) -> str:
        """Its unit; empty where its name says none."""
        return name_and_unit(self.key)[1]

    @property
    def named(self) -> bool:
        """Whether a value needs the name to say of what it is."""
        return not self.unit or not self.alone

    @property
    def is_logarithmic(self) -> bool:
        """Whether its values are spread over magnitudes: 0.01, 0.1, 1."""
        gaps = [high - low for low, high in pairwise(self.values)]
        return self.values[0] > 0.0 and max(gaps) > MAGNITUDES * min(gaps)

    @property
    def head(self) -> str:
        """What stands beside it: "altitude (km)"."""
        return in_words(self.key)

    def text(self, low: float, high: float | None = None) -> str:
        """Say a value, or a range of them: "500 km", "750 to 900 km", "step size 0.1"."""
        ends = dict.fromkeys(map(number, (low, low if high is None else high)))
        parts = (self.name if self.named else "", " to ".join(ends), self.unit)
        return " ".join(filter(None, parts))


def number(value: float) -> str:
    """Write a number of a key: 1,200, 0.05."""
    return f"{value:,.10g}"


@dataclass(frozen=True)
class Spot:
    """A combination of values by key, its group in a comparison, and the rows of its seeds."""

    group: str
    values: Mapping[str, Any]
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Course:
    """One figure over the spots of a sweep, in their order.

    ``each`` has its values over the seeds of a spot, none where one never got there or has not
    run; ``lacking`` says why there are none. ``level`` are the spots that no test tells from the
    best one.
    """

    column: str
    figure: Figure
    each: tuple[tuple[float, ...], ...]
    means: tuple[float | None, ...]
    lacking: tuple[str, ...]
    level: tuple[int, ...] = ()

    @classmethod
    def of(cls, column: str, figure: Figure, spots: Sequence[Spot]) -> Self:
        """Return the course of a figure: a spot has it if all of its complete points do."""
        each: list[tuple[float, ...]] = []
        lacking: list[str] = []
        for spot in spots:
            done = [row for row in spot.rows if row["status"] == COMPLETE] or spot.rows
            without = [row for row in done if row.get(column) is None]
            each.append(() if without else tuple(float(row[column]) for row in done))
            lacking.append(missing_status(without[0], column) if without else "")
        means = tuple(mean_of(own, figure)[0] if own else None for own in each)
        return cls(column, figure, tuple(each), means, tuple(lacking))

    @classmethod
    def compared(cls, column: str, found: Comparison, spots: Sequence[Spot]) -> Self:
        """Return the course of a figure of a comparison, whose means and verdicts it has."""
        rows = found.by(column).set_index("group")
        seeds = found.seeds_of(column)
        means = [
            float(rows["mean"].get(spot.group, math.nan)) if spot.group in rows.index else math.nan
            for spot in spots
        ]
        known = [not math.isnan(one) for one in means]
        level = [
            place
            for place, spot in enumerate(spots)
            if known[place] and rows["verdict"][spot.group] == Verdict.NO_DIFFERENCE
        ]
        return cls(
            column,
            found.figures[column],
            tuple(
                tuple(seeds[spot.group]) if has else ()
                for spot, has in zip(spots, known, strict=True)
            ),
            tuple(one if has else None for one, has in zip(means, known, strict=True)),
            tuple(
                "" if has else found.why_none(column, spot.group)
                for spot, has in zip(spots, known, strict=True)
            ),
            tuple(level),
        )

    def beside(self, first: Course) -> Course:
        """Return it beside what a sweep is judged by, which says why a spot has nothing."""
        pairs = zip(self.lacking, first.lacking, strict=True)
        return replace(
            self, lacking=tuple("-" if own and own == its else own for own, its in pairs)
        )

    @cached_property
    def shown(self) -> Figure:
        """The figure in the one unit that fits all of its values."""
        return in_column(self.figure, self.means)

    def text(self, place: int) -> str:
        """Write a mean in a column whose head names the unit; why there is none, else."""
        value = self.means[place]
        return self.lacking[place] if value is None else self.shown.form(value / self.shown.unit)

    def said(self, place: int) -> str:
        """Write a mean with its unit, as a sentence has it."""
        value = self.means[place]
        return self.lacking[place] if value is None else self.figure.text(value)

    @property
    def known(self) -> list[int]:
        """The spots that have the figure."""
        return [place for place, value in enumerate(self.means) if value is not None]

    @property
    def has_best(self) -> bool:
        """Whether some value of it is better than another one."""
        return bool(self.figure.best) and not self.flat

    @property
    def flat(self) -> bool:
        """Whether it is the same at all spots that have it."""
        return len({self.said(place) for place in self.known}) < 2

    def merit(self, place: int) -> float:
        """Return what is the greater the better; least where there is no figure."""
        value = self.means[place]
        if value is None:
            return -math.inf
        return value if self.figure.rising or not self.figure.best else -value

    def best(self, among: Iterable[int] | None = None) -> list[int]:
        """Return the best of some spots, all of those that print the same."""
        return self._like(max, among)

    def last(self) -> list[int]:
        """Return the spots with the worst value, all of those that print the same."""
        return self._like(min, None)

    def _like(self, end: Any, among: Iterable[int] | None) -> list[int]:
        known = [place for place in self.known if among is None or place in {*among}]
        if not known:
            return []
        one = self.said(end(known, key=self.merit))
        return [place for place in known if self.said(place) == one]

    def near(self) -> list[int]:
        """Return the spots within 2 % of the best, which is among them."""
        best = max(map(self.merit, self.known), default=0.0)
        least = best - WITHIN * abs(best)
        same = {*self.best()}
        return [place for place in self.known if place in same or self.merit(place) >= least]


@dataclass(frozen=True)
class OverNumbers:
    """What a sweep over numbers has measured: the first of its ``courses`` is what it is judged by.

    ``spots`` are in order: by the names of the keys that are no numbers, as they were given, then
    by the numbers, rising. ``labels`` name these names, by spot.
    """

    axes: tuple[Axis, ...]
    names: tuple[str, ...]
    spots: tuple[Spot, ...]
    labels: tuple[str, ...]
    courses: tuple[Course, ...]

    @classmethod
    def of(
        cls, by_group: Mapping[str, Sequence[Row]], varied: Sequence[str], found: Comparison
    ) -> Self | None:
        """Return what a comparison has over the numbers of keys; None where no key is an axis.

        ``by_group`` are the rows of its combinations, ``varied`` the keys in which these differ.
        """
        rows = [row for own in by_group.values() for row in own]
        numeric = numeric_keys(rows, varied)
        done = [row for row in rows if row["status"] == COMPLETE]
        if not numeric or not done:
            return None
        names = tuple(key for key in varied if key not in numeric)
        spots = [
            Spot(group, {key: own[0][key] for key in varied}, tuple(own))
            for group, own in by_group.items()
        ]
        order = [*dict.fromkeys(tuple(spot.values[key] for key in names) for spot in spots)]
        spots.sort(
            key=lambda spot: (
                order.index(tuple(spot.values[key] for key in names)),
                [spot.values[key] for key in numeric],
            )
        )
        settings = [dict(zip(names, own, strict=True)) for own in order]
        labels = labels_of(settings) if names else [""]
        label = dict(zip(order, labels, strict=True))
        units = [name_and_unit(key)[1] for key in numeric]
        axes = tuple(
            Axis(key, tuple(sorted({row[key] for row in rows})), units.count(unit) == 1)
            for key, unit in zip(numeric, units, strict=True)
        )
        columns = [*found.figures]
        columns.sort(key=lambda column: bool(found.figures[column].target))  # what was learnt first
        every = [Course.compared(column, found, spots) for column in columns]
        every += [Course.of(*one, spots) for one in _beside(done, {*found.figures})]
        first = next((course for course in every if course.known), every[0])
        rest = (
            one.beside(first) for one in every if one is not first and one.known and not one.flat
        )
        own_labels = tuple(label[tuple(spot.values[key] for key in names)] for spot in spots)
        return cls(axes, names, tuple(spots), own_labels, (first, *rest))

    def judged_by(self, column: str, figure: Figure) -> Self:
        """Return it with a figure that it is judged by in the place of the first one."""
        mine = (one for one in self.courses if one.column == column and one.figure.best)
        first = next(mine, None) or Course.of(column, figure, self.spots)
        reasons = zip(first.lacking, self.first.lacking, strict=True)
        first = replace(first, lacking=tuple(its if own == "-" else own for own, its in reasons))
        rest = (one for one in self.courses if one.column != column)
        every = (first, *(one.beside(first) for one in rest))
        return replace(self, courses=every) if first.known else self

    @property
    def first(self) -> Course:
        """What the sweep is judged by."""
        return self.courses[0]

    @cached_property
    def by_label(self) -> dict[str, list[int]]:
        """The spots of each name, in order; all of them where there are no names."""
        found: dict[str, list[int]] = {}
        for place, label in enumerate(self.labels):
            found.setdefault(label, []).append(place)
        return found

    @property
    def is_line(self) -> bool:
        """Whether there is one number: a curve, or one of each name."""
        return len(self.axes) == 1

    @property
    def is_map(self) -> bool:
        """Whether there are two numbers and nothing else."""
        return len(self.axes) == 2 and not self.names

    @property
    def wide(self) -> list[Axis]:
        """The axes, those with the most values first."""
        return sorted(self.axes, key=lambda axis: -len(axis.values))

    @property
    def telling(self) -> Course:
        """The first figure in which spots differ, so that some are best."""
        return next((one for one in self.courses if one.has_best), self.first)

    @property
    def ranked(self) -> list[int]:
        """The spots, the best first, by what tells them apart."""
        return sorted(range(len(self.spots)), key=lambda place: -self.telling.merit(place))

    def where(self, place: int) -> str:
        """Name a spot: "600 km and 40 degrees", behind its name where it has one."""
        numbers = [axis.text(self.spots[place].values[axis.key]) for axis in self.axes]
        return listed([name for name in (self.labels[place], *numbers) if name])


def ranges_of(places: Sequence[int]) -> list[tuple[int, int]]:
    """Return the runs of neighbours among some spots, by their ends."""
    found: list[tuple[int, int]] = []
    for place in places:
        if found and place == found[-1][1] + 1:
            found[-1] = (found[-1][0], place)
        else:
            found.append((place, place))
    return found


def _beside(done: Sequence[Row], taken: set[str]) -> list[tuple[str, Figure]]:
    """Return the figures beside those of the table: of single places, and such as have no best."""
    judged = judged_together(done)
    known = [
        column
        for column in done[0]
        if column not in taken and all(row.get(column) is not None for row in done)
    ]
    places = [(column, figure_listed(column)) for column in known if ":" in column]
    return [
        *((column, figure) for column, figure in places if figure is not None and figure.best),
        *(
            (column, figure_of(column, judged)._replace(best=""))
            for column in BESIDE
            if column not in taken and any(row.get(column) is not None for row in done)
        ),
    ]
