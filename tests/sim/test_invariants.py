"""What must hold of every run: it does for every method, each violation stops a run, and is found
in the tables of a finished one.

White box: parts of leomix are tampered with, and what the invariants keep is counted.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

import learning
import scenarios
import sim
from tests.kit.learning import (
    Aligned,
    ClusterSide,
    Download,
    FedBuff,
    NextContact,
    Note,
    Payload,
    Synchronous,
    Upload,
    _built_task,
)
from tests.kit.network import Clock, Ledger
from tests.kit.records import COLUMNS, MANY, OPTIONAL, WAITING, Invariants, Trace, check, sha256
from tests.kit.scripted import B0, B1, SCRIPTED, Scripted, ground, only, play, sent
from tests.kit.small import ORBIT, SLOTS, merged, orbit, slots
from tests.kit.small_nmoe import nmoe
from tests.kit.training import aggregation, training

Patch = pytest.MonkeyPatch
Columns = dict[str, Any]
Tamper = Callable[[Patch], None]

METHODS = ("synchronous", "emsfl", "emsfl-enhanced", "fedavg", "fedbuff", "aligned")
TIMING = {"train": False}
OFTEN = merged(SLOTS, {"stop": {"cycles": 6}, "learning": TIMING})
FLOWN = merged(ORBIT, {"stop": {"days": 1}, "learning": TIMING})
SLOW = {"uplink": {"rate": "fixed", "fixed_rate_mbps": 5e-6}}

# -- they hold


@pytest.mark.parametrize(("number", "method"), list(enumerate(METHODS)))
def test_runs_of_every_method_are_in_order(number: int, method: str) -> None:
    """Whole tables, looked at by other code, say the same; random ones are in the campaign."""
    cut = {"cut_transfers": ("resume", "restart", "drop")[number % 3]}
    learnt = TIMING | {"method": method, "lora": {"rank": 2, "download": "factors"}}
    check(sim.run(orbit(learning=TIMING | {"method": method}, link={**SLOW, **cut})).tables)
    # With `factors` a device asks for what it misses, which may be nothing: that has no row.
    check(sim.run(slots(stop={"cycles": 10}, learning=learnt, link=cut)).tables)


@pytest.mark.parametrize("gate", ["fedgate", "rollgate", "rangate", "central"])
def test_networked_experts_are_in_order(gate: str) -> None:
    check(sim.run(nmoe(learning=TIMING | {"options": {"gate": gate}})).tables)


@pytest.mark.parametrize("name", ["circular", "walker"])
def test_shipped_scenarios_with_satellites_are_in_order(name: str) -> None:
    check(sim.run(scenarios.load(name, {"learning.train": False, "stop.days": 1})).tables)


def talk(
    down: int | None, up: int, version: int, said: str, size: float = 10.0, by: str = "AB"
) -> Any:
    """A protocol of one download, one upload, and what ``by`` says of them then.

    Where both are of version -1 it is the number of the cluster.
    """

    def script(me: Any) -> Any:
        yield NextContact()
        if down is not None:
            payload = Payload("model", np.full(me.devices, size), me.index if down < 0 else down)
            yield Download(payload)
        yield Upload(Payload("update", 10.0, me.index if up < 0 else up))
        if me.name in by:
            yield Note("aggregate", version, said)

    return script


@pytest.mark.parametrize(
    "script",
    [
        talk(7, 7, 8, "update staleness:0", size=0.0),  # that download has no row
        # A cluster may aggregate what another one has sent long before.
        talk(-1, -1, 2, "buffer staleness:0-1", by="B"),
        talk(None, 99, 1, "update"),  # numbers mean nothing where nobody speaks of staleness
    ],
)
def test_what_looks_stale_and_is_not(script: Any) -> None:
    assert (play(slots(learning=SCRIPTED), script).transfers.direction == "uplink").any()


def kept(days: float, monkeypatch: Patch) -> tuple[int, ...]:
    """What the invariants keep of a run of so many days."""
    made: list[Invariants] = []

    class Remembered(Invariants):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            made.append(self)

    monkeypatch.setattr("sim.simulation.Invariants", Remembered)
    link = {"uplink": {"rate": "fixed", "fixed_rate_mbps": 2e-5}}
    sim.run(orbit(stop={"days": days}, link=link, learning=TIMING))
    found = made[-1]
    assert all(len(waiting) <= WAITING for waiting in found._versions._waiting.values())
    assert found._gate is not None
    assert found._gate._count < MANY
    return len(found._payloads._open), len(found._versions._strange), len(found._times._began)


def test_what_is_kept_does_not_grow_with_time(monkeypatch: Patch) -> None:
    for few, many in zip(kept(2.0, monkeypatch), kept(8.0, monkeypatch), strict=True):
        assert many <= few + 2


# -- each stops a run that violates it


@pytest.fixture
def stopped(leomix: Any, tmp_path: Path, monkeypatch: Patch) -> Callable[..., str]:
    """Run a scenario that fails, look at what it leaves behind, and return what it says.

    What is learnt by a part that was tampered with must not be found by others.
    """
    monkeypatch.setenv("LEOMIX_CACHE", str(tmp_path / "cache"))

    def run(scenario: dict[str, Any]) -> str:
        file, out = tmp_path / "scenario.yaml", tmp_path / "run"
        file.write_text(yaml.safe_dump(scenario))
        told = leomix("run", file, "-o", out, "--quiet")
        assert told.status == 1
        assert len(told.err.splitlines()) == 1
        manifest = json.loads((out / "manifest.json").read_text())
        assert manifest["status"] == "failed"
        assert manifest["error"] in told.err
        for name in COLUMNS:
            assert name in OPTIONAL or (out / f"{name}.parquet").is_file()
        assert len(pq.ParquetFile(out / "events.parquet").read()) > 0
        return str(told.err)

    return run


def rows(change: Callable[[Columns], Columns], **which: Any) -> Tamper:
    """Write other columns into the rows of which ``which`` is true."""
    honest = Trace.add

    def add(self: Trace, table: str, rows: int = 1, **columns: Any) -> None:
        meant = all(columns.get(name) == value for name, value in which.items())
        honest(self, table, rows, **(columns | (change(columns) if meant else {})))

    return lambda patch: patch.setattr(Trace, "add", add)


def lasting(factor: float, direction: str) -> Tamper:
    def quick(columns: Columns) -> Columns:
        start_s = columns["start_s"]
        return {"end_s": start_s + factor * (columns["end_s"] - start_s)}

    return rows(quick, direction=direction)


def late_clock(patch: Patch) -> None:
    honest = Clock.at

    def late(self: Clock, time_s: float) -> Any:
        if self.now < 1000.0:
            return honest(self, time_s)
        event = self._env.event()
        event._ok, event._value = True, None
        self._env.schedule_at(event, 10.0)
        return event

    patch.setattr(Clock, "at", late)


def forgetful_ledger(patch: Patch) -> None:
    """What a pass cut off is sent again: the ledger's own books agree."""
    honest = Ledger.through

    def forgetful(self: Ledger, direction: str, name: str) -> Any:
        self._entries[direction, name].through *= 0.0
        return honest(self, direction, name)

    patch.setattr(Ledger, "through", forgetful)


