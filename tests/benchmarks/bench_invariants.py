"""Cost of the invariants and of the store, each inside one process.

A run is done with and without its invariants in turn; what they cost is the ratio of the two times.
As that is little, and hard to see on a busy machine, the time inside of their calls is printed too.
Of the store (checkpoints of a trained run) it is the time inside of its calls over the run's.
`python tests/benchmarks/bench_invariants.py TURNS` takes other than 3 turns.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import scenarios
import sim
from learning import frozen, operations
from learning.store import FolderStore
from sim.checkpoint import Checkpoint
from sim.invariants import Invariants

MEDIUM = {
    "start": "2026-08-22T00:00:00Z",
    "stop": {"days": 4},
    "orbit": {"source": "circular", "altitude_km": 600, "inclination_deg": 97.8},
    "ground": {
        "clusters": [
            {
                "name": f"c{i:02d}",
                "latitude_deg": -57 + 12 * i,
                "longitude_deg": (94 * i) % 360 - 180,
                "devices": 100,
                "radius_km": 100,
            }
            for i in range(10)
        ]
    },
    "link": {"preset": "physical"},
    "learning": {"method": "emsfl", "train": False, "rounds": {"per_gap_max": 3}},
}
"""Ten cities with a hundred devices each, nothing trained."""

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


class Nothing(Invariants):
    """Looks at nothing."""

    def watch(self, *given: Any) -> None:
        """Do nothing."""

    settled = learnt = conclude = watch


class Unseen:
    """In place of what looks at an operation's tensors."""

    def __init__(self, *given: Any) -> None:
        pass

    def check(self, *given: Any) -> None:
        """Do nothing."""


@contextmanager
def without_invariants() -> Iterator[None]:
    """Look at nothing for a while, but at the clock, whose look is one comparison an event."""
    sim.simulation.Invariants, operations.Before = Nothing, Unseen  # type: ignore[misc, assignment]
    try:
        yield
    finally:
        sim.simulation.Invariants = Invariants  # type: ignore[misc]
        operations.Before = frozen.Before  # type: ignore[misc]


def seconds(scenario: scenarios.Scenario) -> float:
    """CPU time of one run."""
    began = time.process_time()
    sim.run(scenario)
    return time.process_time() - began


def invariants(name: str, scenario: scenarios.Scenario, turns: int) -> None:
    """Print what a run takes with and without invariants."""
    seconds(scenario)  # what is made once is not counted
    watched, alone = [], []
    for _ in range(turns):
        with without_invariants():
            alone.append(seconds(scenario))
        watched.append(seconds(scenario))
    inside = Stopwatch(time.process_time)
    looks = [(Invariants, look) for look in ("watch", "settled", "learnt", "conclude")]
    with inside.on(*looks, (frozen.Before, "__init__"), (frozen.Before, "check")):
        took = seconds(scenario)
    # The least of some turns is the one that others on the machine have disturbed least.
    cost = min(watched) / min(alone) - 1.0
    print(
        f"{name:28} {min(alone):8.2f} s  with invariants {min(watched):8.2f} s  {cost:+7.1%}  "
        f"inside their calls {inside.seconds / took:5.1%}"
    )


class Stopwatch:
    """Seconds of ``clock`` inside of some calls, an inner one counted once."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.seconds = 0.0
        self._clock = clock
        self._depth = 0

    @contextmanager
    def on(self, *places: tuple[type, str]) -> Iterator[None]:
        """Measure methods for a while."""
        before = [(owner, name, getattr(owner, name)) for owner, name in places]
        for owner, name, function in before:
            setattr(owner, name, self._timed(function))
        try:
            yield
        finally:
            for owner, name, function in before:
                setattr(owner, name, function)

    def _timed(self, function: Any) -> Any:
        def timed(*given: Any, **named: Any) -> Any:
            began, self._depth = self._clock(), self._depth + 1
            try:
                return function(*given, **named)
            finally:
                self._depth -= 1
                self.seconds += (self._clock() - began) * (self._depth == 0)

        return timed


def store(every_s: float) -> None:
    """Print what checkpoints of a trained run take, waiting for the disk too."""
    scenario = scenarios.load(TRAINED[0], {"stop.cycles": 30})
    watch = Stopwatch(time.perf_counter)
    names = [(FolderStore, name) for name in ("save", "load")]
    with tempfile.TemporaryDirectory() as place, watch.on((Checkpoint, "save"), *names):
        began = time.perf_counter()
        sim.run(scenario, Path(place) / "run", checkpoint_every_s=every_s)
        took = time.perf_counter() - began
    name = f"store, saved every {every_s:g} s"
    print(f"{name:28} {took:8.2f} s  inside its calls {watch.seconds / took:5.1%}")


if __name__ == "__main__":
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    invariants("10 x 100 devices, 4 days", scenarios.from_dict(MEDIUM), rounds)
    invariants("5 x 100 devices, slots", scenarios.from_dict(SLOTS), rounds)
    invariants("trained, paper-exp1-small", scenarios.load(*TRAINED), rounds)
    for every_s in (1.0, 10.0):
        store(every_s)
