"""The dry run of a sweep: its points, and what is refused or doubted of them."""

from __future__ import annotations

from collections.abc import Iterator

from sim.execution.folder import POINTS
from sim.facts.status import REFUSED
from sim.files import from_here
from sim.sweep import folder as sweep_folder
from sim.sweep.doubts import Looked, look_at
from sim.sweep.point import Point
from sim.sweep.points import labelled
from sim.sweep.request import SweepRequest
from sim.sweep.rows import missing_status
from sim.sweep.running import Sweeping
from statements import code_of

SHOWN = 3
"""Points shown at either end of the list."""
LOOK_S = 10.0
"""Wall time for which contacts of points are looked for before any is run."""


def rehearse(request: SweepRequest) -> tuple[str, bool]:
    """Show how many points there are, some of them, and what is refused or doubted of the rest.

    Also returns whether all that are left are refused. Writes nothing.
    """
    place = request.place
    points = request.points
    sweep_folder.check_claim(place, request.about, resume=True)
    sweeping = Sweeping(place, points, request.options)
    sweeping.collect()
    left = sweeping.left
    looked = look_at(left, most=len(left), within_s=LOOK_S, cache=False)
    lines = [
        f"points    {len(points)}: {len(left)} to be run",
        *(_line(point) for point in points[:SHOWN]),
        *(["          ..."] if len(points) > 2 * SHOWN else []),
        *(_line(point) for point in points[max(SHOWN, len(points) - SHOWN) :]),
        *_foreseen(looked, len(left)),
        f"folder    {from_here(place)}",
    ]
    return "\n".join(lines), bool(left) and len(looked.refused) == len(left)


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
