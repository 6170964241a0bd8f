"""What of SmolLM2's merged variants gets through the passes of one satellite: timing only.

    python papers/real_orbit.py VARIANTS [days]

VARIANTS are those of `experiment_1.py`; nothing is trained, so that their shapes alone count. The
scenario is `paper-exp1-real-orbit`, with its payloads and with larger ones, over all passes of some
days. `up` and `down` are what a device sends and gets at once. `one pass` counts the passes that
carry `up` whole if nothing else is in them; of others the remainder follows in the next one.
`updates` are those of experts that the server used, and the hours are those until it had used six
of each cluster, as many as in the six cycles of `paper-exp1-real`, with the bytes of all devices
until then (`-`: not within those days).
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiment_1 import DOMAINS, checkpoints
from paper_runs import Keys, line

import leomix

SCENARIO = "paper-exp1-real-orbit"
DAYS = 14.0
UPDATES = 6
WHOLE = {"learning.lora.rank": None}
EVERYWHERE = {"learning.model.moe_layers": None}
PAYLOADS: Mapping[str, Keys] = {
    "factors of rank 4 in 6 of 30 layers": {},
    "factors of rank 4 in all layers": EVERYWHERE,
    "whole experts in 6 of 30 layers": WHOLE,
    "whole experts in all layers": WHOLE | EVERYWHERE,
}
METHODS: Mapping[str, Keys] = {
    "EMS-FL, enhanced": {"learning.method": "emsfl-enhanced"},
    "synchronous": {"learning.method": "synchronous"},
    "one model a cluster": {"learning.method": "fedavg-per-cluster"},
}
HEADS = ("up, MB", "down, MB", "one pass", "updates", "hours", "sent, MB")


def at_once(result: Any, direction: str) -> float:
    """Return the bytes of an expert, or of the model, that go over a link at once."""
    payloads = result.summary["payloads"]
    sent = {one["payload"]: one["bytes"] for one in payloads if one["direction"] == direction}
    return float(sent["experts:0"] if "experts:0" in sent else sent["model"])


def cells(result: Any) -> Sequence[str]:
    """Return a row of the table."""
    up, down = at_once(result, "uplink"), at_once(result, "downlink")
    carries = result.contacts.uplink_capacity_bytes_per_device >= up
    updates = result.updates[result.updates.payload.str.startswith("experts")]
    sixth = updates.groupby("cluster").time_s.nth(UPDATES - 1)
    count = f"{carries.sum()} of {len(carries)}"
    row = [f"{up / 1e6:.2f}", f"{down / 1e6:.2f}", count, f"{len(updates)}"]
    if len(sixth) < len(DOMAINS):
        return [*row, "-", "-"]
    sent = result.transfers[result.transfers.direction == "uplink"]
    by_then = sent[sent.end_s <= sixth.max()].delivered_bytes.sum()
    return [*row, f"{sixth.max() / 3600:.1f}", f"{by_then / 1e6:.1f}"]


def main(variants: str, days: str = str(DAYS)) -> None:
    """Print the table."""
    fixed = {
        **checkpoints(Path(variants), *DOMAINS.values()),
        "learning.train": False,
        "stop.cycles": None,
        "stop.days": float(days),
    }
    print(f"{SCENARIO}, {float(days):g} days")
    for payload, keys in PAYLOADS.items():
        print()
        print(line(payload, 38, HEADS, 12))
        for name, method in METHODS.items():
            result = leomix.run(leomix.load(SCENARIO, {**fixed, **keys, **method}))
            print(line(name, 38, cells(result), 12), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
