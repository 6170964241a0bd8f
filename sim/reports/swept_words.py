"""A sweep in a few sentences, and what was asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from sim.reports.page import Facts
from sim.reports.point_tables import cell, hours_to
from sim.sweeps import Sweep
from sim.sweeps.text import sha256_text
from sim.units_text import data_size
from sim.yaml_text import as_yaml

Row = Mapping[str, Any]

MOST_VALUES = 12
"""Values of a key that are listed one by one."""


@dataclass(frozen=True)
class Extreme:
    """A column, which end of it is told of, how a value of it is shown, and what is said of it."""

    column: str
    best: Callable[..., Any]
    form: Callable[[float], str]
    said: str


def sentences(
    rows: pa.Table, done: pa.Table, keys: Sequence[str], target: float | None
) -> Iterator[str]:
    """Say how many points there are over what, which did best, and how far they lie apart.

    ``done`` are the complete rows; ``target`` is an accuracy that some of them have reached.
    """
    yield f"{len(done)} of {len(rows)} points are complete{_over(rows, keys)}."
    every = done.to_pylist()
    for extreme in _told(every, target):
        yield _sentence(every, keys, extreme)


def _over(rows: pa.Table, keys: Sequence[str]) -> str:
    counts = [f"{key} ({len(set(rows[key].to_pylist()))} values)" for key in keys]
    return f", over {' and '.join(counts)}" if counts else ""


def _told(every: Sequence[Row], target: float | None) -> Iterator[Extreme]:
    if all(row["accuracy_final"] is None for row in every):
        if every:
            yield Extreme("cycles", max, "{:g}".format, "The most complete cycles")
            yield Extreme("contacts_served", max, "{:g}".format, "The most contacts served")
        return
    yield Extreme("accuracy_final", max, "{:.3f}".format, "The best final accuracy")
    if target is not None:
        column = hours_to(target)
        count = sum(row[column] is not None for row in every)
        whose = "all points" if count == len(every) else f"{count} of {len(every)} points"
        said = f"The least time to {target:.2f} accuracy, which {whose} reached"
        yield Extreme(column, min, "{:.2f} hours".format, said)
    yield Extreme("uplink_bytes", min, data_size, "The least uplink")


def _sentence(every: Sequence[Row], keys: Sequence[str], extreme: Extreme) -> str:
    """Say at which point a figure is best; of several that are equally good, how many they are."""
    known = [row for row in every if row[extreme.column] is not None]
    values = [row[extreme.column] for row in known]
    best = extreme.best(values)
    found = [row for row in known if row[extreme.column] == best]
    where = ", ".join(f"{key}={cell(found[0][key])}" for key in keys)
    where = f"{where}, seed {found[0]['seed']}" if where else f"seed {found[0]['seed']}"
    text = f"{extreme.said}: {extreme.form(best)}"
    if min(values) == max(values):
        return f"{text}, at every point." if len(values) == len(every) else f"{text}, at {where}."
    more = f" and {len(found) - 1} more" if len(found) > 1 else ""
    span = f"{extreme.form(min(values))} to {extreme.form(max(values))}"
    return f"{text}, at {where}{more}; the points range from {span}."


def asked(sweep: Sweep) -> Facts:
    """Return what the sweep was asked for, a row a key, but for the points that this makes."""
    about = sweep.about
    fixed = about.get("set") or {}
    rows = [
        ["scenario", str(about["scenario"])],
        *([f"{key} (varied)", _values(sweep, key)] for key in sweep.keys),
        *([f"{key} (set)", as_yaml(value)] for key, value in fixed.items()),
        ["sampling", str(about["sampling"])],
        *([["samples", str(about["samples"])]] if about.get("samples") else []),
        ["replications", str(about["replications"])],
        ["sweep sha256", sha256_text(sweep.rows, 64)],
    ]
    return Facts("The sweep", rows)


def _values(sweep: Sweep, key: str) -> str:
    """Show the values of a key in the order in which they were given; many by both ends."""
    texts = list(dict.fromkeys(as_yaml(point.values[key]) for point in sweep.points))
    if len(texts) > MOST_VALUES:
        return f"{', '.join(texts[:3])} ... {texts[-1]} ({len(texts)} values)"
    return ", ".join(texts)
