"""Inner names of ``channel`` that tests use."""

from channel.antenna import beamwidth_deg, footprint_km
from channel.atmosphere import atmospheric_attenuation_db
from channel.broadcast import weakest
from channel.budget import free_space_path_loss_db
from channel.capacity_table import tabulated_capacity
from channel.environment import (
    Environment,
    propagation_scenario,
)
from channel.even_grid import (
    LEAST_POINTS,
    bit_preserving,
    inside,
    middle_of_cells,
    moved,
)
from channel.itu import itu_attenuation
from channel.modcod import (
    MODCODS,
    modcod_efficiency_bps_hz,
    modcod_level,
    modcod_thresholds_db,
)
from channel.not_a_knot import not_a_knot
from channel.outage import outage_gain
from channel.paths import (
    CLEAR_PATH,
    Path,
    draw_paths,
    excess_loss_db,
    line_of_sight,
    rician_k_linear,
)
from channel.signal import turns_abruptly
from channel.slant_attenuation import SlantAttenuation
