"""Runs of every method keep to the invariants; what is kept of them does not grow with time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import scenarios
import sim
import sim.simulation
from sim.invariants import Invariants, check
from tests.kit.learning import Download, NextContact, Note, Payload, Upload
from tests.kit.records import MANY, WAITING
from tests.kit.scripted import play
from tests.kit.small import orbit, slots
from tests.kit.small_nmoe import nmoe

METHODS = ("synchronous", "emsfl", "emsfl-enhanced", "fedavg", "fedbuff", "aligned")
TIMING = {"train": False}
SLOW = {"uplink": {"rate": "fixed", "fixed_rate_mbps": 5e-6}}


@pytest.mark.parametrize("policy", ["resume", "restart", "drop"])
@pytest.mark.parametrize("method", METHODS)
def test_a_timing_run_is_in_order(method: str, policy: str) -> None:
    """Whole tables, looked at by other code, say the same."""
    cut = {"cut_transfers": policy}
    for scenario in (
        slots(stop={"cycles": 8}, learning=TIMING | {"method": method}, link=cut),
        orbit(learning=TIMING | {"method": method}, link={**SLOW, **cut}),
    ):
        check(sim.run(scenario).tables)


@pytest.mark.parametrize("gate", ["fedgate", "rollgate", "rangate", "central"])
def test_networked_experts_are_in_order(gate: str) -> None:
    check(sim.run(nmoe(learning=TIMING | {"options": {"gate": gate}})).tables)


@pytest.mark.parametrize("method", ["emsfl", "emsfl-enhanced", "fedbuff"])
def test_a_download_of_nothing_new_counts(method: str) -> None:
    """With `factors` a device asks for what it misses, which may be nothing: that has no row."""
    learnt = {"method": method, "lora": {"rank": 2, "download": "factors"}}
    check(sim.run(slots(stop={"cycles": 10}, learning=TIMING | learnt)).tables)


def test_an_update_of_what_came_down_without_bytes() -> None:
    def script(me: Any) -> Any:
        yield NextContact()
        yield Download(Payload("model", np.zeros(me.devices), 7))
        yield Upload(Payload("update", 10.0, 7))
        yield Note("aggregate", 8, "update staleness:0")

    result = play(slots(learning={"method": "scripted", "train": False}), script)
    assert (result.transfers.direction == "uplink").all()


def test_staleness_of_a_buffer_is_that_of_all_clusters() -> None:
    """A cluster may aggregate what another one has sent long before."""

    def script(me: Any) -> Any:
        yield NextContact()
        yield Download(Payload("model", 10.0, me.index))
        yield Upload(Payload("update", 10.0, me.index))
        if me.name == "B":
            yield Note("aggregate", 2, "buffer staleness:0-1")

    play(slots(learning={"method": "scripted", "train": False}), script)


def test_numbers_of_payloads_mean_nothing_where_nobody_speaks_of_staleness() -> None:
    def script(me: Any) -> Any:
        yield NextContact()
        yield Upload(Payload("update", 10.0, 99))
        yield Note("aggregate", 1, "update")

    play(slots(learning={"method": "scripted", "train": False}), script)


def kept(days: float, monkeypatch: pytest.MonkeyPatch) -> tuple[int, ...]:
    """What the invariants keep of a run of so many days."""
    made: list[Invariants] = []

    class Remembered(Invariants):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            made.append(self)

    monkeypatch.setattr(sim.simulation, "Invariants", Remembered)
    link = {"uplink": {"rate": "fixed", "fixed_rate_mbps": 2e-5}}
    sim.run(orbit(stop={"days": days}, link=link, learning=TIMING))
    found = made[-1]
    assert all(len(waiting) <= WAITING for waiting in found._versions._waiting.values())
    assert found._gate is not None
    assert found._gate._count < MANY
    return len(found._payloads._open), len(found._versions._strange), len(found._times._began)


def test_what_is_kept_does_not_grow_with_time(monkeypatch: pytest.MonkeyPatch) -> None:
    for few, many in zip(kept(2.0, monkeypatch), kept(8.0, monkeypatch), strict=True):
        assert many <= few + 2


@pytest.mark.parametrize("name", ["circular", "walker"])
def test_shipped_scenarios_with_satellites_are_in_order(name: str) -> None:
    tables: dict[str, pa.Table] = sim.run(
        scenarios.load(name, {"learning.train": False, "stop.days": 1})
    ).tables
    check(tables)
