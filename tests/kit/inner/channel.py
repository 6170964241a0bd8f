"""Inner names of ``channel`` that tests use."""

from tests.kit.inner import late

__getattr__ = late(
    globals(),
    {
        "channel.atmosphere": "atmospheric_attenuation_db",
        "channel.capacity": "tabulated_capacity",
        "channel.efficiency": (
            "MODCODS MODES modcod_efficiency_bps_hz modcod_thresholds_db outage_gain"
        ),
        "channel.environment": "rician_k_linear",
        "channel.link_curve": "between_smooth_cells cell_middle_rates",
        "channel.settings": "RATES Rate",
        "channel.signal": "PATH_FIELDS path_losses_db",
    },
)
