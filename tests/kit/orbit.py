"""Inner names of ``orbit`` that tests use."""

from orbit import contacts, failures, limits
from orbit.clock import Start
from orbit.even_spline import EvenSpline, EvenSplines
from orbit.failures import Failure, good_stretch
from orbit.geometry import contact_geometries
from orbit.interpolation import (
    OVERHANG,
    acceleration,
    derivatives,
    extrapolated,
    powers,
    value_and_rate,
)
from orbit.propagation import propagate, propagate_tracks
from orbit.roots import bracketed_roots, newton_roots
from orbit.rotation import timescale
from orbit.sites import (
    earth_fixed_km,
    local_axes,
    site_frames,
)
from orbit.steps import grid_step_s
from orbit.subsatellite import GroundTrack, ground_track
from orbit.window_file import parse_windows
