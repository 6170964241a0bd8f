"""Made by hand: contacts of one cluster, protocols that are run over them, tables and rows."""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa

import orbit
from channel import Link as RadioLink
from channel import LinkCurve
from learning.requests import Cluster, Cost, Download, Payload, Quorum, Train, Upload
from learning.requests.cluster import WAITS_FOR_ALL
from sim.clock import Clock
from sim.devices.compute import Compute
from sim.devices.devices import Devices
from sim.devices.faults import Faults
from sim.devices.outages import Outages
from sim.errors import InvariantError
from sim.facts.events import Event
from sim.facts.row import columns_of as columns_of_row
from sim.facts.stream import Facts
from sim.facts.transfers import TransferRow
from sim.links.beam import Beam, DeviceLinks, Radio
from sim.network.books import Books, Sums, Totals, books_of, check_balance
from sim.network.chains import ServiceLink
from sim.network.endpoint import CutTransfers, Shared
from sim.network.legs import LegLog
from sim.network.sessions import ClusterSessions
from sim.plan.contacts import ContactTable, PlannedContact
from sim.plan.passes import PassEnd
from sim.plan.plan import Plan
from sim.trace import schema
from sim.trace.recorder import Trace
from sim.world.topology import Topology

START = datetime(2026, 8, 22, tzinfo=UTC)
COST = Cost(flops=1e9, memory_bytes=1e6)
POLICIES: tuple[CutTransfers, ...] = ("resume", "restart", "drop")
LIGHT_M_S = 299_792_458.0
Steps = Sequence[Upload | Download | Train]


def compute(**changes: Any) -> Compute:
    fields = {"seconds_per_round": 10.0, "flops_per_s": None, "memory_bytes": None}
    return Compute(**{**fields, "per_contact": 1, "per_gap_max": None, **changes})


def band(channels: float, sharing: Any = "fixed_subchannel") -> Radio:
    """A beam of so many sub-channels of 1 kHz, each with 1 kbit/s."""
    link = RadioLink(
        frequency_hz=2e9, bandwidth_hz=1e3, eirp_dbw=0.0, g_over_t_db_k=0.0,
        rate="fixed", fixed_rate_bps=1e3,
    )  # fmt: skip
    return Radio(link, channels * 1e3, sharing)


def beam(curve: LinkCurve, radio: Radio | None) -> Beam:
    """One direction. Where it has a rate, a narrower band has that of its link."""
    time_s = curve.time_s
    there = curve.rate_bps > 0

    def narrower(link: RadioLink) -> LinkCurve:
        assert link.fixed_rate_bps is not None
        return LinkCurve(time_s, there * link.fixed_rate_bps)

    return Beam(curve, radio, narrower)


def contact(
    number: int,
    start_s: float,
    end_s: float,
    rates: Sequence[float],
    session: int | None = None,
    radio: Radio | None = None,
    down: Radio | None = None,
    *,
    satellite: str | None = None,
    delays_s: Sequence[float] | None = None,
) -> PlannedContact:
    """Device k has the constant rate ``rates[k]`` from start to end, in both directions.

    Without ``down`` the downlink is neglected; ``delays_s`` (K,) puts the devices at a distance.
    """
    cluster = Cluster("c", 0, len(rates))
    time_s = np.tile([start_s, end_s], (len(rates), 1))
    curve = LinkCurve(time_s, np.repeat(np.array(rates, float)[:, None], 2, axis=1))

    links = DeviceLinks(beam(curve, radio), None if down is None else beam(curve, down))
    if delays_s is not None:
        links = replace(links, range_m=lambda when_s: np.array(delays_s) * LIGHT_M_S)
    return PlannedContact(
        number, number if session is None else session, satellite or f"s{number}", cluster,
        start_s, end_s, start_s, end_s, lambda: links,
    )  # fmt: skip


def cut(made: PlannedContact, start_s: float, end_s: float) -> PlannedContact:
    """The same contact, served for a part of it."""
    return replace(made, start_s=start_s, end_s=end_s)


