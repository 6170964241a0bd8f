"""Messages of devices on the ground: over a pass to a satellite, and over links to the server."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from learning.requests.cluster import Receipt, Upload
from sim.checks.hops import HOPS, ROUNDING, HopRow, OpenLinks, hops_of
from sim.checks.timing import Contacts
from sim.errors import violated
from sim.facts.directions import Way
from sim.facts.transfers import Outcome
from sim.network.hop_rows import HopRows
from sim.network.legs import ChainEnded, Moved
from sim.plan.plan import Plan


@dataclass(frozen=True)
class _Part:
    """What of a payload a satellite has got of a device, as one message."""

    message: int
    satellite: str
    bytes: float
    end_s: float


class AccessHops:
    """Follows each message over links, and holds its ends against what moves in passes.

    What a satellite sends on it has got by then, with all bytes; what it sends down it has got from
    the server, or is the server. What the server is said to have got of a device has come to it by
    then, in one part or several.
    """

    def __init__(self, plan: Plan, contacts: Contacts) -> None:
        self._gateways = frozenset(() if plan.feeder is None else plan.feeder.stations)
        self._servers = self._gateways or {plan.server}
        self._contacts = contacts
        self._links = OpenLinks(plan, contacts)
        self._first: dict[int, HopRow] = {}
        self._last: dict[int, HopRow] = {}
        self._parts: defaultdict[tuple[str, str, int, int], list[_Part]] = defaultdict(list)
        self._got: dict[int, _Part] = {}
        self._later: list[Callable[[], None]] = []

    def moved(self, rows: HopRows) -> None:
        """Look at hops over links, all that have ended by now."""
        hops = hops_of(rows, slice(None))
        for row, (hop, is_delivered) in enumerate(zip(hops, rows.delivered.tolist(), strict=True)):
            self._hop(rows, row, hop, is_delivered=is_delivered)
        self._links.look(rows)
        self.conclude()

    def _hop(self, rows: HopRows, row: int, hop: HopRow, *, is_delivered: bool) -> None:
        number = int(rows.message[row])
        name = rows.named(row)
        direction = rows.keys[rows.key[row]].direction
        if direction != self._direction(hop):
            raise violated(HOPS, f"{name} to {hop.target} is no {direction}")
        before = self._last.get(number)
        if before is not None:
            self._follows(name, hop, before.target, before.bytes, before.end_s)
        elif number in self._got:
            part = self._got[number]
            self._follows(name, hop, part.satellite, part.bytes, part.end_s)
        if is_delivered:
            self._first.setdefault(number, hop)
            self._last[number] = hop

    def _direction(self, hop: HopRow) -> str:
        """By geometry: from a gateway to a satellite, back, or between satellites."""
        if hop.source in self._gateways:
            return "uplink"
        return "downlink" if hop.target in self._gateways else "isl"

    @staticmethod
    def _follows(name: str, hop: HopRow, node: str, size: float, end_s: float) -> None:
        late = hop.start_s < end_s * (1 - ROUNDING)
        if hop.source != node or not _same(hop.bytes, size) or late:
            came = f"{size} bytes at {node} at {end_s} s"
            raise violated(HOPS, f"{name} sent {hop.bytes} bytes at {hop.start_s} s, of {came}")

    def accessed(self, moved: Moved) -> None:
        """Remember what moved in a pass, to look at it when all hops before it are known."""
        self._later.append(partial(self._look_at_access, moved))

    def ended(self, chain: ChainEnded) -> None:
        """Remember what a cluster is told of its uploads, to hold it against the hops."""
        self._later.append(partial(self._look_at_chain, chain))

    def conclude(self) -> None:
        """Look at what has moved in passes and was told, now that all hops until then are known."""
        later, self._later = self._later, []
        for look in later:
            look()

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
            first = self._first.get(number)
            if first is not None:
                self._follows(name, first, satellite, size, part.end_s)

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

    def _look_at_chain(self, chain: ChainEnded) -> None:
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
                    self._arrived(name, parts, size_bytes, float(reply.end_s[device]))
                for part in parts:
                    for known in (self._first, self._last, self._got):
                        known.pop(part.message, None)

    def _arrived(self, name: str, parts: Sequence[_Part], size: float, told_s: float) -> None:
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


def _same(one: float, other: float) -> bool:
    return abs(one - other) <= ROUNDING * max(one, other, 1.0)
