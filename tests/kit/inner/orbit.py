"""Inner names of ``orbit`` that tests use."""

from orbit.contact_views import contact_views
from orbit.look_angles import ground_track, looks_from
from orbit.sites import site_frames
from orbit.tracks import contact_tracks
from orbit.utc import Start
