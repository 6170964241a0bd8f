"""What a reader has to know before the figures: untrained, nothing learnt, ended early."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any, ClassVar, Protocol

from sim.analysis.targets import Evaluation

QUANTILE = 1.96
"""Standard errors within which a difference of accuracies may be chance, at 95 %."""
SECONDS_A_DAY = 86400.0


class Ended(Protocol):
    """What is needed of a run: its manifest, and its evaluations in order of time."""

    @property
    def manifest(self) -> Mapping[str, Any]:
        """What was run."""

    @property
    def evaluations(self) -> Sequence[Evaluation]:
        """Its accuracy over time."""


@dataclass(frozen=True)
class TimingOnly:
    """A group that trained nothing: it says when models move, not what they learn."""

    kind: ClassVar[str] = "timing only"
    group: str


@dataclass(frozen=True)
class NothingLearnt:
    """A group whose accuracy has not risen by more than chance.

    ``start`` and ``final`` are means over its runs; ``samples`` are those of the test set of one
    run, and ``chance`` is the rise that these samples cannot tell from none at 95 %.
    """

    kind: ClassVar[str] = "nothing learnt"
    group: str
    start: float
    final: float
    samples: int
    chance: float


@dataclass(frozen=True)
class StoppedEarly:
    """A group of runs that ended before their time, with the ``status`` of their manifests.

    ``days`` is what the shortest has simulated, ``of_days`` what it should have; None where cycles
    end it.
    """

    kind: ClassVar[str] = "stopped early"
    group: str
    status: str
    days: float
    of_days: float | None

    @property
    def can_go_on(self) -> bool:
        """Whether ``--resume`` goes on with it."""
        return self.status == "interrupted"


Caveat = TimingOnly | NothingLearnt | StoppedEarly


def caveats_of(group: str, runs: Sequence[Ended]) -> Iterator[Caveat]:
    """Yield what has to be known of a group of runs before its figures."""
    status = str(runs[0].manifest["status"])
    if status != "complete":
        days = min(float(run.manifest.get("simulated_s", 0.0)) for run in runs) / SECONDS_A_DAY
        yield StoppedEarly(group, status, days, runs[0].manifest["scenario"]["stop"].get("days"))
    if not runs[0].manifest["scenario"]["learning"].get("train", True):
        yield TimingOnly(group)
    elif found := nothing_learnt(group, [run.evaluations for run in runs]):
        yield found


def nothing_learnt(group: str, curves: Sequence[Sequence[Evaluation]]) -> NothingLearnt | None:
    """Return that the runs of these curves have not learnt; None if they have, or if unknown.

    What they began with is unknown where there was nothing to measure at the start, as of a method
    whose clients answer once they have been given experts.

    The standard error of an accuracy p of n samples is sqrt(p (1 - p) / n). Start and end count as
    independent; runs with different seeds are.
    """
    pairs = [(curve[0], curve[-1]) for curve in curves if curve]
    samples = [final.samples for _, final in pairs if final.samples]
    if not pairs or len(samples) < len(curves) or any(first.hours > 0.0 for first, _ in pairs):
        return None
    variances = [
        sum(one.accuracy * (1.0 - one.accuracy) for one in pair) / count
        for pair, count in zip(pairs, samples, strict=True)
    ]
    chance = QUANTILE * math.sqrt(math.fsum(variances)) / len(pairs)
    start, final = (mean(pair[place].accuracy for pair in pairs) for place in (0, 1))
    if final - start > chance:
        return None
    return NothingLearnt(group, start, final, samples[0], chance)
