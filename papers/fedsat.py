"""Fig. 1 to 4 of FedSat: visits, rounds and staleness over Bremen and over the pole.

    python papers/fedsat.py

Medians over three starts, with their range: dates and phases are not stated.
"""

from paper_runs import Keys, runs
from predicted import Predicted, beside
from visits import Asked, visits

POLE = {"ground.stations": [{"name": "Pole", "latitude_deg": 90, "longitude_deg": 0}]}
FEDAVG = {
    "learning.method": "fedavg-sat",
    "learning.options": {"clients": 10, "local_rounds": 5},
}
STARTS = {"start": [f"2026-08-22T{hour:02}:00:00Z" for hour in (0, 8, 16)]}
KEYS = {
    "stop.days": 2,
    "learning.train": False,
    "learning.data": {"kind": "digits", "split": {"over": "clients", "kind": "iid"}},
    "learning.model": {"kind": "vector-mlp", "hidden": 105},
}
VARIANTS: dict[str, Keys] = {
    "FedSat, Bremen": {},
    "FedSat, Pole": POLE,
    "FedAvg, Bremen": FEDAVG,
    "FedAvg, Pole": {**FEDAVG, **POLE},
}
FIGURES = ["visits", "mean visit (min)", "mean visit (min), low", "mean visit (min), high"]
FIGURES += ["mean gap (h), low", "mean gap (h), high", "uploads", "downloads"]
FIGURES += ["visits without use (%)", "age of an upload (h)", "rounds", "mean round (h)"]
FIGURES += ["shortest round of all (h)", "longest round of all (h)"]
FIGURES += ["mean staleness", "largest staleness"]
PREDICTED = [
    Predicted("FedSat, Bremen: visits", 122, 112, 132, "in 48 h"),
    Predicted("FedSat, Pole: visits", 267, 257, 277, "in 48 h"),
    Predicted("FedSat, Bremen: uploads", 112, 102, 122, "in 48 h"),
    Predicted("FedSat, Pole: uploads", 257, 247, 267, "in 48 h"),
    Predicted("FedSat, Bremen: age of an upload (h)", 3.66, 3.3, 4.0, "h"),
    Predicted("FedSat, Pole: age of an upload (h)", 1.805, 1.75, 1.86, "h"),
    Predicted("FedSat, Pole: mean gap (h), low", 1.487, 1.47, 1.5, "h"),
    Predicted("FedSat, Pole: mean gap (h), high", 1.765, 1.74, 1.79, "h"),
    Predicted("FedAvg, Bremen: mean round (h)", 12.6, 9, 17, "h", 4.23),
    Predicted("FedAvg, Pole: mean round (h)", 4.19, 3.2, 4.6, "h"),
    Predicted("FedSat, Bremen: mean staleness", 13.5, 12, 15, "versions"),
]


def main() -> None:
    """Run two days of both methods over both stations, beside what was predicted."""
    made = runs("fedsat", "fedsat", KEYS, VARIANTS, STARTS)
    asked = Asked(groups={"low": "low-", "high": "high-"})
    shown, measured = visits(made, FIGURES, asked)
    print(shown + "\n\n" + beside(PREDICTED, measured))


if __name__ == "__main__":
    main()
