"""The paths of rounds: what the last client of each spent it on.

The path of a round goes back from its end: the upload that arrived last, hop by hop, what was
waited for before each hop, the training before the upload, and the download before the training,
back to the end of the round before. Devices over a mesh send over two kinds of passes: those of
satellites over them, and those of satellites over a gateway. A download is not pursued beyond its
client: a round that begins with the end of the one before needs no more.

Sending lasts from when the hop could begin until the last bit is there. That includes the time of
flight, some milliseconds of each hop, which the tables do not tell apart: routes leave the longest
one of a link between two hops.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from functools import cache
from itertools import pairwise
from typing import Any, NamedTuple, Self

import numpy as np
import pyarrow as pa

from sim.analysis import spans
from sim.analysis.critical_path import CriticalPath, Part, Path, RoundLink
from sim.analysis.rounds import round_ends_s
from sim.analysis.spans import (
    LINK_ENDS,
    Intervals,
    NumberedSpans,
    StateTimeline,
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
from statements.arrays import Floats, Ints, Mask, stretches

TRANSFER_COLUMNS = (
    *("contact_id", "cluster", "device", "peer", "toward", "payload", "version"),
    *("start_s", "end_s", "outcome", "message"),
)
"""What is read of the transfers."""
CONTACT_COLUMNS = (
    *("contact_id", "satellite", "cluster", "station", "rise_s", "set_s", "served"),
    *("service_start_s", "service_end_s"),
)
"""What is read of the contacts."""


def round_paths(tables: Mapping[str, pa.Table], manifest: Mapping[str, Any]) -> CriticalPath | None:
    """Return what the rounds of a run were spent on, from its tables.

    The stretches of a round sum up to its duration. None for a method without rounds, and where
    clients send to each other other than by messages over the mesh.
    """
    ends_s = round_ends_s(tables, manifest)
    roles = manifest.get("scenario", {}).get("roles") or {}
    traffic = RoundMessages.of(tables, roles) if len(ends_s) else None
    if traffic is None:
        return None
    walks = _Walks(tables, traffic)
    edges_s = [0.0, *ends_s.tolist()]
    return CriticalPath(
        tuple(walks.path(number, *span) for number, span in enumerate(pairwise(edges_s), 1))
    )


class _Walks:
    """Finds what the rounds of a run were spent on."""

    def __init__(self, tables: Mapping[str, pa.Table], traffic: RoundMessages) -> None:
        self._sent = traffic.sent
        self._uploads = traffic.uploads
        self._downloads = traffic.downloads
        self._links = LinkStates(tables, self._sent)
        trained, _ = spans.training(tables["events"])
        device = numbers_of(trained.rows["device"])
        self._most_devices = 1 + int(device.max(initial=0))
        client = places_of(trained.rows["cluster"], self._sent.names)
        number = client * self._most_devices + device
        self._trained = trained
        self._trainings = NumberedSpans(number, trained.begin_s, trained.end_s)
        self._used_s: Floats = np.zeros(0)
        self._used: Ints = np.zeros(0, int)
        if "updates" in tables:
            updates = tables["updates"]
            self._used_s = as_numpy(updates["time_s"])
            self._used = places_of(updates["cluster"], self._sent.names)

    def path(self, number: int, begin_s: float, end_s: float) -> Path:
        """Return the path of a round."""
        first, last = np.searchsorted(self._used_s, [begin_s, end_s], "right").tolist()
        upload = self._uploads.last(begin_s, end_s, self._used[first:last].tolist())
        path = Path(number, None, begin_s, end_s)
        if upload is not None:
            path.client = self._sent.names[self._uploads.client[upload]]
            self._walk(path, upload)
        path.spend(end_s, Part.OTHER)
        return path

    def _walk(self, path: Path, upload: int) -> None:
        """Spend the time of a round up to the arrival of its last upload."""
        client = int(self._uploads.client[upload])
        device = int(self._uploads.device[upload])
        rows = self._uploads.rows(upload)
        sets_off_s = float(self._sent.start_s[rows[0]])
        number = client * self._most_devices + device
        near = self._trainings.near(number, (path.now_s, sets_off_s))
        ends_s = (np.sort(edge_s[near]).tolist() for edge_s in self._trained[1:])
        trained = list(zip(*ends_s, strict=True))
        ready_s = trained[-1][0] if trained else sets_off_s
        download = self._downloads.last(path.now_s, ready_s, [client], device)
        if download is not None:
            self._spend_journey(path, self._downloads.rows(download))
        for begin_s, end_s in trained:
            path.spend(begin_s, Part.OTHER)
            path.spend(min(end_s, sets_off_s), Part.TRAINING)
        self._spend_journey(path, rows)

    def _spend_journey(self, path: Path, rows: list[int]) -> None:
        """Spend the time of an upload or a download: before each of its transfers, and on it."""
        for row in rows:
            # The server has every pass; an upload has those of its satellite first.
            goes_down = not self._sent.to_server[row]
            unused = {State.FREE, State.ELSEWHERE} if goes_down else {State.FREE}
            link = self._links.link(row)
            passes = link.kind == "pass"
            begin_s, end_s = float(self._sent.start_s[row]), float(self._sent.end_s[row])
            for until_s, state in self._links.before(row, path.now_s):
                if row == rows[0] and state in unused:  # it could have gone: the method waits
                    path.spend(until_s, Part.PASS_AWAITED)
                elif state is State.TAKEN:
                    path.spend(until_s, Part.PASS_TAKEN if passes else Part.LINK_TAKEN, link)
                elif state is not State.FREE or until_s < begin_s:
                    path.spend(until_s, Part.PASS_AWAITED if passes else Part.LINK_AWAITED, link)
            sending = Part.TO_CLIENT if goes_down else Part.TO_SERVER
            path.spend(end_s, sending if passes else Part.LINK, link)


# What was sent: a message over the mesh has one row of `transfers` per hop. Without a mesh, a
# payload has one row per contact: the last one delivers it, those before it were cut off. Of
# devices over a mesh, each of these rows has a message of its own, whose other rows are the hops
# between the satellite of that contact and the server; devices that download the same share them.


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

    def chosen(self, which: Mask) -> Journeys:
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


class RoundMessages(NamedTuple):
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
        rows = pa.concat_tables(
            pieces_of(tables, "transfers", TRANSFER_COLUMNS), promote_options="default"
        )
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
    begins, ends = _between(number, np.arange(len(begins)))
    final = order[ends - 1] if len(order) else order
    delivered = says(rows, "outcome", "delivered")
    arrived = delivered[last] & delivered[final]
    up, down = sent.to_server[last], says(rows, "toward", Way.TO_CLIENT)[last]
    device = numbers_of(rows["device"])[last]
    every = Journeys(sent.cluster[last], device, sent.end_s[final], order, begins, ends)
    return every.chosen(arrived & up & reached[final]), every.chosen(arrived & down)


def _pairs(keys: Ints, ordered: Ints) -> tuple[Ints, Ints]:
    """Return places of all pairs that are equal, in ``keys`` and in others that are in order."""
    first, end = _between(ordered, keys)
    return stretches(first, end - first)


def _between(ordered: Ints, keys: Ints) -> tuple[Ints, Ints]:
    """Return where each key begins and ends in numbers that are in order."""
    return np.searchsorted(ordered, keys, "left"), np.searchsorted(ordered, keys, "right")


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


# What a transfer finds: whether a link or a pass was there, and whether somebody else had it.


class State(IntEnum):
    """What a transfer finds: no link that lasts long enough, one that others have, or a free one.

    Or no pass of its own, but a free one of a satellite to which links lead (``ELSEWHERE``).
    """

    SHUT = 0
    TAKEN = 1
    FREE = 2
    ELSEWHERE = 3


class _Used:
    """When transfers (M,) use links, by the numbers of the links."""

    def __init__(self, number: Ints, begin_s: Floats, end_s: Floats) -> None:
        self._number = number
        self._begin_s = begin_s
        self._end_s = end_s
        self._spans = NumberedSpans(number, begin_s, end_s)

    def gaps_s(
        self, number: int, row: int, between_s: tuple[float, float]
    ) -> Iterator[tuple[float, float]]:
        """Yield from when to when no transfer but that of a row uses a link.

        Nor those over the same link that begin as it does: it shares the link with them.
        """
        from_s, until_s = between_s
        if not from_s < until_s:
            return
        places = self._spans.near(number, between_s)
        if self._number[row] == number:
            places = places[self._begin_s[places] != self._begin_s[row]]
        places = places[np.argsort(self._begin_s[places], kind="stable")]
        begins_s, ends_s = self._begin_s[places].tolist(), self._end_s[places].tolist()
        for begin_s, end_s in zip(begins_s, ends_s, strict=True):
            if begin_s > from_s:
                yield from_s, begin_s
            from_s = max(from_s, end_s)
        if until_s > from_s:
            yield from_s, until_s


def _there(spans: Sequence[tuple[float, float]]) -> Intervals:
    """Return the spans of time that last."""
    begin_s, end_s = np.array(spans).reshape(-1, 2).T
    lasts = begin_s < end_s
    return Intervals(np.sort(begin_s[lasts]), np.sort(end_s[lasts]))


class _Windows(NamedTuple):
    """Windows of links, or passes (N,): when they are there, and when they can be used (2, N).

    ``spans`` finds them by what they are looked up by, ``used`` has the transfers over them.
    """

    spans: NumberedSpans
    there_s: Floats
    usable_s: Floats
    used: _Used


class LinkStates:
    """The links and passes of a run, by its tables.

    A pass is there while a client is in view, and so much of it is left as a transfer took. It is
    taken while the client is not served, or where transfers of others in the same direction leave
    no gap as long as the longest of its kind took: what is sent at a low elevation takes longer. A
    link likewise. A pass that is not there is taken too if one of a satellite to which links lead
    is.
    """

    def __init__(self, tables: Mapping[str, pa.Table], sent: Sent) -> None:
        self._sent = sent
        self._contacts = tables["contacts"].select(CONTACT_COLUMNS)
        self._contact_ids = as_numpy(self._contacts["contact_id"])
        between = sent.peer >= 0
        way = np.where(between, self._way(sent.cluster, sent.peer), -1)
        pairs, open_s = [np.zeros(0, int)], [np.zeros((2, 0))]
        self._group = np.arange(len(sent.names))
        for name, columns in LINK_ENDS.items():
            if name in tables:
                a, b = (places_of(tables[name][column], sent.names) for column in columns)
                pairs.append(self._way(np.minimum(a, b), np.maximum(a, b)))
                open_s.append(np.stack([as_numpy(tables[name][k]) for k in ("start_s", "end_s")]))
                if name == "isl_windows":
                    self._group = _linked(len(sent.names), a, b)
        edges_s = np.concatenate(open_s, axis=1)
        used = _Used(way, sent.start_s, sent.end_s)
        windows = NumberedSpans(np.concatenate(pairs), *edges_s)
        self._links = _Windows(windows, edges_s, edges_s, used)
        over = np.where(between, -1, 2 * sent.contact + sent.to_server)
        used = _Used(over, sent.start_s, sent.end_s)
        client = places_of(self._contacts["cluster"], sent.names)
        self._own_passes = self._passes(client, used)
        self._all_passes = self._passes(self._group[client], used)
        self._lasts_s = sent.end_s - sent.start_s
        self._most_s = _longest_s(sent)
        self._pass_between = cache(self._pass_between_)

    def _way(self, source: Any, target: Any) -> Any:
        """Return the number of a direction between two nodes, or of several."""
        return source * len(self._sent.names) + target

    def _passes(self, met: Ints, used: _Used) -> _Windows:
        """Return the passes by a number of each contact."""
        contacts = self._contacts
        rise_s, set_s = as_numpy(contacts["rise_s"]), as_numpy(contacts["set_s"])
        served = as_numpy(contacts["served"])
        begin_s = np.where(served, as_numpy(contacts["service_start_s"], np.nan), set_s)
        end_s = np.where(served, as_numpy(contacts["service_end_s"], np.nan), set_s)
        there_s = np.stack([rise_s, set_s])
        return _Windows(NumberedSpans(met, *there_s), there_s, np.stack([begin_s, end_s]), used)

    def link(self, row: int) -> RoundLink:
        """Return the link of a transfer."""
        sent = self._sent
        if sent.peer[row] >= 0:
            source, target = sent.names[sent.cluster[row]], sent.names[sent.peer[row]]
            return RoundLink("pass" if sent.feeder[row] else "isl", source, target)
        client, server = self._pass_between(int(sent.contact[row]))
        return RoundLink("pass", *((client, server) if sent.to_server[row] else (server, client)))

    def _pass_between_(self, contact_id: int) -> tuple[str, str]:
        """Return who meets in a contact: the client, or its satellite, and the server's side."""
        place = int(np.searchsorted(self._contact_ids, contact_id))
        contact = self._contacts.slice(place, 1).to_pylist()[0]
        if contact["station"] is None:
            return contact["cluster"], contact["satellite"]
        return contact["satellite"], contact["station"]

    def before(self, row: int, begin_s: float) -> Iterator[tuple[float, State]]:
        """Yield what a transfer finds from ``begin_s`` to its begin: until when, and the state."""
        end_s = float(self._sent.start_s[row])
        if begin_s < end_s:
            for until_s, state in self._course(row, (begin_s, end_s)).between(begin_s, end_s):
                yield until_s, State(state)

    def _course(self, row: int, between_s: tuple[float, float]) -> StateTimeline:
        sent = self._sent
        cluster, peer = int(sent.cluster[row]), int(sent.peer[row])
        if peer >= 0:
            ends = self._way(min(cluster, peer), max(cluster, peer))
            way = self._way(cluster, peer)
            return self._states(self._links, ends, lambda _: way, row, between_s)
        toward = int(sent.to_server[row])

        def used_as(place: int) -> int:
            return 2 * int(self._contact_ids[place]) + toward

        own = self._states(self._own_passes, cluster, used_as, row, between_s)
        # The server has every pass; an upload has those of its satellite first.
        enough = [State.FREE, *([State.TAKEN] if toward else [])]
        if np.isin(own.states, enough).all():
            return own
        group = int(self._group[cluster])
        every = self._states(self._all_passes, group, used_as, row, between_s)
        begins_s = np.union1d(own.begins_s, every.begins_s)
        states, of_all = own.at(begins_s), every.at(begins_s)
        others = np.where(of_all == State.FREE, State.ELSEWHERE, of_all)
        return StateTimeline.of(np.where(np.isin(states, enough), states, others), begins_s)

    def _states(
        self,
        windows: _Windows,
        number: int,
        used_as: Callable[[int], int],
        row: int,
        between_s: tuple[float, float],
    ) -> StateTimeline:
        """Return what a transfer finds in the windows of a number from one time to another.

        ``used_as`` tells the number by which a window is used.
        """
        lasts_s, most_s = float(self._lasts_s[row]), float(self._most_s[row])
        # A link may be open all the time: of its gaps those in question are looked at alone, whole
        # so far as the longest transfer could still begin in one.
        near_s = between_s[0], between_s[1] + 2.0 * most_s + 1.0
        free: list[tuple[float, float]] = []
        taken: list[tuple[float, float]] = []
        for place in windows.spans.near(number, between_s).tolist():
            rise_s, set_s = windows.there_s[:, place].tolist()
            begin_s, end_s = windows.usable_s[:, place].tolist()
            taken += [(rise_s, begin_s), (begin_s, end_s - lasts_s), (end_s, set_s)]
            usable_s = max(begin_s, near_s[0]), min(end_s, near_s[1])
            for from_s, until_s in windows.used.gaps_s(used_as(place), row, usable_s):
                free.append((from_s, until_s - most_s))
        each = are_free, are_taken = _there(free), _there(taken)
        edges_s = np.concatenate([edge for one in each for edge in (one.begin_s, one.end_s)])
        within = (between_s[0] < edges_s) & (edges_s < between_s[1])
        begins_s = np.append(between_s[0], np.unique(edges_s[within]))
        found = [are_free.cover(begins_s), are_taken.cover(begins_s)]
        kinds = [State.FREE, State.TAKEN]
        return StateTimeline.of(np.select(found, kinds, State.SHUT), begins_s)


def _longest_s(sent: Sent) -> Floats:
    """Return how long the longest transfer (N,) took of the same payload over the same links."""
    kind = 4 * sent.payload + np.where(sent.peer >= 0, 2 + sent.feeder, sent.to_server)
    longest_s = np.zeros(1 + kind.max(initial=0))
    np.maximum.at(longest_s, kind, sent.end_s - sent.start_s)
    return longest_s[kind]


def _linked(nodes: int, a: Ints, b: Ints) -> Ints:
    """Return for each node the least one that links between ``a`` and ``b`` (L,) lead to."""
    least = np.arange(nodes)
    while True:
        before = least.copy()
        low = np.minimum(least[a], least[b])
        np.minimum.at(least, a, low)
        np.minimum.at(least, b, low)
        if np.array_equal(before, least):
            return least
