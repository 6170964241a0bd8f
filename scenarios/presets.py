"""Presets of links and processors in user units, with the place each figure comes from."""

import math
from collections.abc import Mapping
from typing import Final, Literal

LinkValues = dict[str, float | str]
Side = Literal["uplink", "downlink"]

# What holds if nothing else is given; of the roll-offs of EN 302 307-1 0.2 is the smallest.
_DEFAULTS: Final[LinkValues] = {
    "other_losses_db": 0.0,
    "scintillation_loss_db": 0.0,
    "clutter_loss_db": 0.0,
    "shadowing_margin_db": 0.0,
    "atmosphere": "cosecant",
    "outage_probability": 0.1,
    "rolloff": 0.2,
    "duty": 1.0,
    "sharing": "fixed_subchannel",
}

# EMS-FL, section II-B: 23 dBm, 40 dBi at the satellite, -160 dB of large-scale fading, 5 MHz and
# 5 Mbit/s for a device; section V-A: 5 GHz in total. 3.976 GHz is where free space over 600 km
# gives 160 dB; a noiseless receiver at 290 K, an isotropic device antenna and K = 10 dB fill what
# the paper leaves open. The downlink takes no time there.
#
# These figures do not all hold at once. They give an SNR of 9.985 dB, whose capacity in 5 MHz is
# 17.3 Mbit/s; 5 Mbit/s need 0 dB (0.2 dB at K = 10 dB), so the rate hides 10 dB of noise figure and
# margins that the paper does not name. 5 GHz do not fit around a carrier of 4 GHz. 40 dBi is there
# a dish of 3 m with a beam of 1.7 degrees, 18 km wide on the ground. And 160 dB hold overhead only.
_PAPER_UPLINK: Final[LinkValues] = _DEFAULTS | {
    "frequency_ghz": 3.976,
    "bandwidth_mhz": 5.0,
    "total_bandwidth_mhz": 5000.0,
    "tx_power_dbm": 23.0,
    "tx_gain_dbi": 0.0,
    "rx_gain_dbi": 40.0,
    "noise_figure_db": 0.0,
    "antenna_temperature_k": 290.0,
    "path_gain_db": -160.0,
    "fading": "rician",
    "rician_k_db": 10.0,
    "rate": "fixed",
    "fixed_rate_mbps": 5.0,
}

# 3GPP TR 38.821, section 6.1: S band, LEO-600, satellite parameter set 1, handheld (23 dBm, 0 dBi),
# 3.0 dB shadowing margin, 2.2 dB ionospheric scintillation at 2 GHz. Gas at 2 GHz is that of
# ITU-R P.676. K = 10 dB is ours.
_SHARED: Final[LinkValues] = _DEFAULTS | {
    "frequency_ghz": 2.0,
    "total_bandwidth_mhz": 30.0,
    "shadowing_margin_db": 3.0,
    "scintillation_loss_db": 2.2,
    "zenith_attenuation_db": 0.035,
    "fading": "rician",
    "rician_k_db": 10.0,
    "rate": "ergodic",
}
_PHYSICAL_UPLINK: Final[LinkValues] = _SHARED | {
    "bandwidth_mhz": 0.36,
    "tx_power_dbm": 23.0,
    "tx_gain_dbi": 0.0,
    "g_over_t_db_k": 1.1,
}
_PHYSICAL_DOWNLINK: Final[LinkValues] = _SHARED | {
    "bandwidth_mhz": 30.0,
    "eirp_dbw": 34.0 + 10.0 * math.log10(30.0),  # 34 dBW/MHz over 30 MHz
    "g_over_t_db_k": -31.6,  # noise figure 7 dB, 290 K
    "delivery": "broadcast",
}

# The paper has no downlink figures, so a downlink that is asked for beside preset 'paper' starts
# from the physical one.
PRESETS: Final[Mapping[Side, Mapping[str, LinkValues]]] = {
    "uplink": {"paper": _PAPER_UPLINK, "physical": _PHYSICAL_UPLINK},
    "downlink": {"paper": _PHYSICAL_DOWNLINK, "physical": _PHYSICAL_DOWNLINK},
}
NEGLECTS_DOWNLINK: Final = frozenset({"paper"})

# Half-power beamwidth of that satellite's antenna in S band (TR 38.821, section 6.1.1); preset
# 'paper' has a gain to compute it from.
BEAMWIDTH_DEG: Final[Mapping[str, float]] = {"physical": 4.4127}

# Processors that have flown or are built for small satellites, and can train. A rate is a measured
# throughput times the operations of a sample: training takes three times those of the forward pass,
# as everywhere here, and a multiplication with its addition is two.
#
# SSD-MobileNet trained in PyTorch on 300 x 300 pixels in batches of 4, with loading the data: 4.77
# and 14.65 images/s (github.com/dusty-nv/jetson-inference, docs/pytorch-ssd.md), of 1.2e9
# multiplications forward (MobileNets, arXiv 1704.04861, table 13).
_TRAINED_GFLOP: Final = 3 * 2 * 1.2
# ResNet-152, forward alone, in mode MAXN for the CubeSat payload SCALES: 21.015 images/s at 14.78 W
# (github.com/BroncoSpace-Lab/scales-hardware, docs/ML_Jetson_Performance.md), of 11.3e9
# multiplications (He et al., arXiv 1512.03385, table 1).
_SEEN_GFLOP: Final = 2 * 11.3
# Raspberry Pi 4 (flown on BUPT-1, arXiv 2401.03435): Linpack in double precision, 11.889 GFLOP/s at
# 7.2 W (github.com/geerlingguy/top500-benchmark, issue 13).
PROCESSORS: Final[Mapping[str, Mapping[str, float]]] = {
    "jetson-agx-orin": {"tflops": 21.015e-3 * _SEEN_GFLOP, "memory_gib": 32.0, "power_w": 14.78},
    "jetson-nano": {"tflops": 4.77e-3 * _TRAINED_GFLOP, "memory_gib": 4.0},
    "jetson-xavier-nx": {"tflops": 14.65e-3 * _TRAINED_GFLOP, "memory_gib": 8.0},
    "raspberry-pi-4": {"tflops": 11.889e-3, "power_w": 7.2},
}

# Optical terminals between satellites, which have no budget here: SpaceX's as T. Brashears stated
# it at SPIE Photonics West 2024 (100 Gbit/s, up to 5400 km), and Tesat's LCT-135 of the European
# Data Relay System (1.8 Gbit/s, up to 45 000 km; ESA, ARTES).
ISL_PRESETS: Final[Mapping[str, Mapping[str, float]]] = {
    "starlink": {"rate_mbps": 100_000.0, "max_range_km": 5400.0},
    "lct-135": {"rate_mbps": 1800.0, "max_range_km": 45_000.0},
}
