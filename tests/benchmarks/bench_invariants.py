"""Cost of the invariants and of the store, each inside one process.

A run is done with and without its invariants in turn; what they cost is the ratio of the two times.
As that is little, and hard to see on a busy machine, the time inside of their calls is printed too.
Of the store (checkpoints of a trained run) it is the time inside of its calls over the run's.
`python tests/benchmarks/bench_invariants.py TURNS` takes other than 3 turns.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import process_time
from typing import Any

from bench_sim import PARTS, cities, scenario
from stopwatch import timed, watching

import scenarios
import sim
from learning.training import guards
from learning.training.guards import UnchangedGuard
from sim.checks.invariants import Invariants
from sim.engine import simulation

SLOTS: dict[str, Any] = {
    "stop": {"cycles": 60},
    "orbit": {"source": "slots", "slots": {"seconds": 600}},
    "ground": {"clusters": [{"name": f"c{i}", "devices": 100} for i in range(5)]},
    "link": {"preset": "paper"},
    "learning": {"method": "emsfl", "train": False},
}
"""The paper's slots: links without geometry, so that little else takes time."""

TRAINED = ("paper-exp1-small", {"stop.cycles": 6})
"""A small run that learns."""
LOOKS = (
    *PARTS["invariants"],
    "learning.training.guards:UnchangedGuard.__init__",
    "learning.training.guards:UnchangedGuard.check",
)
STORE = (
    "sim.execution.checkpoint:Checkpoint.save",
    "learning.values.store:FolderStore.save",
    "learning.values.store:FolderStore.load",
)


class Nothing(Invariants):
    """Looks at nothing."""

    def watch(self, *given: Any) -> None:
        """Do nothing."""

    look = settled = learnt = conclude = watch


class Unseen:
    """In place of what looks at an operation's tensors."""

    def __init__(self, *given: Any) -> None:
        pass

    def check(self, *given: Any) -> None:
        """Do nothing."""


@contextmanager
def without_invariants() -> Iterator[None]:
    """Look at nothing for a while, but at the clock, whose look is one comparison an event."""
    simulation.Invariants = Nothing  # type: ignore[misc]
    guards.UnchangedGuard = Unseen  # type: ignore[misc, assignment]
    try:
        yield
    finally:
        simulation.Invariants = Invariants  # type: ignore[misc]
        guards.UnchangedGuard = UnchangedGuard  # type: ignore[misc]


def seconds(asked: scenarios.Scenario) -> float:
    """CPU time of one run."""
    return timed(sim.run, asked, clock=process_time)[0]


def invariants(name: str, asked: scenarios.Scenario, turns: int) -> None:
    """Print what a run takes with and without invariants."""
    seconds(asked)  # what is made once is not counted
    watched = []
    alone = []
    for _ in range(turns):
        with without_invariants():
            alone.append(seconds(asked))
        watched.append(seconds(asked))
    with watching({"looks": LOOKS}, process_time) as inside:
        took = seconds(asked)
    # The least of some turns is the one that others on the machine have disturbed least.
    cost = min(watched) / min(alone) - 1.0
    print(
        f"{name:28} {min(alone):8.2f} s  with invariants {min(watched):8.2f} s  {cost:+7.1%}  "
        f"inside their calls {inside.seconds['looks'] / took:5.1%}"
    )


def store(every_s: float) -> None:
    """Print what checkpoints of a trained run take, waiting for the disk too."""
    asked = scenarios.load(TRAINED[0], {"stop.cycles": 30})
    with tempfile.TemporaryDirectory() as place, watching({"store": STORE}) as watch:
        folder = Path(place) / "run"
        took, _ = timed(lambda: sim.run(asked, folder, checkpoint_every_s=every_s))
    name = f"store, saved every {every_s:g} s"
    print(f"{name:28} {took:8.2f} s  inside its calls {watch.seconds['store'] / took:5.1%}")


if __name__ == "__main__":
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    invariants("10 x 100 devices, 4 days", scenario(cities(10, 100), 4), rounds)
    invariants("5 x 100 devices, slots", scenarios.from_dict(SLOTS), rounds)
    invariants("trained, paper-exp1-small", scenarios.load(*TRAINED), rounds)
    for every_s in (1.0, 10.0):
        store(every_s)
