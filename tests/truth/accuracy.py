"""How far contact windows are from full Skyfield: one row per object and refinement.

    python tests/truth/accuracy.py

Satellites and sites are those of tests/kit/skies.py, masks and the comparison are those of
tests/truth/skyfield_views.py. Exits with 1 if a bound is broken; docs/trust.md reads the table.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.kit import skies
from tests.truth.skyfield_views import BOUNDS, MASKS_DEG, Differences, View, differences, found

SPAN_S = 129_600.0
# Smaller differences are rounding; the truth's own instants are bisected to a microsecond.
FLOORS = {"elevation_deg": 1e-8, "time_ms": 1e-3, "range_m": 1e-3}
HEADS = {"elevation_deg": "deg", "time_ms": "ms", "range_m": "m"}


def measure(views_and_masks):
    """All differences of views, by refinement."""
    worst = dict.fromkeys(BOUNDS, Differences())
    for view, mask_deg in views_and_masks:
        true = view.windows(mask_deg)
        for refine in BOUNDS:
            worst[refine] += differences(view, mask_deg, true, found(view, mask_deg, refine))
    return worst


def views_and_masks(view):
    """Even masks, masks next to the peaks of passes, and the span cut inside passes."""
    yield from ((view, mask_deg) for mask_deg in MASKS_DEG)
    yield from ((view, mask_deg) for mask_deg in view.grazing_masks(7))
    cut = view.cut_in_passes(5.0)
    if cut is not None:
        yield from ((cut, mask_deg) for mask_deg in MASKS_DEG[:3])


def row(name, refine, worst):
    """One line of the table: counts, and each error with its bound."""
    bound = BOUNDS[refine]
    counts = f"{worst.passes:6d} {worst.missed:6d} {worst.extra:5d} {worst.wrong_flags:5d}"
    errors = [
        f"{_shown(getattr(worst, key), floor):>9} <= {getattr(bound, key):<6g}"
        for key, floor in FLOORS.items()
    ]
    verdict = "" if worst.within(bound) else "BROKEN"
    return f"{name:<13} {refine:<8} {counts} {' '.join(errors)}{verdict}".rstrip()


def _shown(error, floor):
    return f"< {floor:g}" if error < floor else f"{error:.1g}"


def main():
    """Print the table; return 1 if a bound is broken."""
    heads = " ".join(f"{head:>9}    {'bound':<6}" for head in HEADS.values())
    print(f"{'object':<13} {'refine':<8} passes missed extra flags {heads}".rstrip())
    broken = 0
    for satellite in skies.typed_in() + skies.verification():
        start = skies.start_of(satellite)
        views = (View(satellite, site, start, SPAN_S) for site in skies.SITES)
        every = (one for view in views for one in views_and_masks(view))
        for refine, worst in measure(every).items():
            print(row(satellite.name, refine, worst), flush=True)
            broken |= not worst.within(BOUNDS[refine])
    return int(broken)


if __name__ == "__main__":
    sys.exit(main())
