"""Each invariant stops a run that violates it: exit 1, one line that names it, the traces kept.

What violates it is a part of leomix that was tampered with, or a small faulty method, in a whole
run through the command line.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

import learning
import sim.contact_links
import sim.planning
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
from tests.kit.records import COLUMNS, OPTIONAL, Trace
from tests.kit.scripted import Scripted
from tests.kit.small import ORBIT, SLOTS, merged
from tests.kit.training import aggregation, training

Patch = pytest.MonkeyPatch

TIMING = {"train": False}
OFTEN = merged(SLOTS, {"stop": {"cycles": 6}, "learning": TIMING})
FLOWN = merged(ORBIT, {"stop": {"days": 1}, "learning": TIMING})
SLOW = {"uplink": {"rate": "fixed", "fixed_rate_mbps": 5e-6}}


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


@pytest.fixture
def own_task() -> Iterator[None]:
    """Let nobody else find a task that was tampered with."""
    _built_task.cache_clear()
    yield
    _built_task.cache_clear()


Columns = dict[str, Any]


def tampered_rows(monkeypatch: Patch, change: Callable[[Columns], Columns], **which: Any) -> None:
    """Write other columns into the rows of which ``which`` is true."""
    honest = Trace.add

    def add(self: Trace, table: str, rows: int = 1, **columns: Any) -> None:
        meant = all(columns.get(name) == value for name, value in which.items())
        honest(self, table, rows, **(columns | (change(columns) if meant else {})))

    monkeypatch.setattr(Trace, "add", add)


# -- clock monotone


def test_an_event_that_goes_back_in_time(stopped: Any, monkeypatch: Patch) -> None:
    honest = Clock.at

    def late(self: Clock, time_s: float) -> Any:
        if self.now < 1000.0:
            return honest(self, time_s)
        event = self._env.event()
        event._ok, event._value = True, None
        self._env.schedule_at(event, 10.0)
        return event

    monkeypatch.setattr(Clock, "at", late)
    told = stopped(OFTEN)
    assert "invariant 'clock monotone' is violated: an event at 10.0 s comes behind one at" in told


@pytest.mark.parametrize("time_s", [-1.0, 1e6, math.nan])
def test_a_row_before_the_run_or_ahead_of_it(
    stopped: Any, monkeypatch: Patch, time_s: float
) -> None:
    tampered_rows(monkeypatch, lambda columns: {"time_s": time_s}, kind="aggregate")
    told = stopped(OFTEN)
    assert "invariant 'clock monotone' is violated: a aggregate of " in told
    assert f"is dated {time_s} s in events" in told


def test_a_transfer_that_is_not_over_yet(stopped: Any, monkeypatch: Patch) -> None:
    tampered_rows(monkeypatch, lambda c: {"end_s": c["end_s"] + 0.5}, direction="uplink")
    told = stopped(FLOWN)
    assert "invariant 'clock monotone' is violated: uplink of experts:" in told


# -- bytes conserved


def test_bytes_that_vanish_on_the_way(stopped: Any, monkeypatch: Patch) -> None:
    def halved(columns: Columns) -> Columns:
        return {"delivered_bytes": columns["delivered_bytes"] / 2}

    tampered_rows(monkeypatch, halved, direction="downlink")
    told = stopped(OFTEN)
    assert "invariant 'bytes conserved' is violated: downlink of" in told
    assert "and is delivered" in told


def test_bytes_that_are_sent_twice(stopped: Any, monkeypatch: Patch) -> None:
    """What a pass cut off is forgotten by the ledger, and sent again: its own books agree."""
    honest = Ledger.through

    def forgetful(self: Ledger, direction: str, name: str) -> Any:
        self._entries[direction, name].through *= 0.0
        return honest(self, direction, name)

    monkeypatch.setattr(Ledger, "through", forgetful)
    told = stopped(merged(FLOWN, {"stop": {"days": 3}, "link": SLOW}))
    assert "invariant 'bytes conserved' is violated: " in told


def test_books_that_are_cooked(stopped: Any, monkeypatch: Patch) -> None:
    honest = Ledger.settle

    def cooked(self: Ledger, *arguments: Any) -> Any:
        given_up = honest(self, *arguments)
        self.accounts["uplink"].sent += 1.0
        self.accounts["uplink"].sent_in_vain += 1.0
        return given_up

    monkeypatch.setattr(Ledger, "settle", cooked)
    told = stopped(OFTEN)
    assert (
        "invariant 'bytes conserved' is violated: the bytes of the run do not add up: uplink"
        in told
    )
    assert "but the rows have" in told


# -- no transfer outside its contact, none below its gate


def test_a_transfer_before_its_contact(stopped: Any, monkeypatch: Patch) -> None:
    tampered_rows(monkeypatch, lambda c: {"start_s": c["start_s"] - 100.0}, direction="uplink")
    told = stopped(FLOWN)
    assert "invariant 'no transfer outside its contact' is violated: uplink of experts:0" in told
    assert "by device 0 of" in told
    assert ", contact 0 is " in told


def test_a_transfer_in_the_contact_of_another_cluster(stopped: Any, monkeypatch: Patch) -> None:
    tampered_rows(monkeypatch, lambda columns: {"cluster": "A"}, direction="uplink", cluster="B")
    told = stopped(OFTEN)
    assert "invariant 'no transfer outside its contact' is violated: " in told
    assert "names a contact of B" in told


@pytest.mark.parametrize("whose", ["of the scenario", "of a device"])
def test_a_transfer_below_the_gate(stopped: Any, monkeypatch: Patch, whose: str) -> None:
    """Link curves from horizon to horizon, whatever the lowest elevation is.

    Where it is one device's own, only that one is too low: the contact is as long as before.
    """
    honest = sim.contact_links.contact_geometries

    def blind(contacts: Any, devices: Any, start: Any, lowest_deg: float) -> Any:
        bare = [replace(device, min_elevation_deg=None) for device in devices]
        return honest(contacts, bare, start, 0.0 if whose == "of the scenario" else lowest_deg)

    monkeypatch.setattr(sim.contact_links, "contact_geometries", blind)
    places = [
        {"latitude_deg": 60.0, "longitude_deg": 20.0},
        {"latitude_deg": 60.1, "longitude_deg": 20.0, "min_elevation_deg": 35.0},
    ]
    changes: dict[str, Any] = {"orbit": {"min_elevation_deg": 15.0}}
    scenario = merged(FLOWN, changes)
    north = scenario["ground"]["clusters"][0]
    if whose == "of a device":
        del north["devices"], north["radius_km"]
        north["places"] = places
    else:
        north["radius_km"] = 400
    told = stopped(scenario)
    assert "invariant 'no transfer below its gate' is violated: " in told
    assert " deg too low at " in told
    assert ("of device 1 of North" in told) or whose == "of the scenario"


# -- no zero or non-finite durations


def test_a_training_that_takes_no_time(stopped: Any, monkeypatch: Patch) -> None:
    tampered_rows(
        monkeypatch, lambda columns: {"time_s": 0.0 * columns["time_s"]}, kind="train_end"
    )
    told = stopped(OFTEN)
    assert (
        "invariant 'no zero or non-finite durations' is violated: training of device 0 of" in told
    )


@pytest.mark.parametrize("direction", ["uplink", "downlink"])
@pytest.mark.parametrize("factor", [0.0, -1.0, math.nan])
def test_a_transfer_that_takes_no_time(
    stopped: Any, monkeypatch: Patch, direction: str, factor: float
) -> None:
    def quick(columns: Columns) -> Columns:
        start_s = columns["start_s"]
        return {"end_s": start_s + factor * (columns["end_s"] - start_s)}

    tampered_rows(monkeypatch, quick, direction=direction)
    told = stopped(FLOWN)
    assert f"invariant 'no zero or non-finite durations' is violated: {direction} of" in told


def test_a_contact_that_does_not_last(stopped: Any, monkeypatch: Patch) -> None:
    honest = sim.planning._contact

    def short(*given: Any) -> Any:
        contact = honest(*given)
        return replace(contact, end_s=contact.start_s) if contact.contact_id == 3 else contact

    monkeypatch.setattr(sim.planning, "_contact", short)
    told = stopped(OFTEN)
    assert "invariant 'no zero or non-finite durations' is violated: contact 3 is served" in told


# -- aggregation weights sum to one


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


# -- frozen parameters unchanged


def changed(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    """Return ``function``, whose result differs in one tensor more."""

    def other(*given: Any, **named: Any) -> Any:
        result = dict(function(*given, **named))
        found = next(key for key in result if key.startswith(name))
        return result | {found: result[found] + 1.0}

    return other


@pytest.mark.parametrize(
    ("module", "function", "tensor", "says"),
    [
        (aggregation, "merge_experts", "gate.", "the update of 'B' changed 'gate.0.weight'"),
        (aggregation, "merge_gate", "expert.1.", "the gate of 'A' changed 'expert.1.0"),
        (training, "train", "base.gate.", "training in 'A' changed 'base.gate.0.weight'"),
    ],
)
def test_what_is_not_to_be_trained_changes(
    stopped: Any, monkeypatch: Patch, module: Any, function: str, tensor: str, says: str
) -> None:
    monkeypatch.setattr(module, function, changed(getattr(module, function), tensor))
    told = stopped(SLOTS)
    assert f"invariant 'frozen parameters unchanged' is violated: {says}" in told
    assert "which it must not" in told


def test_what_is_held_by_others_is_trained_in_place(stopped: Any, monkeypatch: Patch) -> None:
    honest = training.train

    def in_place(task: Any, state: Any, **how: Any) -> Any:
        trained = honest(task, state, **how)
        name = next(key for key in state if key.startswith("base.expert."))
        state[name][0].add_(1.0)
        return trained

    monkeypatch.setattr(training, "train", in_place)
    told = stopped(SLOTS)
    assert "invariant 'frozen parameters unchanged' is violated: training in 'A' changed" in told
    assert "in place" in told


@pytest.mark.parametrize("unnoticed", [False, True], ids=["at once", "at the end"])
def test_the_backbone_moves(
    stopped: Any, monkeypatch: Patch, own_task: None, unnoticed: bool
) -> None:
    """A change that torch does not count is found at the end, when all is hashed."""
    honest = training.train

    def moves(task: Any, state: Any, **how: Any) -> Any:
        tensor = task.backbone["head.weight"]
        (tensor.data if unnoticed else tensor).add_(1e-6)
        return honest(task, state, **how)

    monkeypatch.setattr(training, "train", moves)
    told = stopped(SLOTS)
    assert (
        "invariant 'frozen parameters unchanged' is violated: 'head.weight' of the backbone" in told
    )
    assert ("evaluation at" in told) == (not unnoticed)


# -- staleness counted from the version downloaded


def test_staleness_that_is_counted_from_another_version(stopped: Any, monkeypatch: Patch) -> None:
    monkeypatch.setattr(ClusterSide, "staleness", lambda self, *given: "staleness:0 rounds:1")
    told = stopped(OFTEN)
    assert "invariant 'staleness counted from the version downloaded' is violated: " in told
    assert "aggregated 'experts:" in told


def uploads(downloaded: int, uploaded: int, staleness: int) -> Callable[..., Any]:
    """A protocol of one download, one upload, and what is said of them then."""

    def script(me: Any) -> Any:
        yield NextContact()
        yield Download(Payload("model", 10.0, downloaded))
        yield Upload(Payload("update", 10.0, uploaded))
        yield Note("aggregate", 6, f"update staleness:{staleness}")

    return script


@pytest.mark.parametrize(
    ("script", "says"),
    [
        (uploads(3, 3, 1), "of uploads in versions [3]"),
        (uploads(3, 5, 0), "is of version 5, which the device has not downloaded"),
        (uploads(3, 2, 3), "is of version 2, which the device has not downloaded"),
    ],
)
def test_staleness_of_what_was_not_downloaded(stopped: Any, script: Any, says: str) -> None:
    Scripted.script = staticmethod(script)
    told = stopped(merged(OFTEN, {"learning": {"method": "scripted"}}))
    assert "invariant 'staleness counted from the version downloaded' is violated: " in told
    assert says in told
