"""FedSatSchedule: visits that are longer than the training, and that carry the model twice.

    python papers/fedsatschedule.py

Medians over three starts, with their range.
"""

from fedsat import STARTS
from paper_runs import runs
from predicted import Predicted, beside
from visits import Asked, visits

LINK = {
    "frequency_ghz": 2.4,
    "bandwidth_mhz": 20,
    "tx_power_dbm": 40,
    "tx_gain_dbi": 6.98,
    "rx_gain_dbi": 6.98,
    "noise_figure_db": 0,
    "antenna_temperature_k": 290,
    "other_losses_db": 0,
    "scintillation_loss_db": 0,
    "shadowing_margin_db": 0,
    "zenith_attenuation_db": 0,
    "rate": "shannon",
}
KEYS = {
    "stop.days": 2,
    "learning.train": False,
    "learning.data": {"kind": "digits", "split": {"over": "clients", "kind": "iid"}},
    "learning.rounds": {"per_gap_max": 1},
    "compute.seconds_per_round": 900,
    "link.uplink": {**LINK, "total_bandwidth_mhz": 1000},
}
SMALL = {"learning.model": {"kind": "vector-mlp", "hidden": 105}}
RESNET_18 = {"learning.model": {"kind": "vector-mlp", "hidden": 148980}}
VARIANTS = {
    "small model": {**SMALL, "link.downlink": LINK},
    "ResNet-18": {**RESNET_18, "link.downlink": LINK},
    **{
        f"{rate:g} Mbit/s": {**SMALL, "link.downlink": {"rate": "fixed", "fixed_rate_mbps": rate}}
        for rate in (3.015, 0.45)
    },
}
"""A model of as many bytes stands for ResNet-18; fixed rates are those of the longest ranges."""
PREDICTED = [
    Predicted("small model: visits", 122, 112, 132, "in 48 h"),
    Predicted("small model: mean visit (min), low", 5.8, 5.6, 6.0, "min"),
    Predicted("small model: mean visit (min), high", 17.9, 17.4, 18.4, "min"),
    Predicted("small model: longest visit (min), high", 22.5, 22.3, 22.7, "min"),
    Predicted("small model: next visit longer than 0.5 min (%)", 100, 99, 100, "%"),
    Predicted("small model: next visit longer than 15 min (%), low", 0, 0, 0, "%"),
    Predicted("small model: next visit longer than 15 min (%), high", 74.7, 68, 81, "%"),
    Predicted("small model: next visit longer than 30 min (%)", 0, 0, 0, "%", 0),
    Predicted("small model: uploads", 112, 102, 122, "in 48 h"),
    Predicted("small model: age of an upload (h)", 3.66, 3.3, 4.0, "h"),
    Predicted("small model: mean staleness", 13.5, 12, 15, "versions"),
    Predicted("3.015 Mbit/s: visits that carry the model (%), low", 95, 92, 98, "%"),
    Predicted("0.45 Mbit/s: visits that carry the model (%), high", 84, 72, 90, "%"),
    Predicted("ResNet-18: uploads", 106, 95, 113, "in 48 h"),
]


def main() -> None:
    """Run two days of each variant, and print visits beside what was predicted."""
    made = runs("fedsatschedule", "fedsat", KEYS, VARIANTS, STARTS)
    asked = Asked({"low": "low-", "high": "high-"}, training_min=(0.5, 15, 30), model_mb=44.7)
    shown, measured = visits(made, asked=asked)
    print(shown + "\n\n" + beside(PREDICTED, measured))


if __name__ == "__main__":
    main()
