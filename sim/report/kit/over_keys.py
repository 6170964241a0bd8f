"""What came out over the values of each key with numbers in which the groups of a paper differ."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sim.analysis.comparison import NO_RESULT, Comparison, Group, flat
from sim.analysis.figures import figures_of_all
from sim.analysis.judged import Judged
from sim.analysis.labels import METHOD, labels_of
from sim.analysis.over_seeds import on_logarithms
from sim.plots.canvas import Unit
from sim.plots.colours import COLOURS
from sim.plots.over_key import AtValue
from sim.plots.sweep import in_words

TIMED = "cycles"
"""What is shown of runs that trained nothing."""


@dataclass(frozen=True)
class OverKey:
    """A figure over a key: the name of its files, what it shows, and its lines by their labels.

    ``head`` is the name beside the axis, ``what`` and ``called`` are the figure and the key in a
    caption; ``target`` is the one that it is about, empty where it is about none.
    """

    name: str
    key: str
    head: str
    what: str
    called: str
    target: str
    lines: Mapping[str, Sequence[AtValue]]
    methods: Sequence[str | None]


def of(groups: Sequence[Group], comparison: Comparison, clock: Unit) -> Iterator[OverKey]:
    """Yield the figures of groups over each key that has two values or more, all numbers.

    That is the figure by which runs are judged, and the time to the shared target in the unit
    ``clock``; of runs that trained nothing the complete cycles. A key over which there would be no
    line, or more lines than can be told apart, has no figure.
    """
    settings = [flat(group.runs[0].manifest["scenario"]) for group in groups]
    keys = dict.fromkeys(key for one in settings for key in one if key not in NO_RESULT)
    varied = [key for key in keys if len({str(one.get(key)) for one in settings}) > 1]
    for key in varied:
        values = [one.get(key) for one in settings]
        if not all(isinstance(x, int | float) and not isinstance(x, bool) for x in values):
            continue
        others = [other for other in varied if other != key]
        rest = [{other: one.get(other) for other in others} for one in settings]
        members: dict[str, list[int]] = {}
        for place, own in enumerate(rest):
            members.setdefault(str(own), []).append(place)
        if len(members) > len(COLOURS) or all(len(places) < 2 for places in members.values()):
            continue
        different = [rest[places[0]] for places in members.values()]
        labels = labels_of(different) if len(different) > 1 else [""]
        # A method has its colour only where it tells the lines apart.
        methods = [own.get(METHOD) for own in different]
        called = in_words(key)
        last = key.rpartition(".")[2]
        alone = sum(other.rpartition(".")[2] == last for other in varied) == 1
        last = re.sub(r"[^a-z0-9]+", "-", (last if alone else key).lower())
        for column, head, what, target, found in _figures(comparison, clock):
            lines = {
                label: sorted(
                    AtValue(float(values[place]), *found[place])  # type: ignore[arg-type]
                    for place in places
                )
                for label, places in zip(labels, members.values(), strict=True)
            }
            if any(point.mean is not None for line in lines.values() for point in line):
                name = f"{column}-over-{last}"
                yield OverKey(name, key, head, what, called, target, lines, methods)


Ends = tuple[float | None, float | None, float | None]


def _figures(
    comparison: Comparison, clock: Unit
) -> Iterator[tuple[str, str, str, str, list[Ends]]]:
    """Yield the name, the head, the words, the target, and the means and ends of each figure."""
    groups = comparison["groups"]
    judged = Judged(comparison["judged_by"])
    learnt = f"{judged}_final"
    trained = any(group[learnt]["mean"] is not None for group in groups)
    column = learnt if trained else TIMED
    figure = figures_of_all(comparison)[column]
    head = figure.head
    means = [_ends(group[column], figure.unit) for group in groups]
    yield column.replace("_", "-"), head, f"{head[0].upper()}{head[1:]}", "", means
    if trained and (target := comparison["shared_target"]):
        hours = clock.seconds / 3600.0
        times = [_ends(on_logarithms(group["hours_to"][target]), hours) for group in groups]
        head = f"{clock.name} to {target}"
        what = f"Simulated {clock.name} to an accuracy of {target}"
        yield "time-to-target", head, what, target, times


def _ends(figure: Mapping[str, Any], unit: float) -> Ends:
    mean, low, high = (
        None if figure[key] is None else figure[key] / unit for key in ("mean", "low", "high")
    )
    return mean, low, high
