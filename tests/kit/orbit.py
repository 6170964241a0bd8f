"""Inner names of ``orbit`` that tests use."""

from orbit.contact_views import contact_views
from orbit.look_angles import ground_track
from orbit.sites import site_frames
from orbit.utc import Start
