"""A key with numbers for values is an axis: the combinations of a sweep in order along it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any, Self

from sim.analysis.comparison import Comparison, FigureColumn
from sim.analysis.figures import LISTED
from sim.analysis.labels import labels_of
from sim.facts.status import COMPLETE
from sim.formatting import listed

ROWS = "sweep.parquet"
"""File with a row per point of a sweep."""
FEWEST_VALUES = 3
"""Values from which on the numbers of a key are an axis; two of them are two names."""
MAGNITUDES = 5.0
"""How many times as far apart as others some values are that are spread over magnitudes."""


def is_number(value: Any) -> bool:
    """Return whether a value is a number, which true and false are not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def numeric_keys(rows: Iterable[Mapping[str, Any]], keys: Iterable[str]) -> list[str]:
    """Return the keys but the seed that have several numbers for values, where one is an axis.

    One is an axis from :data:`FEWEST_VALUES` values on; of two and more, two values have an order
    too.
    """
    values = {key: {row[key] for row in rows} for key in keys if key != "seed"}
    found = [key for key, own in values.items() if len(own) > 1 and all(map(is_number, own))]
    is_axis = len(found) > 1 or any(len(values[key]) >= FEWEST_VALUES for key in found)
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
class NumericSweep:
    """A sweep over numbers: its combinations in order, and what was measured of them.

    axes: the keys with numbers.
    names: the keys that are no numbers.
    combinations: values by key of each group of the comparison: in order of the names, as they
        were given, then of the numbers, rising.
    labels: what the names are called, by group; empty without names.
    columns: figures by group. The first one judges the sweep: the first in which some are best.
    """

    axes: tuple[Axis, ...]
    names: tuple[str, ...]
    combinations: Mapping[str, Mapping[str, Any]]
    labels: Mapping[str, str]
    columns: tuple[FigureColumn, ...]

    @classmethod
    def of(
        cls,
        by_group: Mapping[str, Sequence[Mapping[str, Any]]],
        varied: Sequence[str],
        found: Comparison,
    ) -> Self | None:
        """Return what a comparison has over the numbers of keys; None where no key is an axis.

        ``by_group`` are the rows of its combinations, ``varied`` the keys in which these differ.
        """
        rows = [row for own in by_group.values() for row in own]
        numeric = numeric_keys(rows, varied)
        if not numeric or all(row["status"] != COMPLETE for row in rows):
            return None
        names = tuple(key for key in varied if key not in numeric)
        values = {group: {key: own[0][key] for key in varied} for group, own in by_group.items()}
        named = {group: tuple(own[key] for key in names) for group, own in values.items()}
        order = [*dict.fromkeys(named.values())]

        def rank(group: str) -> tuple[int, list[float]]:
            return order.index(named[group]), [values[group][key] for key in numeric]

        groups = sorted(by_group, key=rank)
        settings = [dict(zip(names, own, strict=True)) for own in order]
        label = dict(zip(order, labels_of(settings) if names else [""], strict=True))
        units = [name_and_unit(key)[1] for key in numeric]
        axes = tuple(
            Axis(key, tuple(sorted({row[key] for row in rows})), units.count(unit) == 1)
            for key, unit in zip(numeric, units, strict=True)
        )
        # What was learnt comes first, then the time to the target that runs share.
        figures = sorted(
            found.figures, key=lambda key: (bool(found.figures[key].target), key != found.leading)
        )
        every = [found.column(name, groups) for name in (*figures, *found.beside)]
        known = [column for column in every if column.known]
        first = next((column for column in known if column.has_best), (known or every)[0])
        # Why a combination has nothing is said once.
        said = {group: "-" for group, why in first.missing.items() if why}
        rest = (
            replace(column, missing={g: why and said.get(g, why) for g, why in own.items()})
            for column in known
            if column is not first and not column.is_flat
            for own in [column.missing]
        )
        return cls(
            axes,
            names,
            {group: values[group] for group in groups},
            {group: label[named[group]] for group in groups},
            (first, *rest),
        )

    @property
    def first(self) -> FigureColumn:
        """The figure by which the sweep is judged."""
        return self.columns[0]

    @property
    def groups(self) -> list[str]:
        """The combinations, in order."""
        return [*self.combinations]

    @cached_property
    def by_label(self) -> dict[str, list[str]]:
        """The combinations of each name, in order; all of them where there are no names."""
        found: dict[str, list[str]] = {}
        for group, label in self.labels.items():
            found.setdefault(label, []).append(group)
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
    def ranked(self) -> list[str]:
        """The combinations, the best first."""
        return sorted(self.groups, key=lambda group: -self.first.merit(group))

    def along(self, axis: Axis, groups: Iterable[str]) -> list[float]:
        """Return the values of an axis at some combinations."""
        return [self.combinations[group][axis.key] for group in groups]

    def where(self, group: str) -> str:
        """Name a combination: "600 km and 40 degrees", behind its name where it has one."""
        numbers = [axis.text(self.combinations[group][axis.key]) for axis in self.axes]
        return listed([name for name in (self.labels[group], *numbers) if name])

    def ranges_of(self, groups: Iterable[str]) -> list[tuple[str, str]]:
        """Return the runs of neighbours among some combinations, by their ends."""
        index = {group: n for n, group in enumerate(self.groups)}
        found: list[tuple[str, str]] = []
        for group in groups:
            if found and index[group] == index[found[-1][1]] + 1:
                found[-1] = (found[-1][0], group)
            else:
                found.append((group, group))
        return found
