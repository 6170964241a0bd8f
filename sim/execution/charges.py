"""What the batteries of satellites held: a table of a run, and its ends for the manifest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from sim.devices.battery import Battery
from sim.engine.simulation import Simulation
from sim.facts.energy import ChargeRow
from sim.trace.arrow import array, coded_text
from sim.trace.schema import table_of


def charge_ends(simulation: Simulation) -> Iterator[dict[str, Any]]:
    """Yield the lowest and the last charge of the battery of each cluster that has one."""
    for name, battery in _batteries(simulation).items():
        lowest, last = battery.charges_at(simulation.end_s)
        yield {"cluster": name, "lowest": lowest, "last": last}


def charge_table(simulation: Simulation) -> pa.Table | None:
    """Return the charges table: the bends of each battery's charge; None without batteries."""
    batteries = _batteries(simulation)
    if not batteries:
        return None
    charges = [battery.charge_by(simulation.end_s) for battery in batteries.values()]
    codes = np.repeat(np.arange(len(charges)), [len(charge.time_s) for charge in charges])
    return table_of(
        ChargeRow(
            cluster=coded_text(codes, list(batteries)),
            time_s=array(np.concatenate([charge.time_s for charge in charges])),
            charge=array(np.concatenate([charge.share for charge in charges])),
        )
    )


def _batteries(simulation: Simulation) -> Mapping[str, Battery]:
    clients = sorted(simulation.clients.by_name.items())
    held = ((name, client.devices.battery) for name, client in clients)
    return {name: battery for name, battery in held if battery is not None}