def cooked_books(patch: Patch) -> None:
    honest = Ledger.settle

    def cooked(self: Ledger, *arguments: Any) -> Any:
        given_up = honest(self, *arguments)
        self.accounts["uplink"].sent += 1.0
        self.accounts["uplink"].sent_in_vain += 1.0
        return given_up

    patch.setattr(Ledger, "settle", cooked)


def short_contact(patch: Patch) -> None:
    honest = sim.planning._contact

    def short(*given: Any) -> Any:
        contact = honest(*given)
        return replace(contact, end_s=contact.start_s) if contact.contact_id == 3 else contact

    patch.setattr("sim.planning._contact", short)


def blind(lowest_deg: float | None) -> Tamper:
    """Link curves down to a lower elevation than a device's own, or than that of all."""
    honest = sim.contact_links.contact_geometries

    def geometries(contacts: Any, devices: Any, start: Any, all_deg: float) -> Any:
        bare = [replace(device, min_elevation_deg=None) for device in devices]
        return honest(contacts, bare, start, all_deg if lowest_deg is None else lowest_deg)

    return lambda patch: patch.setattr("sim.contact_links.contact_geometries", geometries)


def one_changes(place: Any, function: str, name: str) -> Tamper:
    """Let the result of a function differ in one tensor more."""
    honest = getattr(place, function)

    def other(*given: Any, **named: Any) -> Any:
        result = dict(honest(*given, **named))
        found = next(key for key in result if key.startswith(name))
        return result | {found: result[found] + 1.0}

    return lambda patch: patch.setattr(place, function, other)


