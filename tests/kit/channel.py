"""Inner names of ``channel`` that tests use."""

from channel.atmosphere import atmospheric_attenuation_db
from channel.capacity import tabulated_capacity
from channel.efficiency import (
    MODCODS,
    MODES,
    modcod_efficiency_bps_hz,
    modcod_thresholds_db,
    outage_gain,
)
from channel.environment import excess_loss_db, line_of_sight, rician_k_linear
from channel.link_curve import between_smooth_cells, cell_middle_rates
from channel.settings import RATES, Rate
from channel.signal import has_zenith_kink
