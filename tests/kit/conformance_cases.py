"""What contact windows are compared over: satellites, sites, masks, grazing passes, cut spans."""

from datetime import UTC, datetime
from pathlib import Path

import sgp4

import orbit

START = datetime(2026, 8, 22, 12, tzinfo=UTC)
MASKS_DEG = (0.0, 5.0, 10.0, 25.0, 45.0, 60.0)
# A mask this far above the peak of a pass (negative: below it).
GRAZES_DEG = (-0.05, -0.005, -0.0011, 0.0011, 0.01)
SITES = (
    orbit.Site("north pole", 90.0, 0.0),
    orbit.Site("equator", 0.0, 10.0),
    orbit.Site("west of the antimeridian", -16.8, 179.99),
    orbit.Site("east of the antimeridian", 64.8, -179.9),
    orbit.Site("Altiplano", -16.5, -68.15, 5000.0),
    orbit.Site("Munich", 48.14, 11.58, 520.0),
)
_ELEMENTS = (
    "semi_major_axis_km", "inclination_deg", "eccentricity", "raan_deg",
    "argument_of_perigee_deg", "mean_anomaly_deg", "bstar",
)  # fmt: skip
# Like those of objects in orbit; the drag term is in 1 / earth radii.
TYPED_IN = {
    "ISS": (6796.0, 51.64, 6e-4, 120.0, 80.0, 10.0, 2.5e-4),
    "OneWeb": (7578.0, 87.9, 2e-4, 30.0, 90.0, 50.0, 1e-4),
    "Starlink": (6928.0, 53.05, 1e-4, 200.0, 90.0, 270.0, 3e-4),
    "polar": (7078.0, 90.0, 1e-3, 60.0, 0.0, 0.0, 5e-5),
    "Molniya": (26562.0, 63.4, 0.72, 250.0, 270.0, 0.0, 0.0),
    "geostationary": (42165.0, 0.05, 1e-4, 60.0, 0.0, 0.0, 0.0),
}
# Catalogue numbers in the verification file of SGP4 (Vallado et al., AIAA 2006-6753).
VERIFICATION = {28057: "CBERS 2", 9880: "MOLNIYA 1-36", 8195: "MOLNIYA 2-14", 28626: "XM-3"}


def typed_in():
    """Satellites of elements that are typed in above."""
    return [
        orbit.keplerian_satellite(name, START, **dict(zip(_ELEMENTS, row, strict=True)))
        for name, row in TYPED_IN.items()
    ]


def verification():
    """Real elements that come with the sgp4 package, under the names of their objects."""
    text = (Path(sgp4.__file__).parent / "SGP4-VER.TLE").read_text()
    entries = orbit.scan_satellites(text, checksum="ignore")
    known = {s.norad_id: s for s in entries if isinstance(s, orbit.Satellite)}
    return [
        orbit.Satellite(name, number, known[number].epoch, known[number].model)
        for number, name in VERIFICATION.items()
    ]


def start_of(satellite):
    """A whole second at which to start: the epoch of real elements."""
    return satellite.epoch.replace(microsecond=0) if satellite.norad_id else START


def grazing_masks(view, every):
    """Masks next to the peaks of every so manieth pass."""
    peaks_deg = [float(peak) for peak in view.peaks_deg() if 0.1 < peak < 80][::every]
    return [peak + graze for peak in peaks_deg for graze in GRAZES_DEG]


def cut_in_passes(view, mask_deg):
    """The view from the middle of the first pass to the middle of the last one, or None."""
    passes = view.windows(mask_deg)
    if len(passes.rise_s) < 2:
        return None
    middle_s = ((passes.rise_s + passes.set_s) / 2).round()
    return view.cut(float(middle_s[0]), float(middle_s[-1]))
