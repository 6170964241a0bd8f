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

from local_sets import METHODS
from paper_runs import line

import leomix

SCENARIOS = ("paper-exp1", "paper-exp2")
CYCLES = 12
TUNING_CYCLES = 2
RATE_BPS = 5e6


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


def updates(result: Any) -> tuple[float, float]:
    """Return how often a cycle updates expert 0, and the gate."""
    cycle_s = result.scenario.orbit.slots.seconds * result.contacts.cluster.nunique()
    rows = result.events[result.events.kind == "aggregate"]
    cycle = rows.time_s // cycle_s
    steady = rows[(cycle >= 1) & (cycle < CYCLES - TUNING_CYCLES)].detail
    counts = (int(steady.str.contains(what).sum()) for what in (r"^experts:0\b", "gate"))
    expert, gate = (count / (CYCLES - TUNING_CYCLES - 1) for count in counts)
    return expert, gate


def main() -> int:
    """Print a table an experiment."""
    for name in SCENARIOS:
        print(f"{name}: bytes and memory of one device, updates in a cycle\n")
        heads = ("experts up", "gate up", "sent in", "memory", "experts", "expert", "gate")
        print(line("", 16, heads, 12))
        print(line("", 16, ("MB", "MB", "min", "GB", "GB", "updates", "updates"), 12))
        found = {}
        for method in METHODS:
            keys = {"learning.train": False, "stop.cycles": CYCLES, "learning.method": method}
            result = leomix.run(leomix.load(name, keys))
            found[method] = size = sizes(result)
            cells = [
                size["experts"] / 1e6,
                size["gate"] / 1e6,
                (size["experts"] + size["gate"]) * 8 / RATE_BPS / 60,
                size["memory"] / 1e9,
                size["expert memory"] / 1e9,
                *updates(result),
            ]
            print(line(method, 16, [f"{cell:.2f}" for cell in cells], 12))
        whole, own = found["synchronous"], found["emsfl-enhanced"]
        less = [(whole[key] - own[key]) / 1e9 for key in ("memory", "expert memory")]
        print(
            f"baseline over enhanced: {whole['experts'] / own['experts']:.2f} times the upload, "
            f"{less[0]:.2f} GB more memory, {less[1]:.2f} GB of it experts\n"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