def trained_in_place(patch: Patch) -> None:
    honest = training.train

    def in_place(task: Any, state: Any, **how: Any) -> Any:
        trained = honest(task, state, **how)
        name = next(key for key in state if key.startswith("base.expert."))
        state[name][0].add_(1.0)
        return trained

    patch.setattr(training, "train", in_place)


def zeroed_staleness(patch: Patch) -> None:
    patch.setattr(ClusterSide, "staleness", lambda self, *given: "staleness:0 rounds:1")


def low_flight(north: dict[str, Any]) -> dict[str, Any]:
    scenario = merged(FLOWN, {"orbit": {"min_elevation_deg": 15.0}})
    place = {"name": "North", "latitude_deg": 60, "longitude_deg": 20}
    scenario["ground"]["clusters"][0] = place | north
    return scenario


def place(longitude_deg: float, **more: Any) -> dict[str, Any]:
    return {"latitude_deg": 60.0, "longitude_deg": longitude_deg, **more}


CLOCK, BYTES = "clock monotone", "bytes conserved"
INSIDE, GATE = "no transfer outside its contact", "no transfer below its gate"
LASTS, FROZEN = "no zero or non-finite durations", "frozen parameters unchanged"
STALE = "staleness counted from the version downloaded"
TAMPERED: list[tuple[Tamper, dict[str, Any], str, list[str]]] = [
    (late_clock, OFTEN, CLOCK, ["violated: an event at 10.0 s comes behind one at"]),
    *(
        (rows(lambda c, t=t: {"time_s": t}, kind="aggregate"), OFTEN, CLOCK,
         ["violated: a aggregate of ", f"is dated {t} s in events"])
        for t in (-1.0, 1e6, math.nan)
    ),
    (rows(lambda c: {"end_s": c["end_s"] + 0.5}, direction="uplink"), FLOWN, CLOCK,
     ["violated: uplink of experts:"]),
    (rows(lambda c: {"delivered_bytes": c["delivered_bytes"] / 2}, direction="downlink"), OFTEN,
     BYTES, ["violated: downlink of", "and is delivered"]),
    (forgetful_ledger, merged(FLOWN, {"stop": {"days": 3}, "link": SLOW}), BYTES, []),
    (cooked_books, OFTEN, BYTES,
     ["violated: the bytes of the run do not add up: uplink", "but the rows have"]),
    (rows(lambda c: {"start_s": c["start_s"] - 100.0}, direction="uplink"), FLOWN, INSIDE,
     ["violated: uplink of experts:0", "by device 0 of", ", contact 0 is "]),
    (rows(lambda c: {"cluster": "A"}, direction="uplink", cluster="B"), OFTEN, INSIDE,
     ["names a contact of B"]),
    (blind(0.0), low_flight({"devices": 3, "radius_km": 400}), GATE, [" deg too low at "]),
    # Where it is one device's own, only that one is too low: the contact is as long as before.
    (blind(None), low_flight({"places": [place(20.0), place(20.0, min_elevation_deg=35.0)]}), GATE,
     [" deg too low at ", "of device 1 of North"]),
    (rows(lambda c: {"time_s": 0.0 * c["time_s"]}, kind="train_end"), OFTEN, LASTS,
     ["violated: training of device 0 of"]),
    *(
        (lasting(factor, way), FLOWN, LASTS, [f"violated: {way} of"])
        for way in ("uplink", "downlink") for factor in (0.0, -1.0, math.nan)
    ),
    (short_contact, OFTEN, LASTS, ["violated: contact 3 is served"]),
    (one_changes(aggregation, "merge_experts", "gate."), SLOTS, FROZEN,
     ["violated: the update of 'B' changed 'gate.0.weight'", "which it must not"]),
    (one_changes(aggregation, "merge_gate", "expert.1."), SLOTS, FROZEN,
     ["violated: the gate of 'A' changed 'expert.1.0", "which it must not"]),
    (one_changes(training, "train", "base.gate."), SLOTS, FROZEN,
     ["violated: training in 'A' changed 'base.gate.0.weight'", "which it must not"]),
    (trained_in_place, SLOTS, FROZEN, ["violated: training in 'A' changed", "in place"]),
    (zeroed_staleness, OFTEN, STALE, ["aggregated 'experts:"]),
]  # fmt: skip


