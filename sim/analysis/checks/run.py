"""What checks read of a run that has ended: counts of its events and transfers, what it learnt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from learning.methods.base import MethodType
from learning.requests.facts import INJECTED, Cause
from sim.analysis.checks.check import value_in
from sim.analysis.run import Run
from sim.analysis.summary import staleness
from sim.facts.status import COMPLETE
from sim.trace.arrow import array, as_numpy
from sim.trace.parquet import plain
from sim.trace.sorting import grouped_by, says
from sim.trace.tables import pieces_of, pooled_metrics


@dataclass
class Counts:
    """What the events of a run count up to; ``excluded`` are devices that lack memory."""

    aggregated: int = 0
    refused: int = 0
    excluded: set[tuple[str, int]] = field(default_factory=set)
    faults: Counter[str] = field(default_factory=Counter)
    faulty: set[tuple[str, int]] = field(default_factory=set)

    READ: ClassVar = ("kind", "cluster", "device", "detail", "cause")
    EXPECTED: ClassVar = (*INJECTED, Cause.NO_CONTACT_LEFT, Cause.MEMORY)

    def add(self, events: pa.Table) -> None:
        """Count some rows."""
        self.aggregated += int(says(events, "kind", "aggregate").sum())
        self.refused += int(says(events, "cause", Cause.UPDATE_NOT_FINITE).sum())
        rows = plain(events.filter(array(says(events, "kind", "fault"))))
        for row in rows.filter(pc.is_valid(rows["device"])).to_pylist():
            self.faulty.add((row["cluster"], row["device"]))
            if row["cause"] == Cause.MEMORY:
                self.excluded.add((row["cluster"], row["device"]))
        known = pc.is_in(rows["cause"], value_set=array(np.array(self.EXPECTED)))
        self.faults.update(rows["detail"].filter(pc.invert(known)).drop_null().to_pylist())


COUNTED = ("toward", "direction", "payload_bytes", "delivered_bytes", "outcome")
"""Columns of the transfers that :class:`OneWay` counts."""


@dataclass
class OneWay:
    """What was sent one way, to the server or to clients: by rows of the transfers table.

    ``carried_bytes`` is the most of a payload that got through in one pass, ``payload_bytes`` the
    size of the largest payload.
    """

    rows: int = 0
    delivered: int = 0
    carried_bytes: float = 0.0
    payload_bytes: float = 0.0
    directions: set[str] = field(default_factory=set)

    def add(self, transfers: pa.Table) -> None:
        """Count some rows."""
        if not len(transfers):
            return
        self.rows += len(transfers)
        self.delivered += int(says(transfers, "outcome", "delivered").sum())
        most_bytes = float(pc.max(transfers.column("delivered_bytes")).as_py())
        largest_bytes = float(pc.max(transfers.column("payload_bytes")).as_py())
        self.carried_bytes = max(self.carried_bytes, most_bytes)
        self.payload_bytes = max(self.payload_bytes, largest_bytes)
        named = pc.unique(transfers.column("direction")).to_pylist()
        self.directions.update(str(direction) for direction in named)

    @property
    def passes_each(self) -> float | None:
        """How many passes a payload took on average; None where none got through."""
        return self.rows / self.delivered if self.delivered else None


@dataclass
class Moved:
    """What was sent to the server and to clients, and which devices sent something."""

    up: OneWay = field(default_factory=OneWay)
    down: OneWay = field(default_factory=OneWay)
    heard: set[tuple[str, int]] = field(default_factory=set)

    def add(self, transfers: pa.Table) -> None:
        """Count some rows."""
        up = transfers.filter(array(says(transfers, "toward", "server")))
        self.up.add(up)
        self.down.add(transfers.filter(array(says(transfers, "toward", "client"))))
        _, _, pairs = grouped_by(up, ["cluster", "device"])
        self.heard.update(zip(*pairs.to_pydict().values(), strict=True))


def moved_in(tables: Mapping[str, pa.Table]) -> Moved:
    """Return what was sent in a run."""
    found = Moved()
    for transfers in pieces_of(tables, "transfers", [*COUNTED, "cluster", "device"]):
        found.add(transfers)
    return found


@dataclass(frozen=True)
class EndedRun(Run):
    """A run that has ended; what several checks need is read once."""

    method: MethodType

    @property
    def scenario(self) -> Mapping[str, Any]:
        """The scenario that was run."""
        scenario: Mapping[str, Any] = self.manifest["scenario"]
        return scenario

    @property
    def learning(self) -> Mapping[str, Any]:
        """Its section ``learning``."""
        learning: Mapping[str, Any] = self.scenario["learning"]
        return learning

    @property
    def is_complete(self) -> bool:
        """Whether the run came to its end."""
        return bool(self.manifest["status"] == COMPLETE)

    @property
    def over_mesh(self) -> bool:
        """Whether updates go over links between satellites."""
        return value_in(self.scenario, "link.isl.route") == "earliest"

    @property
    def devices(self) -> dict[str, int]:
        """How many devices each client has."""
        return {row["cluster"]: row["devices"] for row in self.manifest.get("energy") or ()}

    @property
    def device_rounds(self) -> int:
        """Local rounds that devices completed."""
        return sum(row["device_rounds"] for row in self.manifest.get("energy") or ())

    @property
    def cycles(self) -> int:
        """Complete cycles."""
        return pc.max(pooled_metrics(self.tables)["cycle"]).as_py() or 0

    @property
    def unserved(self) -> int:
        """How many clients no pass serves, in a run without a mesh."""
        contacts = self.tables["contacts"]
        served = pc.unique(contacts.filter(contacts["served"])["cluster"]).to_pylist()
        return 0 if self.over_mesh else len(self.devices.keys() - set(served))

    @property
    def samples(self) -> pa.Table | None:
        """How many samples of which class a device holds; None where that is not known."""
        return self.tables.get("clients")

    @cached_property
    def untaught(self) -> Mapping[int, float]:
        """Classes of the tests of which no client holds a sample, and their shares of the tests."""
        guess = self.learnt.guess
        if self.samples is None or guess is None or not any(guess.samples):
            return {}
        held = as_numpy(self.samples["class"])[as_numpy(self.samples["samples"]) > 0]
        shares = np.array(guess.samples) / sum(guess.samples)
        missing = np.setdiff1d(np.flatnonzero(shares), held)
        return dict(zip(missing.tolist(), shares[missing].tolist(), strict=True))

    @property
    def skew(self) -> float:
        """The share of a device's samples that would have to be of other classes, in the mean."""
        if self.samples is None or not len(self.samples):
            return 0.0
        each = ["cluster", "device"]
        held = self.samples.to_pandas().pivot_table("samples", each, "class", fill_value=0)
        counts = held.to_numpy(float)
        own = counts[counts.sum(1) > 0]
        mix = own / own.sum(1, keepdims=True)
        return float(np.average(abs(mix - own.sum(0) / own.sum()).sum(1) / 2, weights=own.sum(1)))

    @property
    def stayed(self) -> bool:
        """Whether a complete run has learnt nothing that its tests show."""
        return self.is_complete and self.used and self.learnt.has_learnt is False

    @property
    def days(self) -> float:
        """Simulated days."""
        return float(self.manifest["simulated_s"] / 86400.0)

    @property
    def device_rounds_per_day(self) -> float:
        """Local rounds that devices completed, per simulated day."""
        return self.device_rounds / self.days if self.days else 0.0

    @property
    def updates_used(self) -> int:
        """Updates of devices that became part of the server's model."""
        return sum(self.staleness.values())

    @property
    def updates_used_per_day(self) -> float:
        """The same per simulated day."""
        return self.updates_used / self.days if self.days else 0.0

    @property
    def mean_staleness(self) -> float:
        """Mean age of the updates that the server used, in versions of its model."""
        versions = sum(age * count for age, count in self.staleness.items())
        return versions / self.updates_used if self.updates_used else 0.0

    @property
    def passes_per_upload(self) -> float | None:
        """Mean passes that an upload took; None if no upload was delivered."""
        return self.moved.up.passes_each

    @property
    def passes_per_download(self) -> float | None:
        """Mean passes that a download took; None if no download was delivered."""
        return self.moved.down.passes_each

    @property
    def uploads_delivered(self) -> int:
        """Uploads that reached the server."""
        return self.moved.up.delivered

    @property
    def downloads_delivered(self) -> int:
        """Downloads that reached a client."""
        return self.moved.down.delivered

    @property
    def devices_heard(self) -> int:
        """Devices that sent something."""
        return len(self.moved.heard)

    @property
    def devices_training(self) -> int:
        """Devices with enough memory for a round."""
        return sum(self.devices.values()) - len(self.events.excluded)

    @cached_property
    def events(self) -> Counts:
        """What its events count up to."""
        found = Counts()
        for events in pieces_of(self.tables, "events", Counts.READ):
            found.add(events)
        return found

    @cached_property
    def moved(self) -> Moved:
        """What was sent."""
        return moved_in(self.tables)

    @cached_property
    def used(self) -> bool:
        """Whether an update, or what the server trained, became part of the model."""
        if self.method.traits.trains_at_server or self.events.aggregated:
            return True
        return bool(self.staleness)

    @cached_property
    def staleness(self) -> dict[int, int]:
        """How many updates of each staleness the server used."""
        return staleness(self.tables)
