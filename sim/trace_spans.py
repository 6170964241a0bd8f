"""What a trace says of each cluster, as spans of time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from learning.requests.cluster import Floats, Ints
from sim.grouping import says
from sim.intervals import GroupedIntervals

UNTIL = r"^synchronisation: until (?P<until>[0-9.]+) s$"
"""What a wait for the server's state says of its end."""


def cluster_names(tables: Mapping[str, pa.Table]) -> list[str]:
    """Return the names of all clusters in canonical order."""
    found = (tables[name]["cluster"] for name in ("contacts", "events", "transfers"))
    return sorted({text for column in found for text in pc.unique(column.drop_null()).to_pylist()})


def in_view(contacts: pa.Table, names: Sequence[str]) -> GroupedIntervals:
    """While a satellite is in view of the cluster, whether it is served or not."""
    rise_s, set_s = _times(contacts["rise_s"]), _times(contacts["set_s"])
    return _spans(_numbers(contacts["cluster"], names), rise_s, set_s)


def connected(contacts: pa.Table, names: Sequence[str]) -> GroupedIntervals:
    """While a satellite serves the cluster."""
    served = contacts.filter(contacts["served"])
    return _spans(
        _numbers(served["cluster"], names),
        _times(served["service_start_s"]),
        _times(served["service_end_s"]),
    )


def transferring(transfers: pa.Table, names: Sequence[str]) -> GroupedIntervals:
    """While a device of the cluster sends or receives; a peer is a device of its own cluster."""
    peers = pc.replace_substring_regex(transfers["peer"], r"/[^/]*$", "")
    clusters = np.concatenate([_numbers(column, names) for column in (transfers["cluster"], peers)])
    start_s, end_s = (np.tile(_times(transfers[key]), 2) for key in ("start_s", "end_s"))
    return _spans(clusters, start_s, end_s)


def training(events: pa.Table, names: Sequence[str]) -> GroupedIntervals:
    """While a device of the cluster trains; training without an end goes on to the run's."""
    begun, ended = (
        events.filter(says(events, "kind", f"train_{edge}")) for edge in ("start", "end")
    )
    return GroupedIntervals(
        _numbers(begun["cluster"], names),
        _times(begun["time_s"]),
        _numbers(ended["cluster"], names),
        _times(ended["time_s"]),
    )


def beam_waits(events: pa.Table, contacts: pa.Table, names: Sequence[str]) -> GroupedIntervals:
    """While a satellite in view has no beam for the cluster, or lent it to another one since.

    A beam that it gets in between ends no span; it is connected then.
    """
    waits = events.filter(
        pc.and_(pc.equal(events["kind"], "wait"), pc.starts_with(events["detail"], "beam"))
    )
    place = pc.index_in(waits["contact_id"], value_set=contacts["contact_id"].combine_chunks())
    set_s = contacts["set_s"].take(place.combine_chunks())
    return _spans(_numbers(waits["cluster"], names), _times(waits["time_s"]), _times(set_s))


def synchronisation_waits(events: pa.Table, names: Sequence[str]) -> GroupedIntervals:
    """While the satellite does not know the server's newest state, and a device would take it."""
    told = pc.extract_regex(events["detail"], UNTIL)
    rows = pc.and_(pc.equal(events["kind"], "wait"), pc.is_valid(told))
    waits, until = events.filter(rows), told.filter(rows)
    until_s = pc.cast(pc.struct_field(until, "until"), pa.float64())
    return _spans(_numbers(waits["cluster"], names), _times(waits["time_s"]), _times(until_s))


def _spans(groups: Ints, begin_s: Floats, end_s: Floats) -> GroupedIntervals:
    return GroupedIntervals(groups, begin_s, groups, end_s)


def _numbers(clusters: pa.ChunkedArray, names: Sequence[str]) -> Ints:
    """Number of each cluster, -1 for none."""
    places = pc.index_in(clusters, value_set=pa.array(names, pa.string()))
    numbers: Ints = places.fill_null(-1).to_numpy()
    return numbers


def _times(column: pa.ChunkedArray) -> Floats:
    times: Floats = column.to_numpy()
    return times