@pytest.mark.parametrize(("tamper", "scenario", "invariant", "words"), TAMPERED)
def test_a_part_that_was_tampered_with_stops_the_run(
    stopped: Any, monkeypatch: Patch, tamper: Tamper, scenario: Any, invariant: str, words: Any
) -> None:
    tamper(monkeypatch)
    told = stopped(scenario)
    assert f"invariant '{invariant}' is violated: " in told
    for said in words:
        assert said in told


@pytest.mark.parametrize("unnoticed", [False, True], ids=["at once", "at the end"])
def test_the_backbone_moves(stopped: Any, monkeypatch: Patch, unnoticed: bool) -> None:
    """A change that torch does not count is found at the end, when all is hashed."""
    honest = training.train

    def moves(task: Any, state: Any, **how: Any) -> Any:
        tensor = task.backbone["head.weight"]
        (tensor.data if unnoticed else tensor).add_(1e-6)
        return honest(task, state, **how)

    monkeypatch.setattr(training, "train", moves)
    _built_task.cache_clear()  # nobody else may find a task that was tampered with
    try:
        told = stopped(SLOTS)
    finally:
        _built_task.cache_clear()
    assert f"invariant '{FROZEN}' is violated: 'head.weight' of the backbone" in told
    assert ("evaluation at" in told) == (not unnoticed)


@pytest.mark.parametrize(
    ("change", "invariant"),
    [
        (lambda c: {"delivered_bytes": c["delivered_bytes"] / 2}, BYTES),
        (lambda c: {"end_s": c["start_s"]}, LASTS),
        (lambda c: {"end_s": c["end_s"] + 1.0}, CLOCK),
    ],
)
def test_messages_are_looked_at_too(monkeypatch: Patch, change: Any, invariant: str) -> None:
    def script(me: Any) -> Any:
        yield sent(B0, B1, 1000.0)

    rows(change, direction="sidelink")(monkeypatch)
    with pytest.raises(sim.SimulationError, match=f"invariant '{invariant}' is violated"):
        play(ground(), only("B", script))


class Unable(Synchronous):
    """Weighs by the samples of its first device, whoever takes part."""

    def aggregate(self, me: Any, side: ClusterSide, done: Any) -> Any:
        if done.any():
            first = np.arange(len(done)) == 0
            self.server = self.learner.merge_experts(
                self.server, side.snapshot.handle, me.name, self.experts, done, 1.0, first
            )
            self.aggregated(self.experts)
        yield Note("aggregate", self.version, "by the first device")


class Below(FedBuff):
    """Takes updates away instead of adding them."""

    def aggregate(self, updates: Any) -> Any:
        for update in updates:
            self.server = learning.snapshots.merge(self.learner, self.server, update, -1.0)
        self.aggregated(self.experts)
        return Note("aggregate", self.version, "less and less")


class Twice(Aligned):
    """Counts every use of an expert twice."""

    def weights(self, update: Any) -> Any:
        return 2.0 * super().weights(update)


@pytest.mark.parametrize(
    ("method", "says"),
    [
        (Unable, "those of the devices of 'A' sum to "),
        (Below, "the weights are "),
        (Twice, "the users of expert "),
    ],
)
def test_weights_that_do_not_sum_to_one(stopped: Any, method: Any, says: str) -> None:
    name = f"weighs-{method.__name__.lower()}"
    learning.register(name)(method)
    told = stopped(merged(SLOTS, {"learning": {"method": name}}))
    assert "invariant 'aggregation weights sum to one' is violated: " in told
    assert says in told


@pytest.mark.parametrize(
    ("script", "says"),
    [
        (talk(3, 3, 6, "update staleness:1"), "of uploads in versions [3]"),
        (talk(3, 5, 6, "update staleness:0"), "is of version 5, which the device has not"),
        (talk(3, 2, 6, "update staleness:3"), "is of version 2, which the device has not"),
    ],
)
def test_staleness_of_what_was_not_downloaded(stopped: Any, script: Any, says: str) -> None:
    Scripted.script = staticmethod(script)
    told = stopped(merged(OFTEN, {"learning": {"method": "scripted"}}))
    assert f"invariant '{STALE}' is violated: " in told
    assert says in told


