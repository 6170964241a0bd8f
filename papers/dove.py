"""Dove's radio: Mbit/s and gigabytes of a pass by the modes of DVB-S2, for three dishes.

    python papers/dove.py

Medians over a radiated power of 7, 10 and 13 dBW, with their range: the paper's was not at hand.
"""

from paper_runs import runs
from predicted import Predicted, beside
from visits import visits

KEYS = {
    "stop.days": 2,
    "learning.train": False,
    "learning.data": {"kind": "digits", "split": {"over": "clients", "kind": "iid"}},
    "learning.model": {"kind": "vector-mlp", "hidden": 105},
    "orbit": {
        "source": "circular",
        "altitude_km": 475,
        "inclination_deg": "sun-synchronous",
        "min_elevation_deg": 5,
    },
    "ground.stations": [
        {"name": "Keflavik", "latitude_deg": 64.0, "longitude_deg": -22.6},
        {"name": "Brewster", "latitude_deg": 48.15, "longitude_deg": -119.7},
        {"name": "Awarua", "latitude_deg": -46.53, "longitude_deg": 168.38},
    ],
    "link.downlink": {
        "rate": "modcod",
        "rolloff": 0.2,
        "frequency_ghz": 8.2,
        "bandwidth_mhz": 60,
        "eirp_dbw": 10,
        "g_over_t_db_k": 27.8,
        "scintillation_loss_db": 0,
        "shadowing_margin_db": 3,
        "zenith_attenuation_db": 0.05,
    },
}
VARIANTS = {
    "4.5 m": {},
    "5 m": {"link.downlink.g_over_t_db_k": 28.7},
    "7.6 m": {"link.downlink.g_over_t_db_k": 32.3},
}
FIGURES = ["visits", "mean visit (min)", "longest visit (min)", "Mbit/s over a visit"]
FIGURES += ["Mbit/s over the best visit", "GB a visit", "GB of the best visit"]
PREDICTED = [
    Predicted("4.5 m: Mbit/s over a visit", 168, 125, 205, "Mbit/s", 160),
    Predicted("4.5 m: GB a visit", 8.4, 6, 10.6, "GB"),
    Predicted("4.5 m: GB of the best visit", 12.9, 10.4, 14.8, "GB", 12),
    Predicted("4.5 m: Mbit/s over the best visit", 190, 155, 215, "Mbit/s"),
    Predicted("5 m: Mbit/s over a visit", 178, 135, 212, "Mbit/s", 160),
    Predicted("5 m: GB a visit", 8.9, 6.4, 11, "GB"),
    Predicted("5 m: GB of the best visit", 13.3, 11, 15.1, "GB"),
    Predicted("5 m: Mbit/s over the best visit", 197, 165, 219, "Mbit/s"),
    Predicted("7.6 m: Mbit/s over a visit", 212, 175, 223, "Mbit/s"),
    Predicted("7.6 m: GB a visit", 10.6, 8.4, 11.8, "GB"),
    Predicted("7.6 m: GB of the best visit", 14.7, 13, 15.6, "GB", 15),
    Predicted("7.6 m: Mbit/s over the best visit", 217, 195, 223, "Mbit/s"),
]


def main() -> None:
    """Run two days of passes, and print what they carry beside what was predicted."""
    powers = {"link.downlink.eirp_dbw": (7, 10, 13)}
    shown, measured = visits(runs("dove", "fedsat", KEYS, VARIANTS, powers), FIGURES)
    print(shown + "\n\n" + beside(PREDICTED, measured))


if __name__ == "__main__":
    main()
