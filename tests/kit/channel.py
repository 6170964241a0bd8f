"""Inner names of ``channel`` that tests use."""

from channel.atmosphere import SlantAttenuation, atmospheric_attenuation_db, itu_attenuation
from channel.budget import beamwidth_deg, footprint_km, free_space_path_loss_db
from channel.capacity import tabulated_capacity
from channel.efficiency import MODCODS, modcod_efficiency_bps_hz, modcod_thresholds_db, outage_gain
from channel.environment import (
    CLEAR_PATH,
    Environment,
    Path,
    draw_paths,
    excess_loss_db,
    line_of_sight,
    propagation_scenario,
    rician_k_linear,
)
from channel.link_curve import between_smooth_cells, bit_preserving, cell_middle_rates
from channel.signal import has_zenith_kink
