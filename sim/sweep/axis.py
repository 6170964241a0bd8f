"""A key with numbers for values is an axis: what was measured along it, in order, and the best."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any, Self

from sim.analysis.comparison import Comparison
from sim.analysis.figures import LISTED, Figure, in_column
from sim.analysis.labels import labels_of
from sim.analysis.ranking import Verdict
from sim.facts.status import COMPLETE
from sim.formatting import listed

Row = Mapping[str, Any]

FEWEST = 3
"""Values from which on the numbers of a key are an axis; two of them are two names."""
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
    def is_logarithmic(self) -> bool:
        """Whether its values are spread over magnitudes: 0.01, 0.1, 1."""
        gaps = [high - low for low, high in pairwise(self.values)]
        return self.values[0] > 0.0 and max(gaps) > MAGNITUDES * min(gaps)

    @property
    def head(self) -> str:
        """What stands beside it: "altitude (km)"."""
        name, unit = name_and_unit(self.key)
        return f"{name} ({unit})" if unit not in ("", name) else name

    def text(self, low: float, high: float | None = None) -> str:
        """Say a value, or a range: "750 to 900 km", "step size 0.1", "2 rounds per contact"."""
        name, unit = name_and_unit(self.key)
        ends = [*dict.fromkeys(map(number, (low, low if high is None else high)))]
        if unit == name and ends == ["1"]:
            noun, per, rest = unit.partition(" per ")
            unit = f"{noun.removesuffix('es' if noun.endswith('sses') else 's')}{per}{rest}"
        is_named = not unit or (unit != name and not self.alone)
        return " ".join(filter(None, (name if is_named else "", " to ".join(ends), unit)))


def name_and_unit(key: str) -> tuple[str, str]:
    """Return what a key is called, and its unit: ``altitude`` and ``km``.

    What is counted is its own unit: ``rounds per contact`` of ``learning.rounds.per_contact``.
    """
    *_, section, last = f".{key}".split(".")
    words = f"{section}_{last}" if last.startswith("per_") else last
    first, _, unit = words.rpartition("_")
    if first and unit in LISTED["units"]:
        return first.replace("_", " "), LISTED["units"][unit]
    name = words.replace("_", " ").strip()
    noun = name.partition(" per ")[0]
    return name, name if noun.endswith("s") and not noun.endswith("ss") else ""


def number(value: float) -> str:
    """Write a number of a key: 1,200, 0.05."""
    return f"{value:,.10g}"


@dataclass(frozen=True)
class Spot:
    """A combination of values by key, and its group in a comparison."""

    group: str
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Course:
    """One figure over the spots of a sweep, in their order.

    ``each`` has its values over the seeds of a spot, none where one never got there or has not
    run; ``lacking`` says why there are none. ``level`` are the spots that no test tells from the
    best one. ``scale`` are means of other figures that are shown in the same unit.
    """

    column: str
    figure: Figure
    each: tuple[tuple[float, ...], ...]
    means: tuple[float | None, ...]
    lacking: tuple[str, ...]
    level: tuple[int, ...] = ()
    scale: tuple[float | None, ...] = ()

    @classmethod
    def ranked(cls, column: str, found: Comparison, spots: Sequence[Spot]) -> Self:
        """Return the course of a figure by which groups are ranked."""
        groups = [spot.group for spot in spots]
        rows = found.by(column).set_index("group").reindex(groups)
        means = [None if math.isnan(mean) else mean for mean in rows["mean"].tolist()]
        pairs = [*zip(groups, means, strict=True)]
        seeds = found.seeds_of(column)
        return cls(
            column,
            found.figures[column],
            tuple(() if mean is None else tuple(seeds[group]) for group, mean in pairs),
            tuple(means),
            tuple(found.why_none(column, group) if mean is None else "" for group, mean in pairs),
            tuple(n for n, word in enumerate(rows["verdict"]) if word == Verdict.NO_DIFFERENCE),
        )

    @classmethod
    def beside(cls, column: str, found: Comparison, spots: Sequence[Spot]) -> Self:
        """Return the course of a figure by which nobody is best."""
        figure, means_by_group = found.beside[column]
        every = [means_by_group.get(spot.group, math.nan) for spot in spots]
        means = tuple(None if math.isnan(mean) else mean for mean in every)
        each = tuple(() if mean is None else (mean,) for mean in means)
        lacking = tuple("-" if mean is None else "" for mean in means)
        return cls(column, figure._replace(best=""), each, means, lacking)

    @cached_property
    def shown(self) -> Figure:
        """The figure in the one unit that fits all of its values."""
        return in_column(self.figure, [*self.means, *self.scale])

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
        """Return what is the greater the better; -inf where there is no figure.

        The same holds for 0 of an expense: who spends nothing is not the best.
        """
        value = self.means[place]
        if value is None or (self.figure.spent and self.figure.best and not value):
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
        known = [place for place in known if self.merit(place) > -math.inf]
        if not known:
            return []
        same = self.said(end(known, key=self.merit))
        return [place for place in known if self.said(place) == same]


@dataclass(frozen=True)
class OverNumbers:
    """What a sweep over numbers has measured: its ``courses``, those of the comparison.

    The first is what the sweep is judged by: the first one in which spots differ so that some are
    best. ``spots`` are in order: by the names of the keys that are no numbers, as they were given,
    then by the numbers, rising. ``labels`` name these names, by spot.
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
        if not numeric or all(row["status"] != COMPLETE for row in rows):
            return None
        names = tuple(key for key in varied if key not in numeric)
        spots = [
            Spot(group, {key: own[0][key] for key in varied}) for group, own in by_group.items()
        ]
        order = [*dict.fromkeys(tuple(spot.values[key] for key in names) for spot in spots)]
        spots.sort(
            key=lambda spot: (
                order.index(tuple(spot.values[key] for key in names)),
                [spot.values[key] for key in numeric],
            )
        )
        settings = [dict(zip(names, own, strict=True)) for own in order]
        label = dict(zip(order, labels_of(settings) if names else [""], strict=True))
        units = [name_and_unit(key)[1] for key in numeric]
        axes = tuple(
            Axis(key, tuple(sorted({row[key] for row in rows})), units.count(unit) == 1)
            for key, unit in zip(numeric, units, strict=True)
        )
        columns = [*found.figures]
        # What was learnt comes first, then the time to the target that runs share.
        columns.sort(key=lambda key: (bool(found.figures[key].target), key != found.leading))
        every = [Course.ranked(column, found, spots) for column in columns]
        every += [Course.beside(column, found, spots) for column in found.beside]
        times = tuple(t for course in every if course.figure.target for t in course.means)
        every = [
            replace(course, scale=times) if course.figure.target else course for course in every
        ]
        known = [course for course in every if course.known]
        first = next((course for course in known if course.has_best), (known or every)[0])
        rest = (
            # Why a spot has nothing is said once.
            replace(
                course,
                lacking=tuple(
                    "-" if own and why else own
                    for own, why in zip(course.lacking, first.lacking, strict=True)
                ),
            )
            for course in known
            if course is not first and not course.flat
        )
        labels = tuple(label[tuple(spot.values[key] for key in names)] for spot in spots)
        return cls(axes, names, tuple(spots), labels, (first, *rest))

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
    def ranked(self) -> list[int]:
        """The spots, the best first."""
        return sorted(range(len(self.spots)), key=lambda place: -self.first.merit(place))

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