def seen(made: PlannedContact, time_s: Any, rate_bps: Any) -> PlannedContact:
    """The same contact with other links: points (K, T) of both directions."""
    links = made.links
    curve = LinkCurve(np.array(time_s, float), np.array(rate_bps, float))
    links = replace(links, to_server=beam(curve, links.to_server.radio))
    if links.to_client is not None:
        links = replace(links, to_client=beam(curve, links.to_client.radio))
    return replace(made, make=lambda: links)


def passes(rates: Sequence[float], *starts_s: float, lasts_s: float = 10.0) -> list[PlannedContact]:
    return [contact(n, t, t + lasts_s, rates) for n, t in enumerate(starts_s)]


@dataclass(frozen=True)
class GivenLinks:
    """The links of contacts that are there."""

    contacts: Sequence[PlannedContact]

    def links(self, number: int) -> DeviceLinks:
        return self.contacts[number].make()

    def figures(self, numbers: Any) -> Any:
        raise NotImplementedError


def columns_of(contacts: Sequence[PlannedContact], stop_s: float = 1e6) -> ContactTable:
    """Contacts of one cluster, by number; each is a session of its own."""
    assert [c.contact_id for c in contacts] == list(range(len(contacts)))
    satellites = list(dict.fromkeys(c.satellite for c in contacts))
    satellite = np.array([satellites.index(c.satellite) for c in contacts])
    cluster = contacts[0].cluster
    rise_s, set_s, start_s, end_s = (
        np.array([getattr(c, name) for c in contacts])
        for name in ("rise_s", "set_s", "start_s", "end_s")
    )
    site = np.zeros(len(contacts), np.int64)
    windows = orbit.bare_windows(
        satellite=satellite, site=site, rise_s=rise_s, culminate_s=rise_s, set_s=set_s
    )
    none_s = np.full(len(contacts), np.nan)
    served = np.ones(len(contacts), bool)
    return ContactTable(
        servers=satellites,
        clients=[cluster.name],
        start=START,
        span_s=stop_s,
        uncut=windows,
        flyers=PassEnd(satellites, satellite),
        grounded=PassEnd([cluster.name], site),
        topology=Topology(),
        outages=Outages(),
        whole=windows,
        windows=windows,
        pass_numbers=np.arange(len(contacts)),
        service=orbit.Service(served, start_s, end_s, none_s, none_s, none_s),
        session=np.array([c.session for c in contacts]),
        constellation=False,
        at_a_time=(1,) * len(satellites),
        clusters=(cluster,),
        link_source=GivenLinks(contacts),
    )


def upload(size: Any, version: Any = 1, **more: Any) -> list[Upload]:
    return [Upload(Payload("a", size, version), **more)]


def download(size: float, **more: Any) -> list[Download]:
    return [Download(Payload("m", size, 1), **more)]


MODEL = [*download(10.0), Train(COST), *upload(10.0)]
"""Ten bytes down, a round of 10 s, ten bytes up."""


