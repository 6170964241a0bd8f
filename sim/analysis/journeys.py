"""Uploads and downloads that have arrived, each with the transfers that it was made of.

A message over the mesh has one row of ``transfers`` per hop. Without a mesh, a payload has one row
per contact: the last one delivers it, those before it were cut off. Of devices over a mesh, each of
these rows has a message of its own, whose other rows are the hops between the satellite of that
contact and the server; devices that download the same share them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, Self

import numpy as np
import pyarrow as pa

from sim.analysis.spans import (
    cluster_names,
    linked_names,
    names_in,
    peers_in,
    places_of,
    places_of_peers,
)
from sim.facts.directions import TOWARD_PEER, Way
from sim.trace.arrow import array, as_numpy
from sim.trace.sorting import grouped, numbers_of, says
from sim.trace.tables import pieces_of
from statements.arrays import Floats, Ints, Mask

COLUMNS = (
    *("contact_id", "cluster", "device", "peer", "toward", "payload", "version"),
    *("start_s", "end_s", "outcome", "message"),
)
"""What is read of the transfers."""

SIDES: tuple[Literal["left"], Literal["right"]] = ("left", "right")
"""Of a search for where equal numbers begin and end."""


@dataclass(frozen=True, eq=False)
class Sent:
    """The transfers of a run (N,), in order of their begin.

    ``cluster`` and ``peer`` are places in ``names``, -1 of no peer. Those without a peer went over
    a pass of ``cluster``, to the server or from it. Those of ``feeder`` went over a pass between a
    satellite and a gateway. Those with the same number have the same ``payload``.
    """

    names: list[str]
    cluster: Ints
    peer: Ints
    contact: Ints
    payload: Ints
    to_server: Mask
    feeder: Mask
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

    def chosen(self, which: Mask) -> "Journeys":
        """Return some of the journeys (J,), in order of their arrival."""
        mine = np.flatnonzero(which)
        mine = mine[np.argsort(self.arrival_s[mine], kind="stable")]
        return Journeys(
            self.client[mine],
            self.device[mine],
            self.arrival_s[mine],
            self.order,
            self.begins[mine],
            self.ends[mine],
        )

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

    @classmethod
    def of(cls, tables: Mapping[str, pa.Table], roles: Mapping[str, Any]) -> Self | None:
        """Return the traffic of a run, whose scenario has these ``roles``.

        None where clients sent to each other what belongs to no message over the mesh: then the
        tables do not say whose update a transfer was part of.
        """
        rows = pa.concat_tables(pieces_of(tables, "transfers", COLUMNS), promote_options="default")
        message = numbers_of(rows["message"])
        to_peer = says(rows, "toward", TOWARD_PEER)
        if (to_peer & (message < 0)).any():
            return None
        gateways = names_in(tables, "feeder_windows", ("station",))
        sent = _sent(rows, _names(tables, rows), gateways)
        server = str(roles.get("server")).removeprefix("satellite:")
        servers = np.array([name == server or name in gateways for name in sent.names], bool)
        over_mesh = bool((message >= 0).any())
        if over_mesh and roles.get("clients") == "devices":
            found = _of_devices(rows, message, sent, _reached(tables, sent, servers))
        else:
            found = _of_messages(rows, message, sent, servers)
        return cls(sent, *found)


def _of_messages(
    rows: pa.Table, message: Ints, sent: Sent, servers: Mask
) -> tuple[Journeys, Journeys]:
    """Return uploads and downloads of which each is a message, or what contacts carried of it."""
    order, begins = _journeys(rows, message)
    ends = np.append(begins[1:], len(order))
    first, last = order[begins], order[ends - 1] if len(order) else order
    arrived = says(rows, "outcome", "delivered")[last]
    to_server = (sent.peer >= 0) & servers[sent.peer]
    from_server = (sent.peer >= 0) & servers[sent.cluster]
    up = says(rows, "toward", Way.TO_SERVER)[last] | to_server[last]
    down = says(rows, "toward", Way.TO_CLIENT)[first] | from_server[first]
    target = np.where(sent.peer[last] < 0, sent.cluster[last], sent.peer[last])
    device = numbers_of(rows["device"])[last]
    every = Journeys(sent.cluster[first], device, sent.end_s[last], order, begins, ends)
    return every.chosen(arrived & up), replace(every, client=target).chosen(arrived & down)


def _of_devices(
    rows: pa.Table, message: Ints, sent: Sent, reached: Mask
) -> tuple[Journeys, Journeys]:
    """Return those of devices over a mesh: what contacts carried, and the hops of each message.

    An upload has arrived when the last of its rows has ``reached`` the server.
    """
    access = np.flatnonzero(sent.peer < 0)
    hops = np.flatnonzero(sent.peer >= 0)
    hops = hops[np.argsort(message[hops], kind="stable")]
    order, begins = _journeys(rows.take(array(access)), np.full(len(access), -1))
    order = access[order]
    ends = np.append(begins[1:], len(order))
    last = order[ends - 1] if len(order) else order
    number = np.repeat(np.arange(len(begins)), ends - begins)
    place, hop = _pairs(message[order], message[hops])
    number = np.append(number, number[place])
    order = np.append(order, hops[hop])
    by_time = np.lexsort((sent.end_s[order], number))
    number, order = number[by_time], order[by_time]
    begins, ends = (np.searchsorted(number, np.arange(len(begins)), side) for side in SIDES)
    final = order[ends - 1] if len(order) else order
    delivered = says(rows, "outcome", "delivered")
    arrived = delivered[last] & delivered[final]
    up, down = sent.to_server[last], says(rows, "toward", Way.TO_CLIENT)[last]
    device = numbers_of(rows["device"])[last]
    every = Journeys(sent.cluster[last], device, sent.end_s[final], order, begins, ends)
    return every.chosen(arrived & up & reached[final]), every.chosen(arrived & down)


def _pairs(keys: Ints, ordered: Ints) -> tuple[Ints, Ints]:
    """Return places of all pairs that are equal, in ``keys`` and in others that are in order."""
    first, end = (np.searchsorted(ordered, keys, side) for side in SIDES)
    count = end - first
    place = np.repeat(np.arange(len(keys)), count)
    within = np.arange(len(place)) - np.repeat(np.cumsum(count) - count, count)
    return place, first[place] + within


def _reached(tables: Mapping[str, pa.Table], sent: Sent, servers: Mask) -> Mask:
    """Return which transfers end at the server, of those to a peer or to a contact's satellite."""
    contacts = tables["contacts"].select(("contact_id", "satellite"))
    contact_ids = as_numpy(contacts["contact_id"])
    satellite = places_of(contacts["satellite"], sent.names)
    ends_at = sent.peer.copy()
    over = np.flatnonzero(sent.peer < 0)
    ends_at[over] = satellite[np.searchsorted(contact_ids, sent.contact[over])]
    return (ends_at >= 0) & servers[ends_at]


