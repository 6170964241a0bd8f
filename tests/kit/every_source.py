"""A right scenario for every source of contacts, with as few keys as it takes."""

from typing import Any

ORBITS: dict[str, dict[str, Any]] = {
    "tle": {"source": "tle", "path": "x.tle"},
    "omm": {"source": "omm", "path": "x.json"},
    "circular": {"source": "circular", "altitude_km": 600, "inclination_deg": 97.8},
    "keplerian": {"source": "keplerian", "semi_major_axis_km": 26_600, "inclination_deg": 63.4},
    "walker": {
        "source": "walker",
        "altitude_km": 600,
        "inclination_deg": "sun-synchronous",
        "satellites": 12,
        "planes": 3,
    },
    "contacts": {"source": "contacts", "path": "x.csv"},
    "slots": {"source": "slots"},
}
SEEN = [source for source in ORBITS if source not in ("contacts", "slots")]
SERVED = [*SEEN, "contacts"]


def mapping_with(orbit: dict[str, Any], cluster: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return a whole scenario around an orbit, and around keys of its one cluster."""
    seen = orbit["source"] in SEEN
    place = {"latitude_deg": 48.1, "longitude_deg": 11.6} if seen else {}
    return {
        "start": "2026-08-22T00:00:00Z",
        "stop": {"cycles": 4, "days": 1},
        "orbit": dict(orbit),
        "ground": {"clusters": [{"name": "A", **place, **(cluster or {})}]},
        "link": {"preset": "physical" if seen else "paper"},
    }
