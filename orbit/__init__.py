"""Where satellites are and who sees whom: elements, SGP4, contact windows, geometry, service.

Times are seconds since an aware UTC start; distances are km; angles are degrees. The names below
are loaded on first use, so that `import orbit` stays cheap.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orbit.contacts import contact_windows
    from orbit.devices import place_devices
    from orbit.earth_satellite import as_satellite
    from orbit.elements import ElementError, Satellite
    from orbit.failures import Failure
    from orbit.geometry import ContactGeometry, contact_geometry
    from orbit.in_view import Coverage, coverage
    from orbit.kepler import (
        circular_satellite,
        keplerian_satellite,
        sun_synchronous_inclination_deg,
    )
    from orbit.looks import LookAngles, look_angles
    from orbit.reading import (
        element_text,
        parse_satellites,
        read_satellites,
        scan_satellites,
    )
    from orbit.serving import Service, serve
    from orbit.sessions import session_numbers
    from orbit.site_file import read_sites
    from orbit.sites import Site
    from orbit.slots import slot_windows
    from orbit.subsatellite import GroundTrack, ground_track
    from orbit.table import find_contacts
    from orbit.track import ContactTrack, contact_track
    from orbit.validity import OrbitWarning, doubts
    from orbit.walker import walker_delta, walker_star
    from orbit.window_file import WindowFile, parse_windows, read_windows
    from orbit.windows import ContactWindows, bare_windows

_MODULE_OF = {
    "contact_windows": "contacts",
    "Coverage": "in_view",
    "coverage": "in_view",
    "place_devices": "devices",
    "OrbitWarning": "validity",
    "doubts": "validity",
    "as_satellite": "earth_satellite",
    "ElementError": "elements",
    "Satellite": "elements",
    "Failure": "failures",
    "ContactGeometry": "geometry",
    "contact_geometry": "geometry",
    "GroundTrack": "subsatellite",
    "ground_track": "subsatellite",
    "circular_satellite": "kepler",
    "keplerian_satellite": "kepler",
    "sun_synchronous_inclination_deg": "kepler",
    "LookAngles": "looks",
    "look_angles": "looks",
    "element_text": "reading",
    "parse_satellites": "reading",
    "read_satellites": "reading",
    "scan_satellites": "reading",
    "Service": "serving",
    "serve": "serving",
    "session_numbers": "sessions",
    "read_sites": "site_file",
    "Site": "sites",
    "slot_windows": "slots",
    "find_contacts": "table",
    "ContactTrack": "track",
    "contact_track": "track",
    "walker_delta": "walker",
    "walker_star": "walker",
    "WindowFile": "window_file",
    "parse_windows": "window_file",
    "read_windows": "window_file",
    "ContactWindows": "windows",
    "bare_windows": "windows",
}

__all__ = [
    "ContactGeometry",
    "ContactTrack",
    "ContactWindows",
    "Coverage",
    "ElementError",
    "Failure",
    "GroundTrack",
    "LookAngles",
    "OrbitWarning",
    "Satellite",
    "Service",
    "Site",
    "WindowFile",
    "as_satellite",
    "bare_windows",
    "circular_satellite",
    "contact_geometry",
    "contact_track",
    "contact_windows",
    "coverage",
    "doubts",
    "element_text",
    "find_contacts",
    "ground_track",
    "keplerian_satellite",
    "look_angles",
    "parse_satellites",
    "parse_windows",
    "place_devices",
    "read_satellites",
    "read_sites",
    "read_windows",
    "scan_satellites",
    "serve",
    "session_numbers",
    "slot_windows",
    "sun_synchronous_inclination_deg",
    "walker_delta",
    "walker_star",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'orbit' has no attribute {name!r}")
    value = getattr(import_module(f"orbit.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
