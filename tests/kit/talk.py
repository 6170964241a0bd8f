"""Hand-made contacts of one cluster, and protocols that are run over them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa

from channel import Link as RadioLink
from channel import LinkCurve, received_signal
from tests.kit.learning import (
    WAITS_FOR_ALL,
    Closing,
    Cluster,
    Cost,
    Download,
    Payload,
    Train,
    Upload,
)
from tests.kit.network import (
    Antenna,
    Beam,
    Clock,
    Compute,
    ContactLinks,
    CutTransfers,
    DeviceLinks,
    Devices,
    Faults,
    Ledger,
    Link,
    LinkFaults,
    Plan,
    PlannedContact,
    Radio,
    Rows,
    Synchronisation,
)
from tests.kit.records import Books, Trace, books_of, check_books

START = datetime(2026, 8, 22, tzinfo=UTC)
COST = Cost(flops=1e9, memory_bytes=1e6)
POLICIES: tuple[CutTransfers, ...] = ("resume", "restart", "drop")


def compute(**changes: Any) -> Compute:
    fields = {"seconds_per_round": 10.0, "flops_per_s": None, "memory_bytes": None}
    return Compute(**{**fields, "per_contact": 1, "per_gap_max": None, **changes})


def contact(
    number: int,
    start_s: float,
    end_s: float,
    rates: Sequence[float],
    session: int | None = None,
    radio: Radio | None = None,
    down: Radio | None = None,
) -> PlannedContact:
    """Device k has the constant rate ``rates[k]`` from start to end, in both directions."""
    cluster = Cluster("c", 0, len(rates))
    time_s = np.tile([start_s, end_s], (len(rates), 1))
    curve = LinkCurve(time_s, np.repeat(np.array(rates)[:, None], 2, axis=1))

    def beam(way: Radio | None) -> Beam:
        signal = None
        if way is not None:
            signal = received_signal(way.link, np.full(time_s.shape, 90.0), 600e3)
        return Beam(curve, way, signal)

    links = DeviceLinks(beam(radio), None if down is None else beam(down))
    return PlannedContact(
        number, number if session is None else session, f"s{number}", None, cluster, start_s,
        start_s, end_s, 90.0, 600.0, True, start_s, end_s, ContactLinks(lambda: links),
    )  # fmt: skip


def uplink_contact(cluster: Cluster, start: float, end: float, rates: np.ndarray) -> PlannedContact:
    """A contact without a downlink; device k has the constant rate ``rates[k]`` (bit/s)."""
    time = np.tile([start, end], (cluster.devices, 1))
    curve = LinkCurve(time, np.repeat(rates[:, None], 2, axis=1))
    return PlannedContact(
        int(start), int(start), "sat", None, cluster, start, start, end, 90.0, 600.0, True,
        start, end, ContactLinks(lambda: DeviceLinks(Beam(curve))),
    )  # fmt: skip


def band(channels: float, sharing: Any = "fixed_subchannel") -> Radio:
    """A beam of so many sub-channels of 1 kHz, each with 1 kbit/s."""
    link = RadioLink(
        frequency_hz=2e9, bandwidth_hz=1e3, eirp_dbw=0.0, g_over_t_db_k=0.0,
        rate="fixed", fixed_rate_bps=1e3,
    )  # fmt: skip
    return Radio(link, channels * 1e3, sharing)


def passes(rates: Sequence[float], *starts_s: float, lasts_s: float = 10.0) -> list[PlannedContact]:
    return [contact(n, t, t + lasts_s, rates) for n, t in enumerate(starts_s)]


def upload(size: float, version: int = 1, **more: Any) -> list[Upload]:
    return [Upload(Payload("a", size, version), **more)]


MODEL = [Download(Payload("m", 10.0, 1)), Train(COST), *upload(10.0)]
"""Ten bytes down, a round of 10 s, ten bytes up."""


@dataclass(frozen=True)
class Talk:
    """What became of a protocol: replies, tables, books, and when each chain was over."""

    replies: list[list[Any]]
    tables: dict[str, pa.Table]
    books: Books
    over_s: list[float]

    def rows(self, *columns: str) -> list[tuple[Any, ...]]:
        return [tuple(row[c] for c in columns) for row in self.tables["transfers"].to_pylist()]

    def events(self, kind: str) -> list[dict[str, Any]]:
        return [row for row in self.tables["events"].to_pylist() if row["kind"] == kind]


def talk(
    contacts: Sequence[PlannedContact],
    protocol: Sequence[Sequence[Upload | Download | Train]],
    policy: CutTransfers = "resume",
    until_s: float = math.inf,
    plan: Plan | None = None,
    closing: Closing = WAITS_FOR_ALL,
    computing: Compute | None = None,
    **faults: Any,
) -> Talk:
    """Run each chain of a protocol in a session of its own, then settle and check as a run does."""
    cluster, clock, trace = contacts[0].cluster, Clock(), Trace()
    churn = {"c": faults.pop("presence")} if "presence" in faults else {}
    struck = LinkFaults(Faults(1, {}, churn, {}, **faults), cluster)
    plan = plan or Plan(START, 1e6, (cluster,), tuple(contacts))
    antenna = Antenna(clock, cluster, plan.sessions(cluster))
    ledger, replies, over_s = Ledger(cluster.devices, policy), [], []
    devices = Devices(cluster, computing or compute(), struck.presence)
    rows, known = Rows(trace), Synchronisation(0.0)
    link = Link(clock, antenna, devices, rows, known, ledger, None, closing, struck)

    def actor():
        for steps in protocol:
            found = yield from antenna.next_contact("a", True, lambda: 0)
            assert found is not None
            replies.append((yield from link.chain(steps)))
            over_s.append(clock.now)

    def end():
        yield clock.at(until_s)
        clock.stop()

    clock.start("antenna", antenna.run(trace, lambda: None))
    clock.start("actor", actor())
    if until_s < math.inf:
        clock.start("end", end())
    clock.run(until_s, lambda number: None)
    link.settle_all(clock.now)
    tables, books = trace.tables(), books_of([ledger])
    check_books(books, tables["transfers"])
    return Talk(replies, tables, books, over_s)


def converse(
    contacts: Sequence[PlannedContact],
    protocol: Sequence[Sequence[Upload | Download | Train]],
    devices: Devices,
    trace: Trace,
    delay_s: float = 0.0,
    fresh: Sequence[bool] | None = None,
) -> list[Any]:
    """Run a protocol over contacts and return all replies."""
    clock, replies = Clock(), []
    plan = Plan(START, 1e6, (devices.cluster,), tuple(contacts))
    antenna = Antenna(clock, devices.cluster, plan.sessions(devices.cluster))
    link = Link(clock, antenna, devices, Rows(trace), Synchronisation(delay_s))

    def actor():
        for number, steps in enumerate(protocol):
            found = yield from antenna.next_contact("a", fresh is None or fresh[number], lambda: 0)
            assert found is not None, number
            replies.append((yield from link.chain(steps)))

    clock.start("antenna", antenna.run(trace, lambda: None))
    clock.start("actor", actor())
    clock.run(math.inf, lambda number: None)
    return replies
