"""The devices as a scenario says them, in SI units: their computing, and their transmitter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

import scenarios
from learning.requests.cluster import Floats
from sim.devices import Compute
from sim.energy import Transmitter
from sim.faults.drawing import slowdown_of
from sim.ground import clusters_of, device_kinds

if TYPE_CHECKING:
    from scenarios import Scenario
    from scenarios.ground import Cluster, DeviceCompute, Kind


def compute_of(scenario: Scenario) -> tuple[Compute, ...]:
    """Return the computing of each cluster's devices (K,), in canonical order.

    Stragglers take longer. Raises InputError for kinds of devices that do not cover a file of
    places.
    """
    clusters = clusters_of(scenario)
    slow = slowdown_of(scenario, clusters)
    each = [(c.name, _cluster(scenario, c.index, c.devices)) for c in clusters]
    return tuple(own.slowed(slow[name]) if name in slow else own for name, own in each)


def transmitter_of(scenario: Scenario) -> Transmitter:
    """Return the transmitter of every device of a scenario."""
    uplink = scenarios.resolved_link(scenario)["uplink"]
    power_dbm, duty = uplink.get("tx_power_dbm"), float(uplink.get("duty", 1.0))
    sidelink = scenarios.resolved_sidelink(scenario)
    return Transmitter(
        None if power_dbm is None else _watts(float(power_dbm)),
        duty,
        0.0 if sidelink is None else _watts(sidelink["tx_power_dbm"]),
    )


def _watts(power_dbm: float) -> float:
    return float(10 ** (power_dbm / 10) / 1000)


def _cluster(scenario: Scenario, index: int, devices: int) -> Compute:
    cluster, rounds = scenario.ground.clusters[index], scenario.learning.rounds
    per_contact = None if rounds.per_contact == "fill" else int(rounds.per_contact)
    pace_s = None
    if scenario.orbit.source == "slots" and per_contact is not None:
        pace_s = scenario.orbit.slots.seconds / per_contact
    kinds = device_kinds(scenario, index)
    each = [scenario.compute.but(own) for own in _own(cluster, kinds, devices)]
    return Compute(
        seconds_per_round=_numbers([own.seconds_per_round for own in each], np.nan),
        flops_per_s=_numbers([own.tflops for own in each], np.nan) * 1e12,
        memory_bytes=_numbers([own.memory_gib for own in each], np.inf) * 2**30,
        per_contact=per_contact,
        per_gap_max=rounds.per_gap_max,
        pace_s=pace_s,
        power_w=_numbers([own.power_w for own in each], np.nan),
    )


def _own(
    cluster: Cluster, kinds: tuple[Kind, ...] | None, devices: int
) -> list[DeviceCompute | None]:
    """What a cluster says of each of its devices, numbered in the order of its kinds."""
    if kinds is None:
        return [cluster.compute] * devices
    return [kind for kind in kinds for _ in range(kind.devices)]


def _numbers(values: list[float | None], unsaid: float) -> Floats:
    return np.array([unsaid if value is None else value for value in values])
