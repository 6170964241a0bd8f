"""FLySTacK: how long rounds take with 1, 3 and 13 stations, by four ways to choose clients.

    python papers/flystack.py

14 days for each.
"""

from paper_runs import Keys, runs
from predicted import Predicted, beside
from visits import visits

TEN = {"clients": 10, "local_rounds": 10}
WAYS: dict[str, Keys] = {
    "first": {"learning.options": {**TEN, "selection": "first"}},
    "scheduled": {"learning.options": {**TEN, "selection": "scheduled"}},
    "intra-plane": {
        "learning.options": {**TEN, "selection": "scheduled", "intra_plane": True},
    },
    "FedBuff": {"learning.method": "fedbuff", "learning.options": {"buffer_size": 10}},
}
VARIANTS = {
    f"{way}, {stations} station{'s' * (stations > 1)}": {
        **keys,
        "ground.stations_used": stations,
    }
    for way, keys in WAYS.items()
    for stations in (1, 3, 13)
}
FIGURES = ["visits", "rounds", "mean round (h)", "mean round by passes (h)"]
FIGURES += ["visits without use (%)", "age of an upload (h)"]
PREDICTED = [
    Predicted("first, 1 station: mean round by passes (h)", 10.3, 8.8, 11.8, "h"),
    Predicted("first, 3 stations: mean round by passes (h)", 5.4, 4.7, 6.1, "h"),
    Predicted("first, 13 stations: mean round by passes (h)", 1.84, 1.6, 2.1, "h"),
    Predicted("scheduled, 1 station: mean round by passes (h)", 2.3, 2.0, 2.7, "h"),
    Predicted("scheduled, 3 stations: mean round by passes (h)", 1.66, 1.45, 1.9, "h"),
    Predicted("scheduled, 13 stations: mean round by passes (h)", 1.084, 1.0, 1.2, "h"),
    Predicted("intra-plane, 1 station: mean round by passes (h)", 1.49, 1.3, 1.75, "h"),
    Predicted("intra-plane, 3 stations: mean round by passes (h)", 1.2, 1.08, 1.35, "h"),
    Predicted("intra-plane, 13 stations: mean round by passes (h)", 1.03, 0.97, 1.12, "h"),
    Predicted("FedBuff, 1 station: mean round (h)", 0.452, 0.38, 0.52, "h"),
    Predicted("FedBuff, 3 stations: mean round (h)", 0.179, 0.155, 0.205, "h"),
    Predicted("FedBuff, 13 stations: mean round (h)", 0.0722, 0.062, 0.083, "h"),
    Predicted("scheduled, 13 stations: visits without use (%)", 69.9, 62, 77, "%"),
    Predicted("first, 13 stations: visits without use (%)", 96.4, 94, 98, "%"),
]


def main() -> None:
    """Run all, and print their rounds beside what was predicted; the paper was not read yet."""
    made = runs("flystack", "flystack", {"stop.days": 14}, VARIANTS)
    shown, measured = visits(made, FIGURES)
    print(shown + "\n\n" + beside(PREDICTED, measured, read=False))


if __name__ == "__main__":
    main()
