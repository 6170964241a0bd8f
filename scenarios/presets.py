"""Link presets in user units, with the place each figure comes from."""

import math
from collections.abc import Mapping
from typing import Final

LinkValues = dict[str, float | str]

# EMS-FL, section II-B: 23 dBm, 40 dBi at the satellite, -160 dB of large-scale fading, 5 MHz and
# 5 Mbit/s for a device; section V-A: 5 GHz in total. 3.976 GHz is where free space over 600 km
# gives 160 dB; a noiseless receiver at 290 K, an isotropic device antenna and K = 10 dB fill what
# the paper leaves open. The downlink takes no time there.
_PAPER_UPLINK: Final[LinkValues] = {
    "frequency_ghz": 3.976,
    "bandwidth_mhz": 5.0,
    "total_bandwidth_mhz": 5000.0,
    "tx_power_dbm": 23.0,
    "tx_gain_dbi": 0.0,
    "rx_gain_dbi": 40.0,
    "noise_figure_db": 0.0,
    "antenna_temperature_k": 290.0,
    "other_losses_db": 0.0,
    "zenith_attenuation_db": 0.0,
    "path_gain_db": -160.0,
    "fading": "rician",
    "rician_k_db": 10.0,
    "rate": "fixed",
    "fixed_rate_mbps": 5.0,
}

# 3GPP TR 38.821, section 6.1: S band, LEO-600, satellite parameter set 1, handheld (23 dBm, 0 dBi).
# Losses: 3.0 dB shadowing margin + 2.2 dB ionospheric scintillation at 2 GHz. K = 10 dB is ours.
_SHARED: Final[LinkValues] = {
    "frequency_ghz": 2.0,
    "total_bandwidth_mhz": 30.0,
    "other_losses_db": 5.2,
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
}

UPLINK: Final[Mapping[str, LinkValues]] = {"paper": _PAPER_UPLINK, "physical": _PHYSICAL_UPLINK}

# What overrides of the downlink start from. The paper has no downlink figures, so a downlink that
# is asked for beside preset 'paper' starts from the physical one.
DOWNLINK: Final[Mapping[str, LinkValues]] = {
    "paper": _PHYSICAL_DOWNLINK,
    "physical": _PHYSICAL_DOWNLINK,
}
NEGLECTS_DOWNLINK: Final = frozenset({"paper"})
