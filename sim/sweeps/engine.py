"""What runs the points of a sweep: the interface of engines, and what goes in and comes out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

COMPLETE, FAILED, CRASHED, REFUSED = "complete", "failed", "crashed", "refused"
"""How a point ends: done; failed in itself; its process died; its input is wrong."""

INTERRUPTED = "interrupted"
"""Status of a point that was asked to stop: what it had is saved."""

RETRIED = (FAILED, CRASHED, INTERRUPTED)
"""How a point may end that is tried once more, unless the sweep is to stop."""

ATTEMPTS = 2
"""How often a point is tried at most."""


@dataclass(frozen=True)
class Point:
    """One run of a sweep; all of it can be written as JSON.

    ``overrides`` are all keys over the scenario (a path, or a shipped name), ``values`` only those
    that are swept; ``digest`` names the resolved scenario and the folder of the run.
    """

    number: int
    digest: str
    scenario: str
    overrides: dict[str, Any]
    values: dict[str, Any]
    replication: int
    seed: int

    def as_json(self) -> dict[str, Any]:
        """Return the point as plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Point:
        """Return the point that ``as_json`` has said."""
        return cls(**said)


@dataclass(frozen=True)
class Outcome:
    """How a point ended; ``figures`` are those of its row, ``note`` is worth a line on stderr."""

    digest: str
    status: str
    error: str = ""
    attempts: int = 1
    figures: dict[str, Any] = field(default_factory=dict)
    note: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return the outcome as plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Outcome:
        """Return the outcome that ``as_json`` has said."""
        return cls(**said)


class Engine(Protocol):
    """Runs points, each by :func:`sim.sweeps.attempt.attempt` in some process.

    The methods that end things early may be called from a signal handler.
    """

    def run(self, points: Sequence[Point], folder: Path, cache: bool) -> Iterator[Outcome]:
        """Run ``points`` (no two of one digest) in ``folder/DIGEST`` and yield how each ended.

        Outcomes come as they come, one a point that was started: a point that failed or crashed
        has been tried ``ATTEMPTS`` times by then. ``cache`` uses the store of training results.
        """
        ...

    def hold(self) -> None:
        """Start no more points; those that are running are finished."""
        ...

    def stop(self) -> None:
        """Start no more points, and ask those that are running to save and end."""
        ...

    def kill(self) -> None:
        """End every process now."""
        ...
