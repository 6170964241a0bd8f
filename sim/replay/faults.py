"""Faults in a replay: when, where, and of which cause; of very many, how many at about a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from sim.replay.packing import packed, steps
from sim.trace.arrow import array, as_numpy
from sim.trace.sorting import coded, says
from sim.trace.tables import pieces_of
from statements.arrays import Ints

if TYPE_CHECKING:
    import pyarrow as pa

MOST_MARKS = 2_000
"""Marks of a cause at a place that can be told apart on a screen."""
NOWHERE = -1
UNNAMED = "fault without a named cause"


def packed_faults(
    tables: Mapping[str, pa.Table],
    contact_id: Ints,
    place: Ints,
    places: Mapping[str, int],
    end_s: float,
    unit_s: float,
) -> dict[str, Any]:
    """What failed in a run until ``end_s``: the ``causes``, and marks in order of time.

    Each mark has a ``time`` (in steps of ``unit_s``), a ``cause`` and a ``place`` by number, and a
    ``count`` of the faults that it stands for. The place is that of the contact (those in
    ``contact_id`` (C,) are at ``place`` (C,)), or the cluster if that is one of the ``places``.
    """
    rows = [_rows(piece) for piece in pieces_of(tables, "events", FAULT_COLUMNS)]
    cause, causes = _joined([row["cause"] for row in rows])
    time_s = np.concatenate([as_numpy(row["time_s"]) for row in rows])
    where = np.concatenate([_where(row, contact_id, place, places) for row in rows])
    shown = time_s <= end_s
    bucket = np.floor(time_s[shown] / end_s * MOST_MARKS)
    keys = np.stack([bucket, where[shown], cause[shown]])
    _, first, count = np.unique(keys, axis=1, return_index=True, return_counts=True)
    at = np.argsort(time_s[shown][first], kind="stable")
    first, count = first[at], count[at]
    return {
        "causes": causes,
        "time": packed(steps(np.rint(time_s[shown][first] / unit_s))),
        "place": packed(where[shown][first]),
        "cause": packed(cause[shown][first]),
        "count": packed(count),
    }


FAULT_COLUMNS = ["time_s", "kind", "cluster", "contact_id", "cause"]


def _rows(events: pa.Table) -> pa.Table:
    return events.filter(array(says(events, "kind", "fault")))


def _joined(columns: list[Any]) -> tuple[Ints, list[str]]:
    """Return the causes of all pieces as numbers of words, and the words."""
    words: list[str] = []
    numbers: list[Ints] = [np.zeros(0, np.int64)]
    for column in columns:
        own, said = coded(column)
        said = [*said, *([UNNAMED] if (own < 0).any() else [])]
        words += [word for word in said if word not in words]
        # What is null has the number -1, and is the last.
        numbers.append(np.array([words.index(word) for word in said], np.int64)[own])
    return np.concatenate(numbers), words


def _where(events: pa.Table, contact_id: Ints, place: Ints, places: Mapping[str, int]) -> Ints:
    import pyarrow.compute as pc

    own, names = coded(events["cluster"])
    of_cluster = np.array([*(places.get(name, NOWHERE) for name in names), NOWHERE], np.int64)
    found = as_numpy(pc.index_in(events["contact_id"], value_set=array(contact_id)), -1)
    of_contact = np.append(place, NOWHERE)[found.astype(np.int64)]
    return np.where(of_contact >= 0, of_contact, of_cluster[own])