# -- in the tables of a finished run


@pytest.fixture(scope="module")
def tables(runs: Any) -> dict[str, pa.Table]:
    found: dict[str, pa.Table] = runs.result("slots").tables
    return found


def changed(tables: dict[str, pa.Table], name: str, column: str, row: int, value: float) -> Any:
    values = tables[name].column(column).to_pylist()
    values[row] = value
    place = tables[name].column_names.index(column)
    kind = tables[name].schema.field(column)
    new = tables[name].set_column(place, kind, pa.array(values, kind.type))
    return {**tables, name: new}


@pytest.mark.parametrize(
    ("name", "column", "row", "value", "complaint"),
    [
        ("events", "time_s", 4, float("nan"), "not finite"),
        ("events", "time_s", 4, 1e9, "backwards"),
        ("transfers", "end_s", 0, 1e9, "outside its contact"),
        ("transfers", "end_s", 2, 200.0, "no duration"),
        ("transfers", "delivered_bytes", 0, 1e9, "more than its payload"),
        ("transfers", "delivered_bytes", 0, 0.0, "or nothing"),
        ("transfers", "delivered_bytes", 0, 1.0, "were sent of a delivered payload"),
        ("contacts", "service_end_s", 0, 0.0, "no duration"),
    ],
)
def test_a_contradiction_is_named(
    tables: Any, name: str, column: str, row: int, value: float, complaint: str
) -> None:
    check(tables)
    with pytest.raises(sim.InvariantError, match=complaint):
        check(changed(tables, name, column, row, value))


def test_the_digest_covers_every_value_and_timing_leaves_learning_out(tables: Any) -> None:
    whole, timing = sha256(tables), sha256(tables, timing_only=True)
    learnt = changed(tables, "metrics", "accuracy", 0, 0.123)
    assert sha256(learnt) != whole
    assert sha256(learnt, timing_only=True) == timing
    timed = changed(tables, "transfers", "end_s", 3, 601.5)
    assert sha256(timed) != whole
    assert sha256(timed, timing_only=True) != timing


def test_the_rolling_digest_sees_order_and_every_table() -> None:
    def digest(*blocks: tuple[str, float]) -> str:
        trace = Trace()
        for table, value in blocks:
            trace.add(table, **{{"events": "time_s", "metrics": "loss"}[table]: value})
        return trace.digest()

    assert digest(("events", 1.0)) != digest(("events", 2.0))
    assert digest(("events", 1.0), ("metrics", 1.0)) != digest(("metrics", 1.0), ("events", 1.0))


def test_rows_come_out_in_order_of_time_then_kind_then_cluster_and_gives_before_takes() -> None:
    trace = Trace()
    trace.add("events", time_s=5.0, kind="connect", cluster="b")
    trace.add("events", 2, time_s=np.array([5.0, 1.0]), kind="train_end", cluster="a")
    trace.add("events", time_s=5.0, kind="connect", cluster="a")
    for cluster, detail in (
        ("D", "gives experts:6"),
        ("A", "takes experts:6"),
        ("A", "gives experts:2"),
        ("C", "takes experts:2"),
        ("B", "experts:1"),
    ):
        trace.add("events", time_s=7.0, kind="assign", cluster=cluster, detail=detail)
    table = trace.tables()["events"].to_pylist()
    assert [(r["time_s"], r["kind"], r["cluster"], r["detail"]) for r in table] == [
        (1.0, "train_end", "a", None),
        (5.0, "train_end", "a", None),
        (5.0, "connect", "a", None),
        (5.0, "connect", "b", None),
        (7.0, "assign", "A", "gives experts:2"),
        (7.0, "assign", "B", "experts:1"),
        (7.0, "assign", "D", "gives experts:6"),
        (7.0, "assign", "A", "takes experts:6"),
        (7.0, "assign", "C", "takes experts:2"),
    ]
    with pytest.raises(KeyError, match="colour"):
        trace.add("events", colour="red")
