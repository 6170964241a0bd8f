"""Where satellites are and who sees whom: elements, SGP4, contact windows, geometry, service.

Times are seconds since an aware UTC start; distances are km; angles are degrees. The names below
are loaded on first use, so that `import orbit` stays cheap.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orbit.contacts import contact_windows
    from orbit.devices import place_devices
    from orbit.elements import Satellite, circular_satellite
    from orbit.geometry import ContactGeometry, contact_geometry
    from orbit.looks import LookAngles, look_angles
    from orbit.serving import Service, serve
    from orbit.sites import Site
    from orbit.slots import slot_windows
    from orbit.table import find_contacts
    from orbit.tle import ElementError, parse_tle, read_satellites, scan_tle
    from orbit.windows import ContactWindows, longest_gap_s

_MODULE_OF = {
    "contact_windows": "contacts",
    "place_devices": "devices",
    "Satellite": "elements",
    "circular_satellite": "elements",
    "ContactGeometry": "geometry",
    "contact_geometry": "geometry",
    "LookAngles": "looks",
    "look_angles": "looks",
    "Service": "serving",
    "serve": "serving",
    "Site": "sites",
    "slot_windows": "slots",
    "find_contacts": "table",
    "ElementError": "tle",
    "parse_tle": "tle",
    "read_satellites": "tle",
    "scan_tle": "tle",
    "ContactWindows": "windows",
    "longest_gap_s": "windows",
}

__all__ = [
    "ContactGeometry",
    "ContactWindows",
    "ElementError",
    "LookAngles",
    "Satellite",
    "Service",
    "Site",
    "circular_satellite",
    "contact_geometry",
    "contact_windows",
    "find_contacts",
    "longest_gap_s",
    "look_angles",
    "parse_tle",
    "place_devices",
    "read_satellites",
    "scan_tle",
    "serve",
    "slot_windows",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'orbit' has no attribute {name!r}")
    value = getattr(import_module(f"orbit.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
