"""The paper's experiments at full size, timing only: bytes, memory and updates (Table I).

    python papers/full_size.py

Nothing is trained, so neither checkpoints nor a GPU are needed. Uploads are those of one device in
one contact, at the paper's 5 Mbit/s. `memory` is the least that a device has to load in the run
(enhanced EMS-FL: while the gate is masked), `experts` the part of it that is weights of experts.
The last columns count how often a cycle updates one expert and the gate, between the first cycle,
in which the first cluster has nothing to send yet, and the last two, which tune the gate.
"""

from __future__ import annotations

import sys
from typing import Any

from batch import METHODS, slot_s_of, using

import leomix

SCENARIOS = ("paper-exp1", "paper-exp2")
CYCLES = 12
TUNING_CYCLES = 2
RATE_BPS = 5e6


def timed(name: str, method: str) -> Any:
    """Run without training."""
    settings = {"learning.train": False, "stop.cycles": CYCLES, **using(method, name)}
    return leomix.run(leomix.load(name, settings))


def sizes(result: Any) -> dict[str, float]:
    """Return the largest upload of experts (or of the model) and of the gate, and memory, in bytes.

    Memory is the least that a device has to load in the run: with a masked gate, while it is.
    """
    up = {
        payload["payload"].split(":")[0]: payload["bytes"]
        for payload in result.summary["payloads"]
        if payload["direction"] == "uplink"
    }
    return {
        "experts": up.get("experts", up.get("model", 0.0)),
        "gate": up.get("gate", 0.0),
        "memory": result.summary["least_device_memory_bytes"],
        "expert memory": result.summary["least_expert_memory_bytes"],
    }


def updates(result: Any, slot_s: float) -> dict[str, float]:
    """How often a cycle updates expert 0, and the gate."""
    cycle_s = slot_s * result.contacts.cluster.nunique()
    rows = result.events[result.events.kind == "aggregate"]
    cycle = rows.time_s // cycle_s
    steady = rows[(cycle >= 1) & (cycle < CYCLES - TUNING_CYCLES)].detail
    cycles = CYCLES - TUNING_CYCLES - 1
    return {
        "expert": int(steady.str.contains(r"^experts:0\b").sum()) / cycles,
        "gate": int(steady.str.contains("gate").sum()) / cycles,
    }


def main() -> int:
    """Print a table an experiment."""
    for name in SCENARIOS:
        found = {method: timed(name, method) for method in METHODS}
        print(f"{name}: bytes and memory of one device, updates in a cycle\n")
        heads = ("experts up", "gate up", "sent in", "memory", "experts", "expert", "gate")
        units = ("MB", "MB", "min", "GB", "GB", "updates", "updates")
        print(f"{'':<16}" + "".join(f"{head:>12}" for head in heads))
        print(f"{'':<16}" + "".join(f"{unit:>12}" for unit in units))
        for method, result in found.items():
            print(f"{method:<16}{_cells(sizes(result), updates(result, slot_s_of(name)))}")
        whole, own = sizes(found["synchronous"]), sizes(found["emsfl-enhanced"])
        print(_compared(whole, own))
    return 0


def _cells(size: dict[str, float], update: dict[str, float]) -> str:
    minutes = (size["experts"] + size["gate"]) * 8 / RATE_BPS / 60
    megabytes = f"{size['experts'] / 1e6:>12.2f}{size['gate'] / 1e6:>12.2f}"
    gigabytes = f"{size['memory'] / 1e9:>12.2f}{size['expert memory'] / 1e9:>12.2f}"
    return f"{megabytes}{minutes:>12.2f}{gigabytes}{update['expert']:>12.2f}{update['gate']:>12.2f}"


def _compared(whole: dict[str, float], own: dict[str, float]) -> str:
    less = [(whole[key] - own[key]) / 1e9 for key in ("memory", "expert memory")]
    ratio = whole["experts"] / own["experts"]
    return (
        f"baseline over enhanced: {ratio:.2f} times the upload, "
        f"{less[0]:.2f} GB more memory, {less[1]:.2f} GB of it experts\n"
    )


if __name__ == "__main__":
    sys.exit(main())
