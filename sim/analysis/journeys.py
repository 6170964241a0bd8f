"""Uploads and downloads that have arrived, each with the transfers that it was made of.

A message over the mesh has one row of ``transfers`` per hop. Without a mesh, a payload has one row
per contact: the last one delivers it, those before it were cut off.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from learning.requests.cluster import Floats, Ints, Mask
from sim.analysis.spans import cluster_names
from sim.trace.arrow import array, as_numpy
from sim.trace.directions import TOWARD_PEER, Way
from sim.trace.sorting import grouped, numbers_of, says
from sim.trace.tables import pieces_of

COLUMNS = (
    *("contact_id", "cluster", "device", "peer", "toward", "payload", "version"),
    *("start_s", "end_s", "outcome", "message"),
)
"""What is read of the transfers."""


@dataclass(frozen=True, eq=False)
class Sent:
    """The transfers of a run (N,), in order of their begin.

    ``cluster`` and ``peer`` are places in ``names``, -1 of no peer. Those without a peer went over
    a pass of ``cluster``, to the server or from it. Those with the same number have the same
    ``payload``.
    """

    names: list[str]
    cluster: Ints
    peer: Ints
    contact: Ints
    payload: Ints
    to_server: Mask
    start_s: Floats
    end_s: Floats


@dataclass(frozen=True, eq=False)
class Journeys:
    """Uploads, or downloads, that have arrived (J,), in order of their arrival.

    ``client`` (places in ``names``) and ``device`` are whose they are. Their transfers in ``Sent``
    are those of ``order`` from ``begins`` to ``ends``, in order of time.
    """

    client: Ints
    device: Ints
    arrival_s: Floats
    order: Ints
    begins: Ints
    ends: Ints

    def rows(self, journey: int) -> list[int]:
        """Return which rows of the transfers a journey was made of."""
        found: list[int] = self.order[self.begins[journey] : self.ends[journey]].tolist()
        return found

    def last(
        self, after_s: float, until_s: float, clients: Sequence[int], device: int | None = None
    ) -> int | None:
        """Return the last journey of the clients that arrived in that time; None of none.

        Without a ``device``, that of any.
        """
        begin, end = np.searchsorted(self.arrival_s, [after_s, until_s], "right").tolist()
        mine = np.isin(self.client[begin:end], clients)
        if device is not None:
            mine &= self.device[begin:end] == device
        found = np.flatnonzero(mine)
        return begin + int(found[-1]) if len(found) else None


class Traffic(NamedTuple):
    """The transfers of a run, and what they were parts of: messages over the mesh, if it has."""

    sent: Sent
    uploads: Journeys
    downloads: Journeys
    has_messages: bool

    @classmethod
    def of(cls, tables: Mapping[str, pa.Table]) -> Self | None:
        """Return the traffic of a run.

        None where clients sent to each other what belongs to no message over the mesh: then the
        tables do not say whose update a transfer was part of.
        """
        rows = pa.concat_tables(pieces_of(tables, "transfers", COLUMNS), promote_options="default")
        message = numbers_of(rows["message"])
        to_peer = says(rows, "toward", TOWARD_PEER)
        if (to_peer & (message < 0)).any():
            return None
        sent = _sent(rows, cluster_names(tables))
        order, begins = _journeys(rows, message)
        ends = np.append(begins[1:], len(order))
        first, last = order[begins], order[ends - 1] if len(order) else order
        arrived = says(rows, "outcome", "delivered")[last]
        up = arrived & says(rows, "toward", Way.TO_SERVER)[last]
        down = arrived & says(rows, "toward", Way.TO_CLIENT)[first]
        target = np.where(sent.peer[last] < 0, sent.cluster[last], sent.peer[last])
        device = numbers_of(rows["device"])

        def chosen(which: Mask, client: Ints) -> Journeys:
            mine = np.flatnonzero(which)
            mine = mine[np.argsort(sent.end_s[last[mine]], kind="stable")]
            heads = client[mine], device[last[mine]], sent.end_s[last[mine]]
            return Journeys(*heads, order, begins[mine], ends[mine])

        has_messages = bool((message >= 0).any())
        return cls(sent, chosen(up, sent.cluster[first]), chosen(down, target), has_messages)


def _sent(rows: pa.Table, names: list[str]) -> Sent:
    every = array(np.array(names, str))
    peer = pc.replace_substring_regex(rows["peer"].cast(pa.string()), r"/[^/]*$", "")
    cluster, peer = (
        as_numpy(pc.index_in(column, value_set=every), -1)
        for column in (rows["cluster"].cast(pa.string()), peer)
    )
    return Sent(
        names=names,
        cluster=cluster.astype(int),
        peer=peer.astype(int),
        contact=as_numpy(rows["contact_id"], -1).astype(int),
        payload=numbers_of(rows["payload"]),
        to_server=says(rows, "toward", Way.TO_SERVER),
        start_s=as_numpy(rows["start_s"]),
        end_s=as_numpy(rows["end_s"]),
    )


def _journeys(rows: pa.Table, message: Ints) -> tuple[Ints, Ints]:
    """Return an order of rows that has those of a journey together, and where each begins."""
    in_contacts = message < 0
    keys = [
        np.where(in_contacts, numbers_of(rows[key]), 0)
        for key in ("cluster", "device", "toward", "payload", "version")
    ]
    order, first = grouped([message, *keys])
    new = np.zeros(len(order), bool)
    new[first] = True
    # The same payload may be sent again: what follows a delivery is the next journey.
    delivered = says(rows, "outcome", "delivered")[order]
    new[1:] |= (delivered & in_contacts[order])[:-1]
    return order, np.flatnonzero(new)
