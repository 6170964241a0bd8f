"""Table II of CroSatFL: how long 40 rounds of 40 clients over one station take without links.

    python papers/crosatfl.py

Medians over masks of 5, 10 and 25 degrees, with their range: the paper's was not at hand.
"""

from paper_runs import runs
from predicted import Predicted, beside
from visits import visits

KEYS = {
    "start": "2026-04-17T00:00:00Z",
    "stop.rounds": 40,
    "compute.seconds_per_round": 300,
    "orbit": {
        "source": "walker",
        "altitude_km": 570,
        "inclination_deg": 70,
        "satellites": 720,
        "planes": 36,
        "phasing": 1,
        "min_elevation_deg": 10,
    },
    "ground.stations": [{"name": "Canberra", "latitude_deg": -35.4, "longitude_deg": 148.98}],
    "learning.options": {"clients": 40, "local_rounds": 1},
}
VARIANTS = {
    "any 40 of 720": {"stop.days": 32},
    "the same 40": {
        "stop.days": 60,
        "orbit.use.planes": 8,
        "orbit.use.satellites_per_plane": 5,
    },
}
FIGURES = ["visits", "mean visit (min)", "mean gap (h)", "uploads", "downloads", "rounds"]
FIGURES += ["mean round (h)", "hours", "days"]
PREDICTED = [
    Predicted("any 40 of 720: hours", 569, 450, 730, "h", 936),
    Predicted("any 40 of 720: mean round (h)", 14.2, 11, 18, "h"),
    Predicted("any 40 of 720: uploads", 1600, 1600, 1600, "in 40 rounds", 1600),
    Predicted("any 40 of 720: mean visit (min)", 6.7, 3.8, 8.3, "min"),
    Predicted("the same 40: hours", 880, 540, 1330, "h", 936),
    Predicted("the same 40: mean round (h)", 22, 13, 34, "h"),
    Predicted("the same 40: mean gap (h)", 6.8, 5.3, 12.3, "h"),
]


def main() -> None:
    """Run both readings of 40 clients, and print their rounds beside what was predicted."""
    masks = {"orbit.min_elevation_deg": (5, 10, 25)}
    shown, measured = visits(runs("crosatfl", "flystack", KEYS, VARIANTS, masks), FIGURES)
    print(shown + "\n\n" + beside(PREDICTED, measured))


if __name__ == "__main__":
    main()
