"""A Flower app over five networks: hours of a round, replies lost to its timeout, and bytes.

    python papers/fly.py [rounds]

The app is `docs/apps/digits`: FedAvg of a small network over all nodes, with flwr's own strategy.
It runs with its timeout of 3,600 s, waiting for all replies, and so without evaluation. Needs the
extra `leomix[flower]`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import leomix

APP = Path(__file__).parents[1] / "docs" / "apps" / "digits"
NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {
    "slots": ("paper-slots", {"stop.cycles": 200}),
    "one satellite": ("plain-fedavg", {"stop.days": 14}),
    "66 satellites": (
        "plain-fedavg",
        {
            "start": "2026-08-22T12:00:00Z",
            "stop.days": 1,
            "orbit.path": "iridium-next.tle",
            "orbit.serving": "any",
            "orbit.session": "contact",
        },
    ),
    "66 clients": ("iridium-isl", {"stop.days": 4, "stop.rounds": None, "link.isl": None}),
    "66 clients, links": (
        "iridium-isl",
        {"stop.days": 1, "stop.rounds": None, "link.isl.route": "earliest"},
    ),
}
"""Scenarios, and what is changed in them: 20 devices in four places, or satellites as clients."""
VARIANTS: dict[str, dict[str, Any]] = {
    "3600 s": {},
    "none": {"learning.options.timeout": "none"},
    "none, no evaluation": {
        "learning.options.timeout": "none",
        "learning.options.config.fraction-evaluate": 0.0,
    },
}


def row_of(network: str, variant: str, rounds: int, folder: Path) -> str:
    """Run the app over a network; return a line of the table."""
    name, keys = NETWORKS[network]
    own = {"learning.options.config.rounds": rounds}
    typed = [
        f"--set={key}={json.dumps(x)}" for key, x in {**keys, **own, **VARIANTS[variant]}.items()
    ]
    line = [sys.executable, "-m", "sim", "fly", str(APP), "-s", name, "-o", str(folder), "--quiet"]
    subprocess.run([*line, *typed], stdout=subprocess.DEVNULL, check=True)
    run = leomix.load(folder)
    counts = run.manifest["counts"]
    done = int((run.events.kind == "aggregate").sum())
    hours = run.manifest["simulated_s"] / 3600
    mb = run.transfers.delivered_bytes / 1e6
    is_reply = run.transfers.payload.str.startswith("reply")
    accuracy = run.summary["accuracy_final"]
    shown = "-" if accuracy is None else f"{accuracy:.3f}"
    lost = counts["replies_lost"] / counts["messages"]
    return (
        f"{network:<19}{variant:<21}{done:>6}{hours / rounds:>9.2f}{lost:>7.0%}"
        f"{mb[~is_reply].sum():>10.2f}{mb[is_reply].sum():>9.2f}{shown:>10}"
    )


def main(rounds: str = "10") -> None:
    """Print the table."""
    print(f"{'network':<19}{'timeout':<21}{'rounds':>6}{'hours':>9}{'lost':>7}", end="")
    print(f"{'MB to':>10}{'MB from':>9}{'accuracy':>10}")
    with tempfile.TemporaryDirectory() as folder:
        for network in NETWORKS:
            for variant in VARIANTS:
                place = Path(folder) / f"{network} {variant}"
                print(row_of(network, variant, int(rounds), place), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
