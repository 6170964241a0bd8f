"""The keys that most scenarios need, by section; all others are advanced.

Lists are left out of keys, as in ``ground.clusters.name``. Whoever adds a key adds an advanced one,
unless more than one user in ten writes it.
"""

_BY_SECTION = {
    "": "description seed start stop roles orbit ground link compute learning faults",
    "stop": "cycles days rounds accuracy",
    "roles": "server clients",
    "orbit": "source path elements satellite altitude_km inclination_deg satellites planes phasing "
    "pattern min_elevation_deg slots",
    "orbit.slots": "seconds idle count",
    "ground": "clusters stations stations_path stations_used antennas",
    "ground.clusters": "name latitude_deg longitude_deg devices radius_km places_path",
    "ground.stations": "name latitude_deg longitude_deg min_elevation_deg",
    "link": "preset environment uplink downlink isl",
    "link.uplink": "frequency_ghz bandwidth_mhz total_bandwidth_mhz tx_power_dbm tx_gain_dbi "
    "eirp_dbw g_over_t_db_k other_losses_db rate fixed_rate_mbps sharing",
    "link.downlink": "frequency_ghz bandwidth_mhz eirp_dbw g_over_t_db_k rate fixed_rate_mbps "
    "delivery",
    "link.isl": "within_plane between_planes rate_mbps",
    "compute": "seconds_per_round tflops processor memory_gib power_w",
    "learning": "method rounds step_size batch_size steps_per_round evaluate_every_hours train "
    "options optimizer model data lora",
    "learning.rounds": "per_contact per_gap_max",
    "learning.optimizer": "kind",
    "learning.model": "kind hidden layers experts",
    "learning.lora": "rank",
    "learning.data": "kind path own_domain_fraction split validation",
    "learning.data.split": "over kind alpha classes",
    "faults": "outages",
    "faults.outages": "per_day mean_hours",
}
COMMON = frozenset(
    f"{section}.{name}".removeprefix(".")
    for section, names in _BY_SECTION.items()
    for name in names.split()
)