@dataclass(frozen=True)
class Talk:
    """What became of a protocol: replies, tables, books, and when each chain was over."""

    replies: list[list[Any]]
    tables: Mapping[str, pa.Table]
    books: Totals
    over_s: list[float]
    devices: Devices

    def moved(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.tables["transfers"].to_pylist()
        return found

    def rows(self, *columns: str) -> list[tuple[Any, ...]]:
        return [tuple(row[c] for c in columns) for row in self.moved()]

    def lines(self) -> list[str]:
        """Rows as text: device and contact, from when to when, bytes and outcome."""
        form = "{device} in {contact_id}: {start_s:g}-{end_s:g} {delivered_bytes:g} {outcome}"
        return [form.format(**row) for row in self.moved()]

    def events(self, kind: str) -> list[dict[str, Any]]:
        return [row for row in self.tables["events"].to_pylist() if row["kind"] == kind]

    def told(self, kind: str) -> list[tuple[float, int | None, str]]:
        return [(e["time_s"], e["device"], e["detail"]) for e in self.events(kind)]

    def ends(self, step: int = 0, chain: int = 0) -> list[float]:
        found: list[float] = self.replies[chain][step].end_s.tolist()
        return found


def talk(
    contacts: Sequence[PlannedContact],
    protocol: Sequence[Steps],
    policy: CutTransfers = "resume",
    until_s: float = math.inf,
    plan: Plan | None = None,
    *,
    closing: Quorum = WAITS_FOR_ALL,
    computing: Compute | None = None,
    fresh: Sequence[bool | None] | None = None,
    at_s: float = 0.0,
    **faults: Any,
) -> Talk:
    """Run each chain of a protocol in a session of its own, then settle and check as a run does.

    A chain that is not ``fresh`` may go on in the session of the one before; one for which that is
    None asks for no contact. The first one begins not before ``at_s``.
    """
    cluster = contacts[0].cluster
    clock = Clock()
    trace = Trace()
    churn = {"c": faults.pop("presence")} if "presence" in faults else {}
    struck = Faults(1, Outages(), churn, {}, **faults) if churn or faults else None
    plan = plan or Plan(columns_of(contacts))
    facts = Facts(trace)
    log = LegLog(facts)
    antenna = ClusterSessions(clock, cluster, plan.sessions(cluster))
    replies = []
    over_s = []
    devices = Devices(cluster, computing or compute(), churn.get("c"))
    shared = Shared(
        clock=clock,
        topology=Topology(),
        facts=facts,
        log=log,
        books=Books([cluster.name]),
        closing=closing,
        cut_transfers=policy,
        faults=struck,
    )
    link = ServiceLink(antenna, devices, shared)

    def actor() -> Generator[Any, Any, None]:
        if at_s:
            yield clock.at(at_s)
        for number, steps in enumerate(protocol):
            anew = True if fresh is None else fresh[number]
            if anew is not None:
                found = yield from antenna.next_contact("a", lambda: 0, fresh=anew)
                assert found is not None, number
            replies.append((yield from link.chain(steps)))
            over_s.append(clock.now)

    def end() -> Generator[Any, Any, None]:
        yield clock.at(until_s)
        clock.stop()

    clock.start("actor", actor())
    if until_s < math.inf:
        clock.start("end", end())
    clock.run(until_s, lambda number: None)
    link.settle_all(clock.now)
    log.flush()
    tables = trace.tables()
    books = books_of(shared.books.booked())
    check_books(books, tables["transfers"])
    return Talk(replies, tables, books, over_s, devices)


# Tables and rows by hand.


def tables_of(**rows: list[dict[str, Any]]) -> dict[str, pa.Table]:
    """Tables of a run that have these rows, by name; the others are empty."""
    return {
        name: pa.Table.from_pylist(rows.get(name, []), pa.schema(list(columns.items())))
        for name, columns in schema.COLUMNS.items()
    }


def check_books(books: Totals, transfers: pa.Table) -> None:
    """Raise InvariantError unless offered = delivered + carried + dropped, and the rows agree."""
    sums = {}
    for direction in books:
        rows = [row for row in transfers.to_pylist() if row["direction"] == direction]
        whole = [row["payload_bytes"] for row in rows if row["outcome"] == "delivered"]
        sent, on_air = (sum(row[f"{key}_bytes"] for row in rows) for key in ("delivered", "on_air"))
        sums[direction] = Sums(sent, sum(whole), on_air)
    if found := check_balance(books, sums):
        raise InvariantError("the bytes of the run do not add up: " + "; ".join(found))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AnyEvent(Event):
    """Events of any kind, text and cause, also of kinds that nobody knows."""

    given_kind: Any = None
    given_detail: Any = None
    given_cause: Any = None

    @property
    def kind(self) -> Any:
        return self.given_kind

    @property
    def cause(self) -> Any:
        return self.given_cause

    def text(self) -> Any:
        return self.given_detail


def event(**columns: Any) -> AnyEvent:
    """Events with these columns; those that are not given are null."""
    given = {f"given_{key}": columns.pop(key, None) for key in ("kind", "detail", "cause")}
    return AnyEvent(**{"time_s": None} | columns | given)


def transfer(**columns: Any) -> TransferRow:
    """Transfers with these columns; those that are not given are null."""
    null = {column.attribute: None for column in columns_of_row(TransferRow)}
    return TransferRow(**null | columns)
