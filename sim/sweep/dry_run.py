"""The dry run of a sweep: its points, and what they will take in time and on disk."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from sim.execution.folder import POINTS
from sim.facts.status import COMPLETE, REFUSED
from sim.files import folder_bytes, from_here
from sim.formatting import data_size, duration
from sim.sweep import folder as sweep_folder
from sim.sweep.doubts import Looked, look_at
from sim.sweep.point import Outcome, Point
from sim.sweep.points import contender, labelled
from sim.sweep.request import SweepRequest
from sim.sweep.rows import missing_status
from sim.sweep.running import Sweeping
from sim.sweep.trial import tried
from statements import code_of

SHOWN = 3
"""Points shown at either end of the list."""
LOOK_S = 10.0
"""Wall time for which contacts of points are looked for before any is run."""


def rehearse(request: SweepRequest) -> tuple[str, str]:
    """Show how many points there are, some of them, and what those that are left will take.

    Also returns how the point ended that was tried, ``complete`` without any. Writes nothing.
    """
    place = request.place
    points = request.points
    sweep_folder.check_claim(place, request.about, resume=True)
    sweeping = Sweeping(place, points, request.options)
    sweeping.collect()
    left = sweeping.left
    looked = look_at(left, most=len(left), within_s=LOOK_S, cache=False)
    ready = [point for point in left if point.number not in looked.refused]
    if not left:
        estimate, status = "nothing is left to be done", COMPLETE
    elif not ready:
        estimate, status = "none: all points are refused", REFUSED
    else:
        estimate, status = Estimate(sweeping, ready).made()
    lines = [
        f"points    {len(points)}: {len(left)} to be run",
        *(_line(point) for point in points[:SHOWN]),
        *(["          ..."] if len(points) > 2 * SHOWN else []),
        *(_line(point) for point in points[max(SHOWN, len(points) - SHOWN) :]),
        *_foreseen(looked, len(left)),
        f"folder    {from_here(place)}",
        f"estimate  {estimate}",
    ]
    return "\n".join(lines), status


def _foreseen(looked: Looked, left: int) -> Iterator[str]:
    """Say which points are refused or doubted, and of how many that was found out."""
    for number, error in sorted(looked.refused.items()):
        why = missing_status({"status": REFUSED, "code": code_of(error)})
        yield f"{why:<10}{'' if len(why) < 10 else '  '}point {number}: {error}"
    if looked.count < left:
        yield f"contacts of the first {looked.count} points were looked at"
    doubted = [f"warning   {doubt}" for doubt in looked.lines()]
    yield from doubted[:SHOWN]
    if len(doubted) > SHOWN:
        yield f"warning   and {len(doubted) - SHOWN} more like these"


def _line(point: Point) -> str:
    values = labelled(point.values, point.values)
    return f"  {point.number:<7} {values}, seed {point.seed} -> {POINTS}/{point.digest}"


TRYING_S = 60.0
"""Wall time after which no point of another method is tried."""


@dataclass(frozen=True)
class Taken:
    """What one point of a method takes, and where that is known from; or why it is not known."""

    wall_s: float = 0.0
    size_bytes: float = 0.0
    source: str = ""
    unknown: str = ""


class Estimate:
    """What the points that are ``left`` will take: by those that are complete, else by a trial.

    Of each method it is the median of the complete points, or its first point, which is tried.
    """

    def __init__(self, sweeping: Sweeping, left: Sequence[Point]) -> None:
        self._place = sweeping.place
        self._left = left
        self._visible = sweeping.options.visible()
        self._counts = Counter(map(contender, left))
        self._firsts = {contender(point): point for point in left[::-1]}
        self._done: dict[str, list[Outcome]] = {}
        for point in {point.digest: point for point in sweeping.points}.values():
            outcome = sweeping.outcomes.get(point.digest)
            if outcome is not None and outcome.status == COMPLETE:
                self._done.setdefault(contender(point), []).append(outcome)

    def made(self) -> tuple[str, str]:
        """Return it in a sentence, and how the first point ended that failed; else complete."""
        known: dict[str, Taken] = {}
        unknown: list[str] = []
        until_s = time.monotonic() + TRYING_S
        for method in self._counts:
            if method in self._done:
                known[method] = self._as_done(method)
                continue
            if time.monotonic() > until_s:
                unknown.append(f"{self._first(method)} was not tried")
                continue
            outcome = tried(self._firsts[method], device=self._visible[0])
            if outcome.error:
                return f"none: {self._first(method)} fails: {outcome.error}", outcome.status
            taken = self._as_tried(method, outcome.figures)
            if taken.unknown:
                unknown.append(taken.unknown)
            else:
                known[method] = taken
        return self._text(known, unknown), COMPLETE

    def _as_done(self, method: str) -> Taken:
        """Return the medians of the complete points of a method."""
        done = self._done[method]
        places = (self._place / POINTS / outcome.digest for outcome in done)
        return Taken(
            wall_s=median(outcome.figures["wall_s"] for outcome in done),
            size_bytes=median(map(folder_bytes, places)),
            source=f"as {len(done)} complete points show",
        )

    def _as_tried(self, method: str, figures: Mapping[str, Any]) -> Taken:
        """Return what a trial of a method's first point has shown; see ``measured``."""
        share = figures["share"]
        number = self._firsts[method].number
        if not math.isfinite(figures["wall_s"]):
            little = f"{figures['tried_s']:.0f} s of {self._first(method)} came to {share:.1%}"
            return Taken(unknown=f"{little} of it, too little to tell")
        return Taken(
            wall_s=figures["wall_s"],
            size_bytes=figures["size_bytes"],
            source=f"tried on point {number} ({share:.0%} of it was run)",
        )

    def _text(self, known: Mapping[str, Taken], unknown: Sequence[str]) -> str:
        """Say what all points take together, and where that is known from."""
        if not known:
            return f"none: {'; '.join(unknown)}"
        counts = {method: self._counts[method] for method in known}
        wall_s = sum(taken.wall_s * counts[method] for method, taken in known.items())
        size_bytes = sum(taken.size_bytes * counts[method] for method, taken in known.items())
        busy = min(len(self._visible), len(self._left))
        about = "at least" if unknown else "about"
        total = f"{about} {duration(wall_s / busy)} with {busy} at a time, "
        total += f"{data_size(size_bytes)} on disk"
        if unknown:
            total += f" for {sum(counts.values())} of {len(self._left)} points"
        sources = [
            f"{duration(taken.wall_s)} and {data_size(taken.size_bytes)} a "
            f"point{self._of(method)}, {taken.source}"
            for method, taken in known.items()
        ]
        return f"{total}: {'; '.join([*sources, *unknown])}"

    def _first(self, method: str) -> str:
        return f"point {self._firsts[method].number}{self._of(method)}"

    def _of(self, method: str) -> str:
        return f" of {method}" if len(self._counts) > 1 else ""