def _names(tables: Mapping[str, pa.Table], rows: pa.Table) -> list[str]:
    """Return the names of all that send, receive or have links."""
    _, peers = peers_in(rows)
    over = names_in(tables, "contacts", ("satellite",))
    return sorted({*cluster_names(tables), *over, *peers, *linked_names(tables)} - {None})


def _sent(rows: pa.Table, names: list[str], gateways: set[str]) -> Sent:
    cluster = places_of(rows["cluster"], names)
    peer = places_of_peers(rows, names)
    gateway = np.array([name in gateways for name in names], bool)
    to_gateway = (peer >= 0) & gateway[peer]
    return Sent(
        names=names,
        cluster=cluster,
        peer=peer,
        contact=as_numpy(rows["contact_id"], -1).astype(int),
        payload=numbers_of(rows["payload"]),
        to_server=says(rows, "toward", Way.TO_SERVER) | to_gateway,
        feeder=(peer >= 0) & (gateway[cluster] | to_gateway),
        start_s=as_numpy(rows["start_s"]),
        end_s=as_numpy(rows["end_s"]),
    )


def _journeys(rows: pa.Table, message: Ints) -> tuple[Ints, Ints]:
    """Return an order of rows that has those of a journey together, and where each begins."""
    in_contacts = message < 0
    keys = ("cluster", "device", "toward", "payload", "version") if in_contacts.any() else ()
    apart = [np.where(in_contacts, numbers_of(rows[key]), 0) for key in keys]
    order, first = grouped([message, *apart])
    new = np.zeros(len(order), bool)
    new[first] = True
    # The same payload may be sent again: what follows a delivery is the next journey.
    delivered = says(rows, "outcome", "delivered")[order]
    new[1:] |= (delivered & in_contacts[order])[:-1]
    return order, np.flatnonzero(new)
