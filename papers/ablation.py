"""An ablation of EMS-FL: a ladder from its paper's baseline to its enhanced form.

    python papers/ablation.py [seeds]

Each row adds one thing to the row above it, and is compared with it seed by seed: in slots
(paper-slots) and on an orbit (quickstart-8b), where all data of a cluster are its own, and where
0.7 of them are; there, the threshold and the period by which EMS-FL draws its experts are chosen by
validation accuracy, and one more row has no draw, unless that is the chosen one: each cluster
trains the expert of its own data. From the second row on, a device may train four rounds per visit,
as EMS-FL's devices do in a contact and the gap before it. On the orbit, one more row has nine
rounds in each contact and nothing else of EMS-FL: about as many gradient steps as EMS-FL takes. All
rows have the step size of the scenario. Seeds are 1 and following, of what is chosen 101 and
following.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from by_seed import (
    DRAWS,
    FINAL,
    HOME,
    OWN_DATA,
    OWN_EACH,
    SHARE,
    Measure,
    Part,
    Step,
    Table,
    average_until,
    cycles_to,
    draw_of,
    measured,
    print_parts,
    reached,
    summary,
    tuned,
)
from paper_runs import Keys, runs

TARGET = 0.85
CYCLES = Measure(f"cycles to {TARGET:.2f}", cycles_to(TARGET), "{:.1f}", ratios=True)
SHARES = (1.0, 0.7)
CONTACT, GAP = "learning.rounds.per_contact", "learning.rounds.per_gap_max"
SYNCHRONOUS = {"learning.method": "synchronous"}
UNBUFFERED = {
    "learning.method": "fedbuff",
    "learning.options.buffer_size": 1,
    "learning.options.staleness": "constant",
}
PER_VISIT = 4
EMSFL = {CONTACT: 1, GAP: PER_VISIT - 1}
LADDER: Mapping[str, Keys] = {
    "synchronous, as in the paper": {**SYNCHRONOUS, CONTACT: 1},
    "+ 4 rounds per visit": {**SYNCHRONOUS, CONTACT: PER_VISIT},
    # In slots, a gap has time for as many rounds per slot as a contact.
    "+ rounds between contacts": {**UNBUFFERED, CONTACT: 2, GAP: PER_VISIT},
    "+ own experts only (emsfl)": {"learning.method": "emsfl", **EMSFL},
    "+ mask (emsfl-enhanced)": {"learning.method": "emsfl-enhanced", **EMSFL},
}
DRAWN = ("+ own experts only (emsfl)", "+ mask (emsfl-enhanced)")
EACH = "own expert each"
EQUAL = "synchronous, 9 per contact"
EQUAL_STEPS: Mapping[str, Keys] = {EQUAL: {**SYNCHRONOUS, CONTACT: 9}}


@dataclass(frozen=True)
class Place:
    """Where the ladder is climbed: a scenario, keys that all rows share, and what is shown of it.

    Runs are evaluated every ``every_h`` hours, last ``days`` at least, and bytes are in ``unit``.
    """

    scenario: str
    rows: Mapping[str, Keys]
    fixed: Keys
    every_h: float
    days: float
    unit: tuple[str, float]

    @property
    def tested(self) -> Sequence[Measure]:
        """What rows are compared by."""
        return (
            Measure(f"hours to {TARGET:.2f}", reached(TARGET, "hours"), "{:.1f}", ratios=True),
            Measure("time-averaged", average_until(self.days), "{:.3f}", SHARE),
            FINAL,
        )

    @property
    def costs(self) -> Sequence[Measure]:
        """What whole runs cost, all of which have the same cycles."""
        name, size = self.unit
        return (
            Measure("gradient steps", summary("gradient_steps"), "{:.0f}"),
            Measure(f"{name} up", summary("uplink_bytes", size), "{:.2f}"),
            Measure(f"{name} received", summary("downlink_received_bytes", size), "{:.2f}"),
            Measure(f"{name} of a device", summary("device_memory_bytes", size), "{:.3f}"),
        )


PLACES = (
    # Rounds of 30 s, so that a slot of ten minutes has room for four of them.
    Place("paper-slots", LADDER, {"compute.seconds_per_round": 30}, 1 / 6, 26 / 24, ("MB", 1e6)),
    Place("quickstart-8b", {**LADDER, **EQUAL_STEPS}, {}, 3, 13, ("GB", 1e9)),
)


def main(seeds: str = "10") -> None:
    """Run all rows in all places, and print a table of each."""
    parts = [part_of(place, share, int(seeds)) for place in PLACES for share in SHARES]
    print(f"seeds 1 to {seeds}; means with 95 % intervals, of hours the geometric mean;")
    print_parts(parts, "against the row above", 46, _name)


def part_of(place: Place, share: float, seeds: int) -> Part:
    """Run all rows in a place with a share of own data, after choosing the draw."""
    fixed: dict[str, Any] = {
        **place.fixed,
        OWN_DATA: share,
        "learning.evaluate_every_hours": place.every_h,
    }
    title = f"{place.scenario}, own data {share:g}"
    rows = place.rows
    if share < 1:
        drawing = {name: rows[name] for name in DRAWN}
        drawn = tuned(place.scenario, drawing, DRAWS, fixed=fixed).chosen
        each = {**rows[DRAWN[-1]], **OWN_EACH}
        rows = {**rows, **drawn}
        if each != drawn[DRAWN[-1]]:
            rows[EACH] = each
        title += "; threshold and cycles between splits: "
        title += "; ".join(draw_of(keys) for keys in drawn.values())
    means, costs = (CYCLES, *place.tested, HOME), place.costs
    table = measured(runs(place.scenario, rows, fixed=fixed, seeds=seeds), (*means, *costs))
    return Part(title, table, [(means, 32, 22), (costs, 32, 28)], steps_of(place, table))


def steps_of(place: Place, table: Table) -> list[Step]:
    """Return each row of the ladder against the one above it, and two more pairs."""
    steps = [Step(table, name, above, place.tested) for above, name in pairwise(LADDER)]
    if EACH in table:
        steps.append(Step(table, EACH, DRAWN[-1], place.tested))
    if EQUAL in table:
        steps.append(Step(table, list(LADDER)[-1], EQUAL, place.tested))
    return steps


def _name(step: Step) -> str:
    return f"emsfl-enhanced / {EQUAL}" if step.against == EQUAL else step.name


if __name__ == "__main__":
    main(*sys.argv[1:])
