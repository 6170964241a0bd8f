"""Messages over the mesh: hop by hop, from where they set off to where they are wanted.

Those of devices on the ground go over a pass to a satellite first, and over links from there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import NamedTuple

import numpy as np

from learning.requests.cluster import Download, Receipt, Train, Upload
from sim.checks.conservation import worst
from sim.checks.timing import ServedContacts
from sim.errors import violated
from sim.facts.coded import Coded
from sim.facts.directions import DIRECTIONS, Way
from sim.facts.transfers import Outcome
from sim.links.sharing import everywhere
from sim.network.books import PayloadKey
from sim.network.legs import OVER_LINK, SERVER_NAME, ChainEnded, HopRows, Moved, hop_named
from sim.plan.feeder import FeederPlan
from sim.plan.isl import IslPlan
from sim.plan.passes import LAST_BITS_S
from sim.plan.plan import Plan
from statements.arrays import Floats, Ints, Mask

HOPS = "messages conserved hop by hop"

ROUNDING = 1e-9
"""Relative rounding of times and bytes."""


class HopRow(NamedTuple):
    """A row: whole bytes of a message from one node to another, between two times."""

    message: int
    key: PayloadKey
    source: str
    target: str
    bytes: float
    start_s: float
    end_s: float
    is_over: bool = False

    @property
    def named(self) -> str:
        """Which message it is of, and from where it was sent."""
        return hop_named(self.message, self.key.payload, self.source)


def hops_of(rows: HopRows, some: Ints) -> list[HopRow]:
    """Return some of the rows, one by one."""
    columns = (
        rows.message[some].tolist(),
        [rows.keys[key] for key in rows.key[some].tolist()],
        [rows.source.words[code] for code in rows.source.codes[some].tolist()],
        [rows.target.words[code] for code in rows.target.codes[some].tolist()],
        rows.size[some].tolist(),
        rows.start_s[some].tolist(),
        rows.end_s[some].tolist(),
        rows.is_over[some].tolist(),
    )
    return [HopRow(*values) for values in zip(*columns, strict=True)]


class OpenLinks:
    """Looks at the link or pass of each hop: it is open, and carries nothing else that way."""

    def __init__(self, plan: Plan, contacts: ServedContacts) -> None:
        self._isls = plan.isls
        self._feeder = plan.feeder
        self._contacts = contacts
        self._free_s: defaultdict[tuple[str, str], float] = defaultdict(float)
        self._windows: dict[tuple[str, str], tuple[IslPlan | FeederPlan, Ints, Floats]] = {}

    def look(self, rows: HopRows) -> None:
        """Look at those hops that have ended; one way over a link they are in order of time."""
        ended = rows.delivered
        if not everywhere(ended):
            rows = rows.where(ended)
        if not len(rows):  # of all, the end of the run has cut the last one off
            return
        _look_at_sizes(rows)
        words = rows.source.words
        over_links = rows.contact_id == OVER_LINK
        pair = rows.source.codes.astype(np.int64) * len(words) + rows.target.codes
        # Who says that it was over a link between the ends of a pass is looked for among links.
        link = 2 * pair + over_links
        order = np.lexsort((rows.start_s, link))
        links, first = np.unique(link[order], return_index=True)
        pairs = [divmod(one // 2, len(words)) for one in links.tolist()]
        ends = [(words[source], words[target]) for source, target in pairs]
        self._look_at_passes(rows, order[~over_links[order]])
        start_s = rows.start_s[order]
        bits = 8.0 * rows.size[order]
        sent_s = start_s.copy()
        bounds = [*first.tolist(), len(order)]
        for number in np.flatnonzero(links % 2).tolist():
            mine = slice(bounds[number], bounds[number + 1])
            sent_s[mine] = self._sent_s(ends[number], start_s[mine], bits[mine])
        self._look_whether_alone(rows, order, sent_s, ends, first)

    def _look_whether_alone(
        self,
        rows: HopRows,
        order: Ints,
        sent_s: Floats,
        ends: Sequence[tuple[str, str]],
        first: Ints,
    ) -> None:
        """Look at hops in order, link by link: bits leave of one at a time, in a window.

        ``first`` says where in the order the hops of each link begin. Each hop is held against the
        one before it, which was held against the one before that.
        """
        start_s, end_s = rows.start_s[order], rows.end_s[order]
        slack_s = ROUNDING * np.maximum(end_s, 1.0)
        closed = ~(sent_s <= end_s + slack_s)
        free_s = np.empty_like(sent_s)
        free_s[1:] = sent_s[:-1]
        free_s[first] = [self._free_s[each] for each in ends]
        shared = start_s < free_s - slack_s
        for wrong, what in ((closed, "no link holds it"), (shared, "another is sent then")):
            if np.count_nonzero(wrong):
                row = int(order[worst(wrong)])
                target = rows.target.words[rows.target.codes[row]]
                where = f"to {target or 'the server'} at {rows.start_s[row]} s"
                raise violated(HOPS, f"{rows.named(row)} {where}: {what}")
        latest_s = np.maximum.reduceat(sent_s, first).tolist()
        for each, last_s in zip(ends, latest_s, strict=True):
            self._free_s[each] = max(self._free_s[each], last_s)

    def _look_at_passes(self, rows: HopRows, mine: Ints) -> None:
        """Look at hops between satellites and the server: in a contact of that satellite."""
        source, target = rows.source.codes[mine], rows.target.codes[mine]
        words = rows.source.words
        grounded = np.array([word == SERVER_NAME for word in words], bool)
        flying = np.where(grounded[source], target, source)
        numbers, own = np.unique(rows.contact_id[mine], return_inverse=True)
        contacts = [self._contacts.of(number) for number in numbers.tolist()]
        spans_s = np.array([(one.start_s, one.end_s) for one in contacts]).reshape(-1, 2)
        slack_s = ROUNDING * np.maximum(rows.end_s[mine], 1.0)
        outside = rows.start_s[mine] < spans_s[own, 0] - slack_s
        outside |= rows.end_s[mine] > spans_s[own, 1] + LAST_BITS_S + slack_s
        code_of = {word: code for code, word in enumerate(words)}
        named = np.array([code_of.get(one.cluster.name, -1) for one in contacts], np.int64)
        linked = grounded[source] == grounded[target]
        if np.count_nonzero(linked):
            row = worst(linked)
            other = rows.target.words[target[row]]
            what = f"names a contact of {contacts[own[row]].cluster.name}, and leads from there to"
            raise violated(HOPS, f"{rows.named(int(mine[row]))} {what} {other}")
        foreign = flying != named[own]
        if np.count_nonzero(foreign):
            row = worst(foreign)
            what = f"names a contact of {contacts[own[row]].cluster.name}"
            raise violated(HOPS, f"{rows.named(int(mine[row]))} {what}")
        if np.count_nonzero(outside):
            row = int(mine[worst(outside)])
            what = f"at {rows.start_s[row]} s is outside of its contact"
            raise violated(HOPS, f"{rows.named(row)} {what}")

    def _sent_s(self, ends: tuple[str, str], start_s: Floats, bits: Floats) -> Floats:
        """When the last bits of hops have left over windows that are open; inf for no window."""
        if ends not in self._windows:
            self._windows[ends] = self._windows_of(*ends)
        links, numbers, ends_s = self._windows[ends]
        sent_s: Floats = np.full(len(start_s), inf)
        if not len(numbers):
            return sent_s
        slack_s = ROUNDING * np.maximum(start_s, 1.0)
        place = np.searchsorted(ends_s, start_s)
        window = numbers[np.minimum(place, len(numbers) - 1)]
        is_open = (place < len(numbers)) & (links.start_s[window] - slack_s <= start_s)
        windows, begins_s, sizes = window[is_open], start_s[is_open], bits[is_open]
        hops = zip(windows.tolist(), begins_s.tolist(), sizes.tolist(), strict=True)
        sent_s[is_open] = [links.sent(*hop)[0] for hop in hops]
        return sent_s

    def _windows_of(self, source: str, target: str) -> tuple[IslPlan | FeederPlan, Ints, Floats]:
        """Return the links that a hop is one of, and numbers and ends of the windows of its pair.

        These are in order of time, and do not overlap.
        """
        links: IslPlan | FeederPlan
        if self._feeder is not None and source in self._feeder.gateways:
            links = self._feeder
            windows = links.passes(target, source)
        elif self._feeder is not None and target in self._feeder.gateways:
            links = self._feeder
            windows = links.passes(source, target)
        else:
            assert self._isls is not None  # the plan of a mesh has links
            links = self._isls
            windows = links.windows(source, target)
        return links, windows, links.end_s[windows]


def _look_at_sizes(rows: HopRows) -> None:
    """Look at hops that have ended: all bytes have moved."""
    part = rows.bytes != rows.size
    if np.count_nonzero(part):
        row = worst(part)
        moved = f"moved {rows.bytes[row]} bytes of {rows.size[row]}"
        raise violated(HOPS, f"{rows.named(row)} {moved}")


@dataclass(frozen=True)
class _Part:
    """What of a payload a satellite has got of a device, as one message."""

    message: int
    satellite: str
    bytes: float
    end_s: float


class Messages:
    """Follows each message over the mesh, hop by hop.

    A hop begins where and not before the last one ended, with all bytes, while its link or pass is
    open; two messages never share a link one way. What a satellite that is a client is told to have
    sent, or to have got, has gone over such hops, by that time.

    Of devices below satellites hops hold what moves in passes: what a satellite sends on it has got
    by then; what it sends down it has got from the server, or is the server. What the server is
    said to have got of a device has come to it by then, in one part or several.
    """

    def __init__(self, plan: Plan, contacts: ServedContacts) -> None:
        stations = frozenset(() if plan.feeder is None else plan.feeder.stations)
        # The plan names no server where satellites have passes over it: as hops to it do.
        self._servers = stations or {plan.server}
        by_stations = plan.topology.grounded == "station"
        self._ground = frozenset([SERVER_NAME]) if by_stations else stations
        self._contacts = contacts
        self._links = OpenLinks(plan, contacts)
        self._first: dict[int, HopRow] = {}
        self._last: dict[int, HopRow] = {}
        self._arrived: dict[tuple[str, Way, str, float], tuple[int, HopRow]] = {}
        self._parts: defaultdict[tuple[str, str, int, int], list[_Part]] = defaultdict(list)
        self._got: dict[int, _Part] = {}
        self._later: list[Callable[[], None]] = []

    def moved(self, rows: HopRows) -> None:
        """Look at hops, all that have ended by now, and those that the end of the run cuts off."""
        self._look_at_directions(rows)
        ended = rows.delivered
        paths = _paths(rows, np.flatnonzero(ended))
        for first, last in zip(*(hops_of(rows, some) for some in paths), strict=True):
            self._follow(first, last, self._look_behind(first))
        for hop in hops_of(rows, np.flatnonzero(~ended)):
            self._look_behind(hop)
        self._links.look(rows)
        self.conclude()

    def _look_at_directions(self, rows: HopRows) -> None:
        """Look whether hops are named by geometry: from the ground, to it, or in between."""
        up, down, _, between = range(len(DIRECTIONS))
        way = np.where(self._is_ground(rows.target), down, between)
        way[self._is_ground(rows.source)] = up
        named = np.array([DIRECTIONS.index(key.direction) for key in rows.keys], np.int64)
        wrong = named[rows.key] != way
        if np.count_nonzero(wrong):
            [hop] = hops_of(rows, np.array([worst(wrong)]))
            raise violated(HOPS, f"{hop.named} to {hop.target} is no {hop.key.direction}")

    def _is_ground(self, ends: Coded) -> Mask:
        """Which rows (N,) have an end on the ground."""
        return np.array([word in self._ground for word in ends.words], bool)[ends.codes]

    def _look_behind(self, hop: HopRow) -> HopRow | None:
        """Look at a hop behind those of its message that were known before; return the last one."""
        before = self._last.get(hop.message)
        if before is not None:
            _follows(hop, before.target, before.bytes, before.end_s)
        elif hop.message in self._got:
            _sets_off(hop, self._got[hop.message])
        return before

    def _follow(self, first: HopRow, hop: HopRow, before: HopRow | None) -> None:
        """Follow a message from the ``first`` new hop that has ended to the last one."""
        number, payload = hop.message, hop.key.payload
        origin = self._first.setdefault(number, first).source
        self._last[number] = hop
        if hop.target == SERVER_NAME:
            self._arrived[origin, Way.TO_SERVER, payload, hop.end_s] = number, hop
            del self._first[number], self._last[number]
        elif origin == SERVER_NAME:  # it may end here; who wanted it will say so
            if before is not None:
                self._arrived.pop((before.target, Way.TO_CLIENT, payload, before.end_s), None)
            self._arrived[hop.target, Way.TO_CLIENT, payload, hop.end_s] = number, hop
        elif hop.is_over:
            self._forget(number)

    def accessed(self, moved: Moved) -> None:
        """Remember what moved in a pass, to look at it when all hops before it are known."""
        self._later.append(partial(self._look_at_access, moved))

    def ended(self, chain: ChainEnded) -> None:
        """Remember what a client is told of its transfers, to hold it against the hops."""
        look = self._look_at_messages if chain.over_mesh else self._look_at_uploads
        self._later.append(partial(look, chain))

    def conclude(self) -> None:
        """Look at what has moved in passes and was told, now that all hops until then are known."""
        later, self._later = self._later, []
        for look in later:
            look()

    def _forget(self, number: int) -> None:
        for known in (self._first, self._last, self._got):
            known.pop(number, None)

    def _look_at_messages(self, chain: ChainEnded) -> None:
        """Hold what a satellite is told of its messages against the hops."""
        for step, reply in zip(chain.steps, chain.replies, strict=True):
            if isinstance(step, Train) or not isinstance(reply, Receipt):
                continue
            size = float(reply.delivered_bytes[0])
            if not (reply.done[0] and size > 0.0):
                continue
            way = Way.TO_CLIENT if isinstance(step, Download) else Way.TO_SERVER
            end_s = float(reply.end_s[0])
            at = chain.cluster, way, step.payload.name, end_s
            number, hop = self._arrived.pop(at, (0, None))
            if hop is None or hop.bytes != size:
                what = f"{step.payload.name} of {chain.cluster} to the {way}, {size} bytes by"
                raise violated(HOPS, f"{what} {end_s} s: no hop has brought that")
            self._forget(number)

    def _look_at_access(self, moved: Moved) -> None:
        """Look at what moved in a pass: what comes down has come over links before."""
        assert moved.message is not None  # all passes are part of the mesh
        satellite = self._contacts.of(moved.contact_id).satellite
        goes_on = np.isin(moved.outcome, (Outcome.DELIVERED, Outcome.CARRIED))
        for device in np.flatnonzero(moved.who & goes_on).tolist():
            number = int(moved.message[device])
            size = float(moved.bytes[device])
            name = f"message {number}, {moved.payload} of device {device} of {moved.cluster}"
            if moved.way is Way.TO_CLIENT:
                self._comes_down(name, number, satellite, size, float(moved.start_s[device]))
                continue
            part = _Part(number, satellite, size, float(moved.end_s[device]))
            version = int(moved.version[device])
            self._parts[moved.cluster, moved.payload, version, device].append(part)
            self._got[number] = part
            if number in self._first:
                _sets_off(self._first[number], part)

    def _comes_down(
        self, name: str, number: int, satellite: str, size: float, start_s: float
    ) -> None:
        last = self._last.get(number)
        if last is None and satellite in self._servers:
            return
        first = self._first.get(number)
        if first is not None and first.source not in self._servers:
            raise violated(HOPS, f"{name} comes from {first.source}, which is not the server")
        late = last is not None and start_s < last.end_s * (1 - ROUNDING)
        lacks = last is None or last.target != satellite or size > last.bytes * (1 + ROUNDING)
        if lacks or late:
            what = f"{size} bytes at {start_s} s"
            raise violated(HOPS, f"{name} comes down from {satellite}, {what}: it has not got that")

    def _look_at_uploads(self, chain: ChainEnded) -> None:
        """Hold what a cluster is told of its uploads against what has come to the server."""
        for step, reply in zip(chain.steps, chain.replies, strict=True):
            if not (isinstance(step, Upload) and isinstance(reply, Receipt)):
                continue
            over = reply.done if reply.given_up is None else reply.done | reply.given_up
            version = np.broadcast_to(step.payload.version, over.shape)
            for device in np.flatnonzero(over).tolist():
                sent = chain.cluster, step.payload.name, int(version[device]), device
                parts = self._parts.pop(sent, [])
                if reply.done[device]:
                    name = f"{step.payload.name} of device {device} of {chain.cluster}"
                    size_bytes = float(reply.delivered_bytes[device])
                    self._check_there(name, parts, size_bytes, float(reply.end_s[device]))
                for part in parts:
                    self._forget(part.message)

    def _check_there(self, name: str, parts: Sequence[_Part], size: float, told_s: float) -> None:
        """Look whether parts of a payload are all of it, and all at the server by a time."""
        there = sum(part.bytes for part in parts)
        if not _same(there, size):
            raise violated(HOPS, f"{name} has {size} bytes, and {there} have come to a satellite")
        end_s = max(map(self._there_s, parts), default=told_s)
        if end_s != told_s:
            raise violated(HOPS, f"{name} is there at {end_s} s, not at {told_s} s")

    def _there_s(self, part: _Part) -> float:
        """When a part is at the server; raise InvariantError where it is not."""
        if part.satellite in self._servers:
            return part.end_s
        last = self._last.get(part.message)
        if last is None or last.target not in self._servers:
            at = part.satellite if last is None else last.target
            raise violated(HOPS, f"message {part.message} is at {at}, and said to have arrived")
        return last.end_s


def _paths(rows: HopRows, some: Ints) -> tuple[Ints, Ints]:
    """Return the first and the last row of each message among some rows, which are in order.

    Raises InvariantError where one between them does not begin where the one before it has ended.
    """
    order = some[np.argsort(rows.message[some], kind="stable")]
    begins = np.diff(rows.message[order], prepend=-1) != 0
    now, before = order[~begins], order[np.flatnonzero(~begins) - 1]
    wrong = rows.source.codes[now] != rows.target.codes[before]
    wrong |= rows.size[now] != rows.size[before]
    wrong |= rows.start_s[now] < rows.end_s[before] * (1 - ROUNDING)
    if np.count_nonzero(wrong):
        row = worst(wrong)
        hop, came = hops_of(rows, np.array([now[row], before[row]]))
        _follows(hop, came.target, came.bytes, came.end_s)
    return order[begins], order[np.roll(begins, -1)]


def _sets_off(hop: HopRow, part: _Part) -> None:
    """Raise InvariantError for a first hop that is not of what a satellite has got of a device."""
    rounded = hop.bytes if _same(hop.bytes, part.bytes) else part.bytes
    _follows(hop, part.satellite, rounded, part.end_s)


def _follows(hop: HopRow, node: str, size: float, end_s: float) -> None:
    """Raise InvariantError for a hop that does not begin where so many bytes were by a time."""
    late = hop.start_s < end_s * (1 - ROUNDING)
    if hop.source != node or hop.bytes != size or late:
        came = f"{size} bytes at {node} at {end_s} s"
        raise violated(HOPS, f"{hop.named} sent {hop.bytes} bytes at {hop.start_s} s, of {came}")


def _same(one: float, other: float) -> bool:
    return abs(one - other) <= ROUNDING * max(one, other, 1.0)


def check_of(plan: Plan) -> Messages | None:
    """Return what follows messages over the mesh of a plan; None without a mesh."""
    return None if plan.mesh is None else Messages(plan, ServedContacts(plan))
