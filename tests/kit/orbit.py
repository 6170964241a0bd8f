"""Inner names of ``orbit`` that tests use."""

from orbit.clock import Start
from orbit.even_spline import EvenSpline
from orbit.geometry import contact_geometries
from orbit.subsatellite import GroundTrack, ground_track
