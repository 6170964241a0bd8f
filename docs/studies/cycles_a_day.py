"""Cycles a day against orbits a day: what altitude and elevation mask make of a satellite's time.

    python docs/studies/cycles_a_day.py [days] [picture]

One satellite on a circular orbit of 97.8 degrees serves the four cities of the scenario `circular`;
a cycle is complete when all four have been served once more. Nothing is trained. The picture, a
file of any kind that matplotlib writes, shows the same.
"""

from __future__ import annotations

import sys

from batch import Point, in_processes

ALTITUDES_KM = (400, 500, 600, 700, 800, 1000, 1200, 1600, 2000)
MASKS_DEG = (5, 10, 25, 40)


def rates(point: Point) -> tuple[float, float]:
    """Return orbits a day and complete cycles a day of one setting."""
    import leomix
    import orbit

    name, settings = point
    scenario = leomix.load(name, settings)
    cycles = leomix.run(scenario).summary["cycles"]
    flown = scenario.orbit
    made = orbit.circular_satellite("s", flown.altitude_km, 97.8, 0.0, 0.0, scenario.start)
    return made.revolutions_per_day, cycles / scenario.stop.days


def main(days: str = "28", picture: str | None = None) -> None:
    """Run, print the table, and draw it if asked to."""
    fixed = {"learning.train": False, "stop.days": float(days)}
    points: list[Point] = [
        ("circular", {**fixed, "orbit.altitude_km": km, "orbit.min_elevation_deg": deg})
        for km in ALTITUDES_KM
        for deg in MASKS_DEG
    ]
    found = iter(in_processes(rates, points))
    table = {km: [next(found) for _ in MASKS_DEG] for km in ALTITUDES_KM}
    print(f"circular, 97.8 degrees, four cities, {days} days: complete cycles a day by mask\n")
    print(f"{'altitude km':<14}{'orbits a day':>14}" + "".join(f"{d:>8} deg" for d in MASKS_DEG))
    for km, row in table.items():
        print(f"{km:<14}{row[0][0]:>14.2f}" + "".join(f"{cycles:>12.2f}" for _, cycles in row))
    if picture is not None:
        draw(table, picture)


def draw(table: dict[int, list[tuple[float, float]]], path: str) -> None:
    """Draw a line a mask over the altitude, and the orbits a day above them."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.8, 3.4), layout="constrained")
    axes = figure.subplots()
    axes.plot([*table], [row[0][0] for row in table.values()], "k--", label="orbits a day")
    for place, mask_deg in enumerate(MASKS_DEG):
        cycles = [row[place][1] for row in table.values()]
        axes.plot([*table], cycles, "o-", label=f"cycles a day, mask {mask_deg} deg")
    axes.set_xlabel("altitude (km)")
    axes.set_ylabel("a day")
    axes.set_yscale("log")
    ticks = (0.5, 1, 2, 5, 10, 20)
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    figure.legend(loc="outside upper center", ncols=2, fontsize="small")
    figure.savefig(path)


if __name__ == "__main__":
    main(*sys.argv[1:])
